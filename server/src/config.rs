//! From the command line to plain values: every problem is found in one pass.
//!
//! Pure, but for reading the configuration files that flags name. Called by `start.rs`; what comes out is passed down and
//! never changed.

mod batching;
mod fetch;
mod fields;
mod inspect;
mod model_file;
mod monitoring;
mod source;
mod text_proto;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use aimass_chassis::args::Problems;
use aimass_chassis::traces::Export;
use aimass_chassis::{runtime, units};
use aimass_protocol::Checks;

use crate::args::{ServeArgs, ToleratedArgs};
use crate::engine::{self, Wanted};
use crate::files::Digest;
use crate::state::Settings;

pub use fetch::FetchConfig;
pub use inspect::InspectConfig;
pub use monitoring::DEFAULT_PATH;
pub use source::{Source, Versions};

use source::FolderFlags;

/// What the server does.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the model comes from.
    pub source: Source,
    /// Which engine is wanted, and what it is given.
    pub engines: engine::Settings,
    /// How requests are answered.
    pub settings: Settings,
    /// The ports with the API.
    pub data: Vec<SocketAddr>,
    /// The admin port.
    pub admin: SocketAddr,
    /// Threads for connections.
    pub threads: usize,
    /// Connections at once, on each port.
    pub max_connections: usize,
    /// Between the signal and the end of accepting.
    pub drain_delay: Duration,
    /// For requests in flight after that.
    pub shutdown_grace: Duration,
    /// Where the reason of a failed start is written.
    pub termination_log: PathBuf,
    /// Where traces are sent, if anywhere.
    pub traces: Option<Export>,
    /// What the person who starts it should know; nothing is wrong.
    pub warnings: Vec<String>,
}

/// Where the model's files are, and what they must be.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The folder.
    pub folder: PathBuf,
    /// What the folder is made a private copy of, first.
    pub copy_from: Option<PathBuf>,
    /// Whether to wait for the folder's manifest.
    pub wait: bool,
    /// What the files must hash to.
    pub digest: Option<Digest>,
    /// Whether the folder is all there is: a manifest beside it would be somebody else's.
    pub in_place: bool,
    /// What another model holds, in bytes, that serves on while this one is loaded.
    pub beside_bytes: u64,
}

impl Origin {
    /// The model in `folder` as it is, whatever its digest.
    pub fn of(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            copy_from: None,
            wait: false,
            digest: None,
            in_place: false,
            beside_bytes: 0,
        }
    }
}

impl TryFrom<ServeArgs> for Config {
    type Error = Problems;

