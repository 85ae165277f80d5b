use serde_json::{Value, json};

use super::*;
use crate::report::text::{self, Style};
use crate::report::{SCHEMA, sample};

fn value(report: &crate::report::Report) -> Value {
    serde_json::to_value(report).unwrap()
}

fn between(old: &Value, new: &Value) -> Diff {
    compare(&Judged::from_value(old).unwrap(), &Judged::from_value(new).unwrap())
}

/// The comparison of the blocked sample with itself after an edit.
fn edited(edit: impl FnOnce(&mut Value)) -> Diff {
    let old = value(&sample::blocked());
    let mut new = old.clone();
    edit(&mut new);
    between(&old, &new)
}

#[test]
fn ports_times_frames_and_unknown_fields_make_no_difference() {
    let diff = edited(|new| {
        for (i, flow) in new["flows"].as_array_mut().unwrap().iter_mut().enumerate() {
            flow["id"] = json!(format!("1:other{i}.1"));
            flow["orig"]["port"] = json!(61000 + i);
            flow["first_frame"] = json!(9000 + i);
            flow["later"] = json!("a field of a later program");
        }
        new["captures"] = json!([]);
        new["later"] = json!({ "more": 1 });
    });
    assert_eq!(diff.change, Change::None, "{diff:?}");
    assert!(diff.is_empty() && diff.exit_status() == 0 && diff.rules.is_empty() && diff.flows.is_empty());
}

#[test]
fn what_fails_and_did_not_is_worse_and_the_way_back_better() {
    let (pass, blocked) = (value(&sample::pass()), value(&sample::blocked()));
    let worse = between(&pass, &blocked);
    assert_eq!((worse.change, worse.exit_status(), worse.verdict.change), (Change::Worse, 1, Change::Worse));
    assert!(worse.requirements.iter().any(|r| r.change == Change::Worse && r.rule == "image.rpc-dynamic"), "{worse:?}");
    let better = between(&blocked, &pass);
    assert_eq!((better.change, better.exit_status(), better.verdict.change), (Change::Better, 0, Change::Better));
}

#[test]
fn outcomes_have_directions() {
    let change = |old: &str, new: &str, need: &str| {
        let mut before = value(&sample::blocked());
        before["requirements"][0]["outcome"] = json!(old);
        before["requirements"][0]["need"] = json!(need);
        let mut after = before.clone();
        after["requirements"][0]["outcome"] = json!(new);
        let diff = between(&before, &after);
        assert_eq!(diff.requirements.len(), 1, "{old} to {new}");
        diff.requirements[0].change
    };
    for (old, new, need, expected) in [
        ("satisfied", "blocked", "required", Change::Worse),
        ("satisfied", "not_observable", "required", Change::Worse),
        ("satisfied", "satisfied_by_fallback", "required", Change::Worse),
        ("satisfied_by_fallback", "satisfied", "required", Change::Better),
        ("inconclusive", "missing", "required", Change::Worse),
        ("inconclusive", "missing", "expected", Change::Other),
        ("satisfied", "inconclusive", "permitted", Change::Other),
        ("satisfied", "blocked", "permitted", Change::Worse),
        ("blocked", "not_observable", "required", Change::Other),
        ("blocked", "missing", "required", Change::Other),
        ("not_applicable", "blocked", "required", Change::Worse),
        ("not_reached", "satisfied", "required", Change::Better),
        ("satisfied", "a_later_word", "required", Change::Other),
    ] {
        assert_eq!(change(old, new, need), expected, "{old} to {new}, {need}");
    }
}

#[test]
fn rows_that_nobody_asked_for_come_and_go_unmentioned() {
    let without = value(&sample::blocked());
    let with = |outcome: &str| {
        let mut more = without.clone();
        let mut row = more["requirements"][0].clone();
        row["rule"] = json!("image.other");
        row["outcome"] = json!(outcome);
        more["requirements"].as_array_mut().unwrap().push(row);
        more
    };
    assert!(between(&without, &with("not_applicable")).is_empty());
    assert!(between(&with("not_applicable"), &without).is_empty());
    assert_eq!(between(&without, &with("satisfied")).change, Change::Other);
    assert_eq!(between(&with("satisfied"), &without).change, Change::Other);
    assert_eq!(between(&without, &with("blocked")).change, Change::Worse);
}

#[test]
fn a_new_unexpected_flow_is_worse_and_its_absence_only_told() {
    let mut old = value(&sample::blocked());
    let all = old["flows"].as_array().unwrap().clone();
    let (unexpected, rest): (Vec<Value>, Vec<Value>) = all.into_iter().partition(|f| f["class"] == "unexpected");
    assert!(!unexpected.is_empty());
    let with = old.clone();
    old["flows"] = json!(rest);
    let diff = between(&old, &with);
    assert_eq!((diff.change, diff.flows[0].change), (Change::Worse, Change::Worse));
    assert!(diff.flows[0].evidence.contains(".pcap:"), "{diff:?}");
    let gone = between(&with, &old);
    assert_eq!((gone.change, gone.flows[0].change), (Change::Other, Change::Other));
}

