//! `cargo xtask fuzz`: looks for inputs for which something does not hold, for a bounded time.
//!
//! What must hold stands in `tests/fuzz` and is replayed with the committed inputs in every run of the
//! tests; only looking for new ones needs cargo-fuzz, which is installed into the cache when it is
//! missing. What it finds becomes a file in `fuzz/corpus` and a named row of a table.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cargo::plain_cargo;
use crate::places::Places;
use crate::step;

/// The tool, pinned.
const CARGO_FUZZ: &str = "0.13.2";
/// What one input may make the program hold: more is a finding.
const MAX_MIB: u32 = 2048;
/// What one input may take, in seconds: more is a finding.
const MAX_SECONDS: u32 = 10;
/// The longest input that is tried.
const MAX_BYTES: u32 = 16 * 1024;

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this target; without it: all, one after another
    #[arg(value_name = "TARGET")]
    name: Option<String>,
    /// For how long each target is run
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Add what is new to the committed inputs, and drop those that reach nothing of their own
    #[arg(long)]
    minimise: bool,
}

/// Runs the command.
///
/// # Errors
/// cargo-fuzz cannot be installed, a target does not compile, or something was found.
pub(crate) fn run(args: &Args, places: &Places) -> Result<()> {
    let fuzz = places.repository().join("fuzz");
    let all = targets(&fuzz)?;
    let wanted: Vec<&String> = match &args.name {
        None => all.iter().collect(),
        Some(name) => all.iter().filter(|target| *target == name).collect(),
    };
    if wanted.is_empty() {
        bail!("no such target; there are: {}", all.join(", "));
    }
    let tool = tool(places)?;
    lock_file(places, &fuzz)?;
    for target in wanted {
        look(places, &tool, target, args)?;
    }
    Ok(())
}

/// The names of the programs in `fuzz/targets`.
fn targets(fuzz: &Path) -> Result<Vec<String>> {
    let folder = fuzz.join("targets");
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("failed to list {}", folder.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.strip_suffix(".rs").map(ToOwned::to_owned)
        })
        .collect();
    names.sort();
    Ok(names)
}

/// cargo-fuzz: from the search path, or installed into the cache.
fn tool(places: &Places) -> Result<PathBuf> {
    if let Some(installed) = places.program("cargo-fuzz") {
        return Ok(installed);
    }
    let root = places.cache().join("cargo-fuzz").join(CARGO_FUZZ);
    let program = root.join("bin/cargo-fuzz");
    if program.is_file() {
        return Ok(program);
    }
    let mut install = plain_cargo(places, &["install", "cargo-fuzz", "--locked", "--quiet"]);
    install
        .args(["--version", CARGO_FUZZ])
        .arg("--root")
        .arg(&root);
    let log = places.cache().join("cargo-fuzz/install.log");
    step::run("install cargo-fuzz", &mut install, &log).with_context(|| {
        format!("install it by hand: cargo install cargo-fuzz --version {CARGO_FUZZ} --locked")
    })?;
    Ok(program)
}

/// The programs are built from the versions that the repository is built from.
fn lock_file(places: &Places, fuzz: &Path) -> Result<()> {
    let (from, to) = (
        places.repository().join("Cargo.lock"),
        fuzz.join("Cargo.lock"),
    );
    std::fs::copy(&from, &to)
        .with_context(|| format!("failed to copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Looks for inputs in a folder of its own, so that what is committed grows only when asked.
fn look(places: &Places, tool: &Path, target: &str, args: &Args) -> Result<()> {
    let committed = places.repository().join("fuzz/corpus").join(target);
    let found = places.cache().join("fuzz").join(target);
    for folder in [&committed, &found] {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
    }
    let log = places
        .target()
        .join("test-logs")
        .join(format!("fuzz-{target}.log"));
    let title = format!("fuzz {target} for {} s", args.seconds);
    let mut run = fuzz(places, tool, "run", target);
    run.args([&found, &committed]).arg("--");
    run.arg(format!("-max_total_time={}", args.seconds))
        .arg(format!("-max_len={MAX_BYTES}"))
        .arg(format!("-timeout={MAX_SECONDS}"))
        .arg(format!("-rss_limit_mb={MAX_MIB}"))
        .arg("-print_final_stats=1");
    step::run(&title, &mut run, &log).with_context(|| {
        format!(
            "the input lies in fuzz/artifacts/{target}: mend what it shows, then move it to \
             fuzz/corpus/{target} under a name that says what it is"
        )
    })?;
    if args.minimise {
        let mut minimise = fuzz(places, tool, "cmin", target);
        minimise.args([&committed, &found]);
        step::run(&format!("minimise {target}"), &mut minimise, &log)?;
    }
    Ok(())
}

/// cargo-fuzz wants features of the compiler that only a nightly one has by its own will; the pinned
/// one has them too.
fn fuzz(places: &Places, tool: &Path, command: &str, target: &str) -> Command {
    let mut fuzz = Command::new(tool);
    fuzz.current_dir(places.repository().join("fuzz"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", places.target().join("fuzz"))
        .args(["fuzz", command])
        .arg(target)
        .arg("--fuzz-dir=.");
    fuzz
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_are_the_programs_of_the_folder() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
        let targets = targets(&fuzz).unwrap();
        assert!(targets.contains(&"tfs_json".to_owned()), "{targets:?}");
        assert!(targets.is_sorted());
    }
}
