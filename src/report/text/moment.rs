//! Moments for people: UTC first, the site's local time beside it.

use jiff::tz::TimeZone;

use crate::base::Time;

/// Prints moments, with local time where the site names a zone.
pub(super) struct Clock(Option<TimeZone>);

impl Clock {
    /// An unknown zone prints UTC alone: the site was checked before, and a report is no place to fail.
    pub(super) fn new(zone: Option<&str>) -> Self {
        Self(zone.and_then(|z| TimeZone::get(z).ok()))
    }

    /// `2026-11-20 21:00:03.250 UTC (22:00:03 +01:00)`
    pub(super) fn moment(&self, t: Time) -> String {
        let utc = t.short();
        match &self.0 {
            None => format!("{utc} UTC"),
            Some(zone) => format!("{utc} UTC ({})", without_date_of(&t.local(zone), &utc)),
        }
    }

    /// From, to: `2026-11-20 21:00:00.000 to 21:04:10.000 UTC (22:00:00 to 22:04:10 +01:00)`
    pub(super) fn span(&self, first: Time, last: Time) -> String {
        let (a, b) = (first.short(), last.short());
        let utc = format!("{a} to {} UTC", without_date_of(&b, &a));
        let Some(zone) = &self.0 else { return utc };
        let (la, lb) = (first.local(zone), last.local(zone));
        let (start, offset) = la.rsplit_once(' ').unwrap_or((&la, ""));
        // The offset is said once unless the clocks changed in between.
        let start = if lb.ends_with(offset) { start } else { la.as_str() };
        format!("{utc} ({} to {})", without_date_of(start, &a), without_date_of(&lb, &la))
    }
}

/// Leaves the date out where it is the other's date.
fn without_date_of<'a>(text: &'a str, other: &str) -> &'a str {
    match (text.split_once(' '), other.split_once(' ')) {
        (Some((date, rest)), Some((same, _))) if date == same => rest,
        _ => text,
    }
}

/// `2026-11-20T21:00:00Z..21:04:10Z`: to the second, the second date only where it differs.
pub(in crate::report) fn first_last_utc(first: Time, last: Time) -> String {
    let seconds = |t: Time| t.to_string().get(..19).unwrap_or_default().to_owned();
    let (a, b) = (seconds(first), seconds(last));
    let same_day = a.get(..11) == b.get(..11);
    let b = if same_day { b.get(11..).unwrap_or_default() } else { &b };
    format!("{a}Z..{b}Z")
}

/// A number of bytes for people, in powers of 1000.
pub(crate) fn size(bytes: u64) -> String {
    let mut unit = "B";
    let (mut whole, mut tenth) = (bytes, 0);
    for next in ["kB", "MB", "GB", "TB"] {
        if whole < 1000 {
            break;
        }
        (tenth, whole, unit) = (whole % 1000 / 100, whole / 1000, next);
    }
    if unit == "B" { format!("{whole} B") } else { format!("{whole}.{tenth} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_time_stands_beside_utc_and_the_date_is_said_once() {
        let (a, b) = ("2026-11-20T21:00:03.25Z", "2026-11-20T23:30:00Z");
        let (a, b) = (Time::parse(a).unwrap(), Time::parse(b).unwrap());
        let berlin = Clock::new(Some("Europe/Berlin"));
        assert_eq!(berlin.moment(a), "2026-11-20 21:00:03.250 UTC (22:00:03 +01:00)");
        assert_eq!(berlin.moment(b), "2026-11-20 23:30:00.000 UTC (2026-11-21 00:30:00 +01:00)");
        assert_eq!(Clock::new(None).span(a, b), "2026-11-20 21:00:03.250 to 23:30:00.000 UTC");
        assert_eq!(
            berlin.span(a, b),
            "2026-11-20 21:00:03.250 to 23:30:00.000 UTC (22:00:03 to 2026-11-21 00:30:00 +01:00)"
        );
        assert_eq!(first_last_utc(a, b), "2026-11-20T21:00:03Z..23:30:00Z");
    }

    #[test]
    fn sizes_are_rounded_down_with_one_digit() {
        assert_eq!([0, 999, 1000, 1_999_999, 5_000_000_000].map(size), ["0 B", "999 B", "1.0 kB", "1.9 MB", "5.0 GB"]);
    }
}
