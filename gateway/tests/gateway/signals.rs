//! What the operator reads of a gateway, over the admin port as it is.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::admin::{self, Admin, Handle};
use aimass_chassis::metrics::Registry;
use aimass_chassis::readiness::Readiness;
use aimass_chassis::shutdown::Stop;
use aimass_chassis::tasks::Tasks;
use aimass_crds::signals::{
    GATEWAY_AUDIENCE, Hello, Keys, Load, Message, OPERATOR_AUDIENCE, Report, Seen, Wake,
};
use aimass_gateway::badge::Badge;
use aimass_gateway::doorman::Doorman;
use aimass_gateway::signals::{self, Door};
use aimass_gateway::table::Deployment;
use aimass_gateway::table::live::meter::Meter;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpSocket;
use tokio::time::{Instant, timeout};

use crate::api_server::{ApiServer, Mood, TOKENS, jwt};
use crate::client::{Answer, Client};
use crate::pod::{OK, Pod};
use crate::world::{Gateway, PATIENCE, Setup, eventually, model, ms, table, token};

const OPERATOR: &str = "system:serviceaccount:aimass-system:aimass-operator";
const GATEWAY: &str = "system:serviceaccount:aimass-system:aimass-gateway";

/// A gateway with its admin port, and the API server that knows the operator.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    api: ApiServer,
    admin: Handle,
    end: Stop,
    telling: Tasks,
    folder: TempDir,
    /// What the operator shows.
    token: String,
}

impl World {
    async fn of(models: Vec<Deployment>) -> Self {
        Self::around(Setup::of(table(models, None)).start().await).await
    }

    /// One that tells the operator.
    pub(crate) async fn around(gateway: Gateway) -> Self {
        let api = ApiServer::start().await;
        let token = jwt(OPERATOR, GATEWAY_AUDIENCE, 600);
        api.admit(&token, OPERATOR);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, jwt(GATEWAY, OPERATOR_AUDIENCE, 600)).unwrap();
        let state = gateway.state.clone();
        let reviewer = api.reviewer_for(GATEWAY_AUDIENCE);
        let door = Door {
            signals: state.signals().clone(),
            doorman: Doorman::new(reviewer, state.metrics().review_times()),
            reader: OPERATOR.into(),
            pod: "uid-of-pod".into(),
            badge: Badge::meant_for(file, OPERATOR_AUDIENCE),
        };
        let admin = Admin {
            registry: Arc::new(Registry::default()),
            readiness: Readiness::new("Starting", "starting"),
            live: Arc::new(|| Ok(())),
            extra: signals::routes(door),
        };
        let admin = admin::start("127.0.0.1:0".parse().unwrap(), admin).unwrap();
        let end = Stop::new();
        let telling = Tasks::new();
        signals::start(&state, &telling, &end);
        Self {
            gateway,
            api,
            admin,
            end,
            telling,
            folder,
            token,
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// Asks without any more than these header lines.
    async fn ask(&self, headers: &str) -> Answer {
        let request = format!("GET /signals HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
        Client::talk(self.admin.address, request).await
    }

    async fn read(&self) -> Reader {
        let client = Client::connect(self.admin.address).await;
        Reader::begin(client, &self.token).await
    }

    /// One that has read the first two lines.
    pub(crate) async fn read_on(&self) -> Reader {
        let mut reader = self.read().await;
        assert!(matches!(reader.next().await, Some(Message::Hello(_))));
        assert!(matches!(reader.next().await, Some(Message::Full(_))));
        reader
    }

    fn meter(&self) -> Meter {
        let table = self.gateway.state.table();
        table.models["shop"]["iris"].revisions[0].live.meter.clone()
    }

    fn readers(&self) -> f64 {
        self.gateway.metric("aimass_gateway_signals_readers ")
    }
}

/// A connection on which signals come.
pub(crate) struct Reader {
    client: Client,
    rest: Vec<u8>,
}

impl Reader {
    async fn begin(mut client: Client, token: &str) -> Self {
        let request =
            format!("GET /signals HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n");
        client.send(request).await;
        let head = client.until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(
            head.contains("content-type: application/x-ndjson\r\n"),
            "{head}"
        );
        let rest = Vec::new();
        Self { client, rest }
    }

    /// The next wake.
    pub(crate) async fn wake(&mut self) -> Wake {
        loop {
            if let Message::Wake(wake) = self.next().await.expect("the stream goes on") {
                return wake;
            }
        }
    }

    /// The next line; `None`: that was the last one.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = timeout(PATIENCE, self.client.chunk()).await;
            let chunk = chunk.expect("there is a line in time");
            let chunk = chunk.expect("the body ends with a whole line, and a last chunk");
            if chunk.is_empty() {
                return None;
            }
            self.rest.extend(chunk);
        }
    }

