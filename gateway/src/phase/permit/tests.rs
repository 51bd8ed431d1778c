//! A table of two projects, and who gets what of it.

use k8s_openapi::api::authentication::v1::UserInfo;

use super::*;
use crate::phase::route::{Addresses, Head, parse};
use crate::review::Identity;
use crate::table::{Network, Unready, samples};

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3));

fn deployment(namespace: &str, name: &str, served_name: &str) -> Deployment {
    let revision = |number: i64| samples::revision(&format!("revision{number}"), number);
    Deployment {
        uid: format!("{namespace}/{name}").into(),
        namespace: namespace.into(),
        served_name: served_name.into(),
        stable: Some(7),
        target: Some(8),
        revisions: vec![revision(8), revision(7)],
        ..samples::model(name, 0)
    }
}

fn table(change: impl FnOnce(&mut Deployment)) -> Table {
    let mut iris = deployment("shop", "iris", "my_iris");
    change(&mut iris);
    let mut table = Table::default();
    for model in [
        iris,
        deployment("shop", "half", "half"),
        deployment("other", "half", "half"),
    ] {
        let models = table.models.entry(Arc::clone(&model.namespace));
        let name = Arc::clone(&model.served_name);
        models.or_default().insert(name, Arc::new(model));
    }
    table
}

fn same() -> Table {
    table(|_| ())
}

/// A key of project `shop` for these models.
fn key(models: &[&str]) -> Caller {
    let key = Key {
        uid: "uid".into(),
        namespace: "shop".into(),
        name: "till".into(),
        sha256: [0; 32],
        models: models.iter().map(|model| Arc::from(*model)).collect(),
        plan: None,
        not_after: None,
        disabled: false,
        allowed: Vec::new(),
        used: std::sync::atomic::AtomicBool::new(false),
    };
    Caller::Key {
        id: "abcDEF123456".into(),
        key: Arc::new(key),
    }
}

fn wanted(namespace: &str, name: &str) -> Wanted {
    Wanted {
        namespace: namespace.into(),
        name: name.into(),
    }
}

/// A ServiceAccount that has just been allowed to call this model.
fn account(allowed: Option<Wanted>) -> Caller {
    let info = UserInfo {
        username: Some("system:serviceaccount:bank:teller".to_owned()),
        ..UserInfo::default()
    };
    Caller::Token {
        identity: Arc::new(Identity::new(info).unwrap()),
        allowed: allowed.map(Arc::new),
    }
}

/// What must be asked before it is decided.
#[track_caller]
fn asks(table: &Table, path: &str, caller: &Caller, expect: Option<&Wanted>) {
    let target = target(path, None);
    let asked = question(table, &target, caller, HOME);
    assert_eq!(asked.as_ref(), expect, "{path}");
}

fn target(path: &str, host: Option<&str>) -> Target {
    let method = if path.contains(":predict") || path.ends_with("/infer") {
        "POST"
    } else {
        "GET"
    };
    let addresses = Addresses {
        domain: Some("example.com".into()),
        default_project: Some("shop".into()),
    };
    parse(&Head { method, path, host }, &addresses).unwrap()
}

/// The object and the path that a pod is asked.
#[track_caller]
fn permits(table: &Table, path: &str, caller: &Caller, expect: (&str, &str)) {
    let bound = bind(table, &target(path, None), caller, HOME).unwrap();
    assert_eq!((&*bound.deployment.uid, bound.path.as_str()), expect);
}

#[track_caller]
fn refuses(table: &Table, path: &str, caller: &Caller, expect: &Error) {
    let error = bind(table, &target(path, None), caller, HOME).unwrap_err();
    assert_eq!(&error, expect, "{path}");
}

fn unknown(path: &str) -> Error {
    target(path, None).unknown_model()
}

#[test]
fn a_key_calls_the_models_that_it_names_by_their_objects_names() {
    let expect = ("shop/iris", "/v1/models/my_iris:predict");
    let path = "/v1/models/my_iris:predict";
    permits(&same(), path, &key(&["iris"]), expect);
    permits(&same(), path, &key(&["half", "iris"]), expect);
    permits(&same(), path, &key(&["*"]), expect);
    permits(
        &same(),
        &format!("/projects/shop{path}"),
        &key(&["*"]),
        expect,
    );
    let error = Error::forbidden("my_iris");
    refuses(&same(), path, &key(&["my_iris"]), &error);
}

#[test]
fn a_model_of_its_project_that_it_does_not_name_is_forbidden() {
    let error = Error::forbidden("half");
    refuses(&same(), "/v2/models/half/infer", &key(&["iris"]), &error);
    refuses(&same(), "/v1/models/half", &key(&[]), &error);
}

