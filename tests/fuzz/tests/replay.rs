//! Every committed input of every fuzz target again: what was found once stays fixed.

use std::path::PathBuf;
use std::time::Duration;

use aimass_fuzz::TARGETS;
use rustix::time::{ClockId, clock_gettime};

/// One input may compute for so long, also where tests run slowly.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the inputs of one target may have together: they are in every clone.
const MAX_BYTES: u64 = 200 * 1024;

fn root() -> PathBuf {
    // From the folder of the crate, in which cargo runs its tests.
    PathBuf::from("../../fuzz")
}

fn inputs(target: &str) -> Vec<PathBuf> {
    let folder = root().join("corpus").join(target);
    let entries = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{target} has no inputs in {}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    files.sort();
    files
}

#[test]
fn every_committed_input_holds() {
    // Panics inside of engines are contained and expected; a backtrace of each takes its time.
    std::panic::set_hook(Box::new(|panic| println!("{panic}")));
    for target in TARGETS {
        let files = inputs(target.name);
        assert!(!files.is_empty(), "{} has no inputs", target.name);
        for file in files {
            let data = std::fs::read(&file).unwrap();
            // Shown by the test runner when the next line panics.
            println!("{}", file.display());
            let took = std::thread::Builder::new()
                .stack_size(64 << 20)
                .spawn(move || timed(target.body, &data))
                .unwrap()
                .join()
                .unwrap_or_else(|_| panic!("{} does not hold", file.display()));
            assert!(took < PATIENCE, "{} took {took:?}", file.display());
        }
    }
}

/// Processor time: neighbours do not count.
fn timed(body: fn(&[u8]), data: &[u8]) -> Duration {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::try_from(time).expect("a processor's time is not negative")
    };
    let start = now();
    body(data);
    now() - start
}

#[test]
fn no_bytes_at_all_hold_too() {
    for target in TARGETS {
        (target.body)(&[]);
        (target.body)(&[0]);
    }
}

#[test]
fn inputs_stay_small() {
    for target in TARGETS {
        let size = |file: &PathBuf| std::fs::metadata(file).unwrap().len();
        let bytes: u64 = inputs(target.name).iter().map(size).sum();
        assert!(
            bytes <= MAX_BYTES,
            "the inputs of {} have {bytes} bytes: run `cargo xtask fuzz {} --minimise`",
            target.name,
            target.name
        );
    }
}

#[test]
fn every_target_has_its_program() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for target in TARGETS {
        let name = target.name;
        assert!(
            manifest.contains(&format!("\nname = \"{name}\"\n")),
            "{name}"
        );
        let program = root().join("targets").join(format!("{name}.rs"));
        let text = std::fs::read_to_string(program).unwrap();
        assert!(
            text.contains(&format!("aimass_fuzz::{name}::body")),
            "{name}"
        );
    }
}
