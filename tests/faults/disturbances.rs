//! What befalls a recording.

use portwitness::base::Span;
use portwitness::disturb::{Copied, Fault, Told, Which};

use crate::recording::File;

/// A name, and the fault lists of the files that it makes of a capture.
pub(crate) type Disturbance = (&'static str, fn(&File) -> Vec<Vec<Fault>>);

const LAG: Span = Span::from_nanos(300_000);
const HOUR: i64 = 3_600_000_000_000;

fn drop(which: Which, told: Told) -> Vec<Vec<Fault>> {
    vec![vec![Fault::Drop { which, told }]]
}

fn again(copy: Copied) -> Vec<Vec<Fault>> {
    vec![vec![Fault::Again { which: Which::All, copy }]]
}

/// The frames from so many tenths on to so many others.
fn tenths(file: &File, from: u64, to: u64) -> Which {
    Which::Frames(file.len() * from / 10..file.len() * to / 10)
}

/// Three files one after the other; between them so many hundredths of the frames are in none.
fn rotated(file: &File, gap: u64) -> Vec<Vec<Fault>> {
    let part = |n: u64| {
        let (from, to) = (file.len() * n / 3 + file.len() * gap * n.min(1) / 100, file.len() * (n + 1) / 3);
        let frames = |range| Fault::lost(Which::Frames(range));
        // Behind first: the indices of the second fault count what the first one left.
        vec![frames(to..u64::MAX), frames(0..from)]
    };
    (0..3).map(part).collect()
}

/// What the capturing host sends, or what it receives; at a mirror, what the first sender sends.
fn one_way(file: &File, keep_own: bool) -> Vec<Vec<Fault>> {
    let all = crate::recording::senders(file);
    let own: Vec<_> = if file.own.is_empty() { all.iter().take(1).copied().collect() } else { file.own.clone() };
    let lost = all.into_iter().filter(|a| own.contains(a) != keep_own).collect();
    drop(Which::SentBy(lost), Told::Nothing)
}

pub(crate) const ALL: &[Disturbance] = &[
    ("nothing", |_| vec![vec![]]),
    ("1 % lost", |_| drop(Which::Random { per_mille: 10, seed: 1 }, Told::Nothing)),
    ("1 % lost, counted", |_| drop(Which::Random { per_mille: 10, seed: 2 }, Told::Total)),
    ("5 % lost, dated", |_| drop(Which::Random { per_mille: 50, seed: 3 }, Told::Dated)),
    ("bursts of 5 lost", |_| drop(Which::Bursts { per_mille: 10, length: 5, seed: 4 }, Told::Nothing)),
    ("bursts of 20 lost, counted", |_| drop(Which::Bursts { per_mille: 5, length: 20, seed: 5 }, Told::Total)),
    ("second tenth lost", |f| drop(tenths(f, 1, 2), Told::Nothing)),
    ("third tenth lost, dated", |f| drop(tenths(f, 2, 3), Told::Dated)),
    ("fifth tenth lost, counted", |f| drop(tenths(f, 4, 5), Told::Total)),
    ("eighth tenth lost, dated", |f| drop(tenths(f, 7, 8), Told::Dated)),
    ("last tenth lost, dated", |f| drop(tenths(f, 9, 10), Told::Dated)),
    ("every frame twice", |_| again(Copied::default())),
    ("every frame twice, a hop apart", |_| {
        again(Copied { hops: 1, later: Span::from_nanos(20_000), ..Copied::default() })
    }),
    ("every frame in another VLAN, too", |_| again(Copied { vlan: Some(7), ..Copied::default() })),
    ("reordered", |_| vec![vec![Fault::Reorder { within: 8, seed: 6 }]]),
    ("what the host sends", |f| one_way(f, true)),
    ("what the host receives", |f| one_way(f, false)),
    ("cut at 96 bytes", |_| vec![vec![Fault::Snaplen(96)]]),
    ("cut at 54 bytes", |_| vec![vec![Fault::Snaplen(54)]]),
    ("begun late", |f| drop(Which::Before(f.time(30)), Told::Nothing)),
    ("begun at the end", |f| drop(Which::Before(f.time(85)), Told::Nothing)),
    ("stopped early", |f| drop(Which::From(f.time(70)), Told::Nothing)),
    ("stopped at the beginning", |f| drop(Which::From(f.time(20)), Told::Nothing)),
    ("clock an hour ahead", |f| vec![vec![Fault::ClockStep { at: f.len() / 2, by: HOUR }]]),
    ("clock an hour behind", |f| vec![vec![Fault::ClockStep { at: f.len() / 2, by: -HOUR }]]),
    ("clock half a second behind", |f| vec![vec![Fault::ClockStep { at: f.len() / 3, by: -500_000_000 }]]),
    ("three files", |f| rotated(f, 0)),
    ("three files, frames lost between", |f| rotated(f, 5)),
    ("two taps", |_| vec![vec![Fault::second_tap(LAG)]]),
    ("two taps, 2 % lost at each", |_| {
        let lost = |seed| Fault::lost(Which::Random { per_mille: 20, seed });
        vec![vec![lost(7), Fault::second_tap(LAG), lost(8)]]
    }),
];
