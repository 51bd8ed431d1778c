//! What the settings mean: `Args` checked and turned into plain values.
//!
//! Pure. Called by `main`; tests build a [`Config`] by hand. All problems are found in one pass.

use std::path::PathBuf;

use aimass_chassis::args::Problems;
use aimass_chassis::traces::Export;
use aimass_plan::model::{Platform, Traces};

use crate::args::{Gateways as GatewaysArg, PlatformArgs, RunArgs};

/// Everything that an operator is told; it has no defaults of its own.
#[derive(Clone, Debug)]
pub struct Config {
    /// Namespace to watch; `None`: all.
    pub watch_namespace: Option<String>,
    /// Who may write.
    pub election: Election,
    /// The gateways whose signals are read; `None`: there are none.
    pub gateways: Option<Gateways>,
    /// What the installation says about all models.
    pub platform: Platform,
}

/// The gateways of the installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateways {
    /// Where they are.
    pub namespace: String,
    /// File with the token that they are shown.
    pub token_file: PathBuf,
}

/// Who may write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Election {
    /// This instance, always: for tests and single runs.
    Off,
    /// Whoever holds the Lease in this namespace; `None`: the client's own.
    Lease {
        /// Namespace of the Lease.
        namespace: Option<String>,
    },
}

impl TryFrom<&RunArgs> for Config {
    type Error = Problems;

    fn try_from(args: &RunArgs) -> Result<Self, Problems> {
        // The admin port and the logs are `main`'s business.
        let RunArgs {
            watch_namespace,
            leader_elect,
            lease_namespace,
            gateways,
            gateway_token_file,
            platform,
            admin: _,
            log: _,
        } = args;
        let mut problems = Problems::new();
        let watch_namespace = namespace("--watch-namespace", watch_namespace, &mut problems);
        let lease_namespace = namespace("--lease-namespace", lease_namespace, &mut problems);
        let namespace = (*gateways == GatewaysArg::Auto)
            .then(|| platform.gateway_namespace.clone())
            .filter(|namespace| !namespace.is_empty());
        let platform = collect_platform(platform, &mut problems);
        let gateways = namespace.map(|namespace| Gateways {
            namespace,
            token_file: gateway_token_file.clone(),
        });
        let election = match leader_elect {
            true => Election::Lease {
                namespace: lease_namespace,
            },
            false => Election::Off,
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            watch_namespace,
            election,
            gateways,
            platform,
        })
    }
}

/// What `render` needs of the settings.
pub(crate) fn platform(args: &PlatformArgs) -> Result<Platform, Problems> {
    let mut problems = Problems::new();
    let platform = collect_platform(args, &mut problems);
    if problems.is_empty() {
        Ok(platform)
    } else {
        Err(problems)
    }
}

fn collect_platform(args: &PlatformArgs, problems: &mut Problems) -> Platform {
    let PlatformArgs {
        server_image,
        onnxruntime_server_image,
        allow_http,
        allow_host,
        gateway_url,
        gateway_namespace,
        isolate_models,
        traces,
    } = args;
    let onnxruntime_image = onnxruntime_server_image
        .clone()
        .or_else(|| with_onnxruntime(server_image));
    let images = [
        ("--server-image", Some(server_image)),
        (
            "--onnxruntime-server-image",
            onnxruntime_server_image.as_ref(),
        ),
    ];
    for (flag, image) in images {
        if let Some(image) = image
            && (image.is_empty() || image.contains(char::is_whitespace))
        {
            problems.add(flag, &format!("must be an image reference, is {image:?}"));
        }
    }
    for host in allow_host {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        if host.is_empty() || host.len() > 253 || !host.chars().all(allowed) {
            let rule = format!("must be a host name or an address, is {host:?}");
            problems.add("--allow-host", &rule);
        }
    }
    let gateway_url = url("--gateway-url", gateway_url, problems);
    let gateway_namespace = namespace("--gateway-namespace", gateway_namespace, problems);
    let gateway_namespace = gateway_namespace.filter(|_| *isolate_models);
    let traces = Export::of(traces, problems).map(|export| Traces {
        endpoint: export.endpoint().to_owned(),
        ratio: export.ratio().to_string(),
    });
    Platform {
        server_image: server_image.clone(),
        onnxruntime_image,
        allow_http: *allow_http,
        allow_hosts: allow_host.clone(),
        traces,
        gateway_url,
        gateway_namespace,
        // Known once there is a client.
        operator_namespace: None,
    }
}

/// The variant of an image that `cargo xtask image` builds beside it. A digest names one image and no other.
fn with_onnxruntime(image: &str) -> Option<String> {
    let (_, name) = image.rsplit_once('/').unwrap_or(("", image));
    let has_tag = name.contains(':') && !name.contains('@');
    has_tag.then(|| format!("{image}-ort"))
}

