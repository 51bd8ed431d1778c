//! The tails against integer arithmetic, against values of sixty digits, and at their seams.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive numbers far below the types' bounds"
)]

use super::*;

#[track_caller]
fn close(given: f64, expect: f64, error: f64) {
    let off = (given - expect).abs();
    assert!(
        off <= error * expect.abs(),
        "{given:e} instead of {expect:e}"
    );
}

fn probability(numerator: u128, denominator: u128) -> f64 {
    numerator as f64 / denominator as f64
}

/// Pascal's triangle, row by row.
fn choose(n: u64, k: u64) -> u128 {
    (0..k).fold(1, |product, i| {
        product * u128::from(n - i) / u128::from(i + 1)
    })
}

#[test]
fn fisher_is_what_counting_all_draws_gives() {
    for n in 1..=12 {
        for m in 0..=12 {
            for (x, y) in (0..=n).flat_map(|x| (0..=m).map(move |y| (x, y))) {
                let events = x + y;
                let worse = x..=n.min(events);
                let draws: u128 = worse.map(|k| choose(n, k) * choose(m, events - k)).sum();
                let expect = probability(draws, choose(n + m, events));
                close(
                    fisher(Sample::new(n, x), Sample::new(m, y)).0,
                    expect,
                    1e-12,
                );
            }
        }
    }
}

#[test]
fn tail_is_what_counting_all_outcomes_gives() {
    for percent in [1, 5, 30, 50, 95, 99_u32] {
        for (n, x) in (1..=18_u32).flat_map(|n| (0..=n).map(move |x| (n, x))) {
            let (p, q) = (u128::from(percent), u128::from(100 - percent));
            let outcomes: u128 = (x..=n)
                .map(|k| choose(u64::from(n), u64::from(k)) * p.pow(k) * q.pow(n - k))
                .sum();
            let expect = probability(outcomes, 100_u128.pow(n));
            let share = Percent {
                hundredths: percent * 100,
            };
            close(
                tail(Sample::new(u64::from(n), u64::from(x)), share).0,
                expect,
                1e-12,
            );
        }
    }
}

/// Expectations were summed with sixty decimal digits.
#[test]
fn larger_counts_are_exact_too() {
    let check = |(n, x, m, y), expect| {
        close(fisher(Sample::new(n, x), Sample::new(m, y)).0, expect, 1e-9);
    };
    check((193, 8, 3610, 12), 2.835_705_315_870_274_4e-6);
    check((100, 10, 900, 1), 6.631_375_063_004_176e-10);
    check((20, 20, 180, 0), 6.197_369_659_445_107e-28);
    check((1000, 50, 9000, 9), 1.687_423_623_656_745_2e-41);
    check((2000, 130, 2000, 70), 8.195_518_499_649_656e-6);
    check((5000, 30, 45_000, 450), 0.998_652_347_196_399_3);
    check((100_000, 700, 1_000_000, 6000), 7.867_091_408_012_357e-5);

    let check = |(n, x, hundredths), expect| {
        close(
            tail(Sample::new(n, x), Percent { hundredths }).0,
            expect,
            1e-9,
        );
    };
    check((193, 8, 100), 0.000_805_117_882_081_086_5);
    check((1000, 30, 100), 2.059_988_850_971_957_6e-7);
    check((3000, 1, 1), 0.259_192_892_249_113_4);
    check((500, 499, 9900), 0.039_754_740_832_387_524);
    check((20_000, 1100, 500), 0.000_725_542_925_414_812_7);
    check((20_000, 900, 500), 0.999_533_115_858_673_9);
}

#[test]
fn shares_of_nothing_and_of_everything_are_no_chance() {
    let tail = |x, hundredths| tail(Sample::new(20, x), Percent { hundredths }).0;
    assert_eq!(tail(0, 0), 1.0);
    assert_eq!(tail(1, 0), 0.0);
    assert_eq!(tail(20, 10_000), 1.0);
    assert_eq!(tail(20, u32::MAX), 1.0);
}

