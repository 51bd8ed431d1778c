//! `aimass key rotate`: a second token, so that callers can change over without a gap. [`rotate`] is pure.

use std::time::Duration;

use aimass_chassis::clock;
use aimass_crds::api_key::Credential;
use aimass_crds::{APIKey, KeyState, key_state};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::{Change, PROMISE, arguments, credential, draw, edit, full_name, has_ended, ids};
use crate::args::RotateArgs;
use crate::client::{Cluster, Target};
use crate::names;
use crate::outcome::{Failure, Outcome};
use crate::problems::Problems;
use crate::token::Token;
use crate::when;

const COMMAND: &str = "key rotate";
/// An old token that lives longer than this was not replaced.
const MAX_OVERLAP: Duration = Duration::from_secs(365 * 86_400);

/// The change to make, checked.
#[derive(Debug)]
struct Wanted {
    name: String,
    overlap: Duration,
    target: Target,
}

/// Why a key gets no second token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    /// A token would open nothing.
    #[error(
        "the key is switched off, and a new token would open nothing: set spec.disabled to false first"
    )]
    Disabled,
    /// Likewise.
    #[error(
        "the key ended at {end}, and a new token would open nothing: set a later spec.expiresAt first, or none"
    )]
    Ended { end: String },
    /// A key has at most two.
    #[error(
        "it has two tokens already: {ids}. When no caller uses the older one any more, take it away by `aimass key revoke {key} --id ID`; then rotate again"
    )]
    UnderWay { ids: String, key: String },
}

/// Gives the key its second token.
pub(super) async fn run(args: RotateArgs) -> Result<Outcome, Failure> {
    let Wanted {
        name,
        overlap,
        target,
    } = wanted(args)?;
    let cluster = Cluster::connect(target).await?;
    let (token, now) = (draw()?, clock::now());
    let full = full_name(&cluster, &name);
    let decide = |key: &APIKey| -> Result<Change<String>, Failure> {
        let credentials = rotate(key, &token, overlap, now)
            .map_err(|why| Failure::new(format!("{full} was left as it is: {why}")))?;
        let said = told(&full, &arguments(key), &credentials, &token);
        Ok(Change::Write(json!({"credentials": credentials}), said))
    };
    let (id, namespace) = (token.id(), &cluster.namespace);
    let lost = format!(
        "It may have been made, and its token is lost: if `aimass key list` shows the token {id}, take it away by \
         `aimass key revoke {name} -n {namespace} --id {id}`, then rotate again"
    );
    let stderr = edit(&cluster, &name, &lost, decide).await?;
    Ok(Outcome::done(format!("{}\n", token.expose()), stderr))
}

fn wanted(args: RotateArgs) -> Result<Wanted, Failure> {
    let RotateArgs {
        name,
        overlap,
        cluster,
    } = args;
    let mut problems = Problems::default();
    let name = problems.take("NAME", names::object(&name));
    let overlap = problems.take("--overlap", when::length(&overlap));
    if overlap.is_some_and(|overlap| overlap > MAX_OVERLAP) {
        problems.add("--overlap", "must be at most 365d");
    }
    let target = Target::of(cluster, &mut problems);
    let made = name.zip(overlap).map(|(name, overlap)| Wanted {
        name,
        overlap,
        target,
    });
    problems.finish(COMMAND, made)
}

/// The credentials of `key` with that of `token` besides, or instead, if `overlap` is zero.
///
/// The old one ends `overlap` after `now`, or sooner if it would have anyway. One that has ended makes room.
fn rotate(
    key: &APIKey,
    token: &Token,
    overlap: Duration,
    now: Timestamp,
) -> Result<Vec<Credential>, Refused> {
    let spec = &key.spec;
    if key_state(key, now) == KeyState::Disabled {
        return Err(Refused::Disabled);
    }
    if let Some(Time(end)) = &spec.expires_at
        && *end <= now
    {
        let end = when::show(*end);
        return Err(Refused::Ended { end });
    }
    let alive = spec.credentials.iter().filter(|old| !has_ended(old, now));
    let mut credentials: Vec<_> = alive.cloned().collect();
    if credentials.len() > 1 {
        let (ids, key) = (ids(&credentials), arguments(key));
        return Err(Refused::UnderWay { ids, key });
    }
    if overlap.is_zero() {
        credentials.clear();
    }
    // Overlaps are bounded: only a clock in the year 9999 comes to the end of time.
    let end = when::after(now, overlap).unwrap_or(Timestamp::MAX);
    for old in &mut credentials {
        let sooner = old
            .not_after
            .as_ref()
            .map_or(end, |Time(own)| end.min(*own));
        old.not_after = Some(Time(sooner));
    }
    credentials.push(credential(token));
    Ok(credentials)
}