#[test]
fn a_flow_that_is_explained_now_is_better() {
    let diff = edited(|new| {
        for flow in new["flows"].as_array_mut().unwrap().iter_mut().filter(|f| f["class"] == "unexpected") {
            flow["class"] = json!("related");
            flow.as_object_mut().unwrap().remove("unexpected");
        }
    });
    assert_eq!((diff.change, diff.flows.len(), diff.flows[0].change), (Change::Better, 1, Change::Better));
}

#[test]
fn a_port_out_of_a_range_is_the_range() {
    let old = value(&sample::blocked());
    let at = old["flows"].as_array().unwrap().iter().position(|f| f["class"] == "expected").unwrap();
    let (mut a, mut b) = (old.clone(), old);
    for (report, port) in [(&mut a, 49154), (&mut b, 50001)] {
        report["flows"][at]["rules"] = json!(["image.rpc-dynamic"]);
        report["flows"][at]["resp"]["port"] = json!(port);
        report["requirements"][0]["rule"] = json!("image.rpc-dynamic");
        report["requirements"][0]["service"] = json!("tcp/49152-65535");
    }
    assert_eq!(between(&a, &b).change, Change::None);
    b["flows"][at]["resp"]["port"] = json!(1024);
    assert_eq!(between(&a, &b).flows.len(), 2);
}

#[test]
fn labels_given_in_between_do_not_make_new_flows() {
    let diff = edited(|new| {
        for flow in new["flows"].as_array_mut().unwrap() {
            flow["orig"]["host"] = json!(null);
            flow["resp"]["host"] = json!(null);
        }
    });
    assert!(diff.flows.is_empty(), "{diff:?}");
}

#[test]
fn other_rules_and_places_are_said_first() {
    let diff = edited(|new| {
        new["matrix"]["digest"] = json!("ffff");
        new["site"] = json!(null);
        new["observation_points"][0]["hosts"] = json!(["rep01"]);
    });
    let what: Vec<&str> = diff.rules.iter().map(|s| s.what.as_str()).collect();
    assert_eq!((diff.change, what), (Change::Other, vec!["matrix", "site"]));
    let out = text::diff::render(&diff, &Style::default());
    assert!(out.starts_with("Not judged by the same rules"), "{out}");
    assert!(out.contains("Not seen from the same places") && out.contains("CHANGED, nothing got worse"), "{out}");
}

#[test]
fn warnings_and_counts_are_told() {
    let diff = edited(|new| {
        new["warnings"] = json!([{ "kind": "new_one", "text": "Something.", "flows": [] }]);
        new["coverage"]["exercised"] = json!(0);
    });
    assert!(diff.warnings.iter().any(|w| w.new && w.kind == "new_one"), "{diff:?}");
    assert_eq!(diff.counts[0].what, "coverage");
    assert_eq!((diff.counts[0].new.part, diff.change), (0, Change::Other));
}

#[test]
fn nothing_of_a_file_reaches_the_terminal_as_a_command() {
    let evil = "\u{1b}[2Jx\nWORSE\u{202e}";
    let diff = edited(|new| {
        new["headline"] = json!(evil);
        new["requirements"][0]["rule"] = json!(evil);
        new["requirements"][1]["cause"] = json!(evil);
        new["flows"][0]["orig"]["host"] = json!(evil);
        new["flows"][0]["input"] = json!(evil);
        new["flows"][0]["class"] = json!("unexpected");
        new["warnings"] = json!([{ "kind": "x", "text": evil, "flows": [] }]);
        new["matrix"]["id"] = json!(evil);
    });
    for ascii in [true, false] {
        let out = text::diff::render(&diff, &Style { ascii, ..Style::default() });
        assert!(!out.contains('\u{1b}') && !out.contains('\u{202e}'), "{out}");
        assert!(!out.contains("x\nWORSE"), "{out}");
    }
}

#[test]
fn what_is_no_report_is_refused_in_words() {
    let refused = |text: &str| Judged::read(text).unwrap_err();
    assert_eq!(refused(" \n"), "it is empty");
    assert!(refused("PASS").starts_with("it is not one JSON document: expected value at line 1"));
    assert!(refused("{}\n{}").starts_with("it is not one JSON document: trailing"));
    assert_eq!(refused("[1]"), "it names no schema");
    assert_eq!(refused("{\"schema\": \"portwitness.report/2\"}"), "its schema is 'portwitness.report/2'");
    let cut = json!({ "schema": SCHEMA, "verdict": "pass" }).to_string();
    assert_eq!(refused(&cut), "it says portwitness.report/1 and is not: missing field `headline`");
}
