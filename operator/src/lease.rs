//! Leader election: one Lease, changed by compare-and-swap, judged on the own monotonic clock.
//!
//! `decide` is pure; the task around it polls. Expired means: the lease has not changed for its
//! whole duration as seen from here; wall clocks are never compared. Losing leadership ends nothing
//! but the controllers, whose caches stay warm. Started by `run`; the only writer of the Lease.

use std::time::Duration;

use aimass_chassis::shutdown::Stop;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

pub(crate) mod fence;

use crate::error::said;
use fence::{Boottime, Fence};

/// Name of the Lease.
pub(crate) const NAME: &str = crate::rbac::LEASE_NAME;
/// How long a lease that nobody renews keeps others out.
const DURATION: Duration = Duration::from_secs(10);
/// How long a renewal lasts for the fence, from the instant before its request: 2 s short of
/// `DURATION`, for clocks that run at different speeds and a poll that comes late.
const VALIDITY: Duration = Duration::from_secs(8);
const RENEW: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_secs(1);

/// Who stands for election, and what becomes of it.
pub(crate) struct Candidate {
    /// Reads and writes the Lease, with its own short deadline and outside the fence.
    pub(crate) leases: Api<Lease>,
    /// Name of this instance, never used twice.
    pub(crate) identity: String,
    /// Opened by each renewal.
    pub(crate) fence: Fence,
    /// The clock of all expiry.
    pub(crate) boottime: Boottime,
    /// The clock that is written for people to read.
    pub(crate) now: fn() -> Timestamp,
}

/// What there is to do about the lease as it was last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// There is none.
    Create,
    /// It is ours: renew.
    Renew,
    /// It was given back, or its holder has been silent for its duration.
    Take,
    /// Somebody else holds it.
    Wait,
}

/// Judges `lease`, which has looked the same for `unchanged`.
#[must_use]
fn decide(identity: &str, lease: Option<&Lease>, unchanged: Duration) -> Step {
    let Some(lease) = lease else {
        return Step::Create;
    };
    let holder = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.holder_identity.as_deref());
    match holder {
        None | Some("") => Step::Take,
        Some(holder) if holder == identity => Step::Renew,
        Some(_) if unchanged >= DURATION => Step::Take,
        Some(_) => Step::Wait,
    }
}

/// Stands for election until `stop`, then gives the lease back. `leading` says whether we won.
/// `stop` must come after all writing has ended.
pub(crate) async fn run(candidate: Candidate, leading: watch::Sender<bool>, stop: Stop) {
    let mut view = View::default();
    while !stop.is_cancelled() {
        let begun = (candidate.boottime)();
        let pause = match candidate.step(&mut view, begun).await {
            Ok(true) => {
                candidate.fence.renewed(begun + VALIDITY);
                RENEW
            }
            Ok(false) => {
                candidate.fence.close();
                POLL
            }
            Err(error) => {
                warn!(error = said(&error), "failed to reach the lease");
                // What it looks like now is unknown; read it before the next write.
                view.held = None;
                POLL
            }
        };
        // Between renewals leadership lasts as long as the fence, whatever the calls say.
        let leads = !candidate.fence.left().is_zero();
        if leading.send_replace(leads) != leads {
            info!(
                lease.holder = candidate.identity,
                leading = leads,
                "leadership changed"
            );
        }
        let pause = if leads {
            pause.min(candidate.fence.left())
        } else {
            pause
        };
        drop(timeout(pause, stop.cancelled()).await);
    }
    leading.send_replace(false);
    candidate.release().await;
}

/// What this instance knows of the lease.
#[derive(Default)]
struct View {
    /// As our last successful write returned it.
    held: Option<Lease>,
    /// As last read, and since when (time since boot) it has looked like that.
    seen: Option<(Lease, Duration)>,
}

