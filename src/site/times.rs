//! Points in time as people write them: with an offset, or local in the site's zone.

use jiff::civil::{Date, DateTime};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::model::Window;
use crate::base::Time;
use crate::config::{Doc, Fields, Node, nearest, wrong_type};

/// The site's zone.
pub(super) enum Zone {
    /// No `timezone` in the file.
    Absent,
    /// Given, but no such zone: already noted.
    Broken,
    /// Given.
    Known(Box<TimeZone>, String),
}

impl Zone {
    /// Reads the key `timezone`, against the database that is part of the program: the same everywhere.
    pub(super) fn read(fields: &Fields<'_>) -> Self {
        if fields.get("timezone").is_none() {
            return Self::Absent;
        }
        let Some(name) = fields.text("timezone") else { return Self::Broken };
        let database = TimeZoneDatabase::bundled();
        if let Ok(zone) = database.get(name.text) {
            return Self::Known(Box::new(zone), name.text.to_owned());
        }
        let names: Vec<String> = database.available().map(|n| n.to_string()).collect();
        let help = nearest(name.text, names.iter().map(String::as_str)).map_or_else(
            || "expected a name such as \"Europe/Berlin\" or \"UTC\"".to_owned(),
            |near| format!("did you mean '{near}'?"),
        );
        fields.doc.error(name.span, format!("'{}' is not a known time zone", name.text), Some(help));
        Self::Broken
    }

    /// The zone's name.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Known(_, name) => Some(name.clone()),
            Self::Absent | Self::Broken => None,
        }
    }

    fn local(&self, doc: &Doc<'_>, node: &Node<'_>, text: &str, local: DateTime) -> Option<Time> {
        let zone = match self {
            Self::Known(zone, _) => zone,
            Self::Broken => return None,
            Self::Absent => {
                let help =
                    "write an offset, as in 2026-11-20T22:00:00+01:00, or set timezone = \"Europe/Berlin\" at the top";
                doc.error(
                    node.span(),
                    format!("'{text}' has neither an offset nor a time zone"),
                    Some(help.to_owned()),
                );
                return None;
            }
        };
        let ambiguous = zone.to_ambiguous_timestamp(local);
        if ambiguous.is_ambiguous() {
            let help = "the clocks change then: write the offset, as in 2026-11-20T22:00:00+01:00";
            let message = format!("'{text}' occurs twice or never in the site's time zone");
            doc.error(node.span(), message, Some(help.to_owned()));
            return None;
        }
        let time =
            ambiguous.compatible().ok().and_then(|t| i64::try_from(t.as_nanosecond()).ok()).map(Time::from_nanos);
        if time.is_none() {
            doc.error(node.span(), format!("'{text}' is outside the years 1678 to 2261"), None);
        }
        time
    }
}

/// A string, or a TOML date or time in its plain form.
fn written(doc: &Doc<'_>, node: &Node<'_>, what: &str) -> Option<String> {
    match (node.get_ref().as_datetime(), node.get_ref().as_str()) {
        (Some(time), _) => Some(time.to_string()),
        (None, Some(text)) => Some(text.trim().to_owned()),
        (None, None) => {
            wrong_type(doc, node, what, "a time such as 2026-11-20T22:00:00+01:00");
            None
        }
    }
}

/// A point in time.
pub(super) fn time(doc: &Doc<'_>, node: &Node<'_>, what: &str, zone: &Zone) -> Option<Time> {
    let text = written(doc, node, what)?;
    if let Ok(time) = Time::parse(&text) {
        return Some(time);
    }
    match text.parse::<DateTime>() {
        Ok(local) if text.len() > "2026-11-20".len() => zone.local(doc, node, &text, local),
        _ => {
            let help = "expected a time such as 2026-11-20T22:00:00+01:00";
            doc.error(node.span(), format!("'{text}' is not a time"), Some(help.to_owned()));
            None
        }
    }
}

/// The last moment at which something still holds: a date means to the end of that day, in the site's zone or else in UTC.
pub(super) fn until(doc: &Doc<'_>, node: &Node<'_>, what: &str, zone: &Zone) -> Option<Time> {
    let text = written(doc, node, what)?;
    let date = if text.len() == "2026-11-20".len() { text.parse::<Date>().ok() } else { None };
    let Some(date) = date else { return time(doc, node, what, zone) };
    let zone = match zone {
        Zone::Known(zone, _) => zone.as_ref().clone(),
        Zone::Absent | Zone::Broken => TimeZone::UTC,
    };
    let end = date.to_zoned_datetime(zone).ok().and_then(|day| day.end_of_day().ok());
    let time = end.and_then(|t| i64::try_from(t.timestamp().as_nanosecond()).ok()).map(Time::from_nanos);
    if time.is_none() {
        doc.error(node.span(), format!("'{text}' is outside the years 1678 to 2261"), None);
    }
    time
}