    fn try_from(args: ServeArgs) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        // Taken apart without `..`: a flag that is not used is a warning.
        let ServeArgs {
            model_dir,
            model_name,
            model_version,
            model_digest,
            revision,
            model_wait,
            model_copy_from,
            version_labels,
            input_checks,
            engine: wanted,
            #[cfg(feature = "ort")]
            onnxruntime_library,
            engine_workers,
            max_plans,
            bind,
            port,
            rest_api_port,
            rest_api_timeout_in_ms,
            rest_api_num_threads,
            rest_api_enable_cors_support,
            max_body,
            max_response,
            max_in_flight,
            max_buffered,
            max_queue_rows,
            enable_batching,
            max_batch_size,
            max_queue_delay,
            max_connections,
            drain_delay,
            shutdown_grace,
            termination_log,
            tensorflow_serving,
            admin,
            traces,
            log: _, // used by `start` before anything else
        } = args;
        let mut p = Checker(&mut problems);
        let cpus = runtime::cpus().get();
        let wanted = p.0.take("--engine", wanted.parse());
        let folder = FolderFlags {
            dir: model_dir,
            name: model_name,
            version: model_version,
            digest: model_digest,
            copy_from: model_copy_from,
            wait: model_wait,
        };
        let mut described = source::describe(&mut p, folder, &tensorflow_serving);
        described.labels.append(&mut p.labels(&version_labels));
        let monitoring = p.monitoring(tensorflow_serving.monitoring_config_file.as_deref());
        let bind = p.bind(&bind);
        let ports = [
            p.number("--rest-api-port", &rest_api_port, 0..=65_535),
            p.number("--port", &port, 0..=65_535),
        ];
        let ports: Vec<u16> = ports
            .into_iter()
            .filter_map(|port| u16::try_from(port).ok())
            .filter(|port| *port > 0)
            .collect();
        if ports.is_empty() {
            p.0.add("--rest-api-port", "must not be 0 if --port is 0 too");
        }
        if ports.contains(&admin.admin_port) || matches!(ports[..], [a, b] if a == b) {
            p.0.add(
                "--rest-api-port",
                "must differ from --port and --admin-port",
            );
        }
        let threads = match p.number("--rest-api-num-threads", &rest_api_num_threads, 0..=256) {
            0 => cpus.min(4),
            threads => threads,
        };
        let batching::Described {
            batching,
            workers,
            queue_rows,
        } = batching::describe(
            &mut p,
            &batching::Flags {
                enable_batching,
                max_batch_size: &max_batch_size,
                max_queue_delay: &max_queue_delay,
                max_queue_rows: &max_queue_rows,
                engine_workers: &engine_workers,
                parameters_file: tensorflow_serving.batching_parameters_file.as_deref(),
            },
            cpus,
        );
        let checks = match input_checks.as_str() {
            "strict" => Checks::Strict,
            "lenient" => Checks::Lenient,
            other => {
                p.0.add(
                    "--input-checks",
                    &format!("must be lenient or strict, is {other:?}"),
                );
                Checks::Lenient
            }
        };
        let traces = Export::of(&traces, p.0);
        let timeout = p.number(
            "--rest-api-timeout-in-ms",
            &rest_api_timeout_in_ms,
            1..=3_600_000,
        );
        let settings = Settings {
            model_name: described.name,
            model_version: described.version,
            revision: revision.map(|revision| p.name("--revision", revision)),
            labels: described.labels,
            monitoring,
            checks,
            cors: rest_api_enable_cors_support,
            timeout: Duration::from_millis(timeout as u64),
            max_body: p.size("--max-body", &max_body),
            max_response: p.size("--max-response", &max_response),
            max_in_flight: p.number("--max-in-flight", &max_in_flight, 1..=1_000_000),
            max_buffered: p.size("--max-buffered", &max_buffered) as u64,
            max_queue_rows: queue_rows,
            workers,
            batching,
        };
        let config = Self {
            source: described.source,
            engines: engine::Settings {
                wanted: wanted.unwrap_or(Wanted::Auto),
                max_plans: p.number("--max-plans", &max_plans, 1..=10_000),
                #[cfg(feature = "ort")]
                onnxruntime: onnxruntime_library.into(),
            },
            settings,
            data: ports
                .into_iter()
                .map(|port| SocketAddr::new(bind, port))
                .collect(),
            admin: SocketAddr::new(bind, admin.admin_port),
            threads,
            max_connections: p.number("--max-connections", &max_connections, 1..=1_000_000),
            drain_delay: p.duration("--drain-delay", &drain_delay),
            shutdown_grace: p.duration("--shutdown-grace", &shutdown_grace),
            termination_log: termination_log.into(),
            traces,
            warnings: warnings(tensorflow_serving.tolerated),
        };
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(problems)
        }
    }
}

/// Flags of TensorFlow Serving that were given and have no effect.
fn warnings(tolerated: ToleratedArgs) -> Vec<String> {
    let warning = |flag| format!("--{flag} is accepted and has no effect here");
    tolerated.given().into_iter().map(warning).collect()
}

/// Judges values one by one; what is wrong is noted and replaced by anything.
struct Checker<'a>(&'a mut Problems);

