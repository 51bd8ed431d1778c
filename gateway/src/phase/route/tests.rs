//! Tables of heads, and a naive reader to compare with.

use proptest::prelude::*;

use super::*;

fn addresses() -> Addresses {
    Addresses {
        domain: Some("models.example.com".into()),
        default_project: Some("default".into()),
    }
}

fn read_head(method: &str, path: &str, host: Option<&str>) -> Result<Target, Error> {
    parse(&Head { method, path, host }, &addresses())
}

fn implied() -> Project {
    Project::Implied(Some("default".into()))
}

fn named(project: &str) -> Project {
    Project::Named(project.to_owned())
}

#[track_caller]
fn accepts(method: &str, path: &str, expect: (Project, &str, Pick, Call)) {
    let (project, model, pick, call) = expect;
    let target = Target {
        project,
        host: None,
        model: model.to_owned(),
        pick,
        call,
    };
    assert_eq!(read_head(method, path, None), Ok(target), "{method} {path}");
}

#[track_caller]
fn refuses(method: &str, path: &str, kind: Kind, text: &str) {
    assert_eq!(
        read_head(method, path, None),
        Err(Error::new(kind, text)),
        "{method} {path}"
    );
}

#[test]
fn every_route_of_a_model_is_one() {
    let any = || Pick::Any;
    for (method, path, call) in [
        ("POST", "/v1/models/m:predict", Call::Predict),
        ("POST", "/v1/models/m:classify", Call::Classify),
        ("POST", "/v1/models/m:regress", Call::Regress),
        ("GET", "/v1/models/m", Call::Status),
        ("HEAD", "/v1/models/m/metadata", Call::Metadata),
        ("POST", "/v2/models/m/infer", Call::Infer),
        ("GET", "/v2/models/m", Call::ModelMetadata),
        ("HEAD", "/v2/models/m/ready", Call::ModelReady),
        ("GET", "/v1/models/m/ws", Call::WebSocket(Dialect::Tfs)),
        ("GET", "/v2/models/m/ws", Call::WebSocket(Dialect::Oip)),
    ] {
        accepts(method, path, (implied(), "m", any(), call));
        let below = format!("/projects/team-a{path}");
        accepts(method, &below, (named("team-a"), "m", any(), call));
    }
}

#[test]
fn versions_and_labels_are_pins() {
    let seven = || Pick::Version(7);
    let path = "/projects/a/v1/models/m/versions/7:predict";
    accepts("POST", path, (named("a"), "m", seven(), Call::Predict));
    let path = "/v2/models/m/versions/7/infer";
    accepts("POST", path, (implied(), "m", seven(), Call::Infer));
    let stable = Pick::Label("stable".to_owned());
    let path = "/v1/models/m/labels/stable:predict";
    accepts("POST", path, (implied(), "m", stable, Call::Predict));
    let text = "Model m has no version x";
    refuses("GET", "/v2/models/m/versions/x", Kind::UnknownVersion, text);
}

#[test]
fn a_name_is_decoded_once() {
    let path = "/v1/models/my%5Fmodel:predict";
    accepts(
        "POST",
        path,
        (implied(), "my_model", Pick::Any, Call::Predict),
    );
    let text = "Failed to decode model name:%ff";
    refuses("GET", "/v1/models/%ff", Kind::BadRoute, text);
}

#[test]
fn without_a_default_project_only_a_key_can_name_it() {
    let head = Head {
        method: "GET",
        path: "/v1/models/m",
        host: Some("localhost:8501"),
    };
    let target = parse(&head, &Addresses::default()).unwrap();
    assert_eq!(target.project, Project::Implied(None));
}

#[test]
fn what_only_a_gateway_could_answer_is_no_route() {
    for (path, text) in [
        ("/v1/models", "Malformed request: GET /v1/models"),
        (
            "/projects/a/v1/models",
            "Malformed request: GET /projects/a/v1/models",
        ),
    ] {
        refuses("GET", path, Kind::BadRoute, text);
    }
    for path in [
        "/v2",
        "/v2/",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models",
        "/projects/a/v2",
        "/",
        "/foo",
        "/v3/models/m",
        "/v11/models/m",
        "/metrics",
        "/readyz",
        "/projects",
        "/projects/a",
        "/projects/a/",
    ] {
        refuses(
            "GET",
            path,
            Kind::NotFound,
            &format!("Not found: GET {path}"),
        );
    }
}

