//! Parquet (parquet.apache.org), for the tools that read tables: flows, and what a report found.
//!
//! A row is made of the JSON of the same thing, so both say the same. Fields of nested objects are columns of their own, named
//! with the object before them (`orig_addr`); lists and what is nested deeper stay JSON text. docs/parquet.md lists the columns.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde::Serialize;
use serde_json::Value;

use super::{Class, FlowRecord, Report};
use crate::base::Time;

/// Rows written at once: what is held in memory.
const ROWS: usize = 16 * 1024;

/// What a column holds; every one may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// A JSON value as text: a list, or what is nested deeper.
    Json,
    /// A signed integer of 64 bits.
    Integer,
    /// True or false.
    Flag,
    /// Nanoseconds since 1970, UTC.
    Moment,
}

impl Kind {
    /// The type, as a Parquet schema has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "BYTE_ARRAY (STRING)",
            Self::Json => "BYTE_ARRAY (JSON)",
            Self::Integer => "INT64",
            Self::Flag => "BOOLEAN",
            Self::Moment => "INT64 (TIMESTAMP(NANOS,true))",
        }
    }

    fn declared(self, name: &str) -> String {
        let (physical, logical) = self.name().split_once(" (").unwrap_or((self.name(), ""));
        let logical = if logical.is_empty() { String::new() } else { format!(" ({logical}") };
        format!("optional {physical} {name}{logical};")
    }
}

/// A column: its name, what it holds, and where that is in the JSON.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// A JSON pointer (RFC 6901).
    pub pointer: &'static str,
}

macro_rules! columns {
    ($($name:literal $kind:ident $pointer:literal),* $(,)?) => {
        &[$(Column { name: $name, kind: Kind::$kind, pointer: $pointer }),*]
    };
}

/// Columns of a flow.
pub const FLOW: &[Column] = columns![
    "id" Text "/id", "proto" Text "/proto",
    "orig_addr" Text "/orig/addr", "orig_port" Integer "/orig/port", "orig_host" Text "/orig/host",
    "orig_roles" Json "/orig/roles",
    "resp_addr" Text "/resp/addr", "resp_port" Integer "/resp/port", "resp_host" Text "/resp/host",
    "resp_roles" Json "/resp/roles",
    "direction" Text "/direction", "conn_state" Text "/conn_state",
    "attempt" Text "/attempt", "attempt_reason" Text "/attempt_reason",
    "after" Json "/after",
    "class" Text "/class", "unexpected" Text "/unexpected", "assumed" Flag "/assumed", "reason" Text "/reason",
    "rules" Json "/rules", "label" Text "/label",
    "app_protocol" Text "/app/protocol", "app_state" Text "/app/state", "app_summary" Text "/app/summary",
    "app_facts" Json "/app/facts", "app_mapper" Json "/app/mapper", "app_refusal" Json "/app/refusal",
    "first" Moment "/first", "last" Moment "/last",
    "orig_packets" Integer "/orig_packets", "orig_bytes" Integer "/orig_bytes",
    "resp_packets" Integer "/resp_packets", "resp_bytes" Integer "/resp_bytes",
    "orig_payload" Integer "/orig_payload", "resp_payload" Integer "/resp_payload",
    "attempts" Integer "/attempts", "vlans" Json "/vlans", "tunnels" Json "/tunnels",
    "untunnelled_packets" Integer "/untunnelled_packets",
    "icmp" Json "/icmp", "warnings" Json "/warnings",
    "input" Text "/input", "first_frame" Integer "/first_frame",
    "observation_point" Text "/observation_point", "connection" Json "/connection",
    "display_filter" Text "/display_filter",
];

/// Columns of a requirement.
pub const REQUIREMENT: &[Column] = columns![
    "rule" Text "/rule", "scenario" Text "/scenario", "operations" Json "/operations",
    "from" Json "/from", "from_roles" Json "/from_roles", "to" Text "/to", "service" Text "/service",
    "need" Text "/need", "stage" Integer "/stage", "outcome" Text "/outcome", "cause" Text "/cause",
    "reason" Text "/reason", "path" Json "/path", "symptom" Text "/symptom", "next_step" Text "/next_step",
    "disagreement" Text "/disagreement", "fallback" Text "/fallback", "substituted_by" Text "/substituted_by",
    "settle_at" Json "/settle_at", "in_view" Flag "/in_view", "exception" Text "/exception",
    "flows" Json "/flows", "display_filter" Text "/display_filter",
];

/// What a row of findings is: a `requirement` or an `unexpected_flow`; and the verdict of the report that it is of.
const FINDING: &[Column] = columns!["kind" Text "/kind", "verdict" Text "/verdict"];

