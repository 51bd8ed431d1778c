//! Who may use whom: the directions of ARCHITECTURE.md, and what no process contains.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use super::files::{none, root};
use super::rust::PURE;

/// What each member may use of the others; those in [`FREE`] may use everything.
const DIRECTIONS: [(&str, &[&str]); 11] = [
    ("aimass-crds", &[]),
    ("aimass-protocol", &[]),
    ("aimass-plan", &["aimass-crds"]),
    ("aimass-chassis", &[]),
    (
        "aimass-operator",
        &["aimass-chassis", "aimass-crds", "aimass-plan"],
    ),
    ("aimass-server", &["aimass-chassis", "aimass-protocol"]),
    (
        "aimass-gateway",
        &["aimass-chassis", "aimass-crds", "aimass-protocol"],
    ),
    ("aimass-cli", &["aimass-chassis", "aimass-crds"]),
    ("aimass-linear", &[]),
    ("aimass-pause", &[]),
    // Light, so that its first command starts soon after a clone.
    ("xtask", &["aimass-crds", "aimass-protocol"]),
];

/// What tests and measures the others.
const FREE: [&str; 4] = ["aimass-tests", "aimass-bench", "aimass-fuzz", "aimass-onnx"];

/// What `cargo` prints for `arguments`, run in the repository without a network.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--offline", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo runs: it runs this test");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "cargo {}: {errors}",
        arguments.join(" ")
    );
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

fn members() -> Vec<Value> {
    let metadata = cargo(&["metadata", "--format-version=1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&metadata).expect("cargo metadata prints JSON");
    metadata["packages"]
        .as_array()
        .cloned()
        .expect("a workspace has packages")
}

#[test]
fn t02_dependencies_go_one_way() {
    let directions = BTreeMap::from(DIRECTIONS);
    let mut found = Vec::new();
    for member in members() {
        let name = member["name"].as_str().unwrap_or_default();
        if FREE.contains(&name) {
            continue;
        }
        let Some(allowed) = directions.get(name) else {
            found.push(format!("{name} is not in the list of directions"));
            continue;
        };
        for dependency in member["dependencies"].as_array().into_iter().flatten() {
            let other = dependency["name"].as_str().unwrap_or_default();
            // A crate's own tests may use what they like.
            let for_tests = dependency["kind"] == "dev";
            if dependency.get("path").is_some() && !for_tests && !allowed.contains(&other) {
                found.push(format!("{name} uses {other}"));
            }
        }
    }
    none(
        &found,
        "Move the code to the crate that may use both, or pass a plain value. A new member \
        gets its line in xtask/tests/tidy/crates.rs and in ARCHITECTURE.md.",
    );
}

#[test]
fn t02_pure_crates_pull_in_no_runtime_and_no_client() {
    let mut found = Vec::new();
    for folder in PURE {
        let manifest = format!("{folder}/Cargo.toml");
        // `cargo tree` and not `cargo metadata`: the latter joins the features of all members.
        let tree = cargo(&[
            "tree",
            "--edges=normal",
            "--prefix=none",
            "--manifest-path",
            &manifest,
        ]);
        let names = tree.lines().filter_map(|line| line.split(' ').next());
        for banned in [
            "tokio",
            "hyper",
            "kube-client",
            "kube-runtime",
            "reqwest",
            "mio",
        ] {
            if names.clone().any(|name| name == banned) {
                found.push(format!("{folder} contains {banned}"));
            }
        }
    }
    none(
        &found,
        "Turn the feature off that pulls it in: `cargo tree -p <crate> -i <banned>` names it.",
    );
}

#[test]
fn t04_there_is_one_cryptography() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock is committed");
    let banned = [
        "aws-lc-rs",
        "aws-lc-sys",
        "openssl",
        "openssl-sys",
        "serde_yaml",
    ];
    let locked = |name: &&str| lock.contains(&format!("\nname = \"{name}\"\n"));
    let found: Vec<_> = banned
        .iter()
        .filter(|name| locked(name))
        .map(ToString::to_string)
        .collect();
    none(
        &found,
        "Take the feature `ring` of rustls, kube, reqwest, rcgen; YAML is serde-saphyr. \
        `cargo tree -i <name> --target all` says who asks for it.",
    );
}

#[test]
fn t05_every_member_takes_the_lints() {
    let mut found = Vec::new();
    for member in members() {
        let manifest = member["manifest_path"]
            .as_str()
            .expect("a member has a manifest");
        let text = std::fs::read_to_string(manifest).expect("a manifest can be read");
        if !text.contains("\n[lints]\nworkspace = true\n") {
            found.push(member["name"].to_string());
        }
    }
    none(
        &found,
        "Add `[lints]` with `workspace = true` to its Cargo.toml.",
    );
}

#[test]
fn t05_pure_crates_ban_what_the_root_bans() {
    let read = |path: String| std::fs::read_to_string(root().join(path)).unwrap_or_default();
    let entries = read("clippy.toml".to_owned());
    let entries: Vec<_> = entries
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let mut found = Vec::new();
    for folder in PURE {
        let own = read(format!("{folder}/clippy.toml"));
        let types = ["std::collections::HashMap", "std::collections::HashSet"];
        let lacks = |line: &&&str| !own.lines().any(|other| other.trim() == **line);
        found.extend(
            entries
                .iter()
                .filter(lacks)
                .map(|line| format!("{folder}/clippy.toml lacks {line}")),
        );
        let unbanned = types
            .iter()
            .filter(|name| !own.contains(&format!("path = \"{name}\"")));
        found.extend(unbanned.map(|name| format!("{folder}/clippy.toml lacks {name}")));
    }
    none(
        &found,
        "A crate's clippy.toml replaces the root's: repeat all of its lines, and ban the hash maps.",
    );
}

#[test]
fn t04_licences_are_permissive() {
    let rules = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml can be read");
    let (_, list) = rules
        .split_once("\nallow = [")
        .expect("deny.toml lists licences");
    let list = list.split(']').next().unwrap_or_default();
    let allowed: Vec<_> = list.split('"').skip(1).step_by(2).collect();
    let platform = "--filter-platform=x86_64-unknown-linux-gnu";
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version=1", platform]))
            .expect("cargo metadata prints JSON");
    let used: Vec<_> = metadata["resolve"]["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|node| &node["id"])
        .collect();
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let licence = package["license"].as_str().unwrap_or("none");
        if used.contains(&&package["id"]) && !permitted(licence, &allowed) {
            found.push(format!("{}: {licence}", package["name"]));
        }
    }
    none(
        &found,
        "Take another crate, or add the licence to deny.toml if it asks for no more than attribution.",
    );
}

/// Whether each part of an SPDX expression offers one of the `allowed` licences.
fn permitted(licence: &str, allowed: &[&str]) -> bool {
    let licence = licence.replace('/', " OR ");
    licence.split(" AND ").all(|part| {
        let mut offers = part.trim_matches(['(', ')', ' ']).split(" OR ");
        offers.any(|offer| allowed.contains(&offer.trim()))
    })
}

#[test]
fn every_part_of_a_licence_must_be_allowed() {
    let allowed = ["MIT", "ISC"];
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR ISC",
        "(MIT OR X) AND ISC",
    ] {
        assert!(permitted(good, &allowed), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "none", ""] {
        assert!(!permitted(bad, &allowed), "{bad}");
    }
}
