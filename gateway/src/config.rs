//! From the command line to plain values: every problem is found in one pass.
//!
//! Pure. Called by `start.rs`; what comes out is passed down and never changed.

mod operator;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::args::Problems;
use aimass_chassis::traces::Export;
use aimass_chassis::units;
use aimass_crds::network::Cidr;

pub use self::operator::Operator;
use crate::args::CommandLine;
use crate::limit::OwnerLoss;
use crate::table::Network;

/// What the gateway does.
#[derive(Clone, Debug)]
pub struct Config {
    /// How requests are answered.
    pub settings: Settings,
    /// Where HTTPS is spoken, and the folder of the certificate.
    pub https: Option<Https>,
    /// Where plain HTTP is spoken.
    pub http: Option<Http>,
    /// The admin port.
    pub admin: SocketAddr,
    /// Namespaces whose objects are watched; empty: all.
    pub namespaces: Vec<Arc<str>>,
    /// Whom tokens of Kubernetes must be meant for; without it none is accepted.
    pub token_audience: Option<Arc<str>>,
    /// Connections at once, on each port.
    pub max_connections: usize,
    /// Between the signal and the end of accepting.
    pub drain_delay: Duration,
    /// For requests in flight after that, unless a model allows its own more.
    pub shutdown_grace: Duration,
    /// The cluster, if it is not the one around.
    pub kubeconfig: Option<PathBuf>,
    /// Which pod this is, if it counts limits together with others.
    pub pod: Option<Pod>,
    /// What holds while another one cannot be asked that counts.
    pub owner_loss: OwnerLoss,
    /// Who reads what this gateway sees, if anybody; then `pod` is known, too.
    pub operator: Option<Operator>,
    /// Where traces are sent, if anywhere.
    pub traces: Option<Export>,
}

/// A gateway's own pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.uid`
    pub uid: Arc<str>,
    /// `metadata.namespace`
    pub namespace: Arc<str>,
    /// The token that it shows to the other gateways.
    pub token_file: PathBuf,
}

/// How requests are answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Hosts `name.namespace.domain` name models.
    pub domain: Option<Arc<str>>,
    /// The namespace that is meant where nothing else says one.
    pub default_project: Option<Arc<str>>,
    /// The plan of callers who have no other.
    pub default_plan: Option<Arc<str>>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Share of the successes that the access log tells.
    pub access_log_sample: f64,
}

/// The port with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Https {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where tls.crt and tls.key are.
    pub folder: PathBuf,
}

/// The port without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it is for.
    pub plain: Plain,
}

/// What plain HTTP is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// To send callers to HTTPS.
    Redirect,
    /// The same as HTTPS.
    Serve,
}

impl TryFrom<CommandLine> for Config {
    type Error = Problems;

    fn try_from(args: CommandLine) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        // Taken apart without `..`: a flag that is not used is a warning.
        let CommandLine {
            bind,
            https_port,
            http_port,
            plain,
            tls_dir,
            domain,
            default_project,
            namespaces,
            default_plan,
            token_audience,
            trusted_proxies,
            max_connections,
            access_log_sample,
            drain_delay,
            shutdown_grace,
            kubeconfig,
            pod_uid,
            pod_namespace,
            peer_token_file,
            signals_reader,
            operator_token_file,
            on_owner_loss,
            admin,
            log: _, // used by `start` before anything else
            traces,
        } = args;
        let mut p = Checker(&mut problems);
        let bind = p.bind(&bind);
        let folder = given(tls_dir).map(PathBuf::from);
        let https_port = p.port("--https-port", &https_port, 1);
        let http_port = p.port("--http-port", &http_port, 0);
        let plain = p.plain(plain.as_deref(), folder.is_some());
        let http = (http_port > 0).then(|| Http {
            address: SocketAddr::new(bind, http_port),
            plain,
        });
        let https = folder.map(|folder| Https {
            address: SocketAddr::new(bind, https_port),
            folder,
        });
        if http.is_none() && https.is_none() {
            p.0.add("--http-port", "must not be 0 without --tls-dir");
        }
        p.differ(https.as_ref(), http.as_ref(), admin.admin_port);
        let settings = Settings {
            domain: given(domain).map(|domain| p.domain(&domain)),
            default_project: given(default_project).map(|name| p.label("--default-project", &name)),
            default_plan: given(default_plan).map(|name| p.label("--default-plan", &name)),
            trusted_proxies: p.networks("--trusted-proxies", &trusted_proxies),
            access_log_sample: p.share("--access-log-sample", &access_log_sample),
        };
        let pod = p.pod([pod_uid, pod_namespace, peer_token_file].map(given));
        let operator = [signals_reader, operator_token_file].map(given);
        let operator = p.operator(operator, pod.is_some());
        let namespaces = namespaces.iter().filter(|name| !name.is_empty());
        let namespaces = namespaces.map(|name| p.label("--namespaces", name));
        let config = Self {
            settings,
            https,
            http,
            admin: SocketAddr::new(bind, admin.admin_port),
            namespaces: namespaces.collect(),
            token_audience: given(Some(token_audience)).map(|text| p.audience(&text)),
            max_connections: p.number("--max-connections", &max_connections, 1..=1_000_000),
            drain_delay: p.duration("--drain-delay", &drain_delay),
            shutdown_grace: p.duration("--shutdown-grace", &shutdown_grace),
            kubeconfig: given(kubeconfig).map(PathBuf::from),
            pod,
            owner_loss: p.owner_loss(&on_owner_loss),
            operator,
            traces: Export::of(&traces, &mut problems),
        };
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(problems)
        }
    }
}

