//! How frames are pulled.

use super::counted::Counted;
use super::frame::Frame;
use super::host::HostFact;
use super::meta::InputMeta;
use crate::base::Problem;

/// One thing a source came to.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A frame, valid until the next pull.
    Frame(Frame<'a>),
    /// Something wrong with the capture; what comes after it may still be good.
    Problem(Problem),
    /// Packets that were counted in place of being captured; no file holds any.
    Counted(Counted),
    /// What the capturing host's kernel says; no file holds any.
    Host(HostFact),
}

/// A source that grows while it is read.
pub trait Growth: FrameSource {
    /// Whether the last `None` meant that nothing more is there yet.
    fn is_waiting(&self) -> bool;
}

/// Anything frames are pulled from.
pub trait FrameSource {
    /// The next event; `None` at the end, and from then on.
    fn next(&mut self) -> Option<Event<'_>>;

    /// What was read, once [`FrameSource::next`] has returned `None` or the caller has seen enough.
    fn finish(&mut self) -> InputMeta;
}
