//! `docs/reference/flags.md`: what each binary says of its flags.
//!
//! Builds the binaries and runs them with `--help`; called by [`super::run`]. The tool does not
//! depend on them, so that its other commands start without them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Generated, markdown_header};
use crate::cargo::cargo;
use crate::places::Places;
use crate::{step, test};

/// What is asked for help, in the order of the page.
const COMMANDS: [(&str, &[&str]); 11] = [
    ("aimass-operator", &[]),
    ("aimass-operator", &["render"]),
    ("aimass-server", &[]),
    ("aimass-server", &["fetch"]),
    ("aimass-server", &["inspect"]),
    ("aimass-gateway", &[]),
    ("aimass", &["key", "create"]),
    ("aimass", &["key", "rotate"]),
    ("aimass", &["key", "revoke"]),
    ("aimass", &["key", "list"]),
    ("aimass", &["predict"]),
];

/// The page.
pub(super) fn files(places: &Places) -> Result<Vec<Generated>> {
    let binaries = build(places)?;
    let mut text = markdown_header("the binaries' --help") + INTRODUCTION;
    for (binary, subcommand) in COMMANDS {
        let path = binaries
            .get(binary)
            .with_context(|| format!("cargo built no {binary}"))?;
        let mut command = Command::new(path);
        command.args(subcommand).arg("--help").env_clear();
        // Without a terminal clap wraps at this width; an empty environment shows in no default.
        let help = step::output(command.env("COLUMNS", "100"))?;
        let title = [&[binary], subcommand].concat().join(" ");
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        text += &format!(
            "\n## {title}\n\n```text\n{}\n```\n",
            lines.join("\n").trim_end()
        );
    }
    Ok(vec![Generated {
        path: "docs/reference/flags.md".to_owned(),
        text,
    }])
}

const INTRODUCTION: &str = "\
# Flags

What each binary says of itself with `--help`. Every flag that has an effect has an environment variable; the flag wins. The chart's
values of the same names set the operator's flags, those below `gateway` the gateway's, and the operator sets the server's. Without Kubernetes the server is started by
hand: [standalone](../standalone.md).
";

/// The binaries of the workspace by name, built as its tests build them: with the same features, so
/// that nothing is compiled twice.
fn build(places: &Places) -> Result<BTreeMap<String, PathBuf>> {
    let arguments = ["build", "--bins", "--test=fresh"];
    // Once to build, with progress; once more, with nothing left to do, to learn where they are.
    let log = test::log(places, "flags-build");
    step::run("build the binaries", &mut cargo(places, &arguments), &log)?;
    let mut again = cargo(places, &arguments);
    let messages = step::output(again.args(["--quiet", "--message-format=json"]))?;
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let binary = |message: Value| {
        let name = message.pointer("/target/name")?.as_str()?.to_owned();
        let is_binary = message.pointer("/target/kind/0")? == "bin";
        let is_test = message.pointer("/profile/test")? == true;
        let path = PathBuf::from(message.get("executable")?.as_str()?);
        (is_binary && !is_test).then_some((name, path))
    };
    Ok(messages.filter_map(binary).collect())
}
