//! How a connection goes on as something else than HTTP: its task runs what the application left here, under the permit
//! that it has, until that ends or the listener drops it. Made by `connection`, handed to the application by `front`.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use super::guard::Activity;
use crate::shutdown::Stop;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// In the extensions of every HTTP/1.1 request that asks for an upgrade.
#[derive(Clone)]
pub struct Upgrade {
    work: Arc<Mutex<Option<Work>>>,
    drain: Stop,
    activity: Activity,
}

impl Upgrade {
    pub(super) fn new(drain: Stop, activity: Activity) -> Self {
        Self {
            work: Arc::default(),
            drain,
            activity,
        }
    }

    /// `work` is what the connection does once the answer under way, 101, is sent. It owns the stream by
    /// [`hyper::upgrade::on`]. None of the limits of HTTP is on it any more: it must end by itself, and in time once
    /// [`Upgrade::drain`] is cancelled; at the end of the listener's grace it is dropped, wherever it is.
    pub fn go_on_with(&self, work: impl Future<Output = ()> + Send + 'static) {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(work));
    }

    /// Cancelled when clients are to connect elsewhere: end with what is in flight.
    #[must_use]
    pub const fn drain(&self) -> &Stop {
        &self.drain
    }

    /// The stream is to be reset when it is dropped: what the client does not take must not stay with us.
    pub fn reset(&self) {
        self.activity.reset();
    }

    /// What to go on with, if anything.
    pub(super) fn take(&self) -> Option<Work> {
        self.work
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
