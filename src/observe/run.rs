//! From the inputs of one observation point to its observation.

use std::thread;

use crate::base::{InputId, RunError};
use crate::capture::{CaptureFile, OpenError};

use super::collected::Collected;
use super::groups::{Group, Source};
use super::limits::Limits;
use super::model::Observation;
use super::saved::{Saved, in_turn};
use super::sequence::Groups;
use super::workers::{read, read_files};

/// How to read. Nothing here changes what is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Worker threads, at least one.
    pub threads: usize,
    /// Bytes of a segment of a file; 0: its length decides.
    pub segment_len: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: thread::available_parallelism().map_or(1, usize::from), segment_len: 0 }
    }
}

/// An input of an observation point: its number, and the capture or why it could not be opened.
pub type Input = (InputId, Result<CaptureFile, OpenError>);

/// Reads all inputs of one observation point.
///
/// Files whose times are disjoint are appended in the order of time, with a hole between them, as soon as the next one was read;
/// files that overlap are read again, merged by (time, input, frame). The interface number inside a file is the lane's: rotated
/// files of one interface share it, and so do separate captures of several interfaces. A stream can be read only once: where it overlaps other inputs it is appended
/// as if it did not, with a problem. Inputs that could not be opened are problems too; an error comes only where none could.
pub fn observe(inputs: Vec<Input>, options: &Options) -> Result<Observation, RunError> {
    observe_within(inputs, options, &Limits::default())
}

/// As [`observe`], within limits of memory.
///
/// # Errors
/// Where no input could be opened.
pub fn observe_within(inputs: Vec<Input>, options: &Options, limits: &Limits) -> Result<Observation, RunError> {
    collect(inputs, Vec::new(), options, limits).map(|point| point.finish_on(options.threads))
}

/// As [`observe_within`], with saved observations among the inputs, each with the numbers of its inputs; not finished yet.
///
/// # Errors
/// Where no input at all could be opened.
pub fn collect(
    inputs: Vec<Input>,
    saved: Vec<(Saved, Vec<InputId>)>,
    options: &Options,
    limits: &Limits,
) -> Result<Collected, RunError> {
    let (mut files, mut streams, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
    for (id, input) in inputs {
        match input {
            Ok(file) if file.is_reopenable() => files.push(file),
            Ok(stream) => streams.push(stream),
            Err(error) => unreadable.push((id, error)),
        }
    }
    let mut saved = saved;
    saved.sort_by_key(|(file, ids)| file.order(ids));
    let point = Point { unreadable, saved, options, limits };
    if files.is_empty() && streams.is_empty() && point.saved.is_empty() {
        return Err(RunError::NoInput(format!("no readable capture: {}", point.begin().reasons().join("; "))));
    }
    Ok(point.captures(&files, streams))
}

/// What one observation point is collected from, beside its captures.
struct Point<'a> {
    unreadable: Vec<(InputId, OpenError)>,
    /// In order.
    saved: Vec<(Saved, Vec<InputId>)>,
    options: &'a Options,
    limits: &'a Limits,
}

impl Point<'_> {
    fn begin(&self) -> Collected {
        let mut point = Collected::within(self.limits);
        self.unreadable.iter().for_each(|(id, error)| point.unreadable(*id, error));
        point
    }

    /// Reads the captures, and everything with them.
    fn captures(&self, files: &[CaptureFile], streams: Vec<CaptureFile>) -> Collected {
        let known = !streams.is_empty();
        let order = if known { files.iter().collect() } else { expected(files) };
        let read = read_files(&order, self.options, self.limits, |reading| {
            let files = order.iter().zip(reading);
            let files = files.filter_map(|(file, stretch)| Some(Source::new(file.name(), Some(file), stretch?)));
            let streams = streams.into_iter().map(|stream| {
                let name = stream.name().to_owned();
                Source::new(&name, None, read(&mut stream.frames(), self.limits))
            });
            // Where a stream is among them, all is known before anything is appended: it could not be read a second time.
            let mut groups = Groups::new(files.chain(streams), known);
            let point = self.append(&mut groups);
            groups.ended().map_or(Ok(point), Err)
        });
        read.unwrap_or_else(|sources| self.again(sources))
    }

    /// Reads the captures once more, now that it is known when each begins and ends.
    fn again(&self, sources: Vec<Source<'_>>) -> Collected {
        let mut groups: Vec<_> = Groups::new(sources.into_iter(), true).collect();
        let order: Vec<_> = groups.iter_mut().filter_map(|group| group.only()?.file).collect();
        order.iter().for_each(|file| file.expect_again());
        read_files(&order, self.options, self.limits, |reading| {
            self.append(groups.into_iter().map(|mut group| {
                if let Some(only) = group.only() {
                    only.stretch = reading.next().flatten();
                }
                group
            }))
        })
    }

    /// Appends groups and saved observations in the order of time.
    fn append<'f>(&self, groups: impl Iterator<Item = Group<'f>>) -> Collected {
        let mut point = self.begin();
        let mut groups = groups.peekable();
        let mut orders = self.saved.iter().map(|(file, ids)| file.order(ids));
        let take = |point: &mut Collected, group| {
            #[cfg(test)]
            tests::look(self.limits);
            point.group(group, self.limits);
        };
        in_turn(&self.saved, self.options.threads, self.limits, |next| {
            let order = orders.next();
            while let Some(group) = groups.next_if(|g| g.order() < order) {
                take(&mut point, group);
            }
            point.append(next);
            point.partial.rows_size()
        });
        groups.for_each(|group| take(&mut point, group));
        point
    }
}

