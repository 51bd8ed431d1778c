//! Figures for people: in status without a space, in sentences with one.
//!
//! Pure. Called by `analysis`. Rounded to what one can read at a glance; decisions are made on the
//! counts themselves.

use super::checks::{Bound, Check, Percent};
use super::counts::{BUCKETS, Sample, bound, picoseconds};
use super::question::Question;
use super::tails::Probability;
use crate::text::cut;

/// A number with its unit.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    number: String,
    unit: &'static str,
}

/// Of at most 16 characters, as status has it; empty for what there is not.
pub(super) fn compact(figure: Option<&Figure>) -> String {
    figure.map_or_else(String::new, |figure| {
        cut(&format!("{}{}", figure.number, figure.unit), 16)
    })
}

/// `errorRate 4.1 % of 193`
pub(super) fn measured(check: &Check, question: &Question) -> String {
    let seen = seen(question.shown.0.as_ref(), question.new);
    format!("{} {seen}", check.metric.quantity())
}

/// `errorRate 1 %`
pub(super) fn asked(check: &Check) -> String {
    let limit = spaced(&limit(check.bound));
    format!("{} {limit}", check.metric.quantity())
}

/// `errorRate 4.1 % of 193, stable 0.3 % of 3,610, limit +1 %, p = 3e-6`
pub(super) fn sentence(check: &Check, question: &Question, chance: Probability) -> String {
    let stable = question.shown.1.as_ref();
    let stable = question
        .stable
        .filter(|sample| sample.answers > 0)
        .map(|sample| format!(", stable {}", seen(stable, sample)))
        .unwrap_or_default();
    let limit = spaced(&limit(check.bound));
    format!(
        "{}{stable}, limit {limit}, p {chance}",
        measured(check, question)
    )
}

fn seen(figure: Option<&Figure>, sample: Sample) -> String {
    let figure = figure.map_or_else(String::new, spaced);
    format!("{figure} of {}", grouped(sample.answers))
}

/// A limit as it was asked for.
pub(super) fn limit(bound: Bound) -> Figure {
    match bound {
        Bound::Errors(share) => percent(share),
        Bound::Slow { max, .. } => time(picoseconds(max)),
        Bound::MoreErrors(increase) | Bound::Slower { increase, .. } => {
            let Figure { number, unit } = percent(increase);
            let number = format!("+{number}");
            Figure { number, unit }
        }
    }
}

/// The share of the events; `None` without answers.
pub(super) fn share(sample: Sample) -> Option<Figure> {
    let [answers, events] = [sample.answers, sample.events].map(u128::from);
    if answers == 0 {
        return None;
    }
    let hundredths = rounded(events * 10_000, answers);
    let number = match hundredths {
        0 if events > 0 => "<0.01".to_owned(),
        // below one percent two places, above one
        0..100 => decimal(hundredths),
        _ => decimal(rounded(events * 1000, answers) * 10),
    };
    Some(Figure { number, unit: "%" })
}

/// A latency that is known as a bucket: its upper bound.
pub(super) fn bucket(bucket: usize) -> Figure {
    if bucket + 1 < BUCKETS {
        return time(bound(bucket));
    }
    let Figure { number, unit } = time(bound(BUCKETS - 2));
    let number = format!(">{number}");
    Figure { number, unit }
}

fn percent(percent: Percent) -> Figure {
    Figure {
        number: decimal(u128::from(percent.hundredths)),
        unit: "%",
    }
}

fn time(picoseconds: u128) -> Figure {
    const MILLISECOND: u128 = 1_000_000_000;
    let (number, unit) = if picoseconds < 10 * MILLISECOND {
        (decimal(rounded(picoseconds, MILLISECOND / 100)), "ms")
    } else if picoseconds < 10_000 * MILLISECOND {
        (rounded(picoseconds, MILLISECOND).to_string(), "ms")
    } else {
        let tenths = rounded(picoseconds, 100 * MILLISECOND);
        (decimal(tenths.saturating_mul(10)), "s")
    };
    Figure { number, unit }
}

fn spaced(figure: &Figure) -> String {
    format!("{} {}", figure.number, figure.unit)
}

/// `dividend / divisor` to the nearest integer. The divisor is not 0.
fn rounded(dividend: u128, divisor: u128) -> u128 {
    dividend.saturating_add(divisor / 2) / divisor
}

/// Hundredths as a decimal number without needless zeros: 410 is `4.1`.
fn decimal(hundredths: u128) -> String {
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// With a comma between thousands: `3,610`.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
