//! WebSockets on loopback: the subprotocol's messages, word by word, and who gets one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::listener::{self, Limits};
use aimass_chassis::shutdown::Stop;
use aimass_protocol::Checks;
use aimass_server::state::{Settings, Slot};
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::serving::{Answer, Server, load, settings, testdata};

/// A server on a port.
struct Port {
    server: Server,
    address: SocketAddr,
    stop: Stop,
    task: JoinHandle<()>,
}

impl Port {
    async fn of(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Stop::new();
        let app = aimass_server::app(server.state.clone());
        let grace = Duration::from_secs(10);
        let serving = listener::serve(listener, app, Limits::default(), stop.clone(), grace);
        #[expect(
            clippy::disallowed_methods,
            reason = "the test awaits this task itself"
        )]
        let task = tokio::spawn(serving);
        Self {
            server,
            address,
            stop,
            task,
        }
    }

    /// With the linear model, which doubles.
    async fn linear() -> Self {
        Self::of(Server::with("linear.onnx", settings())).await
    }

    /// With the linear model and no thread that runs it: everything stays queued.
    async fn without_workers() -> Self {
        let server = Server::loading(settings());
        let model = load(&testdata().join("linear.onnx")).unwrap();
        server.state.set_slot(Slot::Ready(Arc::new(model)));
        Self::of(server).await
    }

    async fn open(&self, path: &str) -> Client {
        self.open_with(path, &[("x-request-id", "conn")])
            .await
            .unwrap()
    }

    async fn open_with(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Client, Error> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let mut request = format!("ws://{}{path}", self.address).into_client_request()?;
        request
            .headers_mut()
            .insert("sec-websocket-protocol", "aimass.v1".parse().unwrap());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, response) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(Client {
            socket,
            headers: response.headers().clone(),
        })
    }
}

struct Client {
    socket: WebSocketStream<TcpStream>,
    headers: HeaderMap,
}

impl Client {
    async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(Duration::from_secs(20), self.socket.next()).await;
        next.expect("something comes")
            .expect("the WebSocket is open")
            .unwrap()
    }

    async fn text(&mut self) -> String {
        match self.next().await {
            Message::Text(text) => text.as_str().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    /// Says something and expects exactly that answer.
    #[track_caller]
    fn check(&mut self, message: &str, answer: &str) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            self.say(message).await;
            assert_eq!(self.text().await, answer, "to {message} at {place}");
        }
    }

    async fn code(&mut self) -> u16 {
        match self.next().await {
            Message::Close(Some(close)) => close.code.into(),
            other => panic!("{other:?}"),
        }
    }
}

const V1: &str = "/v1/models/m/ws";
const V2: &str = "/v2/models/m/ws";

#[tokio::test]
async fn a_v1_message_is_a_rest_body_with_an_id() {
    let port = Port::linear().await;
    let mut client = port.open(V1).await;
    assert_eq!(client.headers["sec-websocket-protocol"], "aimass.v1");
    assert_eq!(client.headers["x-request-id"], "conn");
    client
        .check(
            r#"{"id":"a1","instances":[[1.0],[2.0]],"timeout_ms":2000}"#,
            r#"{"id":"a1","predictions":[[2.0],[4.0]]}"#,
        )
        .await;
    client
        .check(
            r#"{"inputs":[[5]],"method":"predict","id":"a\"2"}"#,
            r#"{"id":"a\"2","outputs":[[10.0]]}"#,
        )
        .await;
    client.check(
        r#"{"id":"a3"}"#,
        r#"{"id":"a3","error":"Missing 'inputs' or 'instances' key","kind":"bad_request","code":400}"#,
    ).await;
    client.check(
        "{oops",
        r#"{"id":null,"error":"JSON Parse error: Missing a name for object member. at offset: 1","kind":"bad_json","code":400}"#,
    ).await;
    client
        .check(
            r#"{"instances":[[1.0]]}"#,
            r#"{"id":null,"error":"Missing \"id\"","kind":"bad_request","code":400}"#,
        )
        .await;
    client.check(
        r#"{"id":"a4","instances":[[1.0],]}"#,
        r#"{"id":"a4","error":"JSON Parse error: Invalid value. at offset: 30","kind":"bad_json","code":400}"#,
    ).await;
    client.check(
        r#"{"id":"a5","instances":[["x"]]}"#,
        r#"{"id":"a5","error":"Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"x\" Type: String is not of expected type: float","kind":"bad_tensor","code":400}"#,
    ).await;
}

