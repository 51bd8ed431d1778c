//! Calls that succeed, and what their pods and their callers see of each other.

use std::sync::Arc;

use aimass_gateway::table::{Deployment, EndpointState, RevisionState};
use aimass_gateway::tls::{Certificate, server_config};
use aimass_protocol::grpc::{
    ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest,
    ModelReadyResponse, frame,
};
use tonic::codec::CompressionEncoding;

use super::caller::{CALL, Caller, INFER, asks, framed, text};
use super::speaker::{Speaker, ending};
use crate::tls::{connect, connector, pair, take};
use crate::world::{Gateway, KEY_ID, Setup, model, revision, table, token};

/// `model` of another project.
fn of(project: &str, model: Deployment) -> Deployment {
    Deployment {
        namespace: project.into(),
        uid: format!("uid-{project}").into(),
        ..model
    }
}

#[tokio::test]
async fn a_client_that_knows_nothing_of_gateways_is_answered() {
    let pod = Speaker::named("iris").await;
    let gateway = Gateway::to(&[pod.address]).await;
    let caller = Caller::connect(gateway.address).await;
    let answer = caller
        .infer("iris", &[("x-request-id", "a1")])
        .await
        .unwrap();
    let metadata = answer.metadata().clone().into_headers();
    assert_eq!(text(&metadata, "x-request-id"), "a1");
    assert_eq!(text(&metadata, "aimass-revision"), "iris-aaaaaaaa");
    assert_eq!(text(&metadata, "aimass-model-version"), "7");
    assert!(text(&metadata, "server-timing").contains("upstream;dur="));
    let answer = answer.into_inner();
    assert_eq!(
        (answer.model_name.as_str(), answer.id.as_str()),
        ("iris", "42")
    );

    let heard = pod.last();
    assert_eq!(heard.path, INFER);
    assert_eq!(heard.header("te"), Some("trailers"));
    assert_eq!(heard.header("content-type"), Some("application/grpc"));
    assert_eq!(heard.header("aimass-project"), Some("shop"));
    assert_eq!(heard.header("aimass-caller"), None);
    assert_eq!(heard.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(heard.header("x-forwarded-host"), Some("gateway"));
    assert_eq!(heard.header("x-request-id"), Some("a1"));

    let line = &gateway.lines(1).await[0];
    assert_eq!(line["protocol"], "grpc");
    assert_eq!(
        (&line["model"], &line["project"]),
        (&"iris".into(), &"shop".into())
    );
    assert_eq!(
        (&line["http.status"], &line["path"]),
        (&200.into(), &INFER.into())
    );
    assert_eq!(line["request.bytes"], framed("iris").len());
    let series = "aimass_gateway_requests_total{project=\"shop\",model=\"iris\",protocol=\"grpc\",code=\"200\",kind=\"ok\"}";
    assert_eq!(gateway.metric(series), 1.0, "{}", gateway.metrics());
}

#[tokio::test]
async fn metadata_and_readiness_are_asked_of_pods_too() {
    let pod = Speaker::new(|head, _| async move {
        let body = match head.uri.path().rsplit('/').next() {
            Some("ModelReady") => frame(&ModelReadyResponse { ready: true }),
            _ => frame(&ModelMetadataResponse {
                name: "iris".to_owned(),
                ..ModelMetadataResponse::default()
            }),
        };
        ending(body.unwrap(), &[("grpc-status", "0")])
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let caller = Caller::connect(gateway.address).await;
    let (name, version) = ("iris".to_owned(), "7".to_owned());
    let request = tonic::Request::new(ModelReadyRequest {
        name: name.clone(),
        version: String::new(),
    });
    let path = "/inference.GRPCInferenceService/ModelReady";
    let ready = caller.call::<ModelReadyResponse>(path, request, None).await;
    assert!(ready.unwrap().into_inner().ready);
    let request = tonic::Request::new(ModelMetadataRequest { name, version });
    let path = "/inference.GRPCInferenceService/ModelMetadata";
    let found = caller
        .call::<ModelMetadataResponse>(path, request, None)
        .await;
    assert_eq!(found.unwrap().into_inner().name, "iris");
    assert_eq!(pod.last().path, path);
}

#[tokio::test]
async fn calls_come_over_tls_as_well() {
    let (pod, pair) = (Speaker::named("iris").await, pair());
    let certificate = Arc::new(Certificate::default());
    take(&certificate, &pair);
    let mut setup = Setup::of(table(vec![model(&[pod.address])], None));
    setup.tls = Some(server_config(Arc::clone(&certificate)).unwrap());
    let gateway = setup.start().await;
    let connector = connector(&[&pair], &[b"h2"]);
    let stream = connect(&connector, gateway.address, "gateway.example").await;
    let caller = Caller::over(stream.unwrap(), "https://gateway.example").await;
    let answer = caller.infer("iris", &[]).await.unwrap();
    let metadata = answer.metadata().clone().into_headers();
    assert_eq!(
        text(&metadata, "strict-transport-security"),
        "max-age=31536000"
    );
    assert_eq!(pod.last().header("x-forwarded-proto"), Some("https"));
    let other = caller.at("https://other.example").infer("iris", &[]).await;
    assert!(
        other
            .unwrap_err()
            .message()
            .contains("made for another host")
    );
}

#[tokio::test]
async fn keys_are_shown_in_metadata_and_stay_here() {
    let pod = Speaker::named("iris").await;
    let mut private = model(&[pod.address]);
    private.access.public = false;
    let gateway = Gateway::with(private).await;
    let caller = Caller::connect(gateway.address).await;
    let bearer = format!("Bearer {}", token());
    for metadata in [("authorization", bearer.as_str()), ("x-api-key", &token())] {
        caller.infer("iris", &[metadata]).await.unwrap();
        let heard = pod.last();
        assert_eq!(heard.header("aimass-caller"), Some(KEY_ID));
        assert_eq!(heard.header("authorization"), None);
        assert_eq!(heard.header("x-api-key"), None);
    }
}

#[tokio::test]
async fn the_project_is_the_hosts_else_the_metadatas_else_the_keys_else_the_default() {
    let [default, lab, shop] = [
        Speaker::named("default").await,
        Speaker::named("lab").await,
        Speaker::named("shop").await,
    ];
    let models = vec![
        of("default", model(&[default.address])),
        of("lab", model(&[lab.address])),
        model(&[shop.address]),
    ];
    let mut setup = Setup::of(table(models, None));
    setup.settings.default_project = Some("default".into());
    setup.settings.domain = Some("models.example.com".into());
    let gateway = setup.start().await;
    let caller = Caller::connect(gateway.address).await;
    let named = caller.at("http://iris.lab.models.example.com");
    let token = token();
    let key = ("x-api-key", token.as_str());
    let lab = ("aimass-project", "lab");
    let asked = [
        (&caller, vec![], "default"),
        (&caller, vec![key], "shop"),
        (&caller, vec![lab], "lab"),
        (&caller, vec![lab, key], "lab"),
        (&named, vec![], "lab"),
        (&named, vec![key], "lab"),
    ];
    for (caller, metadata, expect) in asked {
        let answer = caller.infer("iris", &metadata).await.unwrap();
        assert_eq!(answer.into_inner().model_name, expect, "{metadata:?}");
    }
    let differing = named.infer("iris", &[("aimass-project", "shop")]).await;
    assert_eq!(differing.unwrap_err().code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn the_version_in_the_message_says_which_revision_answers() {
    let (old, new) = (Speaker::named("old").await, Speaker::named("new").await);
    let mut model = model(&[old.address]);
    let ready = [(new.address, EndpointState::Ready)];
    let state = RevisionState::Ready;
    let newer = revision(&Arc::default(), (8, 0), state, &ready);
    model.revisions.push(newer);
    let gateway = Gateway::with(model).await;
    let caller = Caller::connect(gateway.address).await;
    for (version, expect) in [("7", "old"), ("8", "new"), ("7", "old"), ("8", "new")] {
        let mut message = asks("iris");
        message.model_version = version.to_owned();
        let request = tonic::Request::new(message);
        let answer = caller
            .call::<ModelInferResponse>(INFER, request, None)
            .await;
        assert_eq!(answer.unwrap().into_inner().model_name, expect);
    }
    let mut message = asks("iris");
    message.model_version = "9".to_owned();
    let request = tonic::Request::new(message);
    let answer = caller
        .call::<ModelInferResponse>(INFER, request, None)
        .await;
    let refused = answer.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (tonic::Code::NotFound, "Model iris has no version 9")
    );
}

#[tokio::test]
async fn compressed_messages_pass_as_they_are() {
    let pod = Speaker::named("iris").await;
    let gateway = Gateway::to(&[pod.address]).await;
    let caller = Caller::connect(gateway.address).await;
    let request = tonic::Request::new(asks("iris"));
    let gzip = Some(CompressionEncoding::Gzip);
    let answer = caller
        .call::<ModelInferResponse>(INFER, request, gzip)
        .await;
    assert_eq!(answer.unwrap().into_inner().model_name, "iris");
    assert_eq!(pod.last().header("grpc-encoding"), Some("gzip"));
}

#[tokio::test]
async fn pods_are_told_what_time_is_left() {
    let pod = Speaker::named("iris").await;
    let gateway = Gateway::to(&[pod.address]).await;
    let caller = Caller::connect(gateway.address).await;
    let left = async |timeout: Option<&str>| {
        let mut headers = CALL.to_vec();
        headers.extend(timeout.map(|timeout| ("grpc-timeout", timeout)));
        let answer = caller.raw(INFER, &headers, framed("iris")).await;
        assert_eq!(text(answer.trailers.as_ref().unwrap(), "grpc-status"), "0");
        let heard = pod.last();
        let left = heard.header("grpc-timeout").unwrap();
        left.strip_suffix('m').unwrap().parse::<u64>().unwrap()
    };
    // The model has 5 s.
    assert!((4000..=5000).contains(&left(None).await));
    assert!((4000..=5000).contains(&left(Some("1H")).await));
    assert!((1000..=2000).contains(&left(Some("2S")).await));
    assert!((500..=1500).contains(&left(Some("1500000u")).await));
}

#[tokio::test]
async fn trailers_of_pods_reach_callers_and_the_record() {
    let pod = Speaker::new(|_, body| async move {
        let _read = http_body_util::BodyExt::collect(body).await;
        let trailers = [
            ("grpc-status", "3"),
            ("grpc-message", "Input %22x%22"),
            ("aimass-error", "bad_tensor"),
            ("x-own", "kept"),
        ];
        ending(Vec::new(), &trailers)
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let caller = Caller::connect(gateway.address).await;
    let refused = caller.infer("iris", &[]).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (tonic::Code::InvalidArgument, "Input \"x\"")
    );
    let metadata = refused.metadata().clone().into_headers();
    assert_eq!(
        (text(&metadata, "aimass-error"), text(&metadata, "x-own")),
        ("bad_tensor", "kept")
    );
    let line = &gateway.lines(1).await[0];
    assert_eq!(
        (&line["http.status"], &line["error.kind"]),
        (&400.into(), &"bad_tensor".into())
    );
}

#[tokio::test]
async fn an_answer_of_trailers_alone_stays_one() {
    let pod = Speaker::refusing("3", "engine_rejected").await;
    let gateway = Gateway::to(&[pod.address]).await;
    let caller = Caller::connect(gateway.address).await;
    let answer = caller.raw(INFER, &CALL, framed("iris")).await;
    answer.refuses("3", "engine_rejected", "");
    assert_eq!(answer.header("aimass-revision"), "iris-aaaaaaaa");
    let line = &gateway.lines(1).await[0];
    assert_eq!(
        (&line["http.status"], &line["error.kind"]),
        (&400.into(), &"engine_rejected".into())
    );
}
