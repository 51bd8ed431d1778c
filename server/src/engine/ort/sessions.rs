//! Sessions of one model: as many as there are runs at the same time, within the memory that is left.
//!
//! Called by the engine's `load` and `run`. A session that a run left by a panic is thrown away.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;

use super::describe;
use crate::engine::Failure;

/// Sessions of one model; more engine threads than this are unusual.
const MAX_SESSIONS: usize = 64;

/// How a session is made.
pub(super) struct Recipe {
    pub(super) library: Environment,
    pub(super) model: Model,
    /// Name and content of each file with external data: onnxruntime opens none by itself.
    pub(super) external: Vec<(String, Arc<[u8]>)>,
    /// What a session holds, as an estimate.
    pub(super) bytes: u64,
    /// What further sessions may hold together.
    pub(super) budget_bytes: Option<u64>,
}

/// The model file.
pub(super) enum Model {
    /// Its content.
    Bytes(Arc<[u8]>),
    /// A file of a private copy, too large to hold twice.
    File(PathBuf),
}

/// The sessions that there are.
pub(super) struct Sessions {
    recipe: Recipe,
    state: Mutex<State>,
    /// A session came back.
    returned: Condvar,
}

struct State {
    idle: Vec<Session>,
    made: usize,
}

impl Sessions {
    /// With one session, which proves that the model loads.
    pub(super) fn first(recipe: Recipe) -> Result<Self, Failure> {
        let idle = vec![recipe.make()?];
        Ok(Self {
            recipe,
            state: Mutex::new(State { idle, made: 1 }),
            returned: Condvar::new(),
        })
    }

    /// A session for one run: an idle one, a new one, or the next that comes back.
    pub(super) fn take(&self) -> Result<Taken<'_>, Failure> {
        let mut state = self.state();
        loop {
            if let Some(session) = state.idle.pop() {
                return Ok(Taken {
                    sessions: self,
                    session: Some(session),
                });
            }
            if state.made == 0 || self.has_room(state.made) {
                state.made += 1;
                break;
            }
            let waited = self.returned.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        // Counted already; whatever becomes of it, the guard gives it back.
        let mut taken = Taken {
            sessions: self,
            session: None,
        };
        taken.session = Some(self.recipe.make()?);
        Ok(taken)
    }

    /// What all sessions hold, as an estimate.
    pub(super) fn bytes(&self) -> u64 {
        let made = u64::try_from(self.state().made).unwrap_or(u64::MAX);
        made.saturating_mul(self.recipe.bytes)
    }

    fn has_room(&self, made: usize) -> bool {
        let further = u64::try_from(made).unwrap_or(u64::MAX);
        let needed = further.saturating_mul(self.recipe.bytes);
        made < MAX_SESSIONS
            && self
                .recipe
                .budget_bytes
                .is_none_or(|budget| needed <= budget)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session that goes back when it is dropped.
pub(super) struct Taken<'a> {
    sessions: &'a Sessions,
    session: Option<Session>,
}

impl std::ops::Deref for Taken<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session
            .as_ref()
            .expect("there from `take` to the drop")
    }
}

impl std::ops::DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        self.session
            .as_mut()
            .expect("there from `take` to the drop")
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.sessions.state();
        match self.session.take() {
            Some(session) if !std::thread::panicking() => state.idle.push(session),
            _ => state.made = state.made.saturating_sub(1),
        }
        self.sessions.returned.notify_one();
    }
}

impl Recipe {
    fn make(&self) -> Result<Session, Failure> {
        self.session().map_err(|error| describe::failure(&error))
    }

    fn session(&self) -> ort::Result<Session> {
        let mut builder = Session::builder(&self.library)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            // Cores are used across requests, not inside one.
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            // What goes wrong comes back as an error; the library's own lines would be no JSON.
            .with_log_level(LogLevel::Fatal)?;
        for (name, content) in &self.external {
            builder =
                builder.with_external_initializer_file_in_memory(name, Arc::clone(content))?;
        }
        match &self.model {
            Model::Bytes(bytes) => builder.commit_from_memory(bytes),
            Model::File(path) => builder.commit_from_file(path),
        }
    }
}
