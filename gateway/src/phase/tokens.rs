//! Callers with tokens: the waits of the phases authenticate and permit.
//!
//! Thin: what is asked and believed decides [`crate::review`], what is wanted [`super::permit`]. Called by `phase`. Nobody waits
//! here with a table, which could not be retired then; who comes back goes on with the table that is there by then.

use std::sync::Arc;

use aimass_protocol::Error;
use tokio::time::Instant;

use super::authenticate::Caller;
use super::permit;
use super::refusal::Refusal;
use super::route::Target;
use super::{Case, limited};
use crate::jwt::Jwt;
use crate::review::{Failure, Reviews, Verdict};

/// The label `method` of `auth_total`.
const METHOD: &str = "token";
/// Why nothing is to be expected while the API server does not say who calls.
const UNAVAILABLE: &str = "TokenReviewUnavailable";
/// Questions about one request: the model under an address may be another one after each.
const ROUNDS: usize = 2;

impl Case<'_> {
    /// Who shows `jwt`, and wants `model`.
    pub(super) async fn review(
        &mut self,
        reviews: &Reviews,
        jwt: Jwt<'_>,
        model: &str,
    ) -> Result<Caller, Refusal> {
        let (state, address) = (self.state, self.record.origin().address);
        let admit = || {
            let now = Instant::now().into_std();
            state.strangers().token_review(address, now)
        };
        let now = aimass_chassis::clock::now();
        let told = self.without_table(reviews.token(jwt, now, admit)).await;
        let identity = match told {
            Ok(Verdict::Yes(identity)) => identity,
            Ok(Verdict::No) => return Err(self.unknown(METHOD, Error::unauthenticated())),
            Err(failure) => {
                let result = match failure {
                    Failure::Limited(_) => "limited",
                    Failure::Unavailable => "unavailable",
                };
                state.metrics().authenticated(METHOD, result);
                return Err(self.failed(failure, model));
            }
        };
        let caller = Caller::Token {
            identity,
            allowed: None,
        };
        Ok(self.known(METHOD, caller))
    }

    /// Asks what [`permit::bind`] must know of `caller`, if anything.
    ///
    /// # Errors
    /// Whoever may not call the model hears what it would hear if there were none.
    pub(super) async fn ask(
        &mut self,
        target: &Target,
        caller: &mut Caller,
    ) -> Result<(), Refusal> {
        let (state, address) = (self.state, self.record.origin().address);
        let admit = || {
            let now = Instant::now().into_std();
            state.strangers().access_review(address, now)
        };
        for _ in 0..ROUNDS {
            let wanted = permit::question(&self.table, target, caller, address);
            let (Some(wanted), Caller::Token { identity, allowed }, Some(reviews)) =
                (wanted, &mut *caller, state.reviews())
            else {
                return Ok(());
            };
            let told = self.without_table(reviews.access(identity, &wanted, admit));
            match told.await {
                Ok(Verdict::Yes(())) => *allowed = Some(Arc::new(wanted)),
                Ok(Verdict::No) => return Err(target.unknown_model().into()),
                Err(failure) => return Err(self.failed(failure, &target.model)),
            }
        }
        Ok(())
    }

    /// Waits without a table, and takes the one that is there then.
    async fn without_table<T>(&mut self, wait: impl Future<Output = T>) -> T {
        self.table = Arc::default();
        let told = wait.await;
        self.table = self.state.table();
        told
    }

    fn failed(&self, failure: Failure, model: &str) -> Refusal {
        match failure {
            Failure::Limited(refused) => limited(self.state, refused),
            Failure::Unavailable => Error::not_ready(model, UNAVAILABLE).into(),
        }
    }
}
