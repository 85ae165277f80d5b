//! A report read back from its JSON form: the part that is compared. Vocabularies stay words and unknown fields are
//! ignored, so that reports of later programs within the major version can be read.

use serde::Deserialize;
use serde_json::Value;

use crate::base::Proto;
use crate::report::SCHEMA;

/// A report read from JSON, as far as two of them are compared.
#[derive(Clone, Debug, Deserialize)]
pub struct Judged {
    pub(super) verdict: String,
    pub(super) headline: String,
    pub(super) tool: Tool,
    pub(super) scope: Scope,
    pub(super) matrix: Matrix,
    pub(super) site: Option<Site>,
    pub(super) observation_points: Vec<Point>,
    pub(super) requirements: Vec<Requirement>,
    pub(super) flows: Vec<Flow>,
    pub(super) coverage: Coverage,
    pub(super) exposure: Exposure,
    pub(super) warnings: Vec<Warning>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Tool {
    pub(super) version: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Scope {
    pub(super) mode: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Matrix {
    pub(super) id: String,
    pub(super) digest: String,
    pub(super) companions: Vec<Set>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Set {
    pub(super) id: String,
    pub(super) digest: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Site {
    pub(super) digest: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Point {
    pub(super) name: String,
    pub(super) hosts: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Requirement {
    pub(super) rule: String,
    pub(super) service: String,
    pub(super) from: Vec<String>,
    pub(super) to: String,
    pub(super) need: String,
    pub(super) outcome: String,
    pub(super) cause: Option<String>,
    pub(super) reason: String,
    pub(super) next_step: Option<String>,
    pub(super) fallback: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Flow {
    pub(super) proto: Proto,
    pub(super) orig: End,
    pub(super) resp: End,
    pub(super) class: Option<String>,
    pub(super) unexpected: Option<String>,
    pub(super) rules: Vec<String>,
    pub(super) input: String,
    pub(super) first_frame: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct End {
    pub(super) addr: String,
    pub(super) port: u16,
    pub(super) host: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Coverage {
    pub(super) exercised: u64,
    pub(super) required: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Openings {
    pub(super) opened: u64,
    pub(super) used: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Exposure {
    pub(super) needed: Openings,
    pub(super) fallback: Openings,
    pub(super) permitted: Openings,
    pub(super) companion: Openings,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Warning {
    pub(super) kind: String,
    pub(super) text: String,
}

impl Judged {
    /// Reads a report from its JSON form.
    ///
    /// # Errors
    /// What it is instead of a report of [`SCHEMA`], in words that follow the file's name.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("it is empty".to_owned());
        }
        let value = serde_json::from_str(text).map_err(|e| format!("it is not one JSON document: {e}"))?;
        Self::from_value(&value)
    }

    /// Takes a report from parsed JSON.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn from_value(value: &Value) -> Result<Self, String> {
        match value.get("schema").and_then(Value::as_str) {
            Some(SCHEMA) => Self::deserialize(value).map_err(|e| format!("it says {SCHEMA} and is not: {e}")),
            Some(other) => Err(format!("its schema is '{other}'")),
            None => Err("it names no schema".to_owned()),
        }
    }
}
