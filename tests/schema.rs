//! Published schemas: they are those of the types, and what the binary prints obeys them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests may stop at the first surprise, too"
)]

mod support;

use std::path::{Path, PathBuf};

use portwitness::report::json::{diff_schema, flow_schema, report_schema};
use portwitness::watch::event_schema;
use serde_json::{Value, json};
use support::run;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `PORTWITNESS_BLESS=1 cargo test` writes the files anew.
#[test]
fn the_published_schemas_are_those_of_the_types() {
    for (name, schema) in [
        ("report-1.json", report_schema()),
        ("flow-1.json", flow_schema()),
        ("diff-1.json", diff_schema()),
        ("observation-2.json", portwitness::observe::saved_schema()),
        ("watch-1.json", event_schema()),
    ] {
        let path = root().join("schema").join(name);
        let generated = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("PORTWITNESS_BLESS").is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap();
        assert!(kept == generated, "schema/{name} is not what the types say; PORTWITNESS_BLESS=1 writes it anew");
    }
}

fn schema(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(root().join("schema").join(name)).unwrap()).unwrap()
}

/// Every capture of a situation in `captures/`.
fn captures(situation: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join("captures")).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|n| n.starts_with(situation) && PathBuf::from(n).extension().is_some_and(|e| e != "toml"));
    names.sort();
    assert!(!names.is_empty(), "no capture of {situation}");
    names
}

fn report(situation: &str, site: bool) -> Value {
    let (captures, file) = (captures(situation), format!("{situation}.site.toml"));
    let mut args = vec!["verify", "--format", "json"];
    if site {
        args.extend(["--site", &file]);
    }
    args.extend(captures.iter().map(String::as_str));
    let (status, out, err) = run(&root().join("captures"), &args);
    assert!(matches!(status, 0 | 1 | 3), "{err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn real_reports_and_flows_obey_the_published_schemas() {
    let (of_report, of_flow) = (schema("report-1.json"), schema("flow-1.json"));
    for situation in ["restore-clean", "rpc-dynamic-dropped", "data-mover-fallback"] {
        for site in [true, false] {
            assert_eq!(violations(&report(situation, site), &of_report), [""; 0], "{situation}");
        }
        for capture in captures(situation) {
            let (_, out, _) = run(&root().join("captures"), &["flows", "--format", "json", &capture]);
            for line in out.lines() {
                assert_eq!(violations(&serde_json::from_str(line).unwrap(), &of_flow), [""; 0], "{capture}: {line}");
            }
        }
    }
}

#[test]
fn a_real_difference_obeys_its_published_schema() {
    let dir = tempfile::tempdir().unwrap();
    for (name, site, situation) in [("a.json", true, "restore-clean"), ("b.json", false, "rpc-dynamic-dropped")] {
        std::fs::write(dir.path().join(name), report(situation, site).to_string()).unwrap();
    }
    for files in [["a.json", "b.json"], ["b.json", "a.json"], ["a.json", "a.json"]] {
        let (_, out, err) = run(dir.path(), &["diff", "--format", "json", files[0], files[1]]);
        let diff = serde_json::from_str(&out).expect(&err);
        assert_eq!(violations(&diff, &schema("diff-1.json")), [""; 0], "{files:?}");
    }
}

#[test]
fn the_check_used_here_sees_what_is_wrong() {
    let (schema, good) = (schema("report-1.json"), report("rpc-dynamic-dropped", true));
    for (pointer, value) in [
        ("/verdict", json!("perhaps")),
        ("/schema", json!("portwitness.report/2")),
        ("/flows/0/orig/port", json!("443")),
        ("/captures/0/loss/inferred", json!(null)),
        ("/captures/0/packets", json!(-1)),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert!(violations(&bad, &schema).iter().any(|w| w.contains(pointer)), "{pointer}");
    }
    let mut bad = good;
    bad["captures"][0]["loss"].as_object_mut().unwrap().remove("inferred");
    bad["more"] = json!(1);
    assert_eq!(violations(&bad, &schema), ["/captures/0/loss/inferred is missing", "/more is not in the schema"]);
}

fn violations(value: &Value, schema: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    check(value, schema, schema, "", &mut wrong);
    wrong
}

/// The part of JSON Schema that schemars generates here; stricter than a validator: unknown properties are wrong.
fn check(v: &Value, s: &Value, root: &Value, at: &str, wrong: &mut Vec<String>) {
    use Value;
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

fn types_of(s: &Value) -> Vec<&str> {
    match s.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => vec!["any"],
    }
}

fn is(v: &Value, kind: &str) -> bool {
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