/// Just below a variance of 10⁶ the exact sums still hold, and can be compared.
#[test]
fn the_normal_distribution_takes_over_without_a_step() {
    for z in [-4, -1, 0, 1, 2, 3, 4, 5, 6] {
        // binomial: n·p·q = 950,000
        let (n, p) = (20_000_000.0, 0.05);
        let deviation = f64::sqrt(n * p * (1.0 - p));
        let x = (n * p + f64::from(z) * deviation).round();
        let exact = tail(
            Sample::new(20_000_000, x as u64),
            Percent { hundredths: 500 },
        );
        let skewness = (1.0 - 2.0 * p) / deviation;
        let z = (x - 0.5 - n * p) / deviation;
        close(normal(z, skewness), exact.0, 1e-3);
    }
    for z in [-4, -1, 0, 1, 2, 3, 4, 5, 6] {
        // hypergeometric: a tenth of the answers is new, a twentieth of all are events
        let (n, m, events) = (200_000_000_u64, 1_800_000_000_u64, 10_000_000_u64);
        let mean = 1_000_000.0;
        let deviation = f64::sqrt(mean * 0.9 * 0.995);
        let x = (mean + f64::from(z) * deviation).round();
        let exact = fisher(Sample::new(n, x as u64), Sample::new(m, events - x as u64));
        let z = (x - 0.5 - mean) / deviation;
        close(normal(z, 0.99 * 0.8 / deviation), exact.0, 1e-3);
    }
}

/// Each look must be worth the same beyond what can be seen: no event more is ever less of a sign.
#[test]
fn one_event_more_is_never_more_probable() {
    for scale in [10, 1000, 100_000, 1 << 24, 1 << 36, 1 << 46] {
        let share = Percent { hundredths: 500 };
        let (mut before, mut before_tail) = (1.0, 1.0);
        for x in (0..40).map(|part| scale * part / 40 / 4) {
            let sample = Sample::new(scale, x);
            let now = fisher(sample, Sample::new(2 * scale, scale / 10)).0;
            assert!(
                now <= before,
                "fisher of {x} in {scale}: {now:e} > {before:e}"
            );
            let now_tail = tail(sample, share).0;
            assert!(now_tail <= before_tail, "tail of {x} in {scale}");
            (before, before_tail) = (now, now_tail);
        }
    }
}

/// The published quantiles of the normal distribution.
#[test]
fn the_normal_distribution_is_known() {
    close(normal(0.0, 0.0), 0.5, 1e-15);
    close(normal(1.959_963_984_540_054, 0.0), 0.025, 1e-12);
    close(normal(-1.959_963_984_540_054, 0.0), 0.975, 1e-12);
    close(normal(3.090_232_306_167_813, 0.0), 1e-3, 1e-9);
    close(normal(5.612_001_244_174_789, 0.0), 1e-8, 1e-9);
    close(normal(-3.090_232_306_167_813, 0.0), 0.999, 1e-9);
}

#[test]
fn the_more_often_one_looks_the_stricter() {
    let alpha = |answers| Alpha::at(answers).map(|alpha| alpha.0);
    assert_eq!(alpha(9), None);
    close(alpha(10).unwrap(), 0.003_039_635_509_270_133, 1e-12);
    assert_eq!(alpha(19), alpha(10));
    close(alpha(20).unwrap(), 0.003_039_635_509_270_133 / 4.0, 1e-12);
    close(alpha(159).unwrap(), 0.003_039_635_509_270_133 / 16.0, 1e-12);
    close(alpha(160).unwrap(), 0.003_039_635_509_270_133 / 25.0, 1e-12);
    let looks = (0..60).filter_map(|doublings| alpha(10 << doublings));
    assert!(looks.sum::<f64>() < 0.005);
}

#[test]
fn a_probability_is_written_as_one_reads_it() {
    assert_eq!(Probability(2.8e-6).to_string(), "= 3e-6");
    assert_eq!(Probability(0.0).to_string(), "< 1e-300");
}

#[test]
fn counts_become_numbers_exactly() {
    assert_eq!(float(0), 0.0);
    assert_eq!(float(4_294_967_297), 4_294_967_297.0);
    assert_eq!(float(1 << 47), 140_737_488_355_328.0);
}
