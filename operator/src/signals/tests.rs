//! The whole task against gateways that are not real, over sockets, and an API server that knows their
//! tokens.

use std::collections::BTreeSet;

use aimass_crds::ModelDeployment;
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::client::Body;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tower::{BoxError, service_fn};

use super::*;
use crate::cache::{Key, key_of};
use crate::config::{Config, Election};
use crate::watch::{Guarded, announced};

/// Long enough for a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(20);
const REVISION: &str = "aaaaaaaa";

/// An operator that leads, with one model that sleeps.
struct World {
    ctx: Arc<Context>,
    tasks: Tasks,
    endpoints: BTreeSet<(String, SocketAddr)>,
    /// Models that were announced.
    announced: mpsc::Receiver<String>,
    _folder: tempfile::TempDir,
    _writer: Writer<Guarded<ModelDeployment>>,
}

/// A gateway's admin port.
struct Gateway {
    uid: &'static str,
    listener: TcpListener,
}

/// One connection to it.
struct Stream {
    socket: TcpStream,
    /// The request's head.
    head: String,
}

impl Gateway {
    async fn start(uid: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { uid, listener }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next connection, once it has asked.
    async fn accept(&self) -> Stream {
        let accepted = timeout(PATIENCE, self.listener.accept()).await;
        let (mut socket, _) = accepted.expect("the operator connects").unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        Stream {
            socket,
            head: String::from_utf8(head).unwrap(),
        }
    }

    /// The next connection, let in and told everything: the model obeys version 4.
    async fn introduce(&self) -> Stream {
        let mut stream = self.accept().await;
        stream.let_in().await;
        stream.say(&self.hello()).await;
        stream.say(&full(1, 4)).await;
        stream.say(&report(2, 0)).await;
        stream
    }

    fn hello(&self) -> Value {
        json!({
            "kind": "hello", "v": 1, "gateway": self.uid, "token": format!("token-of {}", self.uid),
            "boot": "b", "intervalMs": 1000, "table": 1,
        })
    }
}

impl Stream {
    async fn let_in(&mut self) {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
        self.socket.write_all(head.as_bytes()).await.unwrap();
    }

    async fn say(&mut self, line: &Value) {
        self.write(&format!("{line}\n")).await;
    }

    /// The operator may have gone away already.
    async fn write(&mut self, text: &str) {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        drop(self.socket.write_all(chunk.as_bytes()).await);
    }

