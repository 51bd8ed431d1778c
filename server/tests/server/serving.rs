//! The nouns of these tests: a server with a model, and what it answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use aimass_chassis::metrics::{Registry, encode};
use aimass_chassis::readiness::Readiness;
use aimass_protocol::Checks;
use aimass_server::config::Origin;
use aimass_server::engine::Wanted;
use aimass_server::fatal::Fatal;
use aimass_server::metrics::Metrics;
use aimass_server::model::Model;
use aimass_server::state::{Batching, Settings, Slot, State};
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

/// Where the models of these tests are.
pub(crate) fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// What a server of these tests has where nothing else is said.
pub(crate) fn settings() -> Settings {
    Settings {
        model_name: "m".to_owned(),
        model_version: Some(7),
        revision: Some("m-abc".to_owned()),
        labels: BTreeMap::from([("stable".to_owned(), 7), ("old".to_owned(), 6)]),
        monitoring: None,
        checks: Checks::Lenient,
        cors: false,
        timeout: Duration::from_secs(30),
        max_body: 1 << 20,
        max_response: 1 << 20,
        max_in_flight: 256,
        max_buffered: 64 << 20,
        max_queue_rows: 1280,
        workers: 1,
        batching: Batching::default(),
    }
}

/// What engines are given in these tests.
pub(crate) fn engines(wanted: Wanted) -> aimass_server::engine::Settings {
    aimass_server::engine::Settings {
        wanted,
        max_plans: 32,
        #[cfg(feature = "ort")]
        onnxruntime: onnxruntime(),
    }
}

/// Whether this binary has onnxruntime, and its library is at hand.
pub(crate) fn has_onnxruntime() -> bool {
    #[cfg(feature = "ort")]
    return onnxruntime().exists();
    #[cfg(not(feature = "ort"))]
    false
}

/// Where the library is that the tests are to use.
#[cfg(feature = "ort")]
#[expect(
    clippy::disallowed_methods,
    reason = "tests with this feature are told so"
)]
fn onnxruntime() -> PathBuf {
    let library = std::env::var_os("AIMASS_ONNXRUNTIME_LIBRARY");
    library
        .unwrap_or("/usr/lib/libonnxruntime.so".into())
        .into()
}

/// A server in this process.
pub(crate) struct Server {
    pub(crate) state: State,
    pub(crate) readiness: Readiness,
    registry: Registry,
    /// Where quarantines are signalled.
    pub(crate) reload: Mutex<Option<mpsc::Receiver<()>>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The text of the error, which is the only key.
    pub(crate) fn error(&self) -> String {
        let json = self.json();
        let object = json.as_object().unwrap();
        assert_eq!(object.len(), 1, "{json}");
        object["error"].as_str().unwrap().to_owned()
    }
}

impl Server {
    /// With no model yet, and no engine threads.
    pub(crate) fn loading(settings: Settings) -> Self {
        let mut registry = Registry::default();
        let metrics = Arc::new(Metrics::register(&mut registry));
        let readiness = Readiness::new("Loading", "");
        let (reload, reloads) = mpsc::sync_channel(1);
        let state = State::new(settings, readiness.clone(), metrics, reload, None);
        Self {
            state,
            readiness,
            registry,
            reload: Mutex::new(Some(reloads)),
        }
    }

    /// With a model of the test data.
    pub(crate) fn with(model: &str, settings: Settings) -> Self {
        Self::with_file(&testdata().join(model), settings)
    }

    /// With the model of a file and what belongs to it.
    pub(crate) fn with_file(file: &Path, settings: Settings) -> Self {
        let server = Self::loading(settings);
        aimass_server::workers::start(server.state.settings().workers, &server.state).unwrap();
        let model = load(file).unwrap().numbered(7);
        server.state.set_slot(Slot::Ready(Arc::new(model)));
        server
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = aimass_server::app(self.state.clone())
            .oneshot(request)
            .await
            .unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(Request::post(path).body(body.into()).unwrap())
            .await
    }

    /// The page of the admin port.
    pub(crate) fn metrics(&self) -> String {
        encode(&self.registry)
    }
}

/// Loads a model file that lies in a folder alone, or with the names of its classes, as the loading thread does.
pub(crate) fn load(file: &Path) -> Result<Model, Fatal> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(file, folder.path().join("model.onnx")).unwrap();
    let labels = file.with_extension("labels.txt");
    if labels.exists() {
        std::fs::copy(labels, folder.path().join("labels.txt")).unwrap();
    }
    load_folder(folder.path())
}

pub(crate) fn load_folder(folder: &Path) -> Result<Model, Fatal> {
    load_origin(Origin::of(folder))
}

pub(crate) fn load_origin(origin: Origin) -> Result<Model, Fatal> {
    load_on(Wanted::Auto, origin)
}

/// As [`load_origin`], on an engine that is asked for.
pub(crate) fn load_on(wanted: Wanted, origin: Origin) -> Result<Model, Fatal> {
    let engines = engines(wanted);
    let thread = std::thread::Builder::new().stack_size(64 << 20);
    thread
        .spawn(move || aimass_server::load::load(&origin, &engines))
        .unwrap()
        .join()
        .unwrap()
}
