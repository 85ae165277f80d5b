//! Where on its way a failed attempt was lost: told from two places that both would have seen it.
//!
//! It sharpens what is said of a failure and creates none. That something was *not* seen at a place is said only where that place
//! was open at the time by its own clock, saw other packets of the two hosts in both directions, lost none that is known of, was
//! not filtered, and shows no other packet that could be the translated one.

use super::judged::Judged;
use super::places::FlowAt;
use super::points::{PointView, Sight};
use super::seen::Seen;
use super::sound::blind;
use crate::base::{Known, Proto, Span, Stamp, Time};
use crate::flow::{Flow, Outcome, Side};
use crate::report::{FlowFilter, Path, PathFrame, PathKind};
use crate::site::HostId;

/// Beside the uncertainty of the clocks, what lies within this of an attempt may be what became of it.
const NEAR: Span = Span::from_secs(3);
/// No packet is longer on its way: so long must a place have stayed open.
const WAY: Span = Span::from_secs(1);

/// Where an attempt was lost; `None` where no two places tell.
pub(super) fn path(j: &Judged<'_, '_>, f: &Seen<'_>) -> Option<Path> {
    let (Some(o), Some(r)) = (f.orig_host, f.resp_host) else { return None };
    let tcp = f.flow.key.proto == Proto::Tcp && f.flow.syns.iter().any(|s| s.from == f.direction.orig);
    if o == r || !tcp || j.points.len() < 2 {
        return None;
    }
    let mut all = vec![f];
    all.extend(j.joined.elsewhere(j.seen, f));
    let way = Way { j, o, r, all };
    way.answer_lost().or_else(|| way.reset_between()).or_else(|| way.syn_lost()).or_else(|| way.responder_silent())
}

struct Way<'w, 'a, 'p> {
    j: &'w Judged<'a, 'p>,
    o: HostId,
    r: HostId,
    /// The connection at every place that saw it.
    all: Vec<&'w Seen<'a>>,
}

