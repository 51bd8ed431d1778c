//! `--monitoring_config_file`: TensorFlow Serving's MonitoringConfig.
//!
//! Pure. Called by `config.rs`.
//! Source: tensorflow_serving/config/monitoring_config.proto.

use super::text_proto::{Error, parse};

/// Where TensorFlow Serving shows its series unless told otherwise; the admin port always has them here.
pub const DEFAULT_PATH: &str = "/monitoring/prometheus/metrics";

/// The path on the data ports, if the file wants one.
pub(super) fn read(text: &str) -> Result<Option<String>, Error> {
    let (mut enable, mut path) = (false, DEFAULT_PATH.to_owned());
    for field in &parse(text)? {
        if field.name != "prometheus_config" {
            return Err(field.unknown("MonitoringConfig", "prometheus_config"));
        }
        for setting in field.message()? {
            match setting.name.as_str() {
                "enable" => enable = setting.boolean()?,
                "path" => {
                    setting.text()?.clone_into(&mut path);
                    if !is_free(&path) {
                        let rule = "an absolute path of visible characters outside of /v1 and /v2";
                        return Err(setting.wrong(rule));
                    }
                }
                _ => return Err(setting.unknown("prometheus_config", "enable, path")),
            }
        }
    }
    Ok(enable.then_some(path))
}

/// Whether a path can be had on the data ports beside the protocols.
fn is_free(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    path.starts_with('/')
        && !first.is_empty()
        && !first.eq_ignore_ascii_case("v1")
        && !first.eq_ignore_ascii_case("v2")
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'%'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_shown_where_the_file_says() {
        let path = |text: &str| read(text).unwrap();
        let text =
            "prometheus_config {\n  enable: true,\n  path: \"/monitoring/prometheus/metrics\"\n}\n";
        assert_eq!(
            path(text).as_deref(),
            Some("/monitoring/prometheus/metrics")
        );
        assert_eq!(
            path("prometheus_config { enable: true }").as_deref(),
            Some(DEFAULT_PATH)
        );
        assert_eq!(path("prometheus_config { path: '/metrics' }"), None);
        assert_eq!(path(""), None);
    }

    #[test]
    fn a_path_must_not_hide_the_api() {
        for wrong in [
            "metrics",
            "/",
            "",
            "/v1",
            "/V1/models",
            "/v2/health",
            "/a b",
            "/a?b",
        ] {
            let text = format!("prometheus_config {{ path: '{wrong}' }}");
            assert_eq!(
                read(&text).unwrap_err().to_string(),
                "line 1: path must be an absolute path of visible characters outside of /v1 and /v2",
                "{wrong}"
            );
        }
    }
}
