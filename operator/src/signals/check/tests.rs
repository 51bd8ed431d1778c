//! Lines that make sense, and lines that do not.

use serde_json::{Value, json};

use super::*;

const REV: &str = "7f3k2q5d";

fn hello_line(change: impl FnOnce(&mut Value)) -> Value {
    let mut line = json!({
        "kind": "hello", "v": 1, "gateway": "pod-1", "token": "secret", "boot": "b",
        "intervalMs": 1000, "table": 3,
    });
    change(&mut line);
    line
}

fn full(seq: u64, part: u32, parts: u32) -> Value {
    json!({
        "kind": "full", "seq": seq, "part": part, "parts": parts, "table": 3,
        "deployments": [{"uid": format!("u{part}"), "name": "a/iris", "trafficVersion": 4}],
    })
}

fn report(seq: u64, load: &Value) -> Value {
    json!({
        "kind": "report", "seq": seq, "spanMs": 1000, "table": 3, "nacks": 0,
        "deployments": [{
            "uid": "u", "name": "a/iris", "trafficVersion": 4, "revisions": [load],
        }],
    })
}

/// Reads lines of one stream, and returns why the last one is refused.
fn read(lines: &[Value]) -> Option<&'static str> {
    let mut place = Place::default();
    let mut outcome = None;
    for line in lines {
        assert_eq!(outcome, None, "only the last line is wrong");
        outcome = place
            .read(line.to_string().as_bytes())
            .err()
            .map(|error| error.reason());
    }
    outcome
}

#[track_caller]
fn check(lines: &[Value], expect: Option<&'static str>) {
    assert_eq!(read(lines), expect, "{lines:?}");
}

#[track_caller]
fn check_one(load: &Value, expect: Option<&'static str>) {
    check(&[report(1, load)], expect);
}

#[test]
fn a_gateway_says_hello_first_and_is_the_one_that_was_called() {
    let read = |line: Value| {
        let read = hello(line.to_string().as_bytes(), "pod-1");
        read.err().map(|error| error.reason())
    };
    assert_eq!(read(hello_line(|_| {})), None);
    assert_eq!(
        read(hello_line(|line| line["v"] = json!(2))),
        Some("OutOfRange")
    );
    let other = hello_line(|line| line["gateway"] = json!("pod-2"));
    assert_eq!(read(other), Some("Stranger"));
    for interval in [0, 99, 2001] {
        let line = hello_line(|line| line["intervalMs"] = json!(interval));
        assert_eq!(read(line), Some("OutOfRange"), "{interval}");
    }
    assert_eq!(read(full(1, 1, 1)), Some("OutOfRange"));
    assert_eq!(read(json!({"kind": "hello"})), Some("NotAMessage"));
    assert_eq!(read(json!("hello")), Some("NotAMessage"));
}

#[test]
fn what_is_wrong_is_told_without_what_was_sent() {
    let line = hello_line(|line| line["v"] = json!("secret"));
    let error = hello(line.to_string().as_bytes(), "pod-1").unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn lines_are_numbered_without_a_gap() {
    let idle = |seq| report(seq, &json!({"revision": REV}));
    check(&[full(1, 1, 1), idle(2), idle(3)], None);
    check(&[full(1, 1, 1), idle(3)], Some("Gap"));
    check(&[full(1, 1, 1), idle(2), idle(2)], Some("Gap"));
    check(&[full(0, 1, 1)], Some("Gap"));
    check(&[idle(u64::MAX)], Some("Gap"));
    check(&[json!({"kind": "bye"})], None);
    check(&[hello_line(|_| {})], Some("OutOfRange"));
}

#[test]
fn a_full_comes_in_parts_in_order() {
    let idle = report(2, &json!({"revision": REV}));
    check(&[full(1, 1, 3), full(2, 2, 3), full(3, 3, 3)], None);
    check(&[full(1, 1, 2), idle, full(3, 2, 2)], None);
    check(&[full(1, 2, 2)], Some("OutOfRange"));
    check(&[full(1, 1, 3), full(2, 3, 3)], Some("OutOfRange"));
    check(&[full(1, 1, 3), full(2, 2, 4)], Some("OutOfRange"));
    check(&[full(1, 1, 0)], Some("OutOfRange"));
    check(&[full(1, 1, 1001)], Some("OutOfRange"));
    check(&[full(1, 1, 1), full(2, 1, 1)], None);
}

#[test]
fn numbers_that_nobody_has_are_refused() {
    let load = |field: &str, value: Value| {
        let mut load = json!({"revision": REV, "completed": 1});
        load[field] = value;
        load
    };
    check_one(&load("assigned", json!(1_000_000)), None);
    for (field, value) in [
        ("assigned", json!(1_000_001)),
        ("inFlightMilli", json!(1_000_001_000_u64)),
        ("queuedMilli", json!(u64::MAX)),
        ("queuedPeak", json!(u32::MAX)),
        ("arrived", json!(60_000_001)),
        ("ok", json!(u32::MAX)),
        ("rejected", json!(u32::MAX)),
        ("failed", json!(u32::MAX)),
        ("rerouted", json!(u32::MAX)),
        ("serviceUs", json!(86_400_000_001_u64)),
        ("meanServiceUs", json!(u64::MAX)),
        ("latency", json!([[80, 1]])),
        ("latency", json!([[1, 60_000_001]])),
        ("latency", json!(vec![[1, 1]; 81])),
        ("revision", json!("7f3k2q5")),
        ("revision", json!("7F3K2Q5D")),
    ] {
        check_one(&load(field, value), Some("OutOfRange"));
    }
    for bad in [json!(-1), json!(1.5), json!("1"), json!(null), json!(1e300)] {
        check_one(&load("inFlightMilli", bad), Some("NotAMessage"));
    }
}

#[test]
fn lists_are_bounded_and_name_nobody_twice() {
    let mut many = report(1, &json!({"revision": REV}));
    let model = many["deployments"][0].clone();
    many["deployments"] = json!([model.clone(), model.clone()]);
    check(&[many.clone()], Some("OutOfRange"));
    let models = (0..4097).map(|number| {
        let mut model = model.clone();
        model["uid"] = json!(format!("u{number}"));
        model
    });
    many["deployments"] = models.collect();
    check(&[many.clone()], Some("OutOfRange"));
    many["deployments"].as_array_mut().unwrap().pop();
    check(&[many.clone()], None);
    let revisions: Vec<Value> = (0..33)
        .map(|number| json!({"revision": format!("abcdef{number:02}")}))
        .collect();
    let mut model = model;
    model["revisions"] = json!(revisions);
    many["deployments"] = json!([model.clone()]);
    check(&[many.clone()], Some("OutOfRange"));
    model["revisions"] = json!([{"revision": REV}, {"revision": REV}]);
    many["deployments"] = json!([model]);
    check(&[many.clone()], Some("OutOfRange"));
    many["spanMs"] = json!(60_001);
    many["deployments"] = json!([]);
    check(&[many], Some("OutOfRange"));
    let keys = |used: Vec<&str>| json!({"kind": "keys", "seq": 1, "used": used});
    check(&[keys(vec!["k"; 5000])], None);
    check(&[keys(vec!["k"; 5001])], Some("OutOfRange"));
    check(&[keys(vec![""])], Some("OutOfRange"));
    let wake = |uid: &str, queued: u32| json!({"kind": "wake", "seq": 1, "uid": uid, "revision": REV, "queued": queued});
    check(&[wake("u", 1)], None);
    check(&[wake("u", 1_000_001)], Some("OutOfRange"));
    check(&[wake(&"u".repeat(65), 1)], Some("OutOfRange"));
}
