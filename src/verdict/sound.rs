//! Soundness: what the claim "missing" needs. Each check says in one sentence why it forbids the claim.

use super::expand::Demand;
use super::joined::Joined;
use super::places::Places;
use super::points::{PointView, Sight};
use super::restores::When;
use super::seen::Seen;
use super::words;
use crate::base::{Known, Problem, Span, Time};
use crate::flow::Side;
use crate::observe::InputSummary;
use crate::report::Cause;
use crate::site::{HostId, Site, Window, hides_nothing};

/// A hole between files longer than this counts as time not covered: rotation itself takes far less.
const HOLE: Span = Span::from_secs(2);

/// A fallback is tried this soon after the primary port failed.
const NEXT_TRY: Span = Span::from_secs(3);

/// Captured bytes below which transport headers may be cut: Ethernet, two VLAN tags, IPv6, TCP with options.
pub(super) const SHORT_SNAPLEN: u32 = 96;

/// A reason why absence cannot be claimed.
pub(super) type Doubt = (Cause, String);

/// What soundness looks at.
pub(super) struct Ground<'a, 'p> {
    pub(super) site: &'a Site,
    pub(super) points: &'p [PointView<'a>],
    pub(super) places: &'p Places,
    pub(super) joined: &'p Joined,
    /// Roles were inferred: nothing is claimed absent.
    pub(super) no_site: bool,
    /// A flow of the restore proper whose beginning was not captured.
    pub(super) under_way: Option<&'p Seen<'a>>,
}

/// What the other demands say of the restore.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// Whether any driver tried a step that only a restore takes.
    pub(super) restore_seen: bool,
    /// When something of a later step was first seen, when something of an earlier step was first seen to begin, and when the
    /// first step of the restore was: at any point, by the clock of each.
    pub(super) later: Vec<When>,
    pub(super) earlier: Vec<When>,
    pub(super) first: Vec<When>,
}

/// How a demand's pairs lie to the observation points.
#[derive(Debug)]
pub(super) struct View {
    /// A pair that no point sees, with the hosts that would settle it.
    pub(super) out_of_sight: Option<(HostId, HostId)>,
    /// A pair hidden by encapsulation.
    pub(super) opaque: Option<(HostId, HostId)>,
}

