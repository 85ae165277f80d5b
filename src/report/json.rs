//! JSON: the report as one document, flows as JSON Lines, and the schemas of both.
//!
//! The schemas are generated from the types that are printed, so they cannot say anything else; copies are kept in `schema/`
//! so that a change of the format is seen in review. Within a major version fields are only added: readers ignore what they
//! do not know.

use std::io::{self, Write};

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use super::{FlowRecord, Report, SCHEMA};

/// Writes a report, indented, with a final line end.
///
/// # Errors
/// Those of the writer.
pub fn write_report(report: &Report, mut to: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut to, report)?;
    to.write_all(b"\n")
}

/// Writes one flow on one line.
///
/// # Errors
/// Those of the writer.
pub fn write_flow(flow: &FlowRecord, mut to: impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut to, flow)?;
    to.write_all(b"\n")
}

/// JSON Schema (draft 2020-12) of a report.
pub fn report_schema() -> Schema {
    let mut schema = schema_of::<Report>("urn:portwitness:report:1", "portwitness report, major version 1");
    // Generated as any string; it names the format and never differs within a major version.
    if let Some(field) = schema.pointer_mut("/properties/schema").and_then(|f| f.as_object_mut()) {
        field.insert("const".to_owned(), SCHEMA.into());
        field.insert("description".to_owned(), "Name and major version of the format.".into());
    }
    schema
}

/// JSON Schema (draft 2020-12) of a line that `flows --format json` prints.
pub fn flow_schema() -> Schema {
    schema_of::<FlowRecord>("urn:portwitness:flow:1", "portwitness flow, major version 1")
}

fn schema_of<T: JsonSchema>(id: &str, title: &str) -> Schema {
    let mut schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    schema.insert("$id".to_owned(), id.into());
    schema.insert("title".to_owned(), title.into());
    schema
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    /// `PORTWITNESS_BLESS=1 cargo test` writes the files anew.
    #[test]
    fn the_published_schemas_are_those_of_the_types() {
        for (name, schema) in [("report-1.json", report_schema()), ("flow-1.json", flow_schema())] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(name);
            let generated = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            if std::env::var_os("PORTWITNESS_BLESS").is_some() {
                std::fs::write(&path, &generated).unwrap();
            }
            let kept = std::fs::read_to_string(&path).unwrap();
            assert!(kept == generated, "schema/{name} is not what the types say; PORTWITNESS_BLESS=1 writes it anew");
        }
    }

    #[test]
    fn reports_and_flows_obey_their_schemas() {
        for report in [sample::pass(), sample::blocked(), sample::no_site()] {
            obeys(&serde_json::to_value(&report).unwrap(), &report_schema());
            report.flows.iter().for_each(|f| obeys(&serde_json::to_value(f).unwrap(), &flow_schema()));
        }
    }

    #[test]
    fn the_check_below_sees_what_is_wrong() {
        let schema = report_schema();
        let good = serde_json::to_value(sample::blocked()).unwrap();
        let mut wrong = Vec::new();
        for (pointer, value) in [
            ("/verdict", serde_json::json!("perhaps")),
            ("/schema", serde_json::json!("portwitness.report/2")),
            ("/flows/0/orig/port", serde_json::json!("443")),
            ("/captures/0/loss", serde_json::json!({ "kernel": null, "interface": null })),
            ("/captures/0/packets", serde_json::json!(-1)),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            wrong.clear();
            check(&bad, schema.as_value(), schema.as_value(), "", &mut wrong);
            assert!(wrong.iter().any(|w| w.contains(pointer)), "{pointer}: {wrong:?}");
        }
    }

    fn obeys(value: &serde_json::Value, schema: &Schema) {
        let mut wrong = Vec::new();
        check(value, schema.as_value(), schema.as_value(), "", &mut wrong);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// The part of JSON Schema that schemars generates here; stricter than a validator: unknown properties are wrong.
    fn check(
        v: &serde_json::Value,
        s: &serde_json::Value,
        root: &serde_json::Value,
        at: &str,
        wrong: &mut Vec<String>,
    ) {
        use serde_json::Value;
        if let Some(target) = s.get("$ref").and_then(Value::as_str) {
            return check(v, root.pointer(&target[1..]).unwrap(), root, at, wrong);
        }
        if let Some(choices) = s.get("anyOf").or_else(|| s.get("oneOf")).and_then(Value::as_array) {
            let fits = |c: &&Value| {
                let mut inner = Vec::new();
                check(v, c, root, at, &mut inner);
                inner.is_empty()
            };
            if choices.iter().filter(fits).count() == 0 {
                wrong.push(format!("{at}: fits no choice"));
            }
            return;
        }
        if s.get("const").is_some_and(|c| c != v) || s.get("enum").is_some_and(|e| !e.as_array().unwrap().contains(v)) {
            wrong.push(format!("{at}: {v} is not allowed"));
        }
        if !types_of(s).iter().any(|t| is(v, t)) {
            wrong.push(format!("{at}: {v} is no {:?}", s.get("type")));
        }
        if s.get("minimum").and_then(Value::as_f64).zip(v.as_f64()).is_some_and(|(min, v)| v < min) {
            wrong.push(format!("{at}: {v} is too small"));
        }
        if let (Some(items), Some(item)) = (v.as_array(), s.get("items")) {
            items.iter().enumerate().for_each(|(i, v)| check(v, item, root, &format!("{at}/{i}"), wrong));
        }
        if let (Some(object), Some(properties)) = (v.as_object(), s.get("properties")) {
            for name in s.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
                if !object.contains_key(name) {
                    wrong.push(format!("{at}/{name} is missing"));
                }
            }
            for (name, v) in object {
                let at = format!("{at}/{name}");
                match properties.get(name) {
                    Some(s) => check(v, s, root, &at, wrong),
                    None => wrong.push(format!("{at} is not in the schema")),
                }
            }
        }
    }

    fn types_of(s: &serde_json::Value) -> Vec<&str> {
        match s.get("type") {
            Some(serde_json::Value::String(one)) => vec![one],
            Some(serde_json::Value::Array(many)) => many.iter().filter_map(serde_json::Value::as_str).collect(),
            _ => vec!["any"],
        }
    }

    fn is(v: &serde_json::Value, kind: &str) -> bool {
        match kind {
            "null" => v.is_null(),
            "boolean" => v.is_boolean(),
            "string" => v.is_string(),
            "integer" => v.is_i64() || v.is_u64(),
            "number" => v.is_number(),
            "array" => v.is_array(),
            "object" => v.is_object(),
            _ => true,
        }
    }
}
