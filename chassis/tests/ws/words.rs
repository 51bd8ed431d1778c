//! A subprotocol of lines: `<id> <path>` is a request, `cancel <id>` gives it up, anything else makes no sense; and an
//! application that counts what is in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aimass_chassis::ws::{Asked, Failed, Form, Language, Outgoing};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Request;
use axum::http::response::Parts;
use axum::routing::get;
use bytes::Bytes;

/// What the application has under way, and had at most.
#[derive(Clone, Default)]
pub(crate) struct Load(Arc<(AtomicUsize, AtomicUsize, AtomicUsize)>);

impl Load {
    pub(crate) fn now(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    pub(crate) fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }

    pub(crate) fn all(&self) -> usize {
        self.0.2.load(Ordering::SeqCst)
    }

    fn enter(&self) -> Entered {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        self.0.2.fetch_add(1, Ordering::SeqCst);
        Entered(self.clone())
    }
}

struct Entered(Load);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) fn app(load: &Load) -> Router {
    Router::new()
        .route("/wait/{ms}", get(wait))
        .route("/large/{bytes}", get(large))
        .route("/panic", get(panics))
        .with_state(load.clone())
}

async fn wait(State(load): State<Load>, Path(ms): Path<u64>) -> String {
    let _entered = load.enter();
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    "done".to_owned()
}

async fn large(State(load): State<Load>, Path(bytes): Path<usize>) -> Vec<u8> {
    let _entered = load.enter();
    vec![b'x'; bytes]
}

async fn panics() {
    panic!("on purpose");
}

pub(crate) struct Words;

impl Language for Words {
    fn read(&self, form: Form, message: Bytes, number: u64) -> Asked {
        if form == Form::Binary {
            return Asked::Unsupported;
        }
        let text = str::from_utf8(&message).unwrap();
        assert_ne!(text, "panic", "on purpose");
        match text.split_once(' ') {
            Some(("cancel", id)) => Asked::Cancel { id: id.to_owned() },
            Some((id, path)) if path.starts_with('/') => Asked::Call {
                id: id.to_owned(),
                request: Request::get(path.trim_end()).body(Body::empty()).unwrap(),
            },
            _ => Asked::Malformed(Outgoing {
                malformed: true,
                ..line(format!("{number} makes no sense"))
            }),
        }
    }

    fn answer(&self, id: &str, head: &Parts, body: Bytes) -> Outgoing {
        let form = if body.len() > 100 {
            Form::Binary
        } else {
            Form::Text
        };
        let head = format!("{id} {} ", head.status.as_u16()).into();
        Outgoing {
            form,
            head,
            body,
            malformed: false,
        }
    }

    fn failed(&self, id: &str, number: u64, failed: Failed) -> Outgoing {
        line(format!("{id} {failed:?} of {number}"))
    }
}

fn line(text: String) -> Outgoing {
    Outgoing {
        form: Form::Text,
        head: text.into(),
        body: Bytes::new(),
        malformed: false,
    }
}
