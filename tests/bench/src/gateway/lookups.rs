//! What it takes to know a caller among very many, in this process: the whole phase, the SHA-256 of the token included.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use aimass_gateway::phase::authenticate::identify;
use aimass_gateway::table::Table;

use super::Setting;
use super::site::{key, token};
use crate::{Row, median};

const KEYS: u32 = 10_000;
/// No neighbours in memory: 10,000 has no factor in common with it.
const STRIDE: u32 = 7_919;
const ROUNDS: usize = 21;
const GOAL_US: f64 = 1.0;

/// The figure.
///
/// # Errors
/// A key is not known.
pub(super) fn figures(_: &Setting) -> anyhow::Result<Vec<Row>> {
    let (table, tokens) = known();
    let one_by_one = (0..KEYS).map(|number| number.wrapping_mul(STRIDE) % KEYS);
    let order: Vec<&str> = one_by_one
        .filter_map(|number| tokens.get(usize::try_from(number).ok()?))
        .map(String::as_str)
        .collect();
    let address = IpAddr::from(Ipv4Addr::LOCALHOST);
    let now = aimass_chassis::clock::now();
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for token in &order {
            let caller = identify(&table, Some(black_box(*token)), address, now);
            anyhow::ensure!(black_box(caller).is_ok(), "a key is not known");
        }
        rounds.push(begun.elapsed().as_secs_f64() * 1e6 / f64::from(KEYS));
    }
    let row = Row::at_most("gateway/keys/lookup", median(rounds), "µs", GOAL_US);
    Ok(vec![row.against(format!(
        "{KEYS} keys, each looked up {ROUNDS} times, in another order than they lie"
    ))])
}

/// A table of keys, and the tokens of all of them.
fn known() -> (Table, Vec<String>) {
    let ids: Vec<String> = (0..KEYS).map(|number| format!("k{number:011}")).collect();
    let mut table = Table {
        version: 1,
        ..Table::default()
    };
    for id in &ids {
        let id: Arc<str> = id.as_str().into();
        table.keys.insert(Arc::clone(&id), Arc::new(key(id)));
    }
    (table, ids.iter().map(|id| token(id)).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_key_has_its_token_and_is_looked_up_once_a_round() {
        let (table, tokens) = known();
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let now = aimass_chassis::clock::now();
        let last = tokens.last().map(String::as_str);
        assert!(identify(&table, last, address, now).is_ok());
        let numbers: HashSet<u32> = (0..KEYS).map(|n| n.wrapping_mul(STRIDE) % KEYS).collect();
        assert_eq!(numbers.len(), tokens.len());
    }
}
