//! JSON: the report as one document, flows as JSON Lines, and the difference of two reports, and the schemas of all three.
//!
//! The schemas are generated from the types that are printed, so they cannot say anything else; copies are kept in `schema/`
//! so that a change of the format is seen in review. Within a major version fields are only added: readers ignore what they
//! do not know.

use std::io::{self, Write};

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use super::diff::{DIFF_SCHEMA, Diff};
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

/// Writes the difference between two reports, indented, with a final line end.
///
/// # Errors
/// Those of the writer.
pub fn write_diff(diff: &Diff, mut to: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut to, diff)?;
    to.write_all(b"\n")
}

/// JSON Schema (draft 2020-12) of a report.
pub fn report_schema() -> Schema {
    named(schema_of::<Report>("urn:portwitness:report:1", "portwitness report, major version 1"), SCHEMA)
}

/// JSON Schema (draft 2020-12) of what `diff --format json` prints.
pub fn diff_schema() -> Schema {
    named(schema_of::<Diff>("urn:portwitness:diff:1", "portwitness diff, major version 1"), DIFF_SCHEMA)
}

/// The field `schema` is generated as any string; it names the format and never differs within a major version.
fn named(mut schema: Schema, name: &str) -> Schema {
    if let Some(field) = schema.pointer_mut("/properties/schema").and_then(|f| f.as_object_mut()) {
        field.insert("const".to_owned(), name.into());
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