/// What is printed once the key has its second token.
fn told(full: &str, key: &str, credentials: &[Credential], token: &Token) -> String {
    let old = credentials.iter().filter(|old| old.id != token.id());
    let old: Vec<_> = old.cloned().collect();
    let intro = format!(
        "The token above is shown this once: the cluster has only its hash. {full} has it by the id {}.",
        token.id()
    );
    let rest = match old.as_slice() {
        [] => format!("The old token is taken away: gateways refuse it {PROMISE}."),
        [first, ..] => format!(
            "The old token still works: {}. Give the new one to all callers until then. \
             If the old one got into wrong hands: `aimass key revoke {key} --id {}`.",
            ids(&old),
            first.id
        ),
    };
    format!("{intro}\n{rest}\n")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, key, object_with, time};
    use super::*;
    use crate::token::RANDOM_BYTES;

    const DAY: Duration = Duration::from_secs(86_400);
    const TOMORROW: &str = "2026-11-28T12:00:00Z";
    const NEW: &str = "000000000000";

    fn rotated(key: &APIKey, overlap: Duration) -> Result<String, Refused> {
        let token = Token::make(&[0; RANDOM_BYTES]);
        rotate(key, &token, overlap, time(NOW)).map(|credentials| ids(&credentials))
    }

    #[track_caller]
    fn check(credentials: &[(&str, Option<&str>)], overlap: Duration, expect: &str) {
        assert_eq!(rotated(&key(credentials), overlap).as_deref(), Ok(expect));
    }

    #[test]
    fn the_old_token_ends_after_the_overlap() {
        let expect = format!("A00000000000 (until {TOMORROW}), {NEW}");
        check(&[("A00000000000", None)], DAY, &expect);
    }

    #[test]
    fn the_old_token_keeps_an_end_that_is_sooner() {
        let sooner = "2026-11-27T18:00:00Z";
        let expect = format!("A00000000000 (until {sooner}), {NEW}");
        check(&[("A00000000000", Some(sooner))], DAY, &expect);
        let later = "2027-11-27T18:00:00Z";
        let expect = format!("A00000000000 (until {TOMORROW}), {NEW}");
        check(&[("A00000000000", Some(later))], DAY, &expect);
    }

    #[test]
    fn without_overlap_the_new_token_stands_alone() {
        check(&[("A00000000000", None)], Duration::ZERO, NEW);
    }

    #[test]
    fn tokens_that_have_ended_make_room() {
        let ended = [("A00000000000", Some(NOW)), ("B00000000000", None)];
        let expect = format!("B00000000000 (until {TOMORROW}), {NEW}");
        check(&ended, DAY, &expect);
        check(&[("A00000000000", Some(NOW))], DAY, NEW);
    }

    #[test]
    fn a_key_never_gets_a_third_token() {
        let two = key(&[("A00000000000", Some(TOMORROW)), ("B00000000000", None)]);
        let ids = format!("A00000000000 (until {TOMORROW}), B00000000000");
        let key = "ana -n shop".to_owned();
        assert_eq!(rotated(&two, DAY), Err(Refused::UnderWay { ids, key }));
    }

    #[test]
    fn a_key_that_opens_nothing_is_not_renewed() {
        let mut key = key(&[("A00000000000", None)]);
        key.spec.expires_at = Some(Time(time(NOW)));
        let end = NOW.to_owned();
        assert_eq!(rotated(&key, DAY), Err(Refused::Ended { end }));
        key.spec.disabled = Some(true);
        assert_eq!(rotated(&key, DAY), Err(Refused::Disabled));
    }

    #[test]
    fn the_new_credential_holds_the_hash_and_no_end() {
        let token = Token::make(&[0; RANDOM_BYTES]);
        let credentials = rotate(&key(&[("A00000000000", None)]), &token, DAY, time(NOW)).unwrap();
        assert_eq!(credentials.last(), Some(&credential(&token)));
    }

    #[test]
    fn it_is_said_until_when_the_old_token_works_and_how_it_is_taken_away() {
        let token = Token::make(&[0; RANDOM_BYTES]);
        let said = |overlap| {
            let key = key(&[("A00000000000", None)]);
            let credentials = rotate(&key, &token, overlap, time(NOW)).unwrap();
            told("APIKey shop/ana", &arguments(&key), &credentials, &token)
        };
        let gradual = said(DAY);
        let until = format!("The old token still works: A00000000000 (until {TOMORROW}).");
        assert!(gradual.contains(&until), "{gradual}");
        let how = "`aimass key revoke ana -n shop --id A00000000000`";
        assert!(gradual.contains(how), "{gradual}");
        let at_once = said(Duration::ZERO);
        assert!(at_once.contains("The old token is taken away"), "{at_once}");
        assert!(!(gradual + &at_once).contains(token.expose()));
    }

    #[test]
    fn the_overlap_is_at_most_a_year() {
        let args = |overlap: &str| RotateArgs {
            name: "ana".to_owned(),
            overlap: overlap.to_owned(),
            cluster: Default::default(),
        };
        assert_eq!(wanted(args("24h")).unwrap().overlap, DAY);
        let text = wanted(args("366d")).unwrap_err().text;
        assert!(text.contains("--overlap: must be at most 365d"), "{text}");
        let mut wrong = args("soon");
        wrong.name = "Ana".to_owned();
        let text = wanted(wrong).unwrap_err().text;
        assert!(
            text.contains("has 2 problems\n  NAME: ") && text.contains("\n  --overlap: "),
            "{text}"
        );
    }

    #[tokio::test]
    async fn the_patch_is_bound_to_what_was_read_and_holds_no_token() {
        let token = Token::make(&[7; RANDOM_BYTES]);
        let read = object_with("7", &[("A00000000000", None)]);
        let (cluster, transcript) =
            crate::client::tests::cluster([(200, read.clone()), (200, read)]);
        let decide = |key: &APIKey| {
            let credentials = rotate(key, &token, DAY, time(NOW)).unwrap();
            Ok(Change::Write(json!({"credentials": credentials}), ()))
        };
        edit(&cluster, "ana", "", decide).await.unwrap();
        let patch = transcript.all().pop().unwrap();
        let expect = json!({
            "metadata": {"resourceVersion": "7"},
            "spec": {"credentials": [
                {"id": "A00000000000", "sha256": "0".repeat(64), "notAfter": TOMORROW},
                {"id": token.id(), "sha256": token.sha256()},
            ]},
        });
        assert_eq!(patch.body, expect);
        assert!(!patch.body.to_string().contains(token.expose()));
        assert!(
            patch.line.contains("fieldManager=aimass-cli"),
            "{}",
            patch.line
        );
    }
}