/// An empty value is as good as none: the chart passes those that are not set.
fn given(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.is_empty())
}

/// Judges values one by one; what is wrong is noted and replaced by anything.
struct Checker<'a>(&'a mut Problems);

impl Checker<'_> {
    fn number(&mut self, flag: &str, text: &str, range: std::ops::RangeInclusive<usize>) -> usize {
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (from, to) = (range.start(), range.end());
                let rule = format!("must be between {from} and {to}, is {text:?}");
                self.0.add(flag, &rule);
                *from
            }
        }
    }

    fn port(&mut self, flag: &str, text: &str, least: usize) -> u16 {
        u16::try_from(self.number(flag, text, least..=65_535)).unwrap_or_default()
    }

    fn duration(&mut self, flag: &str, text: &str) -> Duration {
        let duration = self.0.take(flag, units::duration(text)).unwrap_or_default();
        if duration > Duration::from_secs(3600) {
            self.0
                .add(flag, &format!("must be at most 1h, is {text:?}"));
        }
        duration
    }

    fn bind(&mut self, text: &str) -> IpAddr {
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'))
            .unwrap_or(text);
        bare.parse().unwrap_or_else(|_| {
            let rule = format!("must be an IP address such as [::], is {text:?}");
            self.0.add("--bind", &rule);
            IpAddr::from([0, 0, 0, 0])
        })
    }

    fn plain(&mut self, text: Option<&str>, tls: bool) -> Plain {
        match text {
            None | Some("") if tls => Plain::Redirect,
            None | Some("" | "serve") => Plain::Serve,
            Some("redirect") if tls => Plain::Redirect,
            Some("redirect") => {
                let rule = "must be serve without --tls-dir: there is no HTTPS to redirect to";
                self.0.add("--plain", rule);
                Plain::Serve
            }
            Some(other) => {
                let rule = format!("must be redirect or serve, is {other:?}");
                self.0.add("--plain", &rule);
                Plain::Serve
            }
        }
    }

    fn differ(&mut self, https: Option<&Https>, http: Option<&Http>, admin: u16) {
        let https = https.map(|https| https.address.port());
        let http = http.map(|http| http.address.port());
        if https.is_some() && https == http || [https, http].contains(&Some(admin)) {
            let rule = "must differ from --http-port, and both from --admin-port";
            self.0.add("--https-port", rule);
        }
    }

    /// A name of a namespace or of a UsagePlan.
    fn label(&mut self, flag: &str, text: &str) -> Arc<str> {
        if !is_label(text) {
            let rule = format!("must be a name (at most 63 of a-z, 0-9 and -), is {text:?}");
            self.0.add(flag, &rule);
        }
        text.into()
    }

    /// All of it is known of a gateway's pod, or nothing.
    fn pod(&mut self, parts: [Option<String>; 3]) -> Option<Pod> {
        match parts {
            [Some(uid), Some(namespace), Some(token_file)] => {
                if uid.len() > 64 || !uid.bytes().all(|byte| byte.is_ascii_graphic()) {
                    let rule = format!("must be the uid of a pod, is {uid:?}");
                    self.0.add("--pod-uid", &rule);
                }
                Some(Pod {
                    uid: uid.into(),
                    namespace: self.label("--pod-namespace", &namespace),
                    token_file: token_file.into(),
                })
            }
            [None, None, None] => None,
            [uid, _, _] => {
                let rule = "must be given together with --pod-namespace and --peer-token-file, or \
                            none of them";
                self.0.add("--pod-uid", &format!("{rule}; is {uid:?}"));
                None
            }
        }
    }

    fn owner_loss(&mut self, text: &str) -> OwnerLoss {
        match text {
            "share" => OwnerLoss::Share,
            "refuse" => OwnerLoss::Refuse,
            other => {
                let rule = format!("must be share or refuse, is {other:?}");
                self.0.add("--on-owner-loss", &rule);
                OwnerLoss::Share
            }
        }
    }

    fn domain(&mut self, text: &str) -> Arc<str> {
        let lower = text.to_ascii_lowercase();
        if lower.len() > 253 || !lower.split('.').all(is_label) {
            let rule = format!("must be a domain such as models.example.com, is {text:?}");
            self.0.add("--domain", &rule);
        }
        lower.into()
    }

    /// Any word will do, as long as it can be written into a token, a manifest and an argument without escaping.
    fn audience(&mut self, text: &str) -> Arc<str> {
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',');
        if text.len() > 253 || !text.bytes().all(plain) {
            let rule =
                format!("must be one word of at most 253 characters such as aimass, is {text:?}");
            self.0.add("--token-audience", &rule);
        }
        text.into()
    }

    fn networks(&mut self, flag: &str, texts: &[String]) -> Vec<Network> {
        let mut networks = Vec::with_capacity(texts.len());
        for text in texts.iter().filter(|text| !text.is_empty()) {
            match Cidr(text.clone()).get() {
                Some((address, prefix)) => networks.push(Network { address, prefix }),
                None => {
                    let rule = format!("must hold ranges such as 10.0.0.0/8, holds {text:?}");
                    self.0.add(flag, &rule);
                }
            }
        }
        networks
    }

    fn share(&mut self, flag: &str, text: &str) -> f64 {
        let share = text.parse::<f64>().ok();
        share
            .filter(|share| (0.0..=1.0).contains(share))
            .unwrap_or_else(|| {
                let rule = format!("must be between 0 and 1, is {text:?}");
                self.0.add(flag, &rule);
                1.0
            })
    }
}