#[tokio::test]
async fn a_v2_message_is_a_rest_body_and_a_deadline() {
    let port = Port::linear().await;
    let mut client = port.open("/v2/models/m/versions/7/ws").await;
    client.check(
        r#"{"id":"b1","inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[6.5]}],"timeout_ms":2000}"#,
        r#"{"model_name":"m","model_version":"7","id":"b1","outputs":[{"name":"y","datatype":"FP32","shape":[1,1],"data":[13.0]}]}"#,
    ).await;
    client.check(
        r#"{"id":"b2","inputs":[]}"#,
        r#"{"id":"b2","error":"\"inputs\" must be a non-empty array","kind":"bad_request","code":400}"#,
    ).await;
    client
        .check(
            r#"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[1]}]}"#,
            r#"{"id":null,"error":"Missing \"id\"","kind":"bad_request","code":400}"#,
        )
        .await;
}

#[tokio::test]
async fn binary_tensors_go_both_ways_and_an_answer_is_binary_if_an_output_is() {
    let port = Port::linear().await;
    let mut client = port.open(V2).await;
    let message = |outputs: &str| {
        let json = format!(
            r#"{{"id":"b1","inputs":[{{"name":"x","shape":[2,1],"datatype":"FP32","parameters":{{"binary_data_size":8}}}}]{outputs}}}"#
        );
        let length = u32::try_from(json.len()).unwrap().to_le_bytes();
        let tensor = [1.5_f32, -2.0].map(f32::to_le_bytes).concat();
        Message::binary([&length[..], json.as_bytes(), &tensor].concat())
    };
    client.socket.send(message("")).await.unwrap();
    let json = r#"{"model_name":"m","model_version":"7","id":"b1","outputs":[{"name":"y","datatype":"FP32","shape":[2,1],"data":[3.0,-4.0]}]}"#;
    assert_eq!(client.text().await, json);
    let outputs = r#","outputs":[{"name":"y","parameters":{"binary_data":true}}]"#;
    client.socket.send(message(outputs)).await.unwrap();
    let Message::Binary(answer) = client.next().await else {
        panic!("no bytes")
    };
    let json = r#"{"model_name":"m","model_version":"7","id":"b1","outputs":[{"name":"y","datatype":"FP32","shape":[2,1],"parameters":{"binary_data_size":8}}]}"#;
    let length = u32::try_from(json.len()).unwrap().to_le_bytes();
    let tensor = [3.0_f32, -4.0].map(f32::to_le_bytes).concat();
    assert_eq!(answer, [&length[..], json.as_bytes(), &tensor].concat());
    client
        .socket
        .send(Message::binary(vec![255, 0, 0, 0, b'{']))
        .await
        .unwrap();
    let text = r#"{"id":null,"error":"JSON length 255 exceeds the message (5 bytes)","kind":"bad_request","code":400}"#;
    assert_eq!(client.text().await, text);
}

#[tokio::test]
async fn a_binary_message_has_no_meaning_on_v1() {
    let port = Port::linear().await;
    let mut client = port.open(V1).await;
    client
        .socket
        .send(Message::binary(b"{}".to_vec()))
        .await
        .unwrap();
    assert_eq!(client.code().await, 1003);
}

