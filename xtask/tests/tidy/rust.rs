//! What every Rust file keeps to.

use super::code::{bare, production, test_modules, words};
use super::files::{File, below, none, root, with_extension};

/// Crates that know plain values only, by their folders.
pub(crate) const PURE: [&str; 3] = ["crds", "protocol", "operator/plan"];

/// Files of the operator that may hold a client: reads, status, writes; building it, the Lease,
/// the gateways' signals.
const CLIENTS: [&str; 6] = [
    "operator/src/model/observe.rs",
    "operator/src/report.rs",
    "operator/src/apply.rs",
    "operator/src/context.rs",
    "operator/src/lease.rs",
    "operator/src/signals.rs",
];

fn line_of(source: &str, at: usize) -> usize {
    source[..at].matches('\n').count() + 1
}

#[test]
fn t01_every_file_says_what_it_is_for() {
    let silent = |file: &File| !file.text.starts_with("//! ");
    let found: Vec<_> = with_extension("rs")
        .iter()
        .filter(|f| silent(f))
        .map(|f| f.path.clone())
        .collect();
    none(
        &found,
        "Begin each file with `//!`: what it is for, what it may touch, who calls it.",
    );
}

#[test]
fn t02_pure_crates_touch_nothing_outside() {
    let mut found = Vec::new();
    for folder in PURE {
        for file in below(&format!("{folder}/src/"), "rs") {
            let code = bare(production(&file.text));
            for module in ["env", "fs", "net", "process", "thread"] {
                found.extend(
                    uses_of_std(&code, module)
                        .map(|line| format!("{}:{line}: std::{module}", file.path)),
                );
            }
        }
    }
    none(
        &found,
        "These crates are pure: take what is needed as an argument from the crate that calls.",
    );
}

/// The lines on which `std::<module>` is named, alone or in a `use` group.
fn uses_of_std(code: &str, module: &str) -> impl Iterator<Item = usize> {
    words(code).filter_map(move |(before, word)| {
        let statement = before.rsplit(';').next().unwrap_or(before);
        let grouped = statement.rfind("std::{").is_some_and(|group| {
            let opened = &statement[group..];
            opened.matches('{').count() == opened.matches('}').count() + 1
                && opened.trim_end().ends_with(['{', ','])
        });
        let named = word == module && (before.ends_with("std::") || grouped);
        named.then(|| line_of(code, before.len()))
    })
}

#[test]
fn a_module_of_std_is_found_alone_and_in_a_group() {
    let lines = |code| uses_of_std(code, "env").collect::<Vec<_>>();
    assert_eq!(lines("use std::env;\nlet a = std::env::args();"), [1, 2]);
    assert_eq!(lines("use std::{\n    env, fs};"), [2]);
    assert_eq!(
        lines("use std::{collections::BTreeMap};\nlet env = crate::env;"),
        [0; 0]
    );
}

#[test]
fn t03_only_listed_files_hold_a_client() {
    let mut found = Vec::new();
    let files = below("operator/src/", "rs");
    let for_tests: Vec<_> = files
        .iter()
        .flat_map(|f| test_modules(&f.path, &f.text))
        .collect();
    for file in files {
        if CLIENTS.contains(&file.path.as_str()) || for_tests.contains(&file.path) {
            continue;
        }
        let code = bare(production(&file.text));
        // `kube::Error::Api` is an answer, not a client.
        let named = words(&code).filter(|(before, word)| {
            matches!(*word, "Api" | "Client") && !before.ends_with("Error::")
        });
        found.extend(named.map(|(before, word)| {
            format!("{}:{}: {word}", file.path, line_of(&code, before.len()))
        }));
    }
    let remedy = "Only these files of the operator name `Api` or `Client`:";
    none(
        &found,
        &format!(
            "{remedy} {}. Reads go to observe, writes to apply, status to report.",
            CLIENTS.join(", ")
        ),
    );
}