impl Candidate {
    /// One turn; whether we hold the lease after it.
    async fn step(&self, view: &mut View, now: Duration) -> Result<bool, kube::Error> {
        if let Some(held) = view.held.take() {
            view.held = self.write(Some(held), Some(self.identity.clone())).await?;
            if view.held.is_some() {
                return Ok(true);
            }
            // 409: our own write whose answer was lost, or a rival. Reading it tells.
        }
        let lease = self.leases.get_opt(NAME).await?;
        let unchanged = view.unchanged(lease.as_ref(), now);
        view.held = match decide(&self.identity, lease.as_ref(), unchanged) {
            Step::Wait => None,
            Step::Create => self.write(None, Some(self.identity.clone())).await?,
            Step::Renew | Step::Take => self.write(lease, Some(self.identity.clone())).await?,
        };
        Ok(view.held.is_some())
    }

    /// Gives the lease back, so that the next leader need not wait.
    async fn release(&self) {
        self.fence.close();
        for _ in 0..2 {
            let lease = self.leases.get_opt(NAME).await.ok().flatten();
            let held = decide(&self.identity, lease.as_ref(), Duration::ZERO) == Step::Renew;
            if !held || matches!(self.write(lease, None).await, Ok(Some(_))) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        warn!("failed to give the lease back: the next leader begins when it has expired");
    }

    /// Creates or replaces; `None` when another one was faster (409).
    async fn write(
        &self,
        before: Option<Lease>,
        holder: Option<String>,
    ) -> Result<Option<Lease>, kube::Error> {
        let lease = next(before.as_ref(), holder.as_deref(), (self.now)());
        let written = match before {
            None => self.leases.create(&PostParams::default(), &lease).await,
            Some(_) => {
                self.leases
                    .replace(NAME, &PostParams::default(), &lease)
                    .await
            }
        };
        match written {
            Ok(lease) => Ok(Some(lease)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl View {
    /// How long the lease has looked the same from here.
    fn unchanged(&mut self, lease: Option<&Lease>, now: Duration) -> Duration {
        let Some(lease) = lease else {
            self.seen = None;
            return Duration::ZERO;
        };
        match &self.seen {
            Some((seen, since)) if look(seen) == look(lease) => now.saturating_sub(*since),
            _ => {
                self.seen = Some((lease.clone(), now));
                Duration::ZERO
            }
        }
    }
}

/// What changes with every renewal.
fn look(lease: &Lease) -> (Option<&str>, Option<&MicroTime>, Option<&str>) {
    let spec = lease.spec.as_ref();
    (
        spec.and_then(|spec| spec.holder_identity.as_deref()),
        spec.and_then(|spec| spec.renew_time.as_ref()),
        lease.metadata.resource_version.as_deref(),
    )
}

/// The lease to write over `before`, with its resourceVersion as the precondition.
fn next(before: Option<&Lease>, holder: Option<&str>, now: Timestamp) -> Lease {
    let spec = before
        .and_then(|lease| lease.spec.clone())
        .unwrap_or_default();
    let same = holder.is_some() && spec.holder_identity.as_deref() == holder;
    let transitions = spec.lease_transitions.unwrap_or(0);
    let taken = holder.is_some() && !same && before.is_some();
    let metadata = before
        .map(|lease| lease.metadata.clone())
        .unwrap_or_else(|| ObjectMeta {
            name: Some(NAME.to_owned()),
            ..ObjectMeta::default()
        });
    Lease {
        metadata,
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.unwrap_or_default().to_owned()),
            acquire_time: if same {
                spec.acquire_time
            } else {
                Some(MicroTime(now))
            },
            renew_time: Some(MicroTime(now)),
            // A lease that was given back expires at once for those who go by its duration.
            lease_duration_seconds: Some(if holder.is_some() { 10 } else { 1 }),
            lease_transitions: Some(transitions.saturating_add(i32::from(taken))),
            ..LeaseSpec::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Transcript, client, refused};

    fn lease(holder: &str, renewed: i64, version: &str) -> Lease {
        let renewed = Timestamp::from_second(renewed).unwrap();
        let mut lease = next(None, Some(holder), renewed);
        lease.metadata.resource_version = Some(version.to_owned());
        lease
    }

    #[test]
    fn the_decision() {
        let seconds = Duration::from_secs;
        for (name, lease, unchanged, expect) in [
            ("there is none", None, seconds(0), Step::Create),
            (
                "it is ours",
                Some(lease("me", 1, "1")),
                seconds(0),
                Step::Renew,
            ),
            (
                "it is ours and old",
                Some(lease("me", 1, "1")),
                seconds(99),
                Step::Renew,
            ),
            (
                "it was given back",
                Some(lease("", 1, "1")),
                seconds(0),
                Step::Take,
            ),
            (
                "a rival renewed it",
                Some(lease("you", 1, "1")),
                seconds(0),
                Step::Wait,
            ),
            (
                "a rival is late",
                Some(lease("you", 1, "1")),
                seconds(9),
                Step::Wait,
            ),
            (
                "a rival is silent",
                Some(lease("you", 1, "1")),
                seconds(10),
                Step::Take,
            ),
        ] {
            assert_eq!(decide("me", lease.as_ref(), unchanged), expect, "{name}");
        }
    }

    #[test]
    fn silence_is_counted_from_the_last_change_seen_here() {
        let mut view = View::default();
        let seconds = Duration::from_secs;
        // The wall clocks in the lease are wildly wrong, and do not matter.
        let mut check = |lease: Lease, now, expect| {
            assert_eq!(view.unchanged(Some(&lease), seconds(now)), seconds(expect));
        };
        check(lease("you", 9_000_000, "1"), 100, 0);
        check(lease("you", 9_000_000, "1"), 109, 9);
        check(lease("you", 5, "2"), 110, 0);
        check(lease("you", 5, "2"), 119, 9);
        check(lease("you", 5, "3"), 120, 0);
    }

    #[test]
    fn a_lease_that_vanished_is_counted_anew() {
        let mut view = View::default();
        view.unchanged(Some(&lease("you", 1, "1")), Duration::from_secs(1));
        view.unchanged(None, Duration::from_secs(5));
        let unchanged = view.unchanged(Some(&lease("you", 1, "1")), Duration::from_secs(50));
        assert_eq!(unchanged, Duration::ZERO);
    }

    #[test]
    fn a_renewal_keeps_what_a_takeover_counts() {
        let first = lease("me", 100, "1");
        let later = Timestamp::from_second(103).unwrap();
        let renewed = next(Some(&first), Some("me"), later).spec.unwrap();
        assert_eq!(
            renewed.acquire_time,
            first.spec.clone().unwrap().acquire_time
        );
        assert_eq!(renewed.renew_time, Some(MicroTime(later)));
        assert_eq!(renewed.lease_transitions, Some(0));
        let taken = next(Some(&first), Some("you"), later);
        assert_eq!(
            taken.spec.clone().unwrap().acquire_time,
            Some(MicroTime(later))
        );
        assert_eq!(taken.spec.unwrap().lease_transitions, Some(1));
        assert_eq!(taken.metadata.resource_version.as_deref(), Some("1"));
    }

    #[test]
    fn giving_back_empties_the_holder() {
        let released = next(Some(&lease("me", 1, "1")), None, Timestamp::UNIX_EPOCH);
        assert_eq!(decide("you", Some(&released), Duration::ZERO), Step::Take);
        assert_eq!(released.spec.unwrap().lease_transitions, Some(0));
    }

    fn candidate(answers: Vec<(u16, serde_json::Value)>) -> (Candidate, Transcript) {
        let (client, transcript) = client(answers);
        let boottime: Boottime = std::sync::Arc::new(|| Duration::from_secs(100));
        let candidate = Candidate {
            leases: Api::namespaced(client, "a"),
            identity: "me".to_owned(),
            fence: Fence::closed(std::sync::Arc::clone(&boottime)),
            boottime,
            now: || Timestamp::UNIX_EPOCH,
        };
        (candidate, transcript)
    }

    fn held_by(holder: &str, version: &str) -> (u16, serde_json::Value) {
        (
            200,
            serde_json::to_value(lease(holder, 1, version)).unwrap(),
        )
    }

    async fn step(candidate: &Candidate, view: &mut View, now: u64) -> Result<bool, kube::Error> {
        candidate.step(view, Duration::from_secs(now)).await
    }

    fn verbs(transcript: &Transcript) -> Vec<String> {
        let verb = |line: String| line.split(' ').next().unwrap().to_owned();
        transcript.lines().into_iter().map(verb).collect()
    }

    #[tokio::test]
    async fn a_lease_is_created_and_then_renewed_by_one_request_each() {
        let answers = vec![refused(404, "none"), held_by("me", "1"), held_by("me", "2")];
        let (candidate, transcript) = candidate(answers);
        let mut view = View::default();
        assert!(step(&candidate, &mut view, 100).await.unwrap());
        assert!(step(&candidate, &mut view, 103).await.unwrap());
        assert_eq!(verbs(&transcript), ["GET", "POST", "PUT"]);
        let renewal = &transcript.all()[2].body;
        assert_eq!(
            renewal["metadata"]["resourceVersion"], "1",
            "compare and swap"
        );
    }

    #[tokio::test]
    async fn who_loses_the_race_does_not_lead() {
        let answers = vec![refused(404, "none"), refused(409, "exists")];
        let (candidate, _) = candidate(answers);
        assert!(!step(&candidate, &mut View::default(), 100).await.unwrap());
    }

    #[tokio::test]
    async fn a_renewal_whose_answer_was_lost_is_found_again() {
        let answers = vec![
            held_by("", "1"),
            held_by("me", "2"),
            refused(409, "conflict"),
            held_by("me", "3"),
            held_by("me", "4"),
        ];
        let (candidate, transcript) = candidate(answers);
        let mut view = View::default();
        assert!(step(&candidate, &mut view, 100).await.unwrap());
        assert!(step(&candidate, &mut view, 103).await.unwrap());
        assert_eq!(verbs(&transcript), ["GET", "PUT", "PUT", "GET", "PUT"]);
    }

    #[tokio::test]
    async fn a_rival_is_waited_for_until_it_has_been_silent() {
        let answers = vec![
            held_by("you", "1"),
            held_by("you", "1"),
            held_by("you", "1"),
            held_by("me", "2"),
        ];
        let (candidate, transcript) = candidate(answers);
        let mut view = View::default();
        assert!(!step(&candidate, &mut view, 100).await.unwrap());
        assert!(!step(&candidate, &mut view, 109).await.unwrap());
        assert!(step(&candidate, &mut view, 110).await.unwrap());
        assert_eq!(verbs(&transcript), ["GET", "GET", "GET", "PUT"]);
    }

    #[tokio::test]
    async fn who_was_overtaken_does_not_lead_any_more() {
        let answers = vec![
            held_by("", "1"),
            held_by("me", "2"),
            refused(409, "conflict"),
            held_by("you", "3"),
        ];
        let (candidate, _) = candidate(answers);
        let mut view = View::default();
        assert!(step(&candidate, &mut view, 100).await.unwrap());
        assert!(!step(&candidate, &mut view, 103).await.unwrap());
    }

    #[tokio::test]
    async fn only_the_holder_gives_the_lease_back() {
        let (leader, transcript) = candidate(vec![held_by("me", "1"), held_by("", "2")]);
        leader.release().await;
        assert_eq!(transcript.all()[1].body["spec"]["holderIdentity"], "");
        let (follower, transcript) = candidate(vec![held_by("you", "1")]);
        follower.release().await;
        assert_eq!(verbs(&transcript), ["GET"]);
    }
}