/// An address without a path, or `None` if empty; a slash at its end is dropped.
fn url(flag: &str, value: &str, problems: &mut Problems) -> Option<String> {
    if value.is_empty() {
        return None;
    }
    let base = value.strip_suffix('/').unwrap_or(value);
    let host = base
        .strip_prefix("https://")
        .or_else(|| base.strip_prefix("http://"))
        .unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    // 256: with the names of namespace and model it must fit into status.url.
    let legal = !host.is_empty() && base.len() <= 256 && host.chars().all(allowed);
    if !legal {
        let rule = "must be https://HOST[:PORT] of at most 256 characters";
        problems.add(flag, &format!("{rule}, is {value:?}"));
    }
    Some(base.to_owned())
}

/// A namespace, or `None` if empty.
fn namespace(flag: &str, value: &str, problems: &mut Problems) -> Option<String> {
    if value.is_empty() {
        return None;
    }
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let legal = value.len() <= 63
        && value.chars().all(inner)
        && !value.starts_with('-')
        && !value.ends_with('-');
    if !legal {
        problems.add(
            flag,
            &format!("must be a namespace (at most 63 of a-z, 0-9 and -), is {value:?}"),
        );
    }
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::CommandLine;

    fn config(flags: &[&str]) -> Result<Config, Problems> {
        let command = ["aimass-operator"].iter().chain(flags);
        Config::try_from(&CommandLine::try_parse_from(command).unwrap().run)
    }

    #[test]
    fn the_defaults_watch_everything_and_elect_a_leader() {
        let config = config(&[]).unwrap();
        assert_eq!(config.watch_namespace, None);
        assert_eq!(config.election, Election::Lease { namespace: None });
        assert!(!config.platform.allow_http);
    }

    #[test]
    fn all_problems_are_found_in_one_pass() {
        let flags = [
            "--watch-namespace=A_b",
            "--server-image=",
            "--allow-host=a/b,good.example",
        ];
        let text = config(&flags).unwrap_err().describe("x");
        assert!(
            text.starts_with("x: the configuration has 3 problems\n  --watch-namespace"),
            "{text}"
        );
        assert!(text.contains("is \"A_b\""), "{text}");
        assert!(text.contains("\"a/b\"") && !text.contains("good"), "{text}");
    }

    #[test]
    fn the_image_with_onnxruntime_stands_beside_the_servers() {
        let image = |flags: &[&str]| config(flags).unwrap().platform.onnxruntime_image;
        let tagged = image(&["--server-image=a.example:5000/server:1"]);
        assert_eq!(tagged.as_deref(), Some("a.example:5000/server:1-ort"));
        assert_eq!(image(&["--server-image=a.example:5000/server"]), None);
        assert_eq!(image(&["--server-image=server:1@sha256:00"]), None);
        let said = image(&[
            "--server-image=server@sha256:00",
            "--onnxruntime-server-image=b",
        ]);
        assert_eq!(said.as_deref(), Some("b"));
    }

    #[test]
    fn the_gateway_is_none_unless_it_is_named() {
        let platform = |flags: &[&str]| config(flags).unwrap().platform;
        let none = platform(&[]);
        assert_eq!((none.gateway_url, none.gateway_namespace), (None, None));
        let some = platform(&[
            "--gateway-url=https://models.example:8443/",
            "--gateway-namespace=aimass-system",
        ]);
        let url = some.gateway_url.as_deref();
        assert_eq!(url, Some("https://models.example:8443"));
        assert_eq!(some.gateway_namespace.as_deref(), Some("aimass-system"));
        for bad in [
            "models.example",
            "https://",
            "https://a/b",
            "https://u@a",
            "ftp://a",
        ] {
            let text = config(&[&format!("--gateway-url={bad}")]).unwrap_err();
            assert!(text.describe("x").contains("--gateway-url"), "{bad}");
        }
    }

    #[test]
    fn gateways_are_read_where_they_are_named_unless_told_otherwise() {
        let found = |flags: &[&str]| {
            let config = config(flags).unwrap();
            let namespace = config.gateways.map(|gateways| gateways.namespace);
            (namespace, config.platform.gateway_namespace)
        };
        let some = || Some("aimass-system".to_owned());
        let named = "--gateway-namespace=aimass-system";
        assert_eq!(found(&[]), (None, None));
        assert_eq!(found(&[named]), (some(), some()));
        assert_eq!(found(&[named, "--gateways=none"]), (None, some()));
        assert_eq!(found(&[named, "--isolate-models=false"]), (some(), None));
        let config = config(&[named, "--gateway-token-file=/t"]).unwrap();
        assert_eq!(config.gateways.unwrap().token_file, PathBuf::from("/t"));
    }

    #[test]
    fn hosts_are_separated_by_commas_or_repeated() {
        let flags = ["--allow-host=a,b", "--allow-host=c"];
        assert_eq!(
            config(&flags).unwrap().platform.allow_hosts,
            ["a", "b", "c"]
        );
    }
}