impl Ground<'_, '_> {
    fn pairs(d: &Demand) -> impl Iterator<Item = (HostId, HostId)> + '_ {
        d.drivers.iter().flat_map(|&a| d.responders.iter().map(move |&b| (a, b))).filter(|(a, b)| a != b)
    }

    /// How a demand's pairs lie to the observation points.
    pub(super) fn view(&self, d: &Demand) -> View {
        let all = |pair: &(HostId, HostId), s: Sight| self.points.iter().all(|p| p.sight(pair.0, pair.1) == s);
        let opaque = |pair: &(HostId, HostId)| {
            let sights: Vec<Sight> = self.points.iter().map(|p| p.sight(pair.0, pair.1)).collect();
            sights.contains(&Sight::Opaque) && sights.iter().all(|s| matches!(s, Sight::Opaque | Sight::Hidden))
        };
        View { out_of_sight: Self::pairs(d).find(|p| all(p, Sight::Hidden)), opaque: Self::pairs(d).find(opaque) }
    }

    /// Why a demand's absence cannot be claimed; `None` where it can.
    pub(super) fn doubt(&self, d: &Demand, least_packets: u64, progress: &Progress) -> Option<Doubt> {
        if self.no_site {
            return Some((Cause::PairUnseen, "without a site nothing is claimed absent".to_owned()));
        }
        if !progress.restore_seen {
            let text = "no step of a restore was seen: it may have stopped elsewhere, before this one was due";
            let doubt = Some((Cause::Time, text.to_owned()));
            return Self::pairs(d).find_map(|pair| self.pair_doubt(pair, least_packets, None)).or(doubt);
        }
        Self::pairs(d).find_map(|pair| self.pair_doubt(pair, least_packets, Some(progress)))
    }

    /// Why the absence of flows between a pair cannot be claimed: every point has a reason. One that sees the pair gives the
    /// better one.
    fn pair_doubt(&self, pair: (HostId, HostId), least_packets: u64, progress: Option<&Progress>) -> Option<Doubt> {
        let mut doubts = Vec::new();
        for (i, p) in self.points.iter().enumerate() {
            doubts.push(self.point_doubt((i, p), pair, least_packets, progress)?);
        }
        doubts.sort_by_key(|(cause, _)| *cause == Cause::OutOfSight);
        doubts.into_iter().next().or_else(|| Some((Cause::OutOfSight, "nothing was captured".to_owned())))
    }

    fn point_doubt(
        &self,
        (i, p): (usize, &PointView<'_>),
        (from, to): (HostId, HostId),
        least: u64,
        progress: Option<&Progress>,
    ) -> Option<Doubt> {
        let (f, t) = (words::host(self.site, from), words::host(self.site, to));
        match p.sight(from, to) {
            Sight::Seen => loss(p, least)
                .or_else(|| filter(p, from, to))
                .or_else(|| unread(p, least))
                .or_else(|| damage(p))
                .or_else(|| progress.and_then(|progress| self.time(i, p, progress))),
            Sight::PartlyUnseen => Some((
                Cause::PairUnseen,
                format!(
                    "packets between some addresses of {f} and {t} were seen, between others not, and {} is not declared to capture every interface (complete = true)",
                    p.name
                ),
            )),
            Sight::EndUnseen => Some((
                Cause::PairUnseen,
                format!(
                    "no packet between {f} and {t} was seen, and {} is not declared to capture every interface (complete = true)",
                    p.name
                ),
            )),
            Sight::OneSided => {
                Some((Cause::OneSided, format!("no packet from {f} to {t} was captured: that direction may not be")))
            }
            Sight::Opaque => Some((
                Cause::Opaque,
                format!("only encapsulation that hides its contents was seen between {f} and {t}"),
            )),
            Sight::Carried => Some((
                Cause::Opaque,
                format!(
                    "nothing of {f} and {t} was seen as it is, and encapsulation that hides its contents (a VPN?) may carry it"
                ),
            )),
            Sight::Hidden => Some((Cause::OutOfSight, format!("{} does not see {f} to {t}", p.name))),
        }
    }

    /// Why flows between a pair may have gone unseen after a moment of a point: every point that sees the pair has a reason.
    pub(super) fn unseen_since(&self, pair: (HostId, HostId), least: u64, (point, t): (usize, Time)) -> Option<Doubt> {
        let mut first = None;
        for (i, p) in self.points.iter().enumerate().filter(|(_, p)| p.sight(pair.0, pair.1) != Sight::Hidden) {
            let soon = || {
                let there = self.places.convert(point, i, t).map(|(t, doubt)| t.plus(Span::from_nanos(doubt)));
                let text = format!("the capture at {} ends, or has a hole, right after", p.name);
                there.is_none_or(|t| p.observation.open_after(t) < NEXT_TRY).then_some((Cause::Time, text))
            };
            let doubt = self.point_doubt((i, p), pair, least, None).or_else(soon)?;
            first = first.or(Some(doubt));
        }
        first
    }

    /// Whether the capture at a point covers the restore.
    fn time(&self, i: usize, p: &PointView<'_>, progress: &Progress) -> Option<Doubt> {
        let doubt = |text: String| Some((Cause::Time, text));
        let Some((begin, end)) = p.span() else { return doubt(format!("nothing was captured at {}", p.name)) };
        if !self.site.windows.is_empty() {
            let local = |w: &Window| local_window(self.places, i, w);
            let damaged = |w| {
                let (from, to) = local(w);
                damaged_before(p, from, to)
            };
            if let Some(name) = self.site.windows.iter().find_map(damaged) {
                return doubt(format!("{name} is damaged, and the rest of the window may lie after the damage"));
            }
            let covered = |w: &Window| {
                let (from, to) = local(w);
                begin <= from && to <= end && !has_hole(p, from, to)
            };
            let open = self.site.windows.iter().find(|w| !covered(w))?;
            return doubt(format!(
                "the window from {} to {} is not wholly inside the capture at {}",
                open.from, open.to, p.name
            ));
        }
        let apart = |what: &str| {
            format!("{what} was seen at another place, and its clock cannot be compared with that of {}", p.name)
        };
        let later = match progress.later.get(i) {
            Some(When::At(later)) => *later,
            Some(When::Unknown) => return doubt(apart("something of a later step")),
            _ => {
                let text = "nothing of a later step was seen and the site names no [[window]]: the capture may not cover this step";
                return doubt(text.to_owned());
            }
        };
        match progress.earlier.get(i) {
            Some(When::At(earlier)) if *earlier <= later => {}
            Some(When::Unknown) => return doubt(apart("an earlier step")),
            _ => {
                let text = "nothing of an earlier step was seen to begin and the site names no [[window]]: the capture may have begun after this step";
                return doubt(text.to_owned());
            }
        }
        if let Some(s) = self.under_way {
            let text =
                format!("{} was already under way when the capture began: earlier steps may lie before it", s.id.0);
            return doubt(text);
        }
        match progress.first.get(i) {
            Some(When::At(first)) if *first < begin => {
                return doubt(format!(
                    "the capture at {} began after a step of the restore that another place saw",
                    p.name
                ));
            }
            Some(When::Unknown) => return doubt(apart("a step of the restore")),
            _ => {}
        }
        if let Some(name) = damaged_before(p, begin, later) {
            return doubt(format!("{name} is damaged, and what came after the damage may be what is looked for"));
        }
        if end < later {
            return doubt(format!("the capture at {} ended before the later step that another place saw", p.name));
        }
        has_hole(p, begin, later)
            .then(|| (Cause::Time, format!("the captures of {} leave a gap before the later step", p.name)))
    }
}