impl<'w, 'a> Way<'w, 'a, '_> {
    fn point(&self, i: usize) -> Option<&'w PointView<'a>> {
        self.j.points.get(i)
    }

    fn at(&self, i: usize, host: HostId, not: HostId) -> bool {
        self.point(i).is_some_and(|p| p.is_at(Some(host)) && !p.is_at(Some(not)))
    }

    fn at_originator(&self, i: usize) -> bool {
        self.at(i, self.o, self.r)
    }

    fn at_responder(&self, i: usize) -> bool {
        self.at(i, self.r, self.o)
    }

    fn responders(&self, s: &Seen<'_>) -> Side {
        s.direction.orig.other()
    }

    /// The SYN passed or left a place, and the responder's own never saw it.
    fn syn_lost(&self) -> Option<Path> {
        let upstream = |s: &&&Seen<'_>| self.syn(s).is_some() && !self.at_responder(s.point);
        let from = self.furthest(self.all.iter().filter(upstream).copied(), |s| self.at_originator(s.point))?;
        // A host may be captured on several interfaces: none of them may show it.
        let own: Vec<usize> = (0..self.j.points.len()).filter(|&b| self.at_responder(b)).collect();
        let to = *own.first().filter(|_| own.iter().all(|&b| self.shows_nothing(from, b)))?;
        let (a, b) = (self.name(from.point), self.name(to));
        let device = self.reset(from).map(|_| ". The reset was not sent by the responder").unwrap_or_default();
        let open = "whose capture was open then and shows other packets of the two hosts";
        let text = format!(
            "the SYN {} ({}) and never reached {b}, {open}{}{device}",
            self.left(from),
            self.frame(from, self.syn(from)),
            self.unknown_loss(to)
        );
        Some(self.told(PathKind::SynLost, [a, b], text, vec![(from, self.syn(from))], to))
    }

    /// The responder's place saw the SYN, and no answer to it.
    fn responder_silent(&self) -> Option<Path> {
        let from = self.all.iter().find(|s| !self.at_responder(s.point) && self.syn(s).is_some())?;
        let to = self.all.iter().find(|s| {
            let end = s.flow.end(self.responders(s));
            let silent = s.attempt.outcome == Outcome::Unanswered && end.packets + end.fragments == 0;
            self.at_responder(s.point) && self.syn(s).is_some() && silent
        })?;
        if !self.clear(to.point) || self.all.iter().any(|s| self.answer(s).is_some()) {
            return None;
        }
        let (a, b) = (self.name(from.point), self.name(to.point));
        let text = format!(
            "the SYN {} ({}) and reached {b} ({}), which sent no answer{}",
            self.left(from),
            self.frame(from, self.syn(from)),
            self.frame(to, self.syn(to)),
            self.unknown_loss(to.point)
        );
        Some(self.told(
            PathKind::ResponderSilent,
            [a, b],
            text,
            vec![(from, self.syn(from)), (to, self.syn(to))],
            to.point,
        ))
    }

    /// An answer was seen, and never arrived at the originator.
    fn answer_lost(&self) -> Option<Path> {
        let to = self.all.iter().find(|s| {
            let end = s.flow.end(self.responders(s));
            self.at_originator(s.point)
                && self.syn(s).is_some()
                && end.packets + end.fragments == 0
                && s.flow.icmp.is_empty()
        })?;
        let answered = |s: &&&Seen<'_>| !self.at_originator(s.point) && self.answer(s).is_some();
        let from = self.furthest(self.all.iter().filter(answered).copied(), |s| self.at_responder(s.point))?;
        let answers = from.flow.end(self.responders(from));
        let stretch = self.answer(from)?.time..=answers.last?.time;
        let came = self.all.iter().any(|s| self.at_originator(s.point) && self.answer(s).is_some());
        let covered = !came && self.covers_time(to.point, from.point, (*stretch.start(), *stretch.end()));
        let stray = self.stray(to.point, from, (*stretch.start(), *stretch.end()), |f| f.syns.is_empty());
        if !covered || !self.clear(to.point) || stray {
            return None;
        }
        let (a, b) = (self.name(from.point), self.name(to.point));
        let what = if answers.syn_acks > 0 { "the answer" } else { "the refusal" };
        let text = format!(
            "{what} {} ({}) and never came back to {b}, where the SYN had left ({}){}",
            if self.at_responder(from.point) { format!("left {a}") } else { format!("passed {a}") },
            self.frame(from, self.answer(from)),
            self.frame(to, self.syn(to)),
            self.unknown_loss(to.point)
        );
        Some(self.told(
            PathKind::AnswerLost,
            [a, b],
            text,
            vec![(from, self.answer(from)), (to, self.syn(to))],
            to.point,
        ))
    }

    /// A reset arrived that the responder did not send.
    fn reset_between(&self) -> Option<Path> {
        let to = self.all.iter().find(|s| !self.at_responder(s.point) && self.reset(s).is_some())?;
        let from = self.all.iter().find(|s| self.at_responder(s.point) && self.syn(s).is_some())?;
        let sent = |s: &&Seen<'_>| self.at_responder(s.point) && s.flow.end(self.responders(s)).rsts > 0;
        let none = !self.all.iter().any(sent);
        if !none
            || !self.clear(from.point)
            || !self.covers(from.point, to.point, to.flow)
            || self.stray_of(from.point, to)
        {
            return None;
        }
        let (a, b) = (self.name(to.point), self.name(from.point));
        let text = format!(
            "the reset that arrived at {a} ({}) was not sent by the responder: {b} saw the SYN ({}) and no reset; a device in between sent it{}",
            self.frame(to, self.reset(to)),
            self.frame(from, self.syn(from)),
            self.unknown_loss(from.point)
        );
        Some(self.told(
            PathKind::ResetBetween,
            [a, b],
            text,
            vec![(to, self.reset(to)), (from, self.syn(from))],
            from.point,
        ))
    }

    /// Of several places the one that lies further on the way: a mirror before the end's own.
    fn furthest(
        &self,
        places: impl Iterator<Item = &'w Seen<'a>>,
        own: impl Fn(&Seen<'a>) -> bool,
    ) -> Option<&'w Seen<'a>> {
        places.min_by_key(|s| (own(s), s.point))
    }

    fn syn(&self, s: &Seen<'_>) -> Option<Stamp> {
        s.flow.syns.iter().find(|r| r.from == s.direction.orig).and_then(|r| r.stamps.first()).copied()
    }

    /// The responder's first SYN-ACK or RST.
    fn answer(&self, s: &Seen<'_>) -> Option<Stamp> {
        let end = s.flow.end(self.responders(s));
        let first = end.syn_ack_seen.first().map(|x| x.at);
        first.or_else(|| end.rst_seen.first().map(|x| x.at))
    }

    fn reset(&self, s: &Seen<'_>) -> Option<Stamp> {
        s.flow.end(self.responders(s)).rst_seen.first().map(|x| x.at)
    }

    /// Whether a place that would have seen the attempt shows nothing of it.
    fn shows_nothing(&self, from: &Seen<'_>, b: usize) -> bool {
        let absent = self.all.iter().all(|s| s.point != b);
        absent && self.clear(b) && self.covers(b, from.point, from.flow) && !self.stray_of(b, from)
    }

    /// Whether a place saw packets of the two hosts both ways and nothing could have hidden one.
    fn clear(&self, b: usize) -> bool {
        let Some(p) = self.point(b) else { return false };
        p.sight(self.o, self.r) == Sight::Seen && p.sight(self.r, self.o) == Sight::Seen && !blind(p, self.o, self.r)
    }

    /// Whether a place was open while another one saw a flow.
    fn covers(&self, b: usize, a: usize, flow: &Flow) -> bool {
        self.covers_time(b, a, (flow.first.time, flow.last.time))
    }

    fn covers_time(&self, b: usize, a: usize, (first, last): (Time, Time)) -> bool {
        let there = |t| self.j.places.convert(a, b, t).map(|(t, doubt)| (t, Span::from_nanos(doubt)));
        let (Some((first, early)), Some((last, late))) = (there(first), there(last)) else { return false };
        let (first, last) = (first.minus(early), last.plus(late).plus(WAY));
        let Some(p) = self.point(b) else { return false };
        let open = p.span().is_some_and(|(begin, end)| begin <= first && last <= end);
        open && p.observation.holes.iter().all(|h| h.to < first || last < h.from)
    }

    fn stray_of(&self, b: usize, from: &Seen<'_>) -> bool {
        self.stray(b, from, (from.flow.first.time, from.flow.last.time), |_| true)
    }

    /// Whether a place shows a flow on a port of the attempt, at that time, that the other place did not: it could be the attempt
    /// under another address or other numbers.
    fn stray(&self, b: usize, from: &Seen<'_>, (first, last): (Time, Time), pick: fn(&Flow) -> bool) -> bool {
        let there = |t| self.j.places.convert(from.point, b, t);
        let (Some((first, early)), Some((last, late))) = (there(first), there(last)) else { return true };
        let (first, last) =
            (first.minus(Span::from_nanos(early)).minus(NEAR), last.plus(Span::from_nanos(late)).plus(NEAR));
        let ports = from.flow.key.ends.map(|e| e.port);
        let tied = |at: FlowAt| {
            let connection = self.j.places.connection(at);
            connection.is_some_and(|c| self.j.places.members(c).iter().any(|((p, _), _)| *p == from.point))
        };
        let Some(p) = self.point(b) else { return true };
        p.observation.flows.iter().enumerate().any(|(i, f)| {
            f.key.proto == Proto::Tcp
                && f.key.ends.iter().any(|e| ports.contains(&e.port))
                && f.first.time <= last
                && first <= f.last.time
                && pick(f)
                && !tied((b, i))
                && self.all.iter().all(|s| !std::ptr::eq(s.flow, f))
        })
    }

    fn name(&self, i: usize) -> String {
        self.point(i).map(|p| p.name.clone()).unwrap_or_default()
    }

    /// `left mount-server`, or `passed mirror`.
    fn left(&self, s: &Seen<'_>) -> String {
        let verb = if self.at_originator(s.point) { "left" } else { "passed" };
        format!("{verb} {}", self.name(s.point))
    }

    fn frame(&self, s: &Seen<'_>, at: Option<Stamp>) -> String {
        let at = at.unwrap_or(s.flow.first);
        format!("{}:{}", self.input(s.point, at), at.at.frame)
    }

    fn input(&self, point: usize, at: Stamp) -> String {
        let inputs = self.point(point).map(|p| p.observation.inputs.as_slice()).unwrap_or_default();
        inputs.iter().find(|i| i.input == at.at.input).map(|i| i.name.to_string()).unwrap_or_default()
    }

    fn loss_unknown(&self, i: usize) -> bool {
        let inputs = self.point(i).map(|p| p.observation.inputs.as_slice()).unwrap_or_default();
        inputs.iter().any(|i| matches!((i.loss_kernel, i.loss_interface), (Known::Unknown, Known::Unknown)))
    }

    fn unknown_loss(&self, i: usize) -> &'static str {
        if self.loss_unknown(i) { " (capture loss there unknown)" } else { "" }
    }

    fn told(
        &self,
        kind: PathKind,
        [from, to]: [String; 2],
        text: String,
        frames: Vec<(&Seen<'_>, Option<Stamp>)>,
        judged_at: usize,
    ) -> Path {
        let frames = frames.into_iter().map(|(s, at)| {
            let at = at.unwrap_or(s.flow.first);
            PathFrame {
                observation_point: self.name(s.point),
                input: self.input(s.point, at),
                frame: at.at.frame,
                time: at.time,
                display_filter: FlowFilter::of(s.flow).to_string(),
            }
        });
        Path { kind, from, to, text, loss_unknown: self.loss_unknown(judged_at), frames: frames.collect() }
    }
}
