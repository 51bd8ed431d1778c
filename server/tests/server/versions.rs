//! Versions that come and go below a base path, in process: models that answer with their own number, so that an answer
//! tells which version made it, and that tell when they are freed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aimass_protocol::{Data, DataType, Dim, Signature, Tensor, TensorSpec};
use aimass_server::config::Versions;
use aimass_server::engine::{Engine, Failure, Memory, Shapes};
use aimass_server::fatal::{Fatal, Reason};
use aimass_server::loader::follow::follow;
use aimass_server::model::Model;
use aimass_server::state::Settings;
use aimass_server::versions::{Policy, Retries};
use serde_json::Value;
use tokio::sync::Notify;

use super::serving::{Answer, Server, settings};

const ONE_ROW: &str = r#"{"instances":[1]}"#;

/// What all models of a test share.
#[derive(Default)]
struct World {
    /// Models in memory.
    alive: AtomicUsize,
    /// Loads begun, by version.
    loads: Mutex<BTreeMap<i64, u32>>,
    /// Whether runs wait until they may go on.
    held: AtomicBool,
    /// A run began.
    running: Notify,
}

/// Answers every row with its version, as its file said at the load.
struct Number {
    signature: Signature,
    value: f32,
    world: Arc<World>,
}

impl Drop for Number {
    fn drop(&mut self) {
        self.world.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Engine for Number {
    fn name(&self) -> &'static str {
        "number"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn prepare(&self, _: &Shapes) -> Result<(), Failure> {
        Ok(())
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        self.world.running.notify_one();
        while self.world.held.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let input = &inputs[0];
        assert!(!matches!(input.data(), Data::Fp32(values) if values.contains(&13.0)));
        let rows = vec![self.value; input.shape()[0]];
        Ok(vec![
            Tensor::new(input.shape().to_vec(), Data::Fp32(rows)).unwrap(),
        ])
    }

    fn memory(&self) -> Memory {
        Memory::default()
    }
}

/// Loads `<version>/model.onnx`: a number that is the model's answer, or the name of a failure.
fn load(folder: &Path, world: &Arc<World>) -> Result<Model, Fatal> {
    let version: i64 = folder
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    *world.loads.lock().unwrap().entry(version).or_default() += 1;
    let file = folder.join("model.onnx");
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let value = match text.as_str() {
        "bad" => return Err(Fatal::new(Reason::ModelLoadFailed, "node a: is bad")),
        "unreadable" => return Err(Fatal::new(Reason::ArtifactUnavailable, "is away")),
        "grows" => {
            std::fs::write(&file, version.to_string()).unwrap();
            0.0
        }
        number => number.parse().unwrap(),
    };
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        datatype: DataType::Fp32,
        shape: Some(vec![Dim::Unknown]),
    };
    world.alive.fetch_add(1, Ordering::SeqCst);
    let engine = Number {
        signature: Signature::new(vec![spec("x")], vec![spec("y")]),
        value,
        world: Arc::clone(world),
    };
    Ok(Model::new(Box::new(engine), "sha256:0".to_owned()))
}

/// A server that follows a base path, until the test ends.
struct Following {
    server: Arc<Server>,
    base: tempfile::TempDir,
    world: Arc<World>,
    thread: Option<std::thread::JoinHandle<Result<(), Fatal>>>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.world.held.store(false, Ordering::SeqCst);
        self.server.state.stop();
    }
}

fn versions(base: &Path) -> Versions {
    Versions {
        base: base.to_owned(),
        policy: Policy::Latest,
        poll: Some(Duration::from_millis(10)),
        retries: Retries {
            max: 3,
            interval: Duration::from_millis(10),
        },
    }
}

impl Following {
    fn new(files: &[(i64, &str)]) -> Self {
        Self::by(files, |_| {})
    }

