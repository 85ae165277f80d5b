//! The door of the lab: build it, block something, capture, play.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::block::Block;
use crate::capture::{Capture, stop_all};
use crate::failure::{Failure, Result};
use crate::hosts::{Host, Place, Topology};
use crate::play::{Log, play};
use crate::scenario::{Scenario, Step};
use crate::servers::{Server, Servers, speaking_ssh, standard};

/// A running lab. Exists only inside the seal, which takes everything away in the end.
pub(crate) struct Lab {
    topology: Topology,
    work: PathBuf,
    servers: Servers,
    captures: Vec<Capture>,
    blocks: usize,
}

/// What a play left behind.
pub(crate) struct Recording {
    pub(crate) captures: BTreeMap<Place, PathBuf>,
    pub(crate) log: Log,
}

impl Lab {
    /// The usual network with the servers that this script needs of these hosts, and the blocks in force.
    pub(crate) fn up(
        topology: Topology,
        cast: &[Host],
        script: &[Step],
        blocks: &[Block],
        work: &Path,
    ) -> Result<Self> {
        let servers = speaking_ssh(standard(cast, blocks), script);
        let mut lab = Self::up_with(topology, &servers, work)?;
        blocks.iter().try_for_each(|b| lab.block(b))?;
        Ok(lab)
    }

    /// Another network or other servers.
    pub(crate) fn up_with(topology: Topology, servers: &[Server], work: &Path) -> Result<Self> {
        topology.build()?;
        let servers = Servers::start(servers, &topology, work)?;
        Ok(Self { topology, work: work.to_owned(), servers, captures: Vec::new(), blocks: 0 })
    }

    /// Puts a firewall rule in force.
    pub(crate) fn block(&mut self, block: &Block) -> Result<()> {
        self.blocks += 1;
        block.apply(&self.topology, &self.work, self.blocks)
    }

    /// Starts a capture at each place; they run until the next play is over.
    pub(crate) fn capture(&mut self, places: &[Place]) -> Result<()> {
        for place in places {
            self.captures.push(Capture::start(*place, &self.work)?);
        }
        Ok(())
    }

    /// Plays a scenario to its end and closes the captures.
    pub(crate) fn play(&mut self, scenario: &Scenario) -> Result<Recording> {
        let log = play(scenario, &self.topology, &self.work).map_err(|e| self.explain(e))?;
        let captures = stop_all(std::mem::take(&mut self.captures)).map_err(|e| self.explain(e))?;
        Ok(Recording { captures, log })
    }

    /// A failure with the ends of the servers' logs, which are gone a moment later.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        failure.and(&format!("server logs:\n{}", self.servers.logs()))
    }
}