#[test]
fn t03_only_an_engines_own_file_names_its_crate() {
    // `tract` alone is our own module of that name.
    let engines = [
        "tract_onnx",
        "tract_core",
        "tract_hir",
        "rten",
        "rten_tensor",
        "ort",
    ];
    let mut found = Vec::new();
    for file in with_extension("rs")
        .iter()
        .filter(|f| f.path.contains("/src/"))
    {
        if file.path.starts_with("server/src/engine/") || file.path.starts_with("tests/") {
            continue;
        }
        let code = bare(production(&file.text));
        let named = words(&code).filter(|(before, word)| {
            let path =
                code[before.len() + word.len()..].starts_with("::") && !before.ends_with("::");
            engines.contains(word) && path
        });
        found.extend(named.map(|(before, word)| {
            format!("{}:{}: {word}", file.path, line_of(&code, before.len()))
        }));
    }
    none(
        &found,
        "Only server/src/engine/<name>.rs names an engine's crate: go through the Engine trait.",
    );
}

#[test]
fn t03_the_gateway_reads_and_asks_the_cluster_in_two_files_and_changes_nothing() {
    let mut found = Vec::new();
    for file in below("gateway/src/", "rs") {
        if ["gateway/src/watch.rs", "gateway/src/review/reviewer.rs"].contains(&&*file.path) {
            continue;
        }
        let code = bare(production(&file.text));
        // Of hyper there is a client, too.
        let hyper =
            ["forward/pods.rs", "wait/probe.rs"].map(|end| format!("gateway/src/phase/{end}"));
        let hyper = hyper.contains(&file.path);
        let named = words(&code).filter(|(_, word)| *word == "Api" || *word == "Client" && !hyper);
        found.extend(named.map(|(before, word)| {
            format!("{}:{}: {word}", file.path, line_of(&code, before.len()))
        }));
    }
    none(
        &found,
        "Only watch.rs reads the cluster, and only review/reviewer.rs asks it about callers: the rest is told by the table.",
    );
    let rights =
        std::fs::read_to_string(root().join("charts/aimass/templates/gateway-rights.yaml"))
            .expect("the chart has the gateway's rights");
    let more = rights_beyond_reading(&rights);
    let asked = [
        "apiGroups: [authentication.k8s.io] resources: [tokenreviews] verbs: [create]",
        "apiGroups: [authorization.k8s.io] resources: [subjectaccessreviews] verbs: [create]",
    ];
    assert_eq!(
        more, asked,
        "A gateway reads, asks by these two reviews, which store nothing, and changes nothing: one rule for each, as it stands here."
    );
}

/// Each rule of a role that is not only about reading: its lines, from `apiGroups` to `verbs`, as one.
fn rights_beyond_reading(role: &str) -> Vec<String> {
    let (mut rule, mut found) = (Vec::new(), Vec::new());
    for line in role.lines() {
        let line = line.trim_start_matches([' ', '-']);
        if line.starts_with("apiGroups:") {
            rule.clear();
        }
        rule.push(line);
        // Also a list that is written over several lines, or a rule with its verbs first.
        if line.starts_with("verbs:") && line != "verbs: [get, list, watch]" {
            found.push(rule.join(" "));
        }
    }
    found
}

#[test]
fn a_right_beyond_reading_is_found_with_what_it_is_about() {
    let rule = |resources: &str, verbs: &str| {
        format!("  - apiGroups: [g]\n    resources: [{resources}]\n    verbs: {verbs}\n")
    };
    let reads = rule("a", "[get, list, watch]");
    assert_eq!(rights_beyond_reading(&reads), [""; 0]);
    let more = reads + &rule("b", "[create]") + &rule("c", "[\"*\"]") + &rule("d", "");
    let expect = [
        "apiGroups: [g] resources: [b] verbs: [create]",
        "apiGroups: [g] resources: [c] verbs: [\"*\"]",
        "apiGroups: [g] resources: [d] verbs: ",
    ];
    assert_eq!(rights_beyond_reading(&more), expect);
}