    /// The next report, whatever comes before.
    async fn report(&mut self) -> Report {
        loop {
            if let Message::Report(report) = self.next().await.unwrap() {
                return report;
            }
        }
    }

    /// The next word about the model.
    async fn seen(&mut self) -> Seen {
        loop {
            if let Some(seen) = self.report().await.deployments.pop() {
                return seen;
            }
        }
    }
}

fn version(number: i64) -> Deployment {
    Deployment {
        traffic_version: number,
        ..model(&[])
    }
}

#[tokio::test]
async fn the_operator_is_told_who_speaks_then_all_models_then_what_happens() {
    let world = World::of(vec![version(41)]).await;
    let told = || async {
        let mut reader = world.read().await;
        let Some(Message::Hello(hello)) = reader.next().await else {
            panic!("it says who it is");
        };
        let Some(Message::Full(full)) = reader.next().await else {
            panic!("it says what there is");
        };
        match full.deployments.is_empty() {
            true => Err("nothing was taken yet"),
            false => Ok((hello, full, reader)),
        }
    };
    let (hello, full, mut reader) = eventually(told).await;
    let expect = Hello {
        v: 1,
        gateway: "uid-of-pod".to_owned(),
        token: std::fs::read_to_string(world.file()).unwrap(),
        boot: hello.boot.clone(),
        interval_ms: 1000,
        table: 1,
    };
    assert_eq!(hello, expect);
    assert_eq!((full.seq, full.part, full.parts), (1, 1, 1));
    let taken = &full.deployments[0];
    assert_eq!((&*taken.uid, &*taken.name), ("uid-iris", "shop/iris"));
    assert_eq!(taken.traffic_version, 41);

    let request = world.meter().assign();
    let mut seq = full.seq;
    let (mut arrived, begun) = (0, Instant::now());
    while arrived == 0 {
        let report = reader.report().await;
        assert_eq!(report.seq, seq + 1);
        seq = report.seq;
        for load in report.deployments.iter().flat_map(|seen| &seen.revisions) {
            assert_eq!((&*load.revision, load.assigned), ("aaaaaaaa", 1));
            arrived += load.arrived;
        }
    }
    assert!(begun.elapsed() < ms(3000), "{:?}", begun.elapsed());
    drop(request);
    // A file with another token, as the kubelet writes it: for the next connection.
    let next = jwt(GATEWAY, OPERATOR_AUDIENCE, 900);
    std::fs::write(world.file(), &next).unwrap();
    let Some(Message::Hello(again)) = world.read().await.next().await else {
        panic!("it says who it is");
    };
    assert_eq!((again.token, again.boot), (next, hello.boot));
}