#[test]
fn whatever_else_a_key_may_not_call_does_not_exist() {
    for path in [
        "/projects/other/v2/models/half/infer",
        "/projects/other/v2/models/half/versions/99/infer",
        "/projects/other/v1/models/half:predict",
        "/projects/other/v1/models/half/labels/none:predict",
        "/projects/other/v1/models/half",
    ] {
        let absent = path.replace("other", "absent");
        let error = bind(&same(), &target(&absent, None), &key(&["*"]), HOME).unwrap_err();
        refuses(&same(), path, &key(&["*"]), &error);
        assert_eq!(error, unknown(path));
    }
    refuses(
        &same(),
        "/v2/models/absent",
        &key(&["*"]),
        &unknown("/v2/models/absent"),
    );
}

#[test]
fn a_keys_project_comes_before_the_default_one() {
    let elsewhere = Addresses {
        domain: None,
        default_project: Some("other".into()),
    };
    let head = Head {
        method: "GET",
        path: "/v2/models/half",
        host: None,
    };
    let target = parse(&head, &elsewhere).unwrap();
    let bound = bind(&same(), &target, &key(&["*"]), HOME).unwrap();
    assert_eq!(&*bound.deployment.uid, "shop/half");
}

#[test]
fn without_a_key_there_are_public_models_only() {
    let public = table(|iris| iris.access.public = true);
    let expect = ("shop/iris", "/v2/models/my_iris");
    permits(&public, "/v2/models/my_iris", &Caller::Anonymous, expect);
    let error = Error::unauthenticated();
    for path in [
        "/v2/models/half",
        "/v2/models/absent",
        "/projects/absent/v2/models/half",
        "/v1/models/half/versions/99:predict",
    ] {
        refuses(&public, path, &Caller::Anonymous, &error);
    }
}

#[test]
fn without_a_key_and_a_project_there_is_nothing() {
    let public = table(|iris| iris.access.public = true);
    let target = Target {
        project: Project::Implied(None),
        ..target("/v2/models/my_iris", None)
    };
    let error = bind(&public, &target, &Caller::Anonymous, HOME).unwrap_err();
    assert_eq!(error, Error::unauthenticated());
}

#[test]
fn a_public_model_is_public_for_keys_too() {
    let public = table(|iris| iris.access.public = true);
    let expect = ("shop/iris", "/v2/models/my_iris");
    permits(&public, "/v2/models/my_iris", &key(&["half"]), expect);
}

#[test]
fn from_elsewhere_a_model_does_not_exist() {
    let there = table(|iris| {
        iris.access.public = true;
        iris.access.allowed = vec![Network {
            address: [192, 168, 0, 0].into(),
            prefix: 16,
        }];
    });
    let path = "/v2/models/my_iris";
    refuses(&there, path, &key(&["iris"]), &unknown(path));
    refuses(&there, path, &Caller::Anonymous, &Error::unauthenticated());
    let near = IpAddr::from([192, 168, 7, 7]);
    let bound = bind(&there, &target(path, None), &Caller::Anonymous, near);
    assert!(bound.is_ok());
}

#[test]
fn a_version_is_pinned_and_asked_for_by_its_number() {
    let path = "/v1/models/my_iris/versions/7:predict";
    let bound = bind(&same(), &target(path, None), &key(&["*"]), HOME).unwrap();
    assert_eq!((bound.pin, bound.path.as_str()), (Some(7), path));
    let path = "/v2/models/my_iris/versions/9/infer";
    let error = target(path, None).unknown_version();
    refuses(&same(), path, &key(&["*"]), &error);
    assert_eq!(error.text, "Model my_iris has no version 9");
}

#[test]
fn stable_is_the_version_of_the_last_rollout() {
    let path = "/v1/models/my_iris/labels/stable:predict";
    let expect = ("shop/iris", "/v1/models/my_iris/versions/7:predict");
    permits(&same(), path, &key(&["*"]), expect);
    let error = target(path, None).unknown_version();
    let none = table(|iris| iris.stable = None);
    refuses(&none, path, &key(&["*"]), &error);
    let gone = table(|iris| iris.stable = Some(5));
    refuses(&gone, path, &key(&["*"]), &error);
    let path = "/v1/models/my_iris/labels/newest:predict";
    let error = target(path, None).unknown_version();
    refuses(&same(), path, &key(&["*"]), &error);
    assert_eq!(error.text, "Unrecognized servable version label: newest");
}

#[test]
fn canary_is_the_version_that_the_spec_asks_for() {
    let path = "/v1/models/my_iris/labels/canary:predict";
    let expect = ("shop/iris", "/v1/models/my_iris/versions/8:predict");
    permits(&same(), path, &key(&["*"]), expect);
    let error = target(path, None).unknown_version();
    let none = table(|iris| iris.target = None);
    refuses(&none, path, &key(&["*"]), &error);
}