/// Columns of findings: of each row those of a requirement or those of a flow, the others null.
pub fn finding() -> Vec<Column> {
    let known = |c: &&Column| REQUIREMENT.iter().all(|r| r.name != c.name);
    FINDING.iter().chain(REQUIREMENT).chain(FLOW.iter().filter(known)).copied().collect()
}

/// Writes flows, one row each.
///
/// # Errors
/// Those of the writer.
pub fn write_flows(flows: impl Iterator<Item = FlowRecord>, to: impl Write) -> io::Result<()> {
    write("flows", FLOW, flows.map(|f| serde_json::to_value(f).map(|v| vec![v])), to)
}

/// Writes what a report found: every requirement and every unexpected flow, one row each.
///
/// # Errors
/// Those of the writer.
pub fn write_findings(report: &Report, to: impl Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Finding {
        kind: &'static str,
        verdict: Value,
    }
    let of = |kind, thing: serde_json::Result<Value>| {
        let verdict = serde_json::to_value(report.verdict)?;
        Ok(vec![serde_json::to_value(Finding { kind, verdict })?, thing?])
    };
    let requirements = report.requirements.iter().map(|r| of("requirement", serde_json::to_value(r)));
    let unexpected = report.flows.iter().filter(|f| f.class == Some(Class::Unexpected));
    let flows = unexpected.map(|f| of("unexpected_flow", serde_json::to_value(&**f)));
    write("findings", &finding(), requirements.chain(flows), to)
}

/// The values that a row is looked up in, one after the other.
type Row = Vec<Value>;

fn write(
    name: &str,
    columns: &[Column],
    mut rows: impl Iterator<Item = serde_json::Result<Row>>,
    mut to: impl Write,
) -> io::Result<()> {
    let fields: String = columns.iter().map(|c| c.kind.declared(c.name)).collect();
    let schema = parse_message_type(&format!("message {name} {{{fields}}}")).map_err(failed)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")))
        .build();
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties)).map_err(failed)?;
    loop {
        let some: Vec<Row> = rows.by_ref().take(ROWS).collect::<Result<_, _>>()?;
        if some.is_empty() {
            break;
        }
        let mut group = file.next_row_group().map_err(failed)?;
        for column in columns {
            let Some(mut writer) = group.next_column().map_err(failed)? else { break };
            let values: Vec<Option<&Value>> = some.iter().map(|row| look_up(row, column)).collect();
            put(writer.untyped(), column.kind, &values)?;
            writer.close().map_err(failed)?;
        }
        group.close().map_err(failed)?;
        // The writer counts for itself where it is: what it has written may go.
        to.write_all(file.inner())?;
        file.inner_mut().clear();
    }
    to.write_all(&file.into_inner().map_err(failed)?)
}

/// A row's value; `None` where it is null or not there.
fn look_up<'r>(row: &'r Row, column: &Column) -> Option<&'r Value> {
    row.iter().find_map(|v| v.pointer(column.pointer)).filter(|v| !v.is_null())
}

fn put(writer: &mut ColumnWriter<'_>, kind: Kind, values: &[Option<&Value>]) -> io::Result<()> {
    let there: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
    let there = Some(there.as_slice());
    let some = values.iter().flatten();
    let written = match writer {
        ColumnWriter::Int64ColumnWriter(w) => {
            let all = some.map(|v| if kind == Kind::Moment { moment(v) } else { v.as_i64() });
            w.write_batch(&all.collect::<Option<Vec<i64>>>().ok_or_else(unlike)?, there, None)
        }
        ColumnWriter::BoolColumnWriter(w) => {
            w.write_batch(&some.map(|v| v.as_bool()).collect::<Option<Vec<bool>>>().ok_or_else(unlike)?, there, None)
        }
        ColumnWriter::ByteArrayColumnWriter(w) => {
            let text = |v: &&Value| match v.as_str().filter(|_| kind == Kind::Text) {
                Some(text) => ByteArray::from(text),
                None => ByteArray::from(v.to_string().into_bytes()),
            };
            w.write_batch(&some.map(text).collect::<Vec<_>>(), there, None)
        }
        _ => return Err(unlike()),
    };
    written.map(drop).map_err(failed)
}

fn moment(value: &Value) -> Option<i64> {
    Time::parse(value.as_str()?).ok().map(Time::as_nanos)
}

/// A value that is not of its column's kind: the table above is not that of the type.
fn unlike() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a value is not of its column's type")
}

fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(io) => *io,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}
