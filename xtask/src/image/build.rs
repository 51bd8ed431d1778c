//! Release binaries, static but for one, in target folders of their own: their flags differ from those of the
//! desk, and every change of flags would build everything anew.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cargo::as_by_hand;
use crate::places::Places;
use crate::step;

/// How binaries are linked, and with which of their features.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Linking {
    /// Nothing is loaded at run time.
    Static,
    /// With this feature, for which shared libraries are loaded.
    Dynamic(&'static str),
}

/// Builds the binaries of `packages` in `folder` of the target folder; gives the folder that has
/// them. Two builds in one folder wait for each other.
///
/// # Errors
/// If cargo fails; the error names its log.
pub(super) fn run(
    places: &Places,
    folder: &str,
    packages: &[&str],
    linking: Linking,
) -> Result<PathBuf> {
    let target = target(std::env::consts::ARCH)?;
    let folder = places.target().join(folder);
    let cargo = places
        .program("cargo")
        .context("the command cargo is not on PATH")?;
    let mut command = Command::new(cargo);
    as_by_hand(&mut command)
        .current_dir(places.repository())
        // Only what stands here may decide what is built.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_RUSTFLAGS")
        .env("RUSTFLAGS", flags(target, &processor(), linking))
        .args([
            "build",
            "--release",
            "--locked",
            "--bins",
            "--target",
            target.triple,
        ])
        .arg("--target-dir")
        .arg(&folder);
    for package in packages {
        command.args(["--package", package]);
    }
    if let Linking::Dynamic(feature) = linking {
        command.args(["--features", feature]);
    }
    let log = folder.join(format!("{}.log", packages.join("-")));
    step::run(
        &format!("compile {}", packages.join(", ")),
        &mut command,
        &log,
    )?;
    Ok(folder.join(target.triple).join("release"))
}

/// For which machines is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Target {
    triple: &'static str,
    /// The processors of the last ten years, for models that compute; empty: any.
    level: &'static str,
    /// What a processor of that level has, in the kernel's words.
    features: &'static [&'static str],
}

fn target(architecture: &str) -> Result<Target> {
    match architecture {
        "x86_64" => Ok(Target {
            triple: "x86_64-unknown-linux-gnu",
            level: "x86-64-v3",
            features: &["avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"],
        }),
        "aarch64" => Ok(Target {
            triple: "aarch64-unknown-linux-gnu",
            level: "",
            features: &[],
        }),
        other => bail!("images are built on x86_64 and aarch64, this machine is {other}"),
    }
}

/// An explicit target makes cargo keep these from build scripts and macros, which cannot be static.
fn flags(target: Target, processor: &str, linking: Linking) -> String {
    let mut flags = match linking {
        Linking::Static => "-C target-feature=+crt-static".to_owned(),
        Linking::Dynamic(_) => String::new(),
    };
    let has = |feature: &&str| processor.split_whitespace().any(|word| word == *feature);
    if !target.level.is_empty() && target.features.iter().all(has) {
        flags.push_str(&format!(" -C target-cpu={}", target.level));
    }
    flags
}

/// What the kernel says of the processor. Binaries for a level that this machine has not would end
/// with an illegal instruction in its own cluster.
fn processor() -> String {
    std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_processor_gets_binaries_that_run() {
        let target = target("x86_64").unwrap();
        let new = "flags : avx2 bmi1 bmi2 f16c fma movbe";
        assert!(flags(target, new, Linking::Static).ends_with("-C target-cpu=x86-64-v3"));
        let old = flags(target, "flags : avx sse4_2", Linking::Static);
        assert_eq!(old, "-C target-feature=+crt-static");
    }

    #[test]
    fn what_loads_libraries_is_not_static() {
        let target = target("x86_64").unwrap();
        let new = "flags : avx2 bmi1 bmi2 f16c fma movbe";
        let flags = flags(target, new, Linking::Dynamic("a/b"));
        assert_eq!(flags.trim(), "-C target-cpu=x86-64-v3");
    }

    #[test]
    fn an_unknown_architecture_is_refused() {
        assert!(target("riscv64").is_err());
        assert_eq!(target("aarch64").unwrap().level, "");
    }
}