#[tokio::test]
async fn nobody_else_reads() {
    let world = World::of(vec![version(1)]).await;
    let with = |token: &str| format!("authorization: Bearer {token}\r\n");
    let other = "system:serviceaccount:shop:till";
    let theirs = jwt(other, GATEWAY_AUDIENCE, 600);
    world.api.admit(&theirs, other);
    // Says of itself what the API server does not say.
    let forged = jwt(OPERATOR, GATEWAY_AUDIENCE, 601);
    world.api.admit(&forged, other);
    for headers in [
        String::new(),
        with("x"),
        with(&token()),
        with(&theirs),
        with(&forged),
        with(&jwt(OPERATOR, GATEWAY_AUDIENCE, 602)),
        with(&jwt(OPERATOR, "aimass", 600)),
        with(&jwt(OPERATOR, GATEWAY_AUDIENCE, -1)),
    ] {
        let answer = world.ask(&headers).await;
        assert_eq!(answer.status, 401, "{headers}: {answer:?}");
        assert_eq!(answer.header("www-authenticate"), "bearer");
    }
    assert_eq!(world.readers(), 0.0);
    world.read_on().await;
    let asked = world.api.count(TOKENS);
    world.read_on().await;
    assert_eq!(world.api.count(TOKENS), asked, "it is known by now");
    world.api.is(Mood::Refuses(500));
    let late = jwt(OPERATOR, GATEWAY_AUDIENCE, 603);
    assert_eq!(world.ask(&with(&late)).await.status, 503);
}

#[tokio::test]
async fn a_gateway_that_cannot_show_who_it_is_tells_nothing() {
    let world = World::of(vec![version(1)]).await;
    std::fs::write(world.file(), jwt(GATEWAY, OPERATOR_AUDIENCE, -1)).unwrap();
    let headers = format!("authorization: Bearer {}\r\n", world.token);
    let answer = world.ask(&headers).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, "1".to_owned())
    );
    assert!(!answer.text().contains("token"), "{answer:?}");
}

#[tokio::test]
async fn whoever_waits_is_told_at_once_and_once_a_second() {
    let world = World::of(vec![version(1)]).await;
    let mut reader = world.read_on().await;
    reader.report().await;
    let begun = Instant::now();
    for queued in 1..=5 {
        let (uid, revision) = ("uid-iris".into(), "aaaaaaaa".into());
        let signals = world.gateway.state.signals();
        signals.wake(&uid, &revision, queued, begun.into_std());
    }
    let Some(Message::Wake(wake)) = reader.next().await else {
        panic!("it is told before anything else");
    };
    assert!(begun.elapsed() < ms(500), "{:?}", begun.elapsed());
    assert_eq!(
        (&*wake.uid, &*wake.revision, wake.queued),
        ("uid-iris", "aaaaaaaa", 1)
    );
    // Then only what passes.
    assert!(matches!(reader.next().await, Some(Message::Report(_))));
}

#[tokio::test]
async fn a_version_is_obeyed_once_no_request_goes_by_another_one() {
    let world = World::of(vec![version(41)]).await;
    let mut reader = world.read_on().await;
    assert_eq!(reader.seen().await.traffic_version, 41);
    let state = &world.gateway.state;
    // As a request does until a revision is chosen for it.
    let request = state.table();
    state.swap(table(vec![version(42)], None));
    let later = world.meter().assign();
    let seen = reader.seen().await;
    assert_eq!((seen.traffic_version, seen.revisions[0].assigned), (41, 1));
    assert_eq!(world.gateway.metric("aimass_gateway_tables_held "), 1.0);
    drop(request);
    let begun = Instant::now();
    let mut seen = reader.seen().await;
    while seen.traffic_version == 41 {
        seen = reader.seen().await;
    }
    assert_eq!((seen.traffic_version, seen.revisions[0].assigned), (42, 1));
    assert!(
        begun.elapsed() < ms(900),
        "not only with the next second: {:?}",
        begun.elapsed()
    );
    drop(later);
    // Nobody held the last one.
    state.swap(table(vec![version(43)], None));
    while seen.traffic_version != 43 {
        seen = reader.seen().await;
    }
}

