//! Weights and the turns that they make.

use proptest::prelude::*;

use super::*;

/// Weights of one to four revisions, 100 in all.
fn weights() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0_u8..=100, 0..4).prop_map(|mut cuts| {
        cuts.sort_unstable();
        cuts.push(100);
        let mut last = 0;
        let widths = cuts.into_iter().map(|cut| {
            let width = cut - last;
            last = cut;
            width
        });
        widths.collect()
    })
}

#[track_caller]
fn check(weights: &[u8], expect: &[usize]) {
    let picks = Picks::lay_out(weights).unwrap();
    let turns = u64::try_from(expect.len()).unwrap();
    let given: Vec<usize> = (0..turns).map(|turn| picks.at(turn)).collect();
    assert_eq!(given, expect);
}

#[test]
fn turns_alternate_as_evenly_as_the_weights_allow() {
    check(&[100], &[0, 0, 0]);
    check(&[0, 100], &[1, 1, 1]);
    check(&[50, 50], &[0, 1, 0, 1]);
    check(&[25, 75], &[1, 0, 1, 1, 1, 0, 1, 1]);
    check(&[20, 30, 50], &[2, 1, 0, 2, 1, 2, 2, 0, 1, 2]);
}

#[test]
fn one_of_twenty_comes_once_in_twenty() {
    let picks = Picks::lay_out(&[5, 95]).unwrap();
    let turns: Vec<u64> = (0..200).filter(|turn| picks.at(*turn) == 0).collect();
    let steps: Vec<u64> = turns.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(steps, [20; 9]);
}

#[test]
fn weights_that_are_not_a_hundred_are_none() {
    for weights in [&[][..], &[0, 0], &[99], &[50, 51], &[255, 101]] {
        assert_eq!(Picks::lay_out(weights), None, "{weights:?}");
    }
}

#[test]
fn callers_spread_by_the_weights() {
    let weights = [5, 95];
    let place = |number: u32| sticky("uid", number.to_string().as_bytes(), weights.into_iter());
    let newest = (0..20_000).filter(|number| place(*number) == Some(0));
    let share = newest.count();
    // Half a point of a hundred, either way.
    assert!((900..=1100).contains(&share), "{share} of 20000");
    let other = |number: u32| {
        let value = number.to_string();
        sticky("other", value.as_bytes(), weights.into_iter())
    };
    let same = (0..20_000).filter(|number| place(*number) == Some(0) && other(*number) == Some(0));
    assert!(same.count() < 200, "it is not the same callers everywhere");
}

proptest! {
    #[test]
    fn any_hundred_turns_in_a_row_are_exact(weights in weights(), start in any::<u64>()) {
        let picks = Picks::lay_out(&weights).unwrap();
        let mut counts = vec![0_u8; weights.len()];
        for turn in 0..100 {
            counts[picks.at(start.wrapping_add(turn) % 1_000_000_000)] += 1;
        }
        prop_assert_eq!(counts, weights);
    }

    #[test]
    fn after_any_number_of_turns_nobody_is_far_off(weights in weights(), start in 0_u64..100) {
        let picks = Picks::lay_out(&weights).unwrap();
        let mut counts = vec![0_i64; weights.len()];
        let bound = if weights.len() <= 2 { 100 } else { 200 };
        for turns in 1..=300 {
            counts[picks.at(start + turns)] += 1;
            for (count, weight) in counts.iter().zip(&weights) {
                let off = count * 100 - i64::try_from(turns).unwrap() * i64::from(*weight);
                prop_assert!(off.abs() < bound, "{counts:?} after {turns}");
            }
        }
    }

    #[test]
    fn a_caller_on_the_newest_stays_there_while_its_weight_rises(
        value in "[a-z]{1,12}",
        low in 0_u8..=100,
        more in 0_u8..=100,
    ) {
        let high = low.saturating_add(more).min(100);
        let place = |weight: u8| {
            let weights = [weight, 100 - weight].into_iter();
            sticky("uid", value.as_bytes(), weights)
        };
        prop_assert!(place(low).is_some());
        if place(low) == Some(0) {
            prop_assert_eq!(place(high), Some(0));
        }
    }
}
