//! Puts a case through the stages and its results into the report.

use super::classify::{Classifier, overlaps_window};
use super::expand::expand;
use super::hidden;
use super::joined::Joined;
use super::judged::Judged;
use super::memo::{Memo, Recall};
use super::places::{How, Link, Places};
use super::points::PointView;
use super::presence::{Evidence, Timing};
use super::record::flow_record;
use super::requirement::requirement;
use super::rules::Rules;
use super::seen::{Lens, Seen};
use super::settle::{Settled, Settler, named_ports};
use super::sound::{Ground, unseen_bytes};
use super::summary;
use super::who::Who;
use super::{Case, disagree, exposure, mapper, shares};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use crate::base::{Known, PortSet, ProblemKind, Span, Time};
use crate::matrix::RuleSet;
use crate::report::{
    Capture, Class, ClassCounts, ClockOffset, Connection, FlowRecord, HostUsed, InferredRole, LossUsed, MatchedBy,
    MatrixUsed, Point, Report, SCHEMA, SeenAlso, SetUsed, SiteUsed, Tool,
};
use crate::site::Site;

/// Judges a case with a given or inferred site.
pub(super) fn judge(
    case: &Case<'_>,
    site: &Site,
    ports: &PortSet,
    inferred: Option<Vec<InferredRole>>,
    memo: Option<&mut Memo>,
) -> Report {
    let who = Who::new(site);
    let places = Places::new(&who, case.points);
    let last = |(i, p): (usize, &super::PointSeen)| Some(places.common(i, p.observation.last()?).0);
    let at = case.points.iter().enumerate().filter_map(last).max();
    let rules = Rules::new(case.matrix, site, at);
    let points: Vec<PointView<'_>> = case.points.iter().map(|p| PointView::new(&who, p)).collect();
    let recall = memo.map(|m| m.recall(case, site, at));
    let lenses = (ports, at, case.options.threads);
    let (seen, unrelated) = look(&who, &rules, lenses, &points, &places, recall);
    let joined = Joined::new(&seen);
    let settled = settle(site, &rules, &points, (&places, &joined), &seen, inferred.is_some());
    let refused = disagree::refused(&seen);
    let judged = Judged {
        case,
        site,
        rules: &rules,
        points: &points,
        places: &places,
        joined: &joined,
        seen: &seen,
        settled: &settled,
        refused: &refused,
        classes: classes(&joined, &seen, unrelated),
        at,
        inferred: inferred.is_some(),
    };
    report(&judged, inferred.unwrap_or_default())
}

/// Orients and classifies every flow that touches a role; the rest is counted.
fn look<'a>(
    who: &Who<'a>,
    rules: &Rules<'a>,
    (ports, at, threads): (&PortSet, Option<Time>, usize),
    points: &[PointView<'a>],
    places: &Places,
    mut recall: Option<Recall<'_>>,
) -> (Vec<Seen<'a>>, u64) {
    let (mut seen, mut unrelated) = (Vec::new(), 0u64);
    let classifier = Classifier { site: who.site(), rules, at };
    for (index, point) in points.iter().enumerate() {
        let pairs = OnceLock::new();
        unrelated += point.observation.rest.flows;
        let lens = Lens { who, classifier: &classifier, ports, point, index, threads, pairs: &pairs, places };
        let flows = &point.observation.flows;
        let found: Vec<Option<Seen<'a>>> = match &mut recall {
            Some(recall) => flows.iter().enumerate().map(|(i, flow)| recall.look(&lens, i, flow)).collect(),
            None => lens.all(threads),
        };
        let before = seen.len();
        seen.extend(found.into_iter().flatten());
        unrelated += (flows.len() - (seen.len() - before)) as u64;
    }
    // One order over all points: by time, then point, so that "first" and "later" mean what they say.
    seen.sort_by_key(|s| (s.began(), s.point, s.first().at));
    (seen, unrelated)
}