    fn by(files: &[(i64, &str)], adjust: impl FnOnce(&mut Versions)) -> Self {
        let base = tempfile::tempdir().unwrap();
        let world = Arc::new(World::default());
        let settings = Settings {
            model_version: None,
            workers: 2,
            ..settings()
        };
        let server = Server::loading(settings);
        aimass_server::workers::start(2, &server.state).unwrap();
        let mut versions = versions(base.path());
        adjust(&mut versions);
        for (version, text) in files {
            put(base.path(), *version, text);
        }
        let reload = server.reload.lock().unwrap().take().unwrap();
        let (state, loading) = (server.state.clone(), Arc::clone(&world));
        let thread = std::thread::spawn(move || {
            let load = |folder: &Path, _| load(folder, &loading);
            follow(&versions, &load, &state, &reload)
        });
        Self {
            server: Arc::new(server),
            base,
            world,
            thread: Some(thread),
        }
    }

    fn put(&self, version: i64, text: &str) {
        put(self.base.path(), version, text);
    }

    fn remove(&self, version: i64) {
        std::fs::remove_dir_all(self.base.path().join(version.to_string())).unwrap();
    }

    async fn predict(&self) -> Answer {
        self.server.post("/v1/models/m:predict", ONE_ROW).await
    }

    /// `(version, state, error_code)` of all versions.
    async fn states(&self) -> Vec<(String, String, String)> {
        let answer = self.server.get("/v1/models/m").await;
        if answer.status != 200 {
            return Vec::new();
        }
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let status = |status: &Value| {
            let code = text(&status["status"]["error_code"]);
            (text(&status["version"]), text(&status["state"]), code)
        };
        let json = answer.json();
        let versions = json["model_version_status"].as_array().unwrap();
        versions.iter().map(status).collect()
    }