    /// Waits until the operator has closed it.
    async fn closed(mut self) {
        let mut rest = [0; 64];
        let end = async { while self.socket.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
        timeout(PATIENCE, end).await.expect("the operator hangs up");
    }
}

fn full(seq: u64, version: i64) -> Value {
    json!({
        "kind": "full", "seq": seq, "part": 1, "parts": 1, "table": 1,
        "deployments": [{"uid": "u", "name": "a/iris", "trafficVersion": version}],
    })
}

fn report(seq: u64, assigned: u32) -> Value {
    let load = json!({
        "revision": REVISION, "assigned": assigned, "inFlightMilli": assigned * 1000,
        "endpoints": [1, 0],
    });
    json!({
        "kind": "report", "seq": seq, "spanMs": 1000, "table": 1, "nacks": 0,
        "deployments": [{
            "uid": "u", "name": "a/iris", "trafficVersion": 4, "revisions": [load],
        }],
    })
}

fn wake(seq: u64, uid: &str) -> Value {
    json!({"kind": "wake", "seq": seq, "uid": uid, "revision": REVISION, "queued": 1})
}

/// A pod of the model that has an address.
fn pod() -> Event<Pod> {
    let condition = json!({"type": "PodReadyToStartContainers", "status": "True"});
    let pod = json!({
        "metadata": {
            "name": "iris-1", "namespace": "a", "labels": {"aimass.dev/deployment": "iris"},
        },
        "status": {"conditions": [condition]},
    });
    Event::Apply(serde_json::from_value(pod).unwrap())
}

/// Says of each token which pod it is bound to: `token-of pod-1`.
fn api_server() -> Client {
    let service = service_fn(|request: http::Request<Body>| async move {
        assert!(request.uri().path().ends_with("/tokenreviews"));
        let body = request.into_body().collect_bytes().await?;
        let mut review: Value = serde_json::from_slice(&body)?;
        let token = review["spec"]["token"].as_str().unwrap_or_default();
        let pod = token.strip_prefix("token-of ").map(str::to_owned);
        review["status"] = json!({
            "authenticated": pod.is_some(), "audiences": ["aimass-operator"],
            "user": {"extra": {"authentication.kubernetes.io/pod-uid": [pod]}},
        });
        let body = Body::from(serde_json::to_vec(&review)?);
        Ok::<_, BoxError>(http::Response::builder().status(201).body(body)?)
    });
    Client::new(service, "aimass-system")
}

fn model() -> Guarded<ModelDeployment> {
    serde_json::from_value(json!({
        "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
        "metadata": {
            "name": "iris", "namespace": "a", "uid": "u", "generation": 1, "resourceVersion": "1",
        },
        "spec": {
            "model": {"source": {"configMap": {"name": "iris"}}}, "scaling": {"min": 0},
            "objectives": {"errorRate": "1%"},
        },
        "status": {
            "conditions": [{
                "type": "WithinObjectives", "status": "True", "reason": "Met", "message": "0 %",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
            "trafficVersion": 4, "traffic": [{"revision": REVISION, "weight": 100}],
            "scaling": {"mode": "Automatic", "desired": 0, "since": "2026-01-01T00:00:00Z"},
        },
    }))
    .unwrap()
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, "own-token\n").unwrap();
        let (ctx, _) = crate::transcript::context([]);
        let config = Config {
            election: Election::Off,
            gateways: Some(Gateways {
                namespace: "aimass-system".to_owned(),
                token_file,
            }),
            ..ctx.config
        };
        let ctx = Arc::new(Context::new(api_server(), config));
        let mut writer = Writer::new(());
        ctx.caches.models.hold(writer.as_reader());
        writer.apply_watcher_event(&Event::Apply(model()));
        ctx.signals.model(&key_of(&model()), "u");
        let (tell, announced) = mpsc::channel(64);
        let tasks = Tasks::new();
        let listening = Arc::clone(&ctx);
        tasks.spawn("listening", async move {
            let mut all = std::pin::pin!(self::announced::<ModelDeployment>(listening));
            while let Some(Ok(object)) = all.next().await {
                drop(tell.send(object.name).await);
            }
        });
        let mut world = Self {
            ctx,
            tasks,
            endpoints: BTreeSet::new(),
            announced,
            _folder: folder,
            _writer: writer,
        };
        world.is_announced("at first").await;
        world.list();
        world
    }

    fn lists(&mut self, gateway: &Gateway) {
        self.endpoints
            .insert((gateway.uid.to_owned(), gateway.address()));
        self.list();
    }

    fn list(&self) {
        // Each has a port of its own here, hence a slice of its own.
        self.ctx.endpoints.apply(Event::Init);
        for (uid, address) in &self.endpoints {
            let slice: EndpointSlice = serde_json::from_value(json!({
                "metadata": {"name": uid}, "addressType": "IPv4",
                "ports": [{"name": "admin", "port": address.port()}],
                "endpoints": [{
                    "addresses": [address.ip().to_string()], "targetRef": {"uid": uid},
                }],
            }))
            .unwrap();
            self.ctx.endpoints.apply(Event::InitApply(slice));
        }
        self.ctx.endpoints.apply(Event::InitDone);
    }

    async fn is_announced(&mut self, why: &str) {
        let name = timeout(PATIENCE, self.announced.recv()).await;
        assert_eq!(name.expect(why).as_deref(), Some("iris"), "{why}");
    }

    fn observed(&self) -> aimass_plan::model::Signals {
        self.ctx
            .signals
            .observed(&model().0.unwrap(), self.ctx.tick())
    }

    /// Waits until what a plan would see is as it should be.
    async fn sees(&self, what: &str, is: impl Fn(&aimass_plan::model::Signals) -> bool) {
        let seen = async {
            while !is(&self.observed()) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let seen = timeout(PATIENCE, seen).await;
        assert!(seen.is_ok(), "{what}: {:?}", self.observed());
    }

    async fn counts(&self, line: &str) {
        let has = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &self.ctx.registry()).unwrap();
            (text.contains(line), text)
        };
        let counted = async {
            while !has().0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let counted = timeout(PATIENCE, counted).await;
        assert!(counted.is_ok(), "{line} is missing in\n{}", has().1);
    }
}

fn obeys(version: i64) -> impl Fn(&aimass_plan::model::Signals) -> bool {
    move |signals| {
        let mut gateways = signals.gateways.values();
        gateways.all(|gateway| !gateway.silent && gateway.traffic_version == Some(version))
    }
}

#[tokio::test]
async fn a_gateway_is_read_and_a_wake_is_decided_at_once() {
    let mut world = World::new().await;
    let gateway = Gateway::start("pod-1").await;
    world.lists(&gateway);
    let _reading = start(&world.ctx, &world.tasks);
    let mut stream = gateway.introduce().await;
    let head = stream.head.to_lowercase();
    assert!(head.starts_with("get /signals http/1.1\r\n"), "{head}");
    assert!(
        head.contains("authorization: bearer own-token\r\n"),
        "{head}"
    );
    decided(&world.ctx).await;
    world.sees("it obeys", obeys(4)).await;
    world
        .is_announced("it is known now that nobody waits")
        .await;
    world
        .sees("nobody waits", |signals| {
            signals
                .recommended
                .as_ref()
                .is_some_and(|told| told.desired == 0)
        })
        .await;
    let begun = Duration::from_millis(world.ctx.tick().as_millis());
    stream.say(&wake(3, "unknown")).await;
    stream.say(&wake(4, "u")).await;
    world.is_announced("somebody waits").await;
    let took = Duration::from_millis(world.ctx.tick().as_millis()).saturating_sub(begun);
    let told = world.observed().recommended.unwrap();
    assert_eq!((told.desired, told.waking), (1, true), "after {took:?}");
    let ana = Key {
        namespace: "a".to_owned(),
        name: "ana".to_owned(),
    };
    world.ctx.used.key(&ana, "k");
    stream
        .say(&json!({"kind": "keys", "seq": 5, "used": ["k", "unknown"]}))
        .await;
    let line = r#"aimass_operator_desired{project="a",model="iris"} 1.0"#;
    world.counts(line).await;
    let line = r#"aimass_operator_objective_met{project="a",model="iris"} 1.0"#;
    world.counts(line).await;
    world
        .counts(r#"aimass_operator_signals_gateways{state="connected"} 1"#)
        .await;
    let key = Key {
        namespace: "a".to_owned(),
        name: "iris".to_owned(),
    };
    let records = world.ctx.signals.records(&key).unwrap();
    assert!(records[0].message.starts_with("0 → 1"), "{records:?}");
    world.ctx.wakes.pods(&pod(), world.ctx.boottime());
    stream.say(&report(6, 7)).await;
    world
        .sees("all lines were read", |signals| {
            signals.gateways["pod-1"].assigned.get(REVISION) == Some(&7)
        })
        .await;
    assert!(world.ctx.used.last("k").is_some());
    let line =
        "aimass_operator_cold_start_seconds_count{project=\"a\",model=\"iris\",phase=\"total\"} 1";
    world.counts(line).await;
}

#[tokio::test]
async fn a_wrong_line_changes_nothing_and_is_followed_by_another_connection() {
    let mut world = World::new().await;
    let gateway = Gateway::start("pod-1").await;
    world.lists(&gateway);
    let _reading = start(&world.ctx, &world.tasks);
    let endless = "a".repeat(64 << 10);
    for (reason, wrong) in [
        ("Gap", format!("{}\n", report(9, 5))),
        (
            "NotAMessage",
            "{\"kind\":\"report\",\"seq\":NaN}\n".to_owned(),
        ),
        ("OutOfRange", format!("{}\n", report(3, 2_000_000))),
        ("TooLong", endless),
    ] {
        let mut stream = gateway.introduce().await;
        world.sees("it obeys", obeys(4)).await;
        for _ in 0..5 {
            stream.write(&wrong).await;
        }
        world
            .counts(&format!("signals_broken_total{{reason=\"{reason}\"}} 1"))
            .await;
        stream.closed().await;
        let signals = world.observed();
        assert_eq!(
            signals.gateways["pod-1"].traffic_version,
            Some(4),
            "{reason}"
        );
        assert_eq!(signals.gateways["pod-1"].assigned.len(), 0, "{reason}");
    }
}

#[tokio::test]
async fn who_is_not_the_pod_of_the_endpoint_is_not_listened_to() {
    let mut world = World::new().await;
    let gateway = Gateway::start("pod-1").await;
    world.lists(&gateway);
    let _reading = start(&world.ctx, &world.tasks);
    let mut stream = gateway.accept().await;
    stream.let_in().await;
    let mut hello = gateway.hello();
    hello["token"] = json!("token-of pod-2");
    stream.say(&hello).await;
    stream.say(&full(1, 4)).await;
    stream.say(&report(2, 3)).await;
    world
        .counts("signals_broken_total{reason=\"Stranger\"} 1")
        .await;
    stream.closed().await;
    let signals = world.observed();
    assert!(signals.gateways["pod-1"].silent);
    assert_eq!(signals.gateways["pod-1"].traffic_version, None);
    let mut stream = gateway.accept().await;
    let refusal = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
    stream.socket.write_all(refusal.as_bytes()).await.unwrap();
    world
        .counts("signals_broken_total{reason=\"Refused\"} 1")
        .await;
}

#[tokio::test]
async fn a_gateway_that_goes_is_forgotten_and_one_that_comes_is_read() {
    let mut world = World::new().await;
    let (one, two) = (Gateway::start("pod-1").await, Gateway::start("pod-2").await);
    world.lists(&one);
    let _reading = start(&world.ctx, &world.tasks);
    let mut stream = one.introduce().await;
    world.sees("it obeys", obeys(4)).await;
    stream.say(&report(3, 5)).await;
    stream.say(&json!({"kind": "bye"})).await;
    stream.closed().await;
    let stream = one.introduce().await;
    world.endpoints.clear();
    world.lists(&two);
    stream.closed().await;
    let _stream = two.introduce().await;
    world
        .sees("the other one is there alone", |signals| {
            signals.gateways.keys().eq(["pod-2"]) && obeys(4)(signals)
        })
        .await;
}

#[tokio::test]
async fn who_leads_no_more_reads_no_more_and_who_leads_again_begins_anew() {
    let mut world = World::new().await;
    let gateway = Gateway::start("pod-1").await;
    world.lists(&gateway);
    let reading = start(&world.ctx, &world.tasks);
    let mut stream = gateway.introduce().await;
    world.sees("it obeys", obeys(4)).await;
    stream.say(&wake(3, "u")).await;
    world
        .sees("it wakes", |signals| {
            signals
                .recommended
                .as_ref()
                .is_some_and(|told| told.desired == 1)
        })
        .await;
    drop(reading);
    stream.closed().await;
    assert_eq!(world.observed().gateways.len(), 0);
    assert_eq!(world.observed().recommended, None);
    // The wake was lost with the leader; the report each second tells that somebody waits.
    let _reading = start(&world.ctx, &world.tasks);
    let mut stream = gateway.accept().await;
    stream.let_in().await;
    stream.say(&gateway.hello()).await;
    stream.say(&full(1, 4)).await;
    let mut waits = report(2, 1);
    waits["deployments"][0]["revisions"][0]["endpoints"] = json!([0, 0]);
    stream.say(&waits).await;
    world
        .sees("it wakes again", |signals| {
            signals
                .recommended
                .as_ref()
                .is_some_and(|told| told.desired == 1)
        })
        .await;
}

#[tokio::test]
async fn nobody_waits_long_for_a_gateway_that_does_not_tell() {
    let mut world = World::new().await;
    let gateway = Gateway::start("pod-1").await;
    world.lists(&gateway);
    let _reading = start(&world.ctx, &world.tasks);
    timeout(PATIENCE, decided(&world.ctx)).await.unwrap();
    assert!(world.ctx.signals.is_decided());
    assert!(world.observed().gateways["pod-1"].silent);
}

#[tokio::test]
async fn without_gateways_nothing_is_read() {
    let (ctx, transcript) = crate::transcript::context([]);
    let (ctx, tasks) = (Arc::new(ctx), Tasks::new());
    let reading = start(&ctx, &tasks);
    decided(&ctx).await;
    drop(reading);
    assert!(tasks.drain(PATIENCE).await);
    assert_eq!(transcript.lines(), [""; 0]);
}