/// Files in the order in which they seem to follow each other, by their first frames; those that seem to have none come last.
fn expected(files: &[CaptureFile]) -> Vec<&CaptureFile> {
    let mut order: Vec<&CaptureFile> = files.iter().collect();
    if files.len() > 1 {
        order.sort_by_cached_key(|file| {
            let first = file.first_time();
            (first.is_none(), first, file.input())
        });
    }
    order
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;

    thread_local! {
        /// Stretches in memory when a group was appended, at most.
        static MOST: Cell<usize> = const { Cell::new(0) };
    }

    /// Every stretch has a share in its limits, and so has whoever made them.
    pub(super) fn look(limits: &Limits) {
        MOST.set(MOST.get().max(Arc::strong_count(&limits.protected) - 1));
    }

    /// Seconds of frames in a file.
    type Times = Vec<u32>;

    fn write(path: &Path, times: &[u32]) {
        let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0];
        for time in times {
            [*time, 0, 14, 14].iter().for_each(|n| file.extend(n.to_le_bytes()));
            file.extend([0; 14]);
        }
        std::fs::write(path, file).unwrap();
    }

    /// Frames of each input, and how many stretches were in memory at most.
    fn collected(files: &[Times], threads: usize) -> (Vec<u64>, usize) {
        let folder = tempfile::tempdir().unwrap();
        let inputs = (0..).map(InputId).zip(files).map(|(id, times)| {
            let path = folder.path().join(id.0.to_string());
            write(&path, times);
            (id, CaptureFile::open(&path, id))
        });
        MOST.set(0);
        let limits = Limits::new(1 << 20, Arc::default());
        let options = Options { threads, ..Options::default() };
        let point = collect(inputs.collect(), Vec::new(), &options, &limits).unwrap();
        (point.finish().inputs.iter().map(|i| i.packets).collect(), MOST.get())
    }

    /// What was collected so far, the segments that are out, and the file read last with the one before it.
    const fn few(threads: usize) -> usize {
        1 + threads + 1 + 2
    }

    #[test]
    fn rotated_files_are_appended_while_others_are_read() {
        let files: Vec<Times> = (0..60).map(|n| vec![10 * n, 10 * n + 5]).collect();
        let shuffled: Vec<Times> = (0..60).filter_map(|n| files.get(n * 7 % 60).cloned()).collect();
        for threads in [1, 2, 3, 8] {
            for files in [&files, &shuffled] {
                let (packets, most) = collected(files, threads);
                assert_eq!(packets, [2; 60]);
                assert!(most <= few(threads), "{most} stretches at once by {threads} threads");
            }
        }
    }

    #[test]
    fn files_that_overlap_are_not_kept_either() {
        // Each overlaps the next one; or the last one lies among the first, which shows when all others were appended.
        let chain: Vec<Times> = (0..60).map(|n| vec![10 * n, 10 * n + 15]).collect();
        let late: Vec<Times> = (0..60).map(|n| if n == 59 { vec![590, 3] } else { vec![10 * n, 10 * n + 5] }).collect();
        for files in [chain, late] {
            let (packets, most) = collected(&files, 2);
            assert_eq!(packets, [2; 60]);
            assert!(most <= few(2), "{most} stretches at once");
        }
    }
}
