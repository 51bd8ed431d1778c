//! What comes next, row by row; and how many pods a share needs.

use super::*;

#[test]
fn a_share_needs_pods_by_its_part_and_at_least_one() {
    let rows = [
        (0, 10, 0),
        (1, 10, 1),
        (10, 10, 1),
        (50, 10, 5),
        (75, 10, 8),
        (100, 10, 10),
        (33, 3, 1),
        (34, 3, 2),
        (100, 0, 0),
    ];
    for (weight, desired, pods) in rows {
        assert_eq!(need(weight, desired), pods, "{weight} % of {desired}");
    }
}

#[test]
fn two_sides_of_a_rolling_update_never_need_more_pods_than_there_are() {
    for desired in 1..=300 {
        for pods in 0..=desired {
            let share = pods * 100 / desired;
            let other = need_at_least(100 - share, desired);
            assert!(other <= desired - pods || pods == 0, "{pods} of {desired}");
            assert!(need(share, desired) <= pods, "{pods} of {desired}");
            // short of its share by less than one percent of all
            assert!(
                100 * (other + 1) > (99 - share) * desired,
                "{pods} of {desired}"
            );
        }
    }
}

#[test]
fn a_rolling_update_can_always_begin() {
    // a portion that is no whole percent: the other side gives way all the same
    let desired = 1000;
    assert_eq!(need_at_least(100, desired), 991);
}