/// Loss that could have swallowed a whole session.
fn loss(p: &PointView<'_>, least: u64) -> Option<Doubt> {
    let inferred = unseen_bytes(p);
    if inferred > 0 {
        let text = format!(
            "{} acknowledged but never seen: packets are missing in this capture",
            words::count(inferred, "byte")
        );
        return Some((Cause::Loss, text));
    }
    let known = |k: &Known<u64>| k.get().unwrap_or_default();
    let n: u64 = p.observation.inputs.iter().map(|i| known(&i.loss_kernel) + known(&i.loss_interface)).sum();
    (n >= least).then(|| {
        (
            Cause::Loss,
            format!("{} dropped while capturing; a session takes as few as {least}", words::count(n, "packet")),
        )
    })
}

/// A window by the clock of a point, as wide as the doubt about that clock makes it.
pub(super) fn local_window(places: &Places, point: usize, w: &Window) -> (Time, Time) {
    let ((from, early), (to, late)) = (places.local(point, w.from), places.local(point, w.to));
    (from.minus(Span::from_nanos(early)), to.plus(Span::from_nanos(late)))
}

/// An input whose damage hides part of a stretch.
fn damaged_before<'p>(p: &'p PointView<'_>, from: Time, to: Time) -> Option<&'p str> {
    p.observation.inputs.iter().find(|i| hides(p, i, from, to)).map(|i| &*i.name)
}

/// Whether an input's damage hides part of a stretch: from its last readable frame on to where the next input begins, which in
/// a series of files takes over; files side by side (one per interface) do not. One of which no frame could be read may have
/// held any time.
pub(super) fn hides(p: &PointView<'_>, i: &InputSummary, from: Time, to: Time) -> bool {
    if i.damaged_at.is_none() {
        return false;
    }
    let Some(last) = i.last else { return true };
    let others = p.observation.inputs.iter().filter(|o| o.input != i.input);
    let next = others.filter_map(|o| o.first).filter(|&f| f >= last).min();
    last < to && next.is_none_or(|next| next > from && next.since(last) > HOLE)
}