#[test]
fn a_project_is_a_dns_label_and_stands_once() {
    for path in [
        "/projects/A/v2/models/m",
        "/projects/a_b/v2/models/m",
        "/projects/-a/v2/models/m",
        "/projects/%61/v2/models/m",
        "/projects/a/projects/b/v2/models/m",
        "/Projects/a/v2/models/m",
    ] {
        refuses(
            "GET",
            path,
            Kind::NotFound,
            &format!("Not found: GET {path}"),
        );
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for path in [
        "/projects/a/../b/v2/models/m",
        "/projects/a/%2e%2e/b/v2/models/m",
        "/projects/a%2Fv2/models/m",
        "/projects//v2/models/m",
        "/projects/a//v2/models/m",
        "/projects/a/./v2/models/m",
        "/projects/a/v2/models/..%2fm",
        "/projects/a;x=/v2/models/m",
        "/v2/models/m;x=1",
        "/v2/models/m%00",
        "/v2/models/m\\n",
        "/v2/models/m%5c",
        "/v2/models/m#x",
        "/v2/models/m/..",
    ] {
        let error = read_head("GET", path, None).unwrap_err();
        assert_eq!(error.kind.name(), "bad_route", "{path}");
    }
    refuses(
        "POST",
        "/projects/a/v1/models/../m:predict",
        Kind::BadRoute,
        "Malformed request: POST /projects/a/v1/models/../m:predict",
    );
    for path in ["*", "example.com:443", ""] {
        refuses(
            "CONNECT",
            path,
            Kind::NotFound,
            &format!("Not found: CONNECT {path}"),
        );
    }
}

#[test]
fn a_wrong_method_says_which_are_allowed() {
    let path = "/projects/a/v2/models/m/infer";
    let text = "Method GET not allowed: /v2/models/m/infer";
    refuses("GET", path, Kind::MethodNotAllowed, text);
    assert_eq!(allowed_methods(path), Some("POST"));
    assert_eq!(allowed_methods("/projects/a/v1/models/m:predict"), None);
    assert_eq!(allowed_methods("/projects/A/v2/models/m"), None);
    let text = "Malformed request: PUT /v1/models/m:predict";
    refuses("PUT", "/v1/models/m:predict", Kind::BadRoute, text);
}

#[test]
fn texts_repeat_no_more_than_they_may() {
    let path = format!("/{}", "ü".repeat(2000));
    let error = read_head(&"M".repeat(2000), &path, None).unwrap_err();
    assert!(error.text.len() < 320, "{}", error.text.len());
}

#[test]
fn a_host_names_model_and_project() {
    let host = Some("iris.shop.models.example.com:8443");
    let target = read_head("GET", "/v2/models/iris_2", host).unwrap();
    assert_eq!(target.project, named("shop"));
    assert_eq!(target.host.as_deref(), Some("iris"));
    assert_eq!(target.model, "iris_2");
    let same = read_head("GET", "/projects/shop/v2/models/iris_2", host);
    assert_eq!(same, Ok(target));
}

#[test]
fn host_and_prefix_that_differ_are_refused() {
    let host = Some("iris.shop.models.example.com");
    let error = read_head("GET", "/projects/other/v2/models/iris", host).unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    let host = Some("my_model.shop.models.example.com");
    let error = read_head("GET", "/v2/models/iris", host).unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
}

#[test]
fn without_a_domain_hosts_mean_nothing() {
    let head = Head {
        method: "GET",
        path: "/v2/models/m",
        host: Some("iris.shop.models.example.com"),
    };
    let target = parse(&head, &Addresses::default()).unwrap();
    assert_eq!(
        (target.host, target.project),
        (None, Project::Implied(None))
    );
}

#[test]
fn a_head_prefers_the_targets_authority() {
    let request = |uri: &str| {
        let request = Request::builder().uri(uri).header(HOST, "b.example.com");
        request.body(()).unwrap()
    };
    let absolute = request("http://a.example.com/v2?x=1");
    let head = Head::of(&absolute);
    assert_eq!((head.method, head.path), ("GET", "/v2"));
    assert_eq!(head.host, Some("a.example.com"));
    assert_eq!(Head::of(&request("/v2")).host, Some("b.example.com"));
}

#[test]
fn a_pod_is_asked_under_the_served_name() {
    for (call, version, expect) in [
        (Call::Predict, None, "/v1/models/my_model:predict"),
        (
            Call::Classify,
            Some(7),
            "/v1/models/my_model/versions/7:classify",
        ),
        (Call::Regress, None, "/v1/models/my_model:regress"),
        (Call::Status, Some(7), "/v1/models/my_model/versions/7"),
        (Call::Metadata, None, "/v1/models/my_model/metadata"),
        (Call::Infer, Some(7), "/v2/models/my_model/versions/7/infer"),
        (Call::ModelMetadata, None, "/v2/models/my_model"),
        (Call::ModelReady, None, "/v2/models/my_model/ready"),
    ] {
        assert_eq!(call.path("my_model", version), expect);
    }
    assert_eq!(Call::Status.path("a/../b", None), "/v1/models/a%2F..%2Fb");
}

#[test]
fn what_is_unknown_is_named_in_the_protocols_words() {
    let unknown = |path: &str| {
        let method = if path.contains(":predict") {
            "POST"
        } else {
            "GET"
        };
        let target = read_head(method, path, None).unwrap();
        (target.unknown_model().text, target.unknown_version().text)
    };
    let specific = "Servable not found for request: Specific(m, 9)".to_owned();
    let path = "/v1/models/m/versions/9:predict";
    assert_eq!(unknown(path), (specific.clone(), specific));
    let latest = "Servable not found for request: Latest(m)";
    assert_eq!(unknown("/v1/models/m:predict").0, latest);
    let status = "Could not find any versions of model m";
    assert_eq!(unknown("/v1/models/m").0, status);
    let label = "Unrecognized servable version label: L";
    assert_eq!(unknown("/v1/models/m/labels/L").1, label);
    let expect = (
        "Model m not found".to_owned(),
        "Model m has no version 9".to_owned(),
    );
    assert_eq!(unknown("/v2/models/m/versions/9"), expect);
}

/// The project and model of a path, read by splitting it at every slash.
fn naive(path: &str) -> Option<(Option<&str>, &str)> {
    let mut parts: Vec<&str> = path.split('/').skip(1).collect();
    let project = if parts.first() == Some(&"projects") {
        parts.remove(0);
        Some(parts.remove(0))
    } else {
        None
    };
    match parts.as_slice() {
        ["v2", "models", model, ..] => Some((project, model)),
        [_, "models", model, ..] => Some((project, model.split(':').next()?)),
        _ => None,
    }
}

fn piece() -> impl Strategy<Value = String> {
    let words = [
        "projects",
        "v1",
        "V1",
        "v2",
        "models",
        "a",
        "b",
        "m",
        "m:predict",
        "versions",
        "7",
        "labels",
        "stable",
        "infer",
        "ready",
        "metadata",
        "..",
        ".",
        "",
        "%2e",
        "%2f",
        "..%2fb",
        "a;b",
        "%61",
        "a%00",
        "\\",
        "ws",
        "A",
    ];
    proptest::sample::select(words.map(str::to_owned).to_vec())
}

proptest! {
    #[test]
    fn what_is_accepted_is_what_a_naive_reader_sees(
        parts in proptest::collection::vec(piece(), 0..9),
        post in any::<bool>(),
    ) {
        let path = format!("/{}", parts.join("/"));
        let method = if post { "POST" } else { "GET" };
        if let Ok(target) = read_head(method, &path, None) {
            let (project, model) = naive(&path).unwrap();
            let project = project.map_or_else(implied, named);
            prop_assert_eq!(&target.project, &project);
            let escaped = model.contains('%');
            prop_assert!(escaped || target.model == model);
            // Nothing is left in it that a pod could read in another way, and it asks the same again.
            let version = match target.pick {
                Pick::Version(version) => Some(version),
                Pick::Any | Pick::Label(_) => None,
            };
            let again = read_head(method, &target.call.path(&target.model, version), None);
            let again = again.unwrap();
            prop_assert_eq!((again.model, again.call), (target.model, target.call));
        }
    }

    #[test]
    fn no_path_makes_it_panic(method in ".{0,30}", path in ".{0,200}", host in ".{0,60}") {
        let _ = read_head(&method, &path, Some(&host));
        let _ = allowed_methods(&path);
    }
}
