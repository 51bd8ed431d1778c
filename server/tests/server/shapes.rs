//! Shapes that a model does not declare: what TensorFlow Serving's callers send, and what may be remembered of it.

use aimass_protocol::Checks;

use super::serving::{Server, settings};
use super::twins::twin;

fn half() -> Server {
    Server::with_file(&twin("half"), settings())
}

#[tokio::test]
async fn tensorflow_servings_first_example_works_on_a_model_that_declares_columns() {
    let server = half();
    for (body, expect) in [
        (
            r#"{"instances":[1.0,2.0,5.0]}"#,
            r#"{"predictions":[2.5,3.0,4.5]}"#,
        ),
        (
            r#"{"instances":[[1.0,2.0],[3.0,4.0]]}"#,
            r#"{"predictions":[[2.5,3.0],[3.5,4.0]]}"#,
        ),
        (r#"{"inputs":3.0}"#, r#"{"outputs":3.5}"#),
    ] {
        let answer = server.post("/v1/models/m:predict", body).await;
        assert_eq!((answer.status, answer.text()), (200, expect));
    }
}

#[tokio::test]
async fn classes_of_shapes_come_and_go_and_all_are_answered() {
    let server = half();
    for round in 0..2 {
        for width in [1, 2, 3, 4, 5, 6, 7] {
            let row = vec!["2"; width].join(",");
            let body = format!("{{\"instances\":[[{row}],[{row}],[{row}]]}}");
            let answer = server.post("/v1/models/m:predict", body).await;
            assert_eq!(
                answer.status, 200,
                "round {round}, width {width}: {answer:?}"
            );
            let rows = answer.json()["predictions"].as_array().unwrap().clone();
            assert_eq!(rows, vec![serde_json::json!(vec![3.0; width]); 3]);
        }
    }
}

#[tokio::test]
async fn many_requests_of_one_new_shape_are_all_answered() {
    let server = half();
    let post = |_| server.post("/v1/models/m:predict", r#"{"instances":[[1,2],[3,4]]}"#);
    for answer in futures_util::future::join_all((0..8).map(post)).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test]
async fn shapes_bind_where_they_are_not_advice() {
    let text = "Input \"x\" has shape [3], but the model declares [-1,1]";
    let mut strict = settings();
    strict.checks = Checks::Strict;
    let server = Server::with_file(&twin("half"), strict);
    let answer = server
        .post("/v1/models/m:predict", r#"{"instances":[1,2,5]}"#)
        .await;
    assert_eq!((answer.status, answer.error().as_str()), (400, text));
    let body = r#"{"inputs":[{"name":"x","shape":[3],"datatype":"FP32","data":[1,2,5]}]}"#;
    let answer = half().post("/v2/models/m/infer", body).await;
    assert_eq!((answer.status, answer.error().as_str()), (400, text));
}

#[tokio::test]
async fn a_refused_shape_changes_nothing_for_the_declared_one() {
    let server = Server::with_file(&twin("merging"), settings());
    for _ in 0..3 {
        let answer = server
            .post("/v1/models/m:predict", r#"{"instances":[[1,2],[3,4]]}"#)
            .await;
        assert_eq!(answer.status, 400, "{answer:?}");
        let answer = server
            .post("/v1/models/m:predict", r#"{"instances":[[1,2,3,4]]}"#)
            .await;
        assert_eq!(answer.text(), r#"{"predictions":[[1.0,2.0,3.0,4.0]]}"#);
    }
}
