//! WebSockets: they end at the gateway, and each message is a request of its own.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::pod::Pod;
use crate::world::{Gateway, KEY_ID, PATIENCE, Setup, model, table, token};

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 21\r\n\r\n{\"predictions\":[2.5]}";

struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    async fn open(gateway: &Gateway, headers: &[(&'static str, &str)]) -> Result<Self, Error> {
        let stream = TcpStream::connect(gateway.address).await.unwrap();
        let url = format!("ws://{}/v1/models/iris/ws", gateway.address);
        let mut request = url.into_client_request()?;
        let offer = "aimass.v1".parse().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", offer);
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let shaken = tokio_tungstenite::client_async(request, stream);
        let (socket, response) = timeout(PATIENCE, shaken).await.unwrap()?;
        assert_eq!(response.headers()["sec-websocket-protocol"], "aimass.v1");
        Ok(Self(socket))
    }

    async fn ask(&mut self, message: &Value) -> Value {
        self.0
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
        let answer = timeout(PATIENCE, self.0.next()).await.unwrap();
        let answer = answer.unwrap().unwrap().into_text().unwrap();
        serde_json::from_str(&answer).unwrap()
    }
}

/// Status and text of a refused upgrade.
fn refused(opened: Result<Socket, Error>) -> u16 {
    match opened.map(drop).unwrap_err() {
        Error::Http(response) => response.status().as_u16(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_message_is_a_request_with_a_line_of_its_own() {
    let pod = Pod::answering(ANSWER).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let mut socket = Socket::open(&gateway, &[("x-request-id", "conn")])
        .await
        .unwrap();
    for id in ["a", "b"] {
        let answer = socket.ask(&json!({"id": id, "instances": [1]})).await;
        assert_eq!(answer, json!({"id": id, "predictions": [2.5]}));
    }
    assert_eq!(pod.count(), 2);
    let asked = pod.last();
    assert_eq!(asked.line(), "post /v1/models/iris:predict http/1.1");
    assert_eq!(asked.header("x-request-id"), Some("conn.2"));
    assert_eq!(asked.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(asked.header("upgrade"), None);
    let lines = gateway.lines(3).await;
    assert_eq!(lines[0]["http.status"], 101);
    assert_eq!(
        (&lines[1]["request.id"], &lines[1]["http.status"]),
        (&"conn.1".into(), &200.into())
    );
    assert_eq!(gateway.metric("aimass_gateway_websockets"), 1.0);
}

#[tokio::test]
async fn a_key_may_be_offered_as_a_subprotocol_and_is_never_selected_or_sent_on() {
    let pod = Pod::answering(ANSWER).await;
    let mut private = model(&[pod.address]);
    private.access.public = false;
    let gateway = Gateway::with(private).await;
    assert_eq!(refused(Socket::open(&gateway, &[]).await), 401);
    let offer = format!("aimass.v1, aimass.key.{}", token());
    for header in [("sec-websocket-protocol", offer), ("x-api-key", token())] {
        let header = (header.0, header.1.as_str());
        let mut socket = Socket::open(&gateway, &[header]).await.unwrap();
        let answer = socket.ask(&json!({"id": "a", "instances": [1]})).await;
        assert_eq!(answer["predictions"], json!([2.5]));
        let asked = pod.last();
        assert_eq!(
            asked.header("aimass-caller"),
            Some(KEY_ID.to_lowercase().as_str())
        );
        assert!(!asked.head.contains("aim_"), "{}", asked.head);
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_ends_the_answers_at_once() {
    let pod = Pod::answering(ANSWER).await;
    let mut private = model(&[pod.address]);
    private.access.public = false;
    let mut without = model(&[pod.address]);
    without.access.public = false;
    let gateway = Gateway::with(private).await;
    let mut socket = Socket::open(&gateway, &[("x-api-key", &token())])
        .await
        .unwrap();
    socket.ask(&json!({"id": "a", "instances": [1]})).await;
    let mut table = table(vec![without], None);
    table.keys.clear();
    gateway.state.swap(table);
    let answer = socket.ask(&json!({"id": "b", "instances": [1]})).await;
    assert_eq!(
        (&answer["kind"], &answer["code"]),
        (&json!("unauthenticated"), &json!(401))
    );
    assert_eq!(pod.count(), 1);
}

#[tokio::test]
async fn failures_are_answers_and_limits_those_of_rest() {
    let mut small = model(&[]);
    small.max_request_bytes = 100;
    let gateway = Gateway::with(small).await;
    let mut socket = Socket::open(&gateway, &[]).await.unwrap();
    let answer = socket.ask(&json!({"id": "a", "instances": [1]})).await;
    assert_eq!(
        (&answer["kind"], &answer["retry_after_ms"]),
        (&json!("not_ready"), &json!(1000))
    );
    let answer = socket.ask(&json!({"instances": [1]})).await;
    assert_eq!(
        (&answer["id"], &answer["error"]),
        (&Value::Null, &json!("Missing \"id\""))
    );
}

#[tokio::test]
async fn what_is_no_upgrade_or_for_no_model_gets_none() {
    let pod = Pod::answering(ANSWER).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let asked = "GET /v2/models/iris/ws HTTP/1.1\r\nhost: gateway\r\n\r\n";
    let answer = crate::client::Client::talk(gateway.address, asked).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.error(),
        "This path is for WebSockets: ask for an upgrade of HTTP/1.1"
    );
    let gateway = Setup::of(table(Vec::new(), None)).start().await;
    assert_eq!(refused(Socket::open(&gateway, &[]).await), 401);
    assert_eq!(
        refused(Socket::open(&gateway, &[("x-api-key", &token())]).await),
        404
    );
    assert_eq!(pod.count(), 0);
}

#[tokio::test]
async fn whoever_has_a_socket_is_sent_elsewhere_when_the_gateway_leaves() {
    let pod = Pod::answering(ANSWER).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let mut socket = Socket::open(&gateway, &[]).await.unwrap();
    socket.ask(&json!({"id": "a", "instances": [1]})).await;
    gateway.drain.cancel();
    let last = timeout(PATIENCE, socket.0.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let Message::Close(Some(close)) = last else {
        panic!("{last}")
    };
    assert_eq!(close.code, CloseCode::Restart);
    drop(socket);
    gateway.stop.cancel();
    gateway.ended().await;
}
