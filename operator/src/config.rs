//! What the settings mean: `Args` checked and turned into plain values.
//!
//! Pure. Called by `main`; tests build a [`Config`] by hand. All problems are found in one pass.

use aimass_chassis::args::Problems;
use aimass_plan::model::Platform;

use crate::args::{PlatformArgs, RunArgs};

/// Everything that an operator is told; it has no defaults of its own.
#[derive(Clone, Debug)]
pub struct Config {
    /// Namespace to watch; `None`: all.
    pub watch_namespace: Option<String>,
    /// Who may write.
    pub election: Election,
    /// What the installation says about all models.
    pub platform: Platform,
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
            platform,
            admin: _,
            log: _,
        } = args;
        let mut problems = Problems::new();
        let watch_namespace = namespace("--watch-namespace", watch_namespace, &mut problems);
        let lease_namespace = namespace("--lease-namespace", lease_namespace, &mut problems);
        let platform = collect_platform(platform, &mut problems);
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
        allow_http,
        allow_host,
    } = args;
    if server_image.is_empty() || server_image.contains(char::is_whitespace) {
        let rule = format!("must be an image reference, is {server_image:?}");
        problems.add("--server-image", &rule);
    }
    for host in allow_host {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        if host.is_empty() || host.len() > 253 || !host.chars().all(allowed) {
            let rule = format!("must be a host name or an address, is {host:?}");
            problems.add("--allow-host", &rule);
        }
    }
    Platform {
        server_image: server_image.clone(),
        allow_http: *allow_http,
        allow_hosts: allow_host.clone(),
    }
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
    fn hosts_are_separated_by_commas_or_repeated() {
        let flags = ["--allow-host=a,b", "--allow-host=c"];
        assert_eq!(
            config(&flags).unwrap().platform.allow_hosts,
            ["a", "b", "c"]
        );
    }
}