#[tokio::test]
async fn four_read_at_once_and_each_is_told_everything() {
    let world = World::of(vec![version(1)]).await;
    let mut readers = Vec::new();
    for _ in 0..4 {
        readers.push(world.read_on().await);
    }
    assert_eq!(world.readers(), 4.0);
    let headers = format!("authorization: Bearer {}\r\n", world.token);
    let answer = world.ask(&headers).await;
    assert_eq!(
        (answer.status, answer.text()),
        (503, "as many read already as may".to_owned())
    );
    for _ in 0..3 {
        drop(world.meter().assign());
    }
    for reader in &mut readers {
        let mut arrived = 0;
        while arrived < 3 {
            let seen = reader.seen().await;
            arrived += seen.revisions.iter().map(|load| load.arrived).sum::<u32>();
        }
        assert_eq!(arrived, 3);
    }
    drop(readers);
    let gone = || async { (world.readers() < 1.0).then_some(()).ok_or(world.readers()) };
    eventually(gone).await;
    world.read_on().await;
}

#[tokio::test]
async fn at_the_end_all_is_told_that_happened_and_that_it_is_over() {
    let pod = Pod::answering(OK).await;
    let world = World::of(vec![model(&[pod.address])]).await;
    let mut reader = world.read_on().await;
    let key = format!("authorization: Bearer {}\r\n", token());
    let answer = Client::ask(world.gateway.address, &key).await;
    assert_eq!(answer.status, 200);
    world.end.cancel();
    let mut last = Vec::new();
    while let Some(message) = reader.next().await {
        last.push(message);
    }
    let Some(
        [
            Message::Report(_),
            Message::Keys(Keys { used, .. }),
            Message::Bye,
        ],
    ) = last.last_chunk()
    else {
        panic!("{last:?}");
    };
    assert_eq!(used.as_slice(), ["uid-key"]);
    let reports = last.iter().filter_map(|message| match message {
        Message::Report(report) => Some(&report.deployments),
        _ => None,
    });
    let loads: Vec<&Load> = reports.flatten().flat_map(|seen| &seen.revisions).collect();
    let sum = |of: fn(&Load) -> u32| loads.iter().map(|load| of(load)).sum::<u32>();
    let counts = [
        sum(|load| load.arrived),
        sum(|load| load.ok),
        sum(|load| load.completed),
        sum(|load| load.latency.iter().map(|(_, answers)| answers).sum()),
    ];
    assert_eq!(counts, [1; 4]);
    let end = loads.last().unwrap();
    assert_eq!((end.assigned, end.endpoints), (0, (1, 0)));
    assert!(end.mean_service_us > 0);
    drop(reader);
    assert!(world.telling.drain(PATIENCE).await);
    let headers = format!("authorization: Bearer {}\r\n", world.token);
    let request = format!("GET /signals HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
    let answer = Client::talk(world.admin.address, request).await;
    assert_eq!(answer.status, 503, "nobody is told anything any more");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_left_and_keeps_nobody_waiting() {
    let many = (0..5_000).map(|number| Deployment {
        uid: format!("{number:0>36}").into(),
        name: format!("{}-{number}", "a".repeat(1_500)).into(),
        served_name: format!("m{number}").into(),
        ..version(1)
    });
    let world = World::of(many.collect()).await;
    let full = || async {
        // Once the models are known: their list is longer than what the system takes for a reader.
        let mut reader = world.read().await;
        reader.next().await;
        match reader.next().await {
            Some(Message::Full(full)) if full.parts > 20 => Ok(()),
            other => Err(format!("{:?}", other.is_some())),
        }
    };
    eventually(full).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(world.admin.address).await.unwrap();
    let mut stuck = Reader::begin(Client(stream), &world.token).await;
    let mut reader = world.read_on().await;
    let begun = Instant::now();
    let mut spans = Vec::new();
    while world.readers() > 1.0 {
        let report = reader.report().await;
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "it is still there"
        );
        spans.push(report.span_ms);
    }
    assert!(begun.elapsed() > ms(3500), "{:?}", begun.elapsed());
    assert!(spans.len() >= 4, "{spans:?}");
    let mut rest = Vec::new();
    let read = timeout(PATIENCE, stuck.client.0.read_to_end(&mut rest)).await;
    read.expect("the gateway closes").unwrap_err();
}