#[tokio::test]
async fn queued_requests_can_be_given_up_or_meet_their_deadline() {
    let port = Port::without_workers().await;
    let mut client = port.open(V1).await;
    client.say(r#"{"id":"a4","instances":[[1.0]]}"#).await;
    client
        .check(
            r#"{"id":"a4","instances":[[1.0]]}"#,
            r#"{"id":"a4","error":"Duplicate id \"a4\"","kind":"bad_request","code":400}"#,
        )
        .await;
    client.say(r#"{"cancel":"other"}"#).await;
    client
        .check(
            r#"{"cancel":"a4"}"#,
            r#"{"id":"a4","error":"Cancelled","kind":"cancelled","code":499}"#,
        )
        .await;
    client
        .check(
            r#"{"id":"a5","instances":[[1.0]],"timeout_ms":100}"#,
            r#"{"id":"a5","error":"Deadline of 100 ms exceeded","kind":"deadline","code":504}"#,
        )
        .await;
    let metrics = port.server.metrics();
    let cancelled =
        r#"requests_total{protocol="tfs",method="predict",code="499",kind="cancelled"} 1"#;
    assert!(metrics.contains(cancelled), "{metrics}");
}

#[tokio::test]
async fn a_caller_who_leaves_gives_up_what_is_queued() {
    let port = Port::without_workers().await;
    let mut client = port.open(V1).await;
    for id in 0..5 {
        client
            .say(&format!(r#"{{"id":"{id}","instances":[[1.0]]}}"#))
            .await;
    }
    eventually(|| port.server.metrics().contains("aimass_server_in_flight 5")).await;
    assert!(port.server.metrics().contains("aimass_server_websockets 1"));
    drop(client);
    eventually(|| port.server.metrics().contains("aimass_server_in_flight 0")).await;
    eventually(|| port.server.metrics().contains("aimass_server_websockets 0")).await;
}

/// Looks until it is so.
async fn eventually(so: impl Fn() -> bool) {
    let looking = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking)
        .await
        .expect("it becomes so");
}

#[tokio::test]
async fn a_model_that_is_not_ready_is_told_by_each_message() {
    let port = Port::of(Server::loading(settings())).await;
    let mut client = port.open(V1).await;
    client.check(
        r#"{"id":"a","instances":[[1.0]]}"#,
        r#"{"id":"a","error":"Model m is not ready: Loading","kind":"not_ready","code":503,"retry_after_ms":1000}"#,
    ).await;
}

#[tokio::test]
async fn strict_checks_know_the_members_of_a_message() {
    let strict = Settings {
        checks: Checks::Strict,
        ..settings()
    };
    let port = Port::of(Server::with("linear.onnx", strict)).await;
    let mut client = port.open(V1).await;
    client
        .check(
            r#"{"instances":[[1.0]],"id":"a","timeout_ms":2000,"method":"predict"}"#,
            r#"{"id":"a","predictions":[[2.0]]}"#,
        )
        .await;
    client
        .check(
            r#"{"instances":[[1.0]],"id":"a","other":1}"#,
            r#"{"id":"a","error":"Unknown key: other","kind":"bad_request","code":400}"#,
        )
        .await;
    client
        .check(
            r#"{"id":"a","instances":[[1.0]],"id":"b"}"#,
            r#"{"id":"a","error":"Duplicate key: id","kind":"bad_request","code":400}"#,
        )
        .await;
}

#[tokio::test]
async fn what_the_upgrade_says_holds_for_every_message() {
    let port = Port::without_workers().await;
    let headers = [("x-request-timeout-ms", "150")];
    let mut client = port.open_with(V1, &headers).await.unwrap();
    for (timeout, limit) in [
        ("", 150),
        (",\"timeout_ms\":100", 100),
        (",\"timeout_ms\":9000", 150),
    ] {
        client.check(
            &format!(r#"{{"id":"a","instances":[[1.0]]{timeout}}}"#),
            &format!(r#"{{"id":"a","error":"Deadline of {limit} ms exceeded","kind":"deadline","code":504}}"#),
        ).await;
    }
}

#[tokio::test]
async fn ten_messages_that_are_not_json_are_too_many() {
    let port = Port::linear().await;
    let mut client = port.open(V1).await;
    for number in 0..9 {
        client
            .say(if number % 2 == 0 {
                "{oops"
            } else {
                r#"{"id":"a","instances":[}"#
            })
            .await;
        assert!(client.text().await.contains("bad_json"));
    }
    client.say("{oops").await;
    assert_eq!(client.code().await, 1008);
}

#[tokio::test]
async fn large_messages_and_many_at_once_are_answered() {
    let port = Port::linear().await;
    let mut client = port.open(V1).await;
    let rows = vec!["[0.5]"; 20_000].join(",");
    client
        .say(&format!(r#"{{"instances":[{rows}],"id":"large"}}"#))
        .await;
    for id in 0..200 {
        client
            .say(&format!(r#"{{"id":"{id}","instances":[[{id}]]}}"#))
            .await;
    }
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..201 {
        let answer: serde_json::Value = serde_json::from_str(&client.text().await).unwrap();
        let id = answer["id"].as_str().unwrap().to_owned();
        let rows = answer["predictions"].as_array().unwrap();
        // The model was learnt: it doubles to within a millionth.
        let (count, double) = match id.parse::<f64>() {
            Ok(number) => (1, 2.0 * number),
            Err(_) => (20_000, 1.0),
        };
        assert_eq!(rows.len(), count);
        let found = rows[0][0].as_f64().unwrap();
        assert!((found - double).abs() <= 1e-3, "{found} to {id}");
        assert!(ids.insert(id));
    }
}

#[tokio::test]
async fn the_end_of_the_server_answers_first_and_closes_with_1012() {
    let port = Port::linear().await;
    let mut client = port.open(V2).await;
    port.server.state.stop();
    port.stop.cancel();
    assert_eq!(client.code().await, 1012);
    port.task.await.unwrap();
    assert!(port.server.metrics().contains("aimass_server_websockets 0"));
}

#[tokio::test]
async fn there_are_1024_and_no_more() {
    let port = Port::linear().await;
    let seats: Vec<_> = (0..1024)
        .map_while(|_| port.server.state.websockets().seat())
        .collect();
    assert_eq!(seats.len(), 1024);
    let Err(Error::Http(refused)) = port.open_with(V1, &[]).await else {
        panic!("refused")
    };
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    assert_eq!(refused.headers()["aimass-error"], "overloaded");
    drop(seats);
    port.open(V1).await;
}

/// An upgrade without a connection below it: only its head is judged.
fn upgrade(path: &str, change: impl FnOnce(&mut HeaderMap)) -> Request<Body> {
    let mut request = Request::get(path)
        .header("upgrade", "websocket")
        .header("connection", "Upgrade")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", "aimass.v1")
        .body(Body::empty())
        .unwrap();
    change(request.headers_mut());
    request
}

#[track_caller]
fn refused(answer: &Answer, status: u16, kind: &str, text: &str) {
    let found = (answer.status, answer.header("aimass-error"), answer.error());
    assert_eq!(found, (status, kind, text.to_owned()));
}

#[tokio::test]
async fn only_an_upgrade_to_our_subprotocol_is_taken() {
    let server = Server::with("linear.onnx", settings());
    let not = "This path is for WebSockets: ask for an upgrade of HTTP/1.1";
    for path in [V1, V2] {
        refused(&server.get(path).await, 400, "bad_request", not);
        let answer = server
            .send(upgrade(path, |headers| {
                headers.remove("sec-websocket-protocol");
            }))
            .await;
        refused(
            &answer,
            400,
            "bad_request",
            "Sec-WebSocket-Protocol must offer aimass.v1",
        );
        let answer = server
            .send(upgrade(path, |headers| {
                headers.insert(
                    "sec-websocket-protocol",
                    "aimass.key.secret".parse().unwrap(),
                );
            }))
            .await;
        refused(
            &answer,
            400,
            "bad_request",
            "Sec-WebSocket-Protocol must offer aimass.v1",
        );
        let answer = server
            .send(upgrade(path, |headers| {
                headers.insert("sec-websocket-version", "8".parse().unwrap());
            }))
            .await;
        refused(
            &answer,
            400,
            "bad_request",
            "Sec-WebSocket-Version must be 13",
        );
        assert_eq!(answer.header("sec-websocket-version"), "13");
        let answer = server
            .send(upgrade(path, |headers| {
                headers.insert("x-request-timeout-ms", "soon".parse().unwrap());
            }))
            .await;
        refused(
            &answer,
            400,
            "bad_request",
            "Invalid x-request-timeout-ms: \"soon\"",
        );
    }
}

#[tokio::test]
async fn the_model_in_the_path_must_be_there() {
    let server = Server::with("linear.onnx", settings());
    let rows = [
        (
            "/v1/models/x/ws",
            404,
            "unknown_model",
            "Servable not found for request: Latest(x)",
        ),
        (
            "/v1/models/m/versions/9/ws",
            404,
            "unknown_version",
            "Servable not found for request: Specific(m, 9)",
        ),
        (
            "/v1/models/m/labels/old/ws",
            400,
            "unknown_label",
            "Unrecognized servable version label: old",
        ),
        ("/v2/models/x/ws", 404, "unknown_model", "Model x not found"),
        (
            "/v2/models/m/versions/9/ws",
            404,
            "unknown_version",
            "Model m has no version 9",
        ),
    ];
    for (path, status, kind, text) in rows {
        refused(
            &server.send(upgrade(path, |_| {})).await,
            status,
            kind,
            text,
        );
    }
    server.state.abort();
    let answer = server.send(upgrade(V1, |_| {})).await;
    refused(&answer, 503, "draining", "Server is shutting down");
}

#[tokio::test]
async fn pages_of_browsers_need_cors() {
    let origin = [("origin", "https://example.com")];
    let port = Port::linear().await;
    let Err(Error::Http(answer)) = port.open_with(V1, &origin).await else {
        panic!("refused")
    };
    assert_eq!(answer.status(), 400);
    let cors = Settings {
        cors: true,
        ..settings()
    };
    let port = Port::of(Server::with("linear.onnx", cors)).await;
    let mut client = port.open_with(V1, &origin).await.unwrap();
    client
        .check(
            r#"{"id":"a","instances":[[1.0]]}"#,
            r#"{"id":"a","predictions":[[2.0]]}"#,
        )
        .await;
}