/// Reads the `[[window]]` tables.
pub(super) fn windows(fields: &Fields<'_>, zone: &Zone) -> Vec<Window> {
    let doc = fields.doc;
    let mut windows = Vec::new();
    for table in fields.tables("window") {
        let fields = Fields::new(doc, table, "a window", &["from", "to"]);
        let end = |key: &str| {
            if fields.get(key).is_none() {
                fields.missing(key, "a time such as 2026-11-20T22:00:00+01:00");
            }
            time(doc, fields.get(key)?, &format!("'{key}'"), zone)
        };
        let (Some(from), Some(to)) = (end("from"), end("to")) else { continue };
        if from > to {
            let span = fields.get("from").map_or(fields.span.clone(), toml::Spanned::span);
            let message = format!("the window begins at {} and ends before that, at {}", from.short(), to.short());
            doc.error(span, message, Some("both in UTC; 'from' comes first".to_owned()));
        }
        windows.push(Window { from, to });
    }
    windows
}

/// A window as given on the command line: times with an offset, or local in the site's zone.
///
/// # Errors
/// In words, where a time cannot be read or the window ends before it begins.
pub fn window(from: &str, to: &str, zone: Option<&str>) -> Result<Window, String> {
    let window = Window { from: moment("--from", from, zone)?, to: moment("--to", to, zone)? };
    match window.from <= window.to {
        true => Ok(window),
        false => Err(format!("--from {from} is later than --to {to}")),
    }
}

fn moment(option: &str, text: &str, zone: Option<&str>) -> Result<Time, String> {
    if let Ok(time) = Time::parse(text) {
        return Ok(time);
    }
    let wrong = || format!("{option} {text} is not a time such as 2026-11-20T22:00:00+01:00");
    let local = text.parse::<DateTime>().ok().filter(|_| text.len() > "2026-11-20".len()).ok_or_else(wrong)?;
    let zone = zone.ok_or_else(|| {
        format!("{option} {text} has no offset, and the site has no timezone; write it as 2026-11-20T22:00:00+01:00")
    })?;
    let zone = TimeZoneDatabase::bundled().get(zone).map_err(|_| wrong())?;
    let ambiguous = zone.to_ambiguous_timestamp(local);
    if ambiguous.is_ambiguous() {
        return Err(format!("{option} {text} occurs twice or never in the site's time zone: write the offset"));
    }
    let time = ambiguous.compatible().ok().and_then(|t| i64::try_from(t.as_nanosecond()).ok());
    time.map(Time::from_nanos).ok_or_else(|| format!("{option} {text} is outside the years 1678 to 2261"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one value is read as, in a zone.
    fn read(value: &str, zone: Option<&str>) -> Option<String> {
        let text = format!("at = {value}\n{}", zone.map(|z| format!("timezone = \"{z}\"")).unwrap_or_default());
        let doc = Doc::new("f", &text);
        let tree = doc.parse()?;
        let fields = Fields::new(&doc, (tree.get_ref(), 0..0), "a file", &["at", "timezone"]);
        let zone = Zone::read(&fields);
        until(&doc, fields.get("at")?, "'at'", &zone).map(|t| t.to_string())
    }

    #[test]
    fn an_offset_wins_and_local_times_need_a_zone() {
        let berlin = Some("Europe/Berlin");
        assert_eq!(read("2026-07-01T12:00:00Z", berlin).as_deref(), Some("2026-07-01T12:00:00.000000000Z"));
        assert_eq!(read("2026-07-01T12:00:00", berlin).as_deref(), Some("2026-07-01T10:00:00.000000000Z"));
        assert_eq!(read("\"2026-07-01 12:00\"", berlin).as_deref(), Some("2026-07-01T10:00:00.000000000Z"));
        assert_eq!(read("2026-07-01T12:00:00", None), None);
        assert_eq!(read("2026-03-29T02:30:00", berlin), None, "the clocks skip it");
    }

    #[test]
    fn a_window_of_the_command_line_has_offsets_or_the_sites_zone() {
        let berlin = Some("Europe/Berlin");
        let both = window("2026-11-20 22:00", "2026-11-20T21:40:00Z", berlin).unwrap();
        assert_eq!(
            (both.from.short(), both.to.short()),
            ("2026-11-20 21:00:00.000".into(), "2026-11-20 21:40:00.000".into())
        );
        for (from, to, zone, word) in [
            ("2026-11-20T22:00:00", "2026-11-20T22:40:00", None, "no offset"),
            ("2026-11-20T22:00:00Z", "2026-11-20T21:40:00Z", None, "later than"),
            ("yesterday", "2026-11-20T21:40:00Z", berlin, "--from yesterday is not a time"),
            ("2026-03-29T02:30:00", "2026-03-29T04:00:00", berlin, "twice or never"),
            ("2026-11-20", "2026-11-21", berlin, "is not a time"),
        ] {
            let why = window(from, to, zone).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn a_date_lasts_to_its_end() {
        assert_eq!(read("2026-07-01", None).as_deref(), Some("2026-07-01T23:59:59.999999999Z"));
        assert_eq!(read("2026-07-01", Some("Europe/Berlin")).as_deref(), Some("2026-07-01T21:59:59.999999999Z"));
        assert_eq!(read("12:00:00", Some("UTC")), None);
        assert_eq!(read("\"2026-13-01\"", None), None);
    }
}
