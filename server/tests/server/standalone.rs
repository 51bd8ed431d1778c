//! The real binary, started as TensorFlow Serving is: without Kubernetes, below a base path.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::process::{Running, binary, end, get, ports, terminate};
use super::serving::testdata;

/// A version that can be served, put into place in one step.
fn put(base: &Path, version: &str, model: impl AsRef<[u8]>) {
    let temporary = base.join("incoming.tmp");
    std::fs::create_dir_all(&temporary).unwrap();
    std::fs::write(temporary.join("model.onnx"), model).unwrap();
    std::fs::rename(temporary, base.join(version)).unwrap();
}

fn linear() -> Vec<u8> {
    std::fs::read(testdata().join("linear.onnx")).unwrap()
}

struct Server {
    running: Running,
    data: u16,
    admin: u16,
}

impl Server {
    /// Starts the binary with ports of its own.
    fn start(adjust: impl FnOnce(&mut Command)) -> Self {
        let [data, admin] = ports();
        let mut command = binary();
        command
            .args(["--bind=127.0.0.1", "--port=0", "--drain_delay=0s"])
            .arg(format!("--rest_api_port={data}"))
            .arg(format!("--admin_port={admin}"));
        adjust(&mut command);
        Self {
            running: Running(command.spawn().unwrap()),
            data,
            admin,
        }
    }

    fn below(base: &Path) -> Self {
        Self::start(|command| {
            command
                .arg("--model_name=my_model")
                .arg(format!("--model_base_path={}", base.display()));
        })
    }