#[test]
fn a_suspended_model_says_so_to_those_who_may_call_it() {
    let suspended = table(|iris| {
        iris.unready = Some(Unready {
            reason: "Suspended".into(),
            decided: true,
        });
    });
    let path = "/v1/models/my_iris:predict";
    let error = Error::suspended("my_iris");
    refuses(&suspended, path, &key(&["*"]), &error);
    let pinned = "/v1/models/my_iris/versions/99:predict";
    refuses(&suspended, pinned, &key(&["*"]), &error);
    let forbidden = Error::forbidden("my_iris");
    refuses(&suspended, path, &key(&["half"]), &forbidden);
    let starting = table(|iris| {
        iris.unready = Some(Unready {
            reason: "Starting".into(),
            decided: false,
        });
    });
    permits(&starting, path, &key(&["*"]), ("shop/iris", path));
}

#[test]
fn host_and_path_mean_the_same_model() {
    let permitted = |host: &str, path: &str| {
        let host = format!("{host}.example.com");
        bind(&same(), &target(path, Some(&host)), &key(&["*"]), HOME)
            .map(|bound| bound.deployment.uid.to_string())
    };
    let path = "/v2/models/my_iris";
    assert_eq!(permitted("iris.shop", path), Ok("shop/iris".to_owned()));
    assert_eq!(permitted("half.shop", path), Err(unknown(path)));
    assert_eq!(permitted("iris.other", path), Err(unknown(path)));
}

#[test]
fn only_for_callers_with_tokens_there_is_something_to_ask() {
    let path = "/v1/models/my_iris:predict";
    asks(&same(), path, &key(&["*"]), None);
    asks(&same(), path, &Caller::Anonymous, None);
    asks(&same(), path, &account(None), Some(&wanted("shop", "iris")));
    let allowed = account(Some(wanted("shop", "iris")));
    asks(&same(), path, &allowed, None);
    let elsewhere = account(Some(wanted("other", "half")));
    asks(&same(), path, &elsewhere, Some(&wanted("shop", "iris")));
}

#[test]
fn about_what_does_not_exist_the_same_is_asked() {
    for (path, expect) in [
        ("/v2/models/absent", wanted("shop", "absent")),
        ("/projects/none/v2/models/half", wanted("none", "half")),
        // By the name in addresses, as if nobody had such a model.
        ("/v2/models/iris", wanted("shop", "iris")),
    ] {
        asks(&same(), path, &account(None), Some(&expect));
        let allowed = account(Some(expect));
        asks(&same(), path, &allowed, None);
        refuses(&same(), path, &allowed, &unknown(path));
    }
    let hidden = table(|iris| {
        iris.access.allowed = vec![Network {
            address: [192, 168, 0, 0].into(),
            prefix: 16,
        }];
    });
    let path = "/v2/models/my_iris";
    let expect = wanted("shop", "my_iris");
    asks(&hidden, path, &account(None), Some(&expect));
    let allowed = account(Some(wanted("shop", "iris")));
    refuses(&hidden, path, &allowed, &unknown(path));
}

#[test]
fn a_token_opens_the_very_model_that_was_asked_about() {
    let path = "/v1/models/my_iris:predict";
    let allowed = account(Some(wanted("shop", "iris")));
    permits(&same(), path, &allowed, ("shop/iris", path));
    refuses(&same(), path, &account(None), &unknown(path));
    let elsewhere = account(Some(wanted("shop", "half")));
    refuses(&same(), path, &elsewhere, &unknown(path));
    let other = "/projects/other/v1/models/half:predict";
    let namesake = account(Some(wanted("shop", "half")));
    refuses(&same(), other, &namesake, &unknown(other));
}

#[test]
fn whoever_may_not_call_a_model_does_not_learn_what_it_is_like() {
    let suspended = table(|iris| {
        iris.unready = Some(Unready {
            reason: "Suspended".into(),
            decided: true,
        });
    });
    let path = "/v1/models/my_iris/versions/99:predict";
    refuses(&suspended, path, &account(None), &unknown(path));
    let allowed = account(Some(wanted("shop", "iris")));
    refuses(&suspended, path, &allowed, &Error::suspended("my_iris"));
}

#[test]
fn a_public_model_is_public_for_tokens_too() {
    let public = table(|iris| iris.access.public = true);
    let path = "/v2/models/my_iris";
    asks(&public, path, &account(None), None);
    permits(&public, path, &account(None), ("shop/iris", path));
}

#[test]
fn without_a_project_a_token_opens_nothing() {
    let target = Target {
        project: Project::Implied(None),
        ..target("/v2/models/my_iris", None)
    };
    assert_eq!(question(&same(), &target, &account(None), HOME), None);
    let error = bind(&same(), &target, &account(None), HOME).unwrap_err();
    assert_eq!(error, target.unknown_model());
}