/// A DNS label: at most 63 of a-z, 0-9 and, inside, -.
fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parse;

    fn config(line: &str) -> Result<Config, Problems> {
        let words = line.split(' ').map(Into::into);
        Config::try_from(parse(words).unwrap())
    }

    #[test]
    fn without_a_certificate_plain_http_serves() {
        let config = config("g").unwrap();
        assert_eq!(config.https, None);
        let http = config.http.unwrap();
        assert_eq!(
            (http.address, http.plain),
            ("[::]:8080".parse().unwrap(), Plain::Serve)
        );
        assert_eq!(config.admin, "[::]:8502".parse().unwrap());
        assert_eq!(config.shutdown_grace, Duration::from_secs(65));
        assert_eq!(config.settings.access_log_sample, 1.0);
        assert!(config.namespaces.is_empty() && config.traces.is_none());
        assert_eq!(config.token_audience.as_deref(), Some("aimass"));
    }

    #[test]
    fn with_a_certificate_plain_http_redirects_unless_told_otherwise() {
        let plain = |line: &str| config(line).unwrap().http.map(|http| http.plain);
        assert_eq!(plain("g --tls-dir=/tls"), Some(Plain::Redirect));
        assert_eq!(plain("g --tls-dir=/tls --plain=serve"), Some(Plain::Serve));
        assert_eq!(plain("g --tls-dir=/tls --http-port=0"), None);
        let https = config("g --tls-dir=/tls --bind=127.0.0.1").unwrap().https;
        let https = https.unwrap();
        assert_eq!(https.address, "127.0.0.1:8443".parse().unwrap());
        assert_eq!(https.folder, PathBuf::from("/tls"));
    }

    #[test]
    fn what_is_left_empty_is_not_set() {
        let line = "g --tls-dir= --domain= --default-project= --default-plan= --plain= --namespaces= \
                    --trusted-proxies= --kubeconfig= --token-audience= --pod-uid= --pod-namespace= \
                    --peer-token-file= --signals-reader= --operator-token-file=";
        let config = config(line).unwrap();
        let expect = Settings {
            access_log_sample: 1.0,
            ..Settings::default()
        };
        assert_eq!(config.settings, expect);
        assert!(config.https.is_none() && config.kubeconfig.is_none() && config.pod.is_none());
        assert_eq!(config.token_audience, None);
    }

    #[test]
    fn lists_and_names_are_understood() {
        let line = "g --namespaces=a,b --trusted-proxies=10.0.0.0/8,fd00::/8 --domain=Models.Example.com \
                    --default-project=a --default-plan=free --access-log-sample=0.25";
        let config = config(line).unwrap();
        assert_eq!(config.namespaces, ["a".into(), "b".into()]);
        let settings = config.settings;
        assert_eq!(settings.trusted_proxies.len(), 2);
        assert_eq!(settings.domain.as_deref(), Some("models.example.com"));
        assert_eq!(settings.default_plan.as_deref(), Some("free"));
        assert_eq!(settings.access_log_sample, 0.25);
    }

    #[test]
    fn a_pod_is_named_by_its_uid_and_its_namespace_and_has_a_token() {
        let line = "g --pod-uid=7f3a-1 --pod-namespace=aimass-system --peer-token-file=/t/token";
        let config = config(line).unwrap();
        let expect = Pod {
            uid: "7f3a-1".into(),
            namespace: "aimass-system".into(),
            token_file: "/t/token".into(),
        };
        assert_eq!(config.pod, Some(expect));
        assert_eq!(config.owner_loss, OwnerLoss::Share);
        for line in [
            "g --pod-uid=7f3a-1",
            "g --pod-uid=7f3a-1 --pod-namespace=a",
            "g --pod-namespace=a --peer-token-file=t",
            "g --peer-token-file=t",
            "g --pod-uid=ü --pod-namespace=a --peer-token-file=t",
        ] {
            let text = self::config(line).unwrap_err().describe("g");
            assert!(
                text.contains("1 problem\n") && text.contains("--pod-uid"),
                "{text}"
            );
        }
    }

    #[test]
    fn all_problems_are_found_in_one_pass() {
        let problems = config(
            "g --https-port=0 --http-port=x --plain=yes --bind=all --domain=a_b --default-project=A --namespaces=a,B \
             --trusted-proxies=10.0.0.0 --access-log-sample=2 --drain-delay=5 --shutdown-grace=2h --max-connections=0 \
             --trace-ratio=7 --on-owner-loss=wait",
        );
        let text = problems.unwrap_err().describe("aimass-gateway");
        assert!(
            text.starts_with("aimass-gateway: the configuration has 15 problems\n"),
            "{text}"
        );
        for flag in [
            "--https-port (AIMASS_HTTPS_PORT): must be between 1 and 65535, is \"0\"",
            "--plain (AIMASS_PLAIN): must be redirect or serve, is \"yes\"",
            "--trusted-proxies",
            "--shutdown-grace",
            "--trace-ratio",
        ] {
            assert!(text.contains(flag), "{flag} is missing in {text}");
        }
    }

    #[test]
    fn an_audience_is_one_word() {
        let of = |text: &str| config(&format!("g --token-audience={text}"));
        let url = "https://models.example.com/";
        assert_eq!(of(url).unwrap().token_audience.as_deref(), Some(url));
        let long = "a".repeat(254);
        for text in ["a\tb", "a,b", "ä", "\"a\"", &long] {
            let problems = of(text).unwrap_err().describe("g");
            assert!(problems.contains("--token-audience"), "{text}: {problems}");
        }
    }

    #[test]
    fn ports_must_differ_and_there_must_be_one() {
        for line in [
            "g --tls-dir=/tls --https-port=8080",
            "g --http-port=8502",
            "g --tls-dir=/tls --https-port=8502",
            "g --http-port=0",
            "g --plain=redirect",
        ] {
            let text = config(line).unwrap_err().describe("g");
            assert!(text.contains("1 problem\n"), "{line}: {text}");
        }
    }
}
