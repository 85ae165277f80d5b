//! The lab's kept recordings, what the script says of each, and the way from a disturbed recording to a report.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use portwitness::base::{InputId, Time};
use portwitness::capture::{CaptureFile, Frame, LinkType};
use portwitness::disturb::{Disturbed, Fault, Which};
use portwitness::matrix::Matrix;
use portwitness::observe::{self, observe};
use portwitness::packet::decode;
use portwitness::report::Report;
use portwitness::site::Site;
use portwitness::verdict::{self, PointSeen};

use crate::expect::{Expected, Facts, View};
use crate::hosts::{Host, Place, Topology};
use crate::situation::{ALL, Situation};
use crate::story::Story;
use crate::wire::{Shot, pcapng, shots};

/// A capture of a recording, untouched.
pub(crate) struct File {
    pub(crate) place: Place,
    /// The observation point that the site calls it.
    point: String,
    bytes: Vec<u8>,
    pub(crate) frames: Vec<Shot>,
    /// Addresses of the host it was taken on; none for a router or mirror.
    pub(crate) own: Vec<IpAddr>,
}

/// Captures of one situation, judged together.
pub(crate) struct Recording {
    pub(crate) situation: &'static Situation,
    pub(crate) files: Vec<File>,
    site: Site,
    matrix: Matrix,
}

/// A recording, and how much of it the site declares.
pub(crate) struct Case<'r> {
    pub(crate) recording: &'r Recording,
    pub(crate) declared: bool,
    pub(crate) topology: Topology,
    pub(crate) story: Story,
    /// Machines by address.
    pub(crate) machines: BTreeMap<IpAddr, Host>,
}

/// What came of a disturbed recording: the report, and the frames that were left.
pub(crate) struct Played {
    pub(crate) report: Report,
    pub(crate) left: Vec<Shot>,
}

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

impl Recording {
    /// Every kept capture by itself, and all hosts' captures of a situation together.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for situation in ALL {
            all.extend(situation.kept.iter().map(|p| Self::load(situation, &[*p])));
            let hosts: Vec<Place> = situation.kept.iter().copied().filter(|p| matches!(p, Place::At(_))).collect();
            if hosts.len() > 1 {
                all.push(Self::load(situation, &hosts));
            }
        }
        all
    }

    /// The one of a name.
    pub(crate) fn named(name: &str) -> Self {
        Self::all().into_iter().find(|r| r.name() == name).unwrap_or_else(|| panic!("no recording {name}"))
    }

    fn load(situation: &'static Situation, places: &[Place]) -> Self {
        let matrix = Matrix::embedded();
        let file = captures().join(format!("{}.site.toml", situation.file));
        let site = Site::load_file(&file, &matrix).unwrap_or_else(|_| panic!("{}", file.display())).0;
        let files = places.iter().map(|p| File::load(situation, *p, &site)).collect();
        Self { situation, files, site, matrix }
    }

    /// With all that the site declares, and with the roles and the places alone.
    pub(crate) fn cases(&self) -> Vec<Case<'_>> {
        [true, false].map(|declared| self.case(declared)).into()
    }

    pub(crate) fn case(&self, declared: bool) -> Case<'_> {
        let story = Story::of(&(self.situation.scenario)(), &(self.situation.blocks)());
        let topology = (self.situation.topology)();
        let of = |h: &Host| {
            topology.addresses(*h).unwrap().into_iter().map(|a| (a, topology.machine(*h))).collect::<Vec<_>>()
        };
        let machines = self.situation.cast.iter().flat_map(of).collect();
        Case { recording: self, declared, topology, story, machines }
    }

    pub(crate) fn name(&self) -> String {
        match self.files.as_slice() {
            [one] => format!("{}, {}", self.situation.file, one.place.name()),
            _ => format!("{}, all hosts", self.situation.file),
        }
    }
}