impl Checker<'_> {
    fn number(&mut self, flag: &str, text: &str, range: std::ops::RangeInclusive<usize>) -> usize {
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (from, to) = (range.start(), range.end());
                self.0.add(
                    flag,
                    &format!("must be between {from} and {to}, is {text:?}"),
                );
                0
            }
        }
    }

    fn size(&mut self, flag: &str, text: &str) -> usize {
        let bytes = self.0.take(flag, units::bytes(text)).unwrap_or(1);
        match usize::try_from(bytes) {
            Ok(bytes) if bytes > 0 => bytes,
            _ => {
                self.0
                    .add(flag, &format!("must be at least 1, is {text:?}"));
                1
            }
        }
    }

    fn duration(&mut self, flag: &str, text: &str) -> Duration {
        self.0.take(flag, units::duration(text)).unwrap_or_default()
    }

    fn at_most(&mut self, flag: &str, text: &str, most: Duration) -> Duration {
        let duration = self.duration(flag, text);
        if duration > most {
            let rule = format!("must be at most {}s, is {text:?}", most.as_secs());
            self.0.add(flag, &rule);
        }
        duration
    }

    fn digest(&mut self, flag: &str, text: Option<&str>) -> Option<Digest> {
        let text = text?;
        let result = Digest::from_str(text).map_err(|rule| format!("{rule}, is {text:?}"));
        self.0.take(flag, result)
    }

    fn bind(&mut self, text: &str) -> IpAddr {
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'))
            .unwrap_or(text);
        bare.parse().unwrap_or_else(|_| {
            self.0.add(
                "--bind",
                &format!("must be an IP address such as [::], is {text:?}"),
            );
            IpAddr::from([0, 0, 0, 0])
        })
    }

    /// What goes into headers and URLs.
    fn name(&mut self, flag: &str, name: String) -> String {
        let visible = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'%');
        if name.is_empty() || name.len() > 253 || !name.bytes().all(visible) {
            self.0.add(
                flag,
                &format!("must be 1 to 253 visible characters without / : %, is {name:?}"),
            );
        }
        name
    }

    fn version(&mut self, text: &str) -> i64 {
        match text.parse() {
            Ok(version) if version >= 0 => version,
            _ => {
                self.0.add(
                    "--model-version",
                    &format!("must be a whole number from 0, is {text:?}"),
                );
                0
            }
        }
    }

    fn monitoring(&mut self, path: Option<&str>) -> Option<String> {
        let read = |text: String| {
            monitoring::read(&text).map_err(|error| format!("must be understood: {error}"))
        };
        let path = source::read_file(path?).and_then(read);
        self.0.take("--monitoring-config-file", path)?
    }

    fn labels(&mut self, text: &str) -> BTreeMap<String, i64> {
        let mut labels = BTreeMap::new();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            match pair
                .split_once('=')
                .map(|(label, version)| (label, version.parse()))
            {
                Some((label, Ok(version))) if !label.is_empty() => {
                    labels.insert(label.to_owned(), version);
                }
                _ => {
                    let rule = format!("must be a list such as stable=7,canary=7, is {text:?}");
                    self.0.add("--version-labels", &rule);
                }
            }
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parse;

    fn config(line: &str) -> Result<Config, Problems> {
        let words = line.split(' ').map(Into::into);
        Config::try_from(parse(words).unwrap().serve)
    }

    #[test]
    fn the_operators_flags_are_understood() {
        let config = config(
            "s --model-name=my_model --model-version=3 --revision=linear-abc --model-dir=/model/files \
             --rest-api-port=8501 --port=0 --shutdown-grace=65s --drain-delay=3s --engine=auto \
             --engine-workers=2 --max-body=16Mi --model-wait",
        )
        .unwrap();
        assert_eq!(config.settings.model_version, Some(3));
        assert_eq!(config.settings.max_body, 16 << 20);
        assert_eq!(config.settings.max_queue_rows, 1280);
        assert_eq!(config.data, ["[::]:8501".parse().unwrap()]);
        assert_eq!(config.shutdown_grace, Duration::from_secs(65));
        let Source::Folder(origin) = config.source else {
            panic!("not a folder")
        };
        assert!(origin.wait);
    }

    #[test]
    fn all_problems_are_found_in_one_pass() {
        let problems = config(
            "s --rest-api-port=0 --port=0 --max-body=1M --engine=onnx --drain-delay=3 --bind=x \
             --model-dir=/m --model-digest=md5:1 --model-version=-1 --version-labels=a --input-checks=none --max-in-flight=0",
        );
        let text = problems.unwrap_err().describe("aimass-server");
        assert!(
            text.starts_with("aimass-server: the configuration has 10 problems\n"),
            "{text}"
        );
        for flag in [
            "--model-digest (AIMASS_MODEL_DIGEST)",
            "--max-body",
            "--engine",
            "--drain-delay",
        ] {
            assert!(text.contains(flag), "{flag} is missing in {text}");
        }
    }

    #[test]
    fn labels_name_versions() {
        let config = config("s --model-dir=/m --version-labels=stable=7,canary=8").unwrap();
        assert_eq!(config.settings.labels.get("canary"), Some(&8));
    }
}