fn settle<'a>(
    site: &'a Site,
    rules: &Rules<'a>,
    points: &[PointView<'a>],
    (places, joined): (&Places, &Joined),
    seen: &[Seen<'a>],
    no_site: bool,
) -> Vec<Settled> {
    let timing = |s: &Seen<'_>| timing(site, points, places, s);
    let evidence = Evidence::new(seen, (places, joined), named_ports(site, seen), &timing);
    // What another place saw from its beginning is no restore already under way.
    let begun = |s: &Seen<'_>| joined.elsewhere(seen, s).iter().any(|o| !o.headless());
    let under_way = seen.iter().find(|s| s.headless() && is_restore_step(s) && !begun(s));
    let ground = Ground { site, points, places, joined, no_site, under_way };
    Settler::new(site, rules, seen, &ground, &evidence).settle(expand(rules, site))
}

/// How a flow lies to the declared windows.
fn timing(site: &Site, points: &[PointView<'_>], places: &Places, s: &Seen<'_>) -> Timing {
    let problems = points.get(s.point).map_or(&[][..], |p| p.observation.problems.as_slice());
    // By its place's clock, by the common one, or within the doubt between the two: any of them may be wrong.
    let may_follow = |from: Time| {
        let (local, early) = places.local(s.point, from);
        s.began() >= from || s.flow.first.time >= from || s.flow.first.time >= local.minus(Span::from_nanos(early))
    };
    match () {
        () if overlaps_window(site, s) => Timing::In,
        () if problems.iter().any(|p| p.kind == ProblemKind::ClockSetBack) => Timing::Later,
        () if site.windows.iter().any(|w| may_follow(w.from)) => Timing::Later,
        () => Timing::Before,
    }
}

/// Whether a flow is a driver's, of a step after the restore's first.
pub(super) fn is_restore_step(s: &Seen<'_>) -> bool {
    s.class.class == Class::Expected && s.class.restore_step
}

fn classes(joined: &Joined, seen: &[Seen<'_>], unrelated: u64) -> ClassCounts {
    let mut c = ClassCounts { unrelated, ..ClassCounts::default() };
    for s in seen.iter().filter(|s| joined.counts(seen, s)) {
        match s.class.class {
            Class::Expected => c.expected += 1,
            Class::Related => c.related += 1,
            Class::Ambiguous => c.ambiguous += 1,
            Class::Unrelated => c.unrelated += 1,
            Class::Unexpected if s.class.unexpected.is_some_and(|k| k.fails()) => c.unexpected += 1,
            Class::Unexpected => c.unexpected_warning += 1,
        }
    }
    c
}

fn report(j: &Judged<'_, '_>, inferred_roles: Vec<InferredRole>) -> Report {
    let exceptions = summary::exceptions(j);
    let scope = summary::scope(j, &exceptions);
    let (verdict, reasons) = summary::verdict(j);
    Report {
        schema: SCHEMA.to_owned(),
        verdict,
        headline: summary::headline(j, verdict, &scope),
        reasons,
        tool: Tool {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run_at: j.case.options.run_at,
        },
        matrix: matrix_used(j),
        site: site_used(j),
        inferred_roles,
        exceptions,
        captures: captures(j),
        observation_points: points(j),
        clocks: clocks(j),
        requirements: j.settled.iter().map(|s| requirement(j, s)).collect(),
        disagreements: disagree::disagreements(j),
        endpoint_mapper: mapper::story(j),
        flows: flows(j),
        classes: j.classes,
        coverage: exposure::coverage(j.rules, j.settled),
        exposure: exposure::exposure(j.rules, j.site, j.seen),
        warnings: summary::warnings(j),
        limits: summary::limits(),
        scope,
    }
}

/// The flows that have to do with the restore's hosts.
fn flows(j: &Judged<'_, '_>) -> Vec<Arc<FlowRecord>> {
    let told: Vec<&Seen<'_>> = j.seen.iter().filter(|s| s.class.class != Class::Unrelated).collect();
    shares::mapped(&told, j.case.options.threads, |_, s| s.record(|| record(j, s)))
}

fn matrix_used(j: &Judged<'_, '_>) -> MatrixUsed {
    let used = |s: &RuleSet| SetUsed {
        id: s.id.clone(),
        title: s.title.clone(),
        build: s.build.clone(),
        page: s.page.clone(),
        date: s.date.clone(),
        digest: s.digest.clone(),
    };
    let mut sets: Vec<SetUsed> = j.case.matrix.chosen(&j.site.companions).map(used).collect();
    // The matrix comes first; a rules folder without any leaves nothing to name.
    let main = if sets.is_empty() { SetUsed::default() } else { sets.remove(0) };
    MatrixUsed::new(main, sets)
}

fn site_used(j: &Judged<'_, '_>) -> Option<SiteUsed> {
    let host = |h: &crate::site::Host| HostUsed {
        label: h.label.clone(),
        addresses: h.addrs.iter().map(ToString::to_string).collect(),
        roles: h.roles.iter().copied().collect(),
    };
    Some(SiteUsed {
        path: j.site.path.clone()?,
        digest: j.site.digest.clone().unwrap_or_default(),
        scenario: j.site.scenario,
        operations: j.site.operations.iter().copied().collect(),
        hosts: j.site.hosts.iter().map(host).collect(),
        timezone: j.site.timezone.clone(),
    })
}

fn captures(j: &Judged<'_, '_>) -> Vec<Capture> {
    let mut all = Vec::new();
    for p in j.points {
        let inferred = unseen_bytes(p);
        for i in &p.observation.inputs {
            all.push(Capture {
                path: i.name.to_string(),
                format: i.format.clone(),
                sha256: i.sha256.clone(),
                linktypes: i.linktypes.clone(),
                packets: i.packets,
                bytes: i.bytes,
                first: i.first,
                last: i.last,
                loss: LossUsed { kernel: i.loss_kernel, interface: i.loss_interface, inferred },
                filter: i.filter.clone(),
                snaplen: i.snaplen,
                truncated: i.damaged_at,
                cannot_tell: hidden::cannot_tell(p, i),
                observation_point: p.name.clone(),
                problems: p.observation.problems.iter().filter(|x| x.input == i.input).cloned().collect(),
            });
        }
    }
    all
}

fn points(j: &Judged<'_, '_>) -> Vec<Point> {
    j.points
        .iter()
        .map(|p| Point {
            name: p.name.clone(),
            inferred: p.inferred,
            hosts: p.hosts.iter().filter_map(|&h| j.site.host(h)).map(|h| h.label.clone()).collect(),
            complete: p.complete,
            forbids: summary::forbids(p, j.inferred),
        })
        .collect()
}

/// What other places saw of a flow's connection.
fn connection(j: &Judged<'_, '_>, s: &Seen<'_>) -> Option<Connection> {
    let number = s.connection?;
    let members = j.places.members(number);
    let how = |point: usize| members.iter().find(|((p, _), _)| *p == point).map(|(_, how)| *how);
    let also = j.elsewhere(s).into_iter().filter_map(|o| {
        let (orig, resp) = (o.flow.point(o.direction.orig), o.flow.point(o.direction.orig.other()));
        let point = j.points.get(o.point)?;
        let input = point.observation.inputs.iter().find(|i| i.input == o.flow.first.at.input);
        Some(SeenAlso {
            observation_point: point.name.clone(),
            matched_by: match how(o.point).max(how(s.point))? {
                How::Isn => MatchedBy::Isn,
                How::Payload => MatchedBy::FirstPayload,
                How::Tuple => MatchedBy::Tuple,
            },
            orig: SocketAddr::new(orig.addr, orig.port).to_string(),
            resp: SocketAddr::new(resp.addr, resp.port).to_string(),
            input: input.map(|i| i.name.to_string()).unwrap_or_default(),
            first_frame: o.flow.first.at.frame,
            first: o.flow.first.time,
        })
    });
    Some(Connection { number: number as u64, counts: j.counts(s), also: also.collect() })
}

/// How the clocks of each two places differ.
fn clocks(j: &Judged<'_, '_>) -> Vec<ClockOffset> {
    let name = |i: usize| j.points.get(i).map(|p| p.name.clone()).unwrap_or_default();
    let known = |link: Option<&Link>, value: fn(&Link) -> i64| link.map_or(Known::Unknown, |l| Known::Known(value(l)));
    j.places
        .pairs()
        .map(|(p, q, link)| ClockOffset {
            of: name(q),
            against: name(p),
            ahead_nanos: known(link, Link::ahead),
            uncertainty_nanos: link.map_or(Known::Unknown, |l| Known::Known(l.uncertainty().as_nanos())),
            drift_ppb: known(link, Link::drift),
            connections: link.map_or(0, |l| l.connections() as u64),
            reference: name(j.places.reference()),
        })
        .collect()
}

/// A flow's record with what the matrix says of it.
fn record(j: &Judged<'_, '_>, s: &Seen<'_>) -> FlowRecord {
    let inputs = j.points.get(s.point).map(|p| p.observation.inputs.as_slice()).unwrap_or_default();
    let mut r = flow_record(s.flow, s.id.clone(), s.direction, &s.attempt, s.after.as_ref(), s.state, inputs);
    let label = |host: Option<crate::site::HostId>, addr: IpAddr| {
        host.and_then(|h| j.site.host(h)).map(|h| h.label.clone()).filter(|l| *l != addr.to_string())
    };
    r.orig.host = label(s.orig_host, r.orig.addr);
    r.resp.host = label(s.resp_host, r.resp.addr);
    r.orig.roles = Some(s.orig_roles.iter().copied().collect());
    r.resp.roles = Some(s.resp_roles.iter().copied().collect());
    r.class = Some(s.class.class);
    r.unexpected = s.class.unexpected;
    r.assumed = !s.certain() && s.class.class == Class::Expected;
    r.reason = Some(Arc::clone(&s.class.reason));
    r.label = s.class.label.clone();
    r.app.state = s.class.app;
    for hit in &s.class.hits {
        let id = j.rules.list.get(hit.rule).map(|x| x.rule.id.clone()).unwrap_or_default();
        if !r.rules.contains(&id) {
            r.rules.push(id);
        }
    }
    r.connection = connection(j, s);
    r.observation_point = (j.points.len() > 1).then(|| j.points.get(s.point).map(|p| p.name.clone())).flatten();
    r
}