fn has_hole(p: &PointView<'_>, from: Time, to: Time) -> bool {
    p.observation.holes.iter().any(|h| h.from < to && h.to > from && h.to.since(h.from) > HOLE)
}

/// Whether anything known could have hidden a single packet of two hosts from a point.
pub(super) fn blind(p: &PointView<'_>, from: HostId, to: HostId) -> bool {
    loss(p, 1).or_else(|| filter(p, from, to)).or_else(|| unread(p, 1)).or_else(|| damage(p)).is_some()
}

/// Bytes acknowledged but never seen, over flows of which both directions were captured; others are one-sided, not lossy.
pub(super) fn unseen_bytes(p: &PointView<'_>) -> u64 {
    let both = |f: &&crate::flow::Flow| f.end(Side::A).packets > 0 && f.end(Side::B).packets > 0;
    let held: u64 = p.observation.flows.iter().filter(both).flat_map(|f| &f.ends).map(|e| e.unseen_acked).sum();
    held.saturating_add(p.observation.rest.unseen)
}

fn filter(p: &PointView<'_>, from: HostId, to: HostId) -> Option<Doubt> {
    let inputs = &p.observation.inputs;
    let filters = inputs.iter().filter_map(|i| if let Known::Known(f) = &i.filter { Some(f) } else { None });
    let hides = |f: &&String| !f.is_empty() && !hides_nothing(p.site, f) && !p.passes(f, from, to);
    if let Some(f) = filters.into_iter().find(hides) {
        let shown = crate::base::WireText::new(f.as_bytes()).terminal();
        return Some((Cause::Filter, format!("the capture was filtered ({shown}): what it left out cannot be missed")));
    }
    let short = |i: &&InputSummary| i.cut_frames > 0 && i.snaplen.get().is_some_and(|s| s > 0 && s < SHORT_SNAPLEN);
    let input = inputs.iter().find(short)?;
    let len = input.snaplen.get().unwrap_or_default();
    Some((Cause::Filter, format!("frames of {} were cut at {len} bytes: headers may be missing", input.name)))
}

/// Packets that are there and could not be read: as good as lost.
fn unread(p: &PointView<'_>, least: u64) -> Option<Doubt> {
    let mut of: Vec<&Problem> = p.observation.problems.iter().filter(|x| x.kind.forbids().like_loss).collect();
    of.sort_by_key(|x| std::cmp::Reverse(x.count));
    let n: u64 = of.iter().map(|x| x.count).sum();
    let first = of.first().filter(|_| n >= least)?;
    let detail = if first.detail.is_empty() { String::new() } else { format!(" ({})", first.detail) };
    let cause = if first.kind == crate::base::ProblemKind::HiddenFrames { Cause::Opaque } else { Cause::Filter };
    let text = format!(
        "{} unread, {}{detail}: what they held cannot be missed",
        words::count(n, "packet"),
        first.kind.words()
    );
    Some((cause, text))
}

/// Problems that forbid absence: unread link types, full stores, unreadable inputs.
fn damage(p: &PointView<'_>) -> Option<Doubt> {
    let forbids = |x: &&Problem| x.kind.forbids().absence;
    let Some(x) = p.observation.problems.iter().find(forbids) else {
        let evicted = words::count(p.observation.evicted, "flow");
        return (p.observation.evicted > 0).then(|| {
            (Cause::Memory, format!("{evicted} left out for lack of memory: what they held cannot be missed"))
        });
    };
    let detail = if x.detail.is_empty() { String::new() } else { format!(" ({})", x.detail) };
    let cause = match x.kind {
        crate::base::ProblemKind::StoreOverflow | crate::base::ProblemKind::Evicted => Cause::Memory,
        _ => Cause::Damage,
    };
    Some((cause, format!("{}{detail}: what it held cannot be missed", x.kind.words())))
}