#[test]
fn t03_only_two_parts_of_the_server_open_connections() {
    let may = |path: &str| {
        [
            "server/src/fetch",
            "server/src/config/fetch.rs",
            "chassis/src/traces",
        ]
        .iter()
        .any(|part| path.starts_with(part))
    };
    let mut files = below("server/src/", "rs");
    files.extend(below("chassis/src/", "rs"));
    files.retain(|file| !may(&file.path));
    let mut found = Vec::new();
    for file in files {
        let code = bare(production(&file.text));
        let named = words(&code).filter(|(before, word)| {
            matches!(*word, "reqwest" | "TcpSocket" | "UdpSocket" | "UnixStream")
                || *word == "connect" && before.ends_with("::")
        });
        found.extend(named.map(|(before, word)| {
            format!("{}:{}: {word}", file.path, line_of(&code, before.len()))
        }));
    }
    none(
        &found,
        "A model's pod answers and asks nobody: only `fetch` and the sender of traces connect.",
    );
}

#[test]
fn t06_no_file_grows_past_four_hundred_lines() {
    let files = with_extension("rs");
    let for_tests: Vec<_> = files
        .iter()
        .flat_map(|f| test_modules(&f.path, &f.text))
        .collect();
    let mut found = Vec::new();
    for file in files {
        let data = file.text.starts_with("//! Data.");
        let test = is_test(&file.path) || for_tests.contains(&file.path);
        let lines = production(&file.text).lines().count();
        if lines > 400 && !data && !test {
            found.push(format!("{}: {lines} lines without its tests", file.path));
        }
    }
    none(
        &found,
        "Split the file by its nouns (`foo.rs` beside `foo/`); plain data begins `//! Data.`.",
    );
}

/// Integration tests: all of the file is a test.
fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.starts_with("tests/tests/")
}

#[test]
fn t09_open_ends_name_their_issue() {
    let mut found = Vec::new();
    for file in with_extension("rs") {
        for (number, line) in file.text.lines().enumerate() {
            let Some((_, after)) = line.split_once(concat!("TO", "DO")) else {
                continue;
            };
            let issue = after
                .strip_prefix("(#")
                .and_then(|rest| rest.split_once(')'));
            if issue.is_none_or(|(digits, _)| digits.parse::<u32>().is_err()) {
                found.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    none(
        &found,
        concat!(
            "Do it, or write `TO",
            "DO(#123): …` with the number of its issue."
        ),
    );
}

#[test]
fn t11_every_snapshot_has_its_test() {
    let mut found = Vec::new();
    for snapshot in below("", "snap") {
        let header = snapshot.text.split("\n---").next().unwrap_or_default();
        let field = |name: &str| {
            let line = header
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.map(|value| value.trim_matches('"').to_owned())
        };
        let absent = |path: &String| !root().join(path).is_file();
        if field("source").is_none_or(|source| absent(&source)) {
            found.push(format!("{}: its test is gone", snapshot.path));
        } else if field("input_file").is_some_and(|input| absent(&input)) {
            found.push(format!("{}: its input is gone", snapshot.path));
        }
    }
    none(&found, "Delete the snapshot, or bring its test back.");
}

#[test]
fn t13_every_watch_backs_off() {
    let mut found = Vec::new();
    for file in below("operator/src/", "rs") {
        let code = bare(production(&file.text));
        for (before, word) in words(&code) {
            let call = code[before.len() + word.len()..].trim_start();
            if !matches!(word, "watcher" | "metadata_watcher") || !call.starts_with('(') {
                continue;
            }
            let statement = call.split(';').next().unwrap_or(call);
            if !statement.contains(".default_backoff()") && !statement.contains(".backoff(") {
                found.push(format!("{}:{}", file.path, line_of(&code, before.len())));
            }
        }
    }
    none(
        &found,
        "A watch without a pause between its attempts floods the API server: add `.default_backoff()`.",
    );
}