    /// Waits until the versions are in these states.
    async fn until(&self, expect: &[(&str, &str, &str)]) {
        let mut last = Vec::new();
        for _ in 0..3000 {
            last = self.states().await;
            let same =
                |((a, b, c), (x, y, z)): (&(String, String, String), &(&str, &str, &str))| {
                    a == x && b == y && c == z
                };
            if last.len() == expect.len() && last.iter().zip(expect).all(same) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the versions are {last:?}, not {expect:?}");
    }

    async fn until_alive(&self, models: usize) {
        for _ in 0..3000 {
            if self.world.alive.load(Ordering::SeqCst) == models {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!(
            "{} models are alive",
            self.world.alive.load(Ordering::SeqCst)
        );
    }

    fn loads(&self, version: i64) -> u32 {
        let loads = self.world.loads.lock().unwrap();
        loads.get(&version).copied().unwrap_or_default()
    }
}

/// As it should be done: complete beside the base path's versions, then renamed.
fn put(base: &Path, version: i64, text: &str) {
    let (temporary, folder) = (base.join("incoming"), base.join(version.to_string()));
    std::fs::create_dir_all(&temporary).unwrap();
    std::fs::write(temporary.join("model.onnx"), text).unwrap();
    let _absent = std::fs::remove_dir_all(&folder);
    std::fs::rename(&temporary, &folder).unwrap();
}

const AVAILABLE: &str = "AVAILABLE";

#[tokio::test]
async fn before_there_is_a_version_nothing_is_known_and_callers_come_again() {
    let following = Following::new(&[]);
    let answer = following.predict().await;
    assert_eq!(
        (
            answer.status,
            answer.error().as_str(),
            answer.header("aimass-model-version")
        ),
        (503, "Model m is not ready: Loading", "")
    );
    let answer = following.server.get("/v1/models/m").await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (404, "Could not find any versions of model m")
    );
    following.put(1, "1");
    following.until(&[("1", AVAILABLE, "OK")]).await;
    assert_eq!(following.predict().await.status, 200);
}

#[tokio::test]
async fn the_highest_version_is_served_and_named_everywhere() {
    let following = Following::new(&[(3, "3"), (20, "20")]);
    following.until(&[("20", AVAILABLE, "OK")]).await;
    let answer = following.predict().await;
    assert_eq!(
        (answer.text(), answer.header("aimass-model-version")),
        (r#"{"predictions":[20.0]}"#, "20")
    );
    let server = &following.server;
    let version = |json: Value, path: &str| json.pointer(path).cloned();
    let answer = server.get("/v1/models/m/metadata").await;
    assert_eq!(
        version(answer.json(), "/model_spec/version"),
        Some("20".into())
    );
    let answer = server.get("/v2/models/m").await;
    assert_eq!(version(answer.json(), "/versions/0"), Some("20".into()));
    let body = r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}"#;
    let answer = server.post("/v2/models/m/versions/20/infer", body).await;
    assert_eq!(version(answer.json(), "/model_version"), Some("20".into()));
    assert_eq!(
        server
            .post("/v2/models/m/versions/3/infer", body)
            .await
            .status,
        404
    );
    let of = |version| format!("/v1/models/m/versions/{version}:predict");
    assert_eq!(server.post(&of(20), ONE_ROW).await.status, 200);
    assert_eq!(
        server.post(&of(3), ONE_ROW).await.error(),
        "Servable not found for request: Specific(m, 3)"
    );
}

#[tokio::test]
async fn a_new_version_replaces_the_old_one_which_is_freed() {
    let following = Following::new(&[(1, "1")]);
    following.until(&[("1", AVAILABLE, "OK")]).await;
    following.put(2, "2");
    following
        .until(&[("2", AVAILABLE, "OK"), ("1", "END", "OK")])
        .await;
    following.until_alive(1).await;
    assert_eq!(following.predict().await.text(), r#"{"predictions":[2.0]}"#);
    assert!(following.server.metrics().contains("version=\"2\""));
    assert!(!following.server.metrics().contains("version=\"1\""));
}

#[tokio::test]
async fn a_request_under_way_ends_on_the_version_it_was_read_for() {
    let following = Following::new(&[(1, "1")]);
    following.until(&[("1", AVAILABLE, "OK")]).await;
    following.world.held.store(true, Ordering::SeqCst);
    let server = Arc::clone(&following.server);
    let under_way = async { server.post("/v1/models/m:predict", ONE_ROW).await };
    let change = async {
        following.world.running.notified().await;
        following.put(2, "2");
        following
            .until(&[("2", AVAILABLE, "OK"), ("1", "UNLOADING", "OK")])
            .await;
        assert_eq!(following.world.alive.load(Ordering::SeqCst), 2);
        // A third one has to wait: never three models in memory.
        following.put(3, "3");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(following.loads(3), 0);
        following.world.held.store(false, Ordering::SeqCst);
    };
    let (answer, ()) = tokio::join!(under_way, change);
    assert_eq!(
        (answer.text(), answer.header("aimass-model-version")),
        (r#"{"predictions":[1.0]}"#, "1")
    );
    following
        .until(&[
            ("3", AVAILABLE, "OK"),
            ("2", "END", "OK"),
            ("1", "END", "OK"),
        ])
        .await;
    following.until_alive(1).await;
}

/// S30: many swaps while requests never pause: none fails, and each is made by the version that it names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_and_each_answer_is_of_one_version_while_versions_change() {
    let following = Arc::new(Following::new(&[(1, "1")]));
    following.until(&[("1", AVAILABLE, "OK")]).await;
    let done = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (server, done) = (Arc::clone(&following.server), Arc::clone(&done));
        let answered = Arc::clone(&answered);
        callers.spawn(async move {
            let mut last = 0;
            while !done.load(Ordering::SeqCst) {
                let answer = server.post("/v1/models/m:predict", ONE_ROW).await;
                let version: i64 = answer.header("aimass-model-version").parse().unwrap();
                assert_eq!(answer.status, 200, "{answer:?}");
                assert_eq!(
                    answer.json()["predictions"][0],
                    version as f64,
                    "{answer:?}"
                );
                assert!(version >= last, "{version} after {last}");
                last = version;
                answered.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    for version in 2..12 {
        following.put(version, &version.to_string());
        let text = version.to_string();
        loop {
            let states = following.states().await;
            if states
                .first()
                .is_some_and(|(v, state, _)| *v == text && state == AVAILABLE)
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    done.store(true, Ordering::SeqCst);
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    assert!(answered.load(Ordering::SeqCst) > 100);
    following.until_alive(1).await;
}

#[tokio::test]
async fn a_version_that_is_refused_leaves_the_old_one_serving() {
    let following = Following::new(&[(1, "1")]);
    following.until(&[("1", AVAILABLE, "OK")]).await;
    following.put(2, "bad");
    following
        .until(&[("2", "END", "INVALID_ARGUMENT"), ("1", AVAILABLE, "OK")])
        .await;
    let status = following.server.get("/v1/models/m/versions/2").await.json();
    let expect = serde_json::json!({"model_version_status": [{
        "version": "2", "state": "END",
        "status": {"error_code": "INVALID_ARGUMENT", "error_message": "node a: is bad"},
    }]});
    assert_eq!(status, expect);
    assert_eq!(following.predict().await.text(), r#"{"predictions":[1.0]}"#);
    assert_eq!(following.loads(2), 1, "the same files are not tried again");
    following.put(2, "2");
    following
        .until(&[("2", AVAILABLE, "OK"), ("1", "END", "OK")])
        .await;
}

#[tokio::test]
async fn what_cannot_be_read_is_tried_again_so_often() {
    let following = Following::new(&[(1, "1")]);
    following.until(&[("1", AVAILABLE, "OK")]).await;
    following.put(2, "unreadable");
    while following.loads(2) < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    following
        .until(&[("2", "END", "UNAVAILABLE"), ("1", AVAILABLE, "OK")])
        .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(following.loads(2), 4, "the first try and three more");
}

#[tokio::test]
async fn a_folder_that_goes_gives_way_to_the_highest_left_and_the_last_one_serves_on() {
    let following = Following::new(&[(1, "1"), (2, "2")]);
    following.until(&[("2", AVAILABLE, "OK")]).await;
    following.remove(2);
    following
        .until(&[("2", "END", "OK"), ("1", AVAILABLE, "OK")])
        .await;
    following.remove(1);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(following.predict().await.text(), r#"{"predictions":[1.0]}"#);
}

#[tokio::test]
async fn files_that_change_while_they_are_read_do_not_count() {
    let following = Following::new(&[(1, "grows")]);
    following.until(&[("1", AVAILABLE, "OK")]).await;
    assert_eq!(following.predict().await.text(), r#"{"predictions":[1.0]}"#);
    assert_eq!(following.loads(1), 2);
    following.until_alive(1).await;
}

#[tokio::test]
async fn a_start_falls_back_to_the_version_below_a_bad_one() {
    let following = Following::new(&[(1, "1"), (2, "bad")]);
    following
        .until(&[("2", "END", "INVALID_ARGUMENT"), ("1", AVAILABLE, "OK")])
        .await;
}

#[tokio::test]
async fn a_start_with_bad_versions_only_ends_with_the_highest_ones_reason() {
    let mut following = Following::new(&[(1, "unreadable"), (2, "bad")]);
    let thread = following.thread.take().unwrap();
    let end = tokio::task::spawn_blocking(|| thread.join().unwrap());
    let fatal = end.await.unwrap().unwrap_err();
    assert_eq!(fatal.message, "node a: is bad");
    assert_eq!(following.loads(1), 4);
}

#[tokio::test]
async fn looking_once_takes_what_is_there_and_nothing_later() {
    let following = Following::by(&[(1, "1")], |versions| versions.poll = None);
    following.until(&[("1", AVAILABLE, "OK")]).await;
    following.put(2, "2");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(following.loads(2), 0);
    let mut nothing = Following::by(&[], |versions| versions.poll = None);
    let thread = nothing.thread.take().unwrap();
    let fatal = thread.join().unwrap().unwrap_err();
    assert_eq!(fatal.reason.exit_code(), 4);
}

#[tokio::test]
async fn one_version_may_be_named() {
    let specific = |versions: &mut Versions| versions.policy = Policy::Specific(2);
    let following = Following::by(&[(1, "1"), (2, "2"), (3, "3")], specific);
    following.until(&[("2", AVAILABLE, "OK")]).await;
}

#[tokio::test]
async fn a_quarantined_version_is_loaded_anew() {
    let following = Following::new(&[(1, "1")]);
    following.until(&[("1", AVAILABLE, "OK")]).await;
    for _ in 0..5 {
        let thirteen = r#"{"instances":[13]}"#;
        following
            .server
            .post("/v1/models/m:predict", thirteen)
            .await;
    }
    assert_eq!(
        following.predict().await.error(),
        "Model m is not ready: Quarantined"
    );
    following.until(&[("1", AVAILABLE, "OK")]).await;
    assert_eq!(following.predict().await.status, 200);
    assert_eq!(following.loads(1), 2);
    following.until_alive(1).await;
}