    /// Waits until the page at `path` holds `text`.
    async fn until(&self, path: &str, text: &str) -> String {
        let mut last = None;
        for _ in 0..600 {
            last = get(self.data, path).await;
            if let Some(answer) = last.as_ref().filter(|answer| answer.contains(text)) {
                return answer.clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{path} does not hold {text}: {last:?}");
    }
}

fn status(version: &str, state: &str) -> String {
    format!(r#""version":"{version}","state":"{state}""#)
}

#[tokio::test]
async fn versions_are_served_as_they_come_and_go() {
    let base = tempfile::tempdir().unwrap();
    put(base.path(), "00000123", linear());
    let mut server = Server::below(base.path());
    let path = "/v1/models/my_model";
    server.until(path, &status("123", "AVAILABLE")).await;
    put(base.path(), "124", linear());
    let answer = server.until(path, &status("124", "AVAILABLE")).await;
    assert!(answer.contains(r#""version":"123""#), "{answer}");
    server.until(path, &status("123", "END")).await;
    let answer = get(server.data, "/v2/models/my_model").await.unwrap();
    assert!(answer.contains("aimass-model-version: 124\r\n"), "{answer}");

    put(base.path(), "125", "no model");
    let answer = server.until(path, &status("125", "END")).await;
    assert!(
        answer.contains("INVALID_ARGUMENT") && answer.contains(&status("124", "AVAILABLE")),
        "{answer}"
    );
    std::fs::remove_dir_all(base.path().join("124")).unwrap();
    server.until(path, &status("123", "AVAILABLE")).await;
    terminate(&server.running);
    assert_eq!(end(&mut server.running.0).await.code(), Some(0));
}

#[tokio::test]
async fn it_waits_for_the_first_version_and_says_so() {
    let base = tempfile::tempdir().unwrap();
    let server = Server::below(&base.path().join("later"));
    while get(server.admin, "/readyz").await.is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let answer = get(server.data, "/v1/models/my_model").await.unwrap();
    assert!(answer.contains("Could not find any versions of model my_model"));
    std::fs::create_dir(base.path().join("later")).unwrap();
    put(&base.path().join("later"), "1", linear());
    server
        .until("/v1/models/my_model", &status("1", "AVAILABLE"))
        .await;
}

#[tokio::test]
async fn the_environment_of_tensorflow_servings_image_is_understood() {
    let models = tempfile::tempdir().unwrap();
    std::fs::create_dir(models.path().join("half")).unwrap();
    put(&models.path().join("half"), "1", linear());
    let server = Server::start(|command| {
        command
            .env("MODEL_BASE_PATH", models.path())
            .env("MODEL_NAME", "half");
    });
    server
        .until("/v1/models/half", &status("1", "AVAILABLE"))
        .await;
}

#[tokio::test]
async fn configuration_files_and_tuning_flags_of_tensorflow_serving_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("models");
    std::fs::create_dir(&base).unwrap();
    put(&base, "1", linear());
    put(&base, "2", linear());
    let models = format!(
        "model_config_list {{ config {{ name: 'm' base_path: '{}' model_platform: 'tensorflow'\n\
         model_version_policy {{ specific {{ versions: 1 }} }} version_labels {{ key: 'old' value: 1 }} }} }}",
        base.display()
    );
    std::fs::write(folder.path().join("models.config"), models).unwrap();
    let monitoring = "prometheus_config { enable: true, path: \"/my/metrics\" }";
    std::fs::write(folder.path().join("monitoring.config"), monitoring).unwrap();
    let server = Server::start(|command| {
        let file = |name| folder.path().join(name).display().to_string();
        command
            // As the image's entry point has it, with what the user appends.
            .args(["--model_name=model", "--model_base_path=/models/model"])
            .arg(format!("--model_config_file={}", file("models.config")))
            .arg("--monitoring_config_file")
            .arg(file("monitoring.config"))
            .args(["--grpc_max_threads=8", "--enable_model_warmup"]);
    });
    server
        .until("/v1/models/m/labels/old", &status("1", "AVAILABLE"))
        .await;
    let types = "# TYPE :tensorflow:serving:request_count counter";
    server.until("/my/metrics", types).await;
    let admin = get(server.admin, "/monitoring/prometheus/metrics").await;
    assert!(admin.unwrap().contains(types));
    let data = get(server.data, "/monitoring/prometheus/metrics").await;
    assert!(data.unwrap().starts_with("HTTP/1.1 404"));
}

/// Exit code and last words of a start that fails.
async fn fails(arguments: &[&str], base: &Path) -> (Option<i32>, String) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut server = Server::start(|command| {
        command
            .args(arguments)
            .arg(format!("--model_base_path={}", base.display()))
            .arg(format!("--termination_log={}", log.path().display()));
    });
    let status = end(&mut server.running.0).await;
    (status.code(), std::fs::read_to_string(log.path()).unwrap())
}

#[tokio::test]
async fn a_saved_model_is_refused_with_the_way_out() {
    let base = tempfile::tempdir().unwrap();
    std::fs::create_dir(base.path().join("1")).unwrap();
    std::fs::write(base.path().join("1/saved_model.pb"), "x").unwrap();
    let (code, log) = fails(&[], base.path()).await;
    assert_eq!(code, Some(3));
    let text = "TensorFlow SavedModel is not supported; convert it to ONNX (tf2onnx)";
    assert!(log.contains(text), "{log}");
}

#[tokio::test]
async fn looking_once_and_finding_nothing_is_the_end() {
    let base = tempfile::tempdir().unwrap();
    let once = "--file_system_poll_wait_seconds=0";
    let (code, log) = fails(&[once], base.path()).await;
    assert_eq!(code, Some(4));
    assert!(log.contains("there is no version"), "{log}");
    let (code, _) = fails(&[once], &base.path().join("nowhere")).await;
    assert_eq!(code, Some(4));
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_64_and_all_problems() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("models.config");
    std::fs::write(&file, "model_config_list {\n config { }\n config { }\n}").unwrap();
    let output = binary()
        .arg(format!("--model_config_file={}", file.display()))
        .args(["--model_digest=x", "--file_system_poll_wait_seconds=-1"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).unwrap();
    for expect in [
        "has 3 problems",
        "--model-config-file (AIMASS_MODEL_CONFIG_FILE): must be understood: line 3: aimass-server serves one model; \
         start one process for each",
        "--model-digest (AIMASS_MODEL_DIGEST): must be combined with --model-dir",
        "--file-system-poll-wait-seconds (AIMASS_FILE_SYSTEM_POLL_WAIT_SECONDS): must be between 0 and 86400",
    ] {
        assert!(text.contains(expect), "{expect} is missing in {text}");
    }
    for arguments in [
        [
            "--model_base_path=gs://bucket/m",
            "--rest_api_timeout_in_ms=1",
        ],
        ["--model_dir=/m", "--model_base_path=/m"],
        ["--ssl_config_file=/tls", "--model_base_path=/m"],
    ] {
        let output = binary().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
    }
}