impl File {
    fn load(situation: &Situation, place: Place, site: &Site) -> Self {
        let kept = |ending: &str| captures().join(format!("{}.{}.{ending}", situation.file, place.name()));
        let path = ["pcap", "pcapng"].into_iter().map(kept).find(|p| p.exists()).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let point = site.points.iter().find(|p| p.captures.iter().any(|c| c == name)).unwrap().name.clone();
        let own = match place {
            Place::At(host) => (situation.topology)().addresses(host).unwrap(),
            _ => Vec::new(),
        };
        let bytes = fs::read(&path).unwrap();
        let frames = shots(&mut open(&bytes, 0).frames());
        Self { place, point, bytes, frames, own }
    }

    pub(crate) fn len(&self) -> u64 {
        self.frames.len() as u64
    }

    /// The moment at which so many of a hundred frames have passed.
    pub(crate) fn time(&self, percent: usize) -> Time {
        self.frames[(self.frames.len() * percent / 100).min(self.frames.len() - 1)].time
    }

    /// The files that a disturbance makes of it, and the frames in them.
    fn disturbed(&self, faults: &[Vec<Fault>]) -> Vec<(Vec<u8>, Vec<Shot>)> {
        let stops = |f: &Fault| matches!(f, Fault::Drop { which: Which::From(_), .. });
        let one = |faults: &Vec<Fault>| {
            let mut source = Disturbed::new(open(&self.bytes, 0).frames(), faults);
            pcapng(&mut source, faults.iter().any(stops))
        };
        faults.iter().map(one).collect()
    }
}

fn open(bytes: &[u8], input: u32) -> CaptureFile {
    CaptureFile::from_read("capture", InputId(input), Box::new(Cursor::new(bytes.to_vec()))).unwrap()
}

impl Case<'_> {
    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.recording.name(), if self.declared { "" } else { ", undeclared" })
    }

    /// Frames of the longest capture.
    pub(crate) fn longest(&self) -> u64 {
        self.recording.files.iter().map(File::len).max().unwrap()
    }

    pub(crate) fn view(&self) -> View {
        View::of(self.recording.files.iter().map(|f| f.place).collect(), self.declared)
    }

    /// What has to come out where nothing befell the recording.
    pub(crate) fn expected(&self) -> Expected {
        self.seen_as(&self.view())
    }

    /// What has to come out of the same restore, seen otherwise.
    pub(crate) fn seen_as(&self, view: &View) -> Expected {
        let situation = self.recording.situation;
        let rows = situation.operation.rows(situation.cast);
        Facts { topology: &self.topology, story: &self.story, view }.expect(rows)
    }

    /// Disturbs each capture (into one file or several), writes what is left as files, and judges these.
    pub(crate) fn play(&self, faults: &dyn Fn(&File) -> Vec<Vec<Fault>>) -> Played {
        let mut site = self.recording.site.clone();
        if !self.declared {
            site.windows.clear();
            site.points.iter_mut().for_each(|p| p.complete = false);
        }
        let (mut points, mut left, mut input) = (Vec::new(), Vec::new(), 0);
        for file in &self.recording.files {
            let mut inputs = Vec::new();
            for (bytes, frames) in file.disturbed(&faults(file)) {
                inputs.push((InputId(input), Ok(open(&bytes, input))));
                input += 1;
                left.extend(frames);
            }
            let how = observe::Options { threads: 1, ..observe::Options::default() };
            let observation = observe(inputs, &how).unwrap();
            points.push(PointSeen { name: Some(file.point.clone()), observation });
        }
        let (matrix, options) = (&self.recording.matrix, &verdict::Options::default());
        let case = verdict::Case { matrix, site: Some(&site), points: &points, options };
        Played { report: verdict::judge(&case), left }
    }
}

/// Addresses that send IP packets in a capture, in the order of their first.
pub(crate) fn senders(file: &File) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = Vec::new();
    for s in &file.frames {
        let (time, link, original_len) = (s.time, LinkType(s.link), s.original_len);
        let frame = Frame { time, input: InputId(0), number: 1, interface: 0, link, data: &s.data, original_len };
        if let Some(p) = decode(&frame).packet
            && !all.contains(&p.src)
        {
            all.push(p.src);
        }
    }
    all
}
