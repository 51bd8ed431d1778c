//! A histogram out of a process's figures, and what can be read from it.
//!
//! Pure. The text is that of a metrics port: one line for each bound, counts up to it.

/// Observations up to each bound, in order of the bounds; the last one has all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Histogram(Vec<(f64, f64)>);

impl Histogram {
    /// All series of `name` in `text` whose labels have this pair, added up; empty without one.
    pub(super) fn read(text: &str, name: &str, (label, value): (&str, &str)) -> Self {
        let start = format!("{name}_bucket{{");
        let pair = format!("{label}=\"{value}\"");
        let mut all = Self::default();
        for line in text.lines() {
            let found = line
                .strip_prefix(&start)
                .and_then(|rest| rest.split_once("} "));
            let Some((labels, count)) = found else {
                continue;
            };
            let mut labels = labels.split(',');
            if !labels.clone().any(|other| other == pair) {
                continue;
            }
            let bound = labels.find_map(|other| other.strip_prefix("le=\"")?.strip_suffix('"'));
            let count = count.split(' ').next();
            if let (Some(bound), Some(count)) = (bound, count)
                && let (Ok(bound), Ok(count)) = (bound.parse(), count.parse())
            {
                all.add(bound, count);
            }
        }
        all
    }

    fn add(&mut self, bound: f64, count: f64) {
        match self
            .0
            .binary_search_by(|(other, _)| other.total_cmp(&bound))
        {
            Ok(place) => {
                if let Some((_, counts)) = self.0.get_mut(place) {
                    *counts += count;
                }
            }
            Err(place) => self.0.insert(place, (bound, count)),
        }
    }

    /// What has come since `before`, which is the same one as it was.
    pub(super) fn since(&self, before: &Self) -> Self {
        let mut since = self.clone();
        for (bound, count) in &before.0 {
            since.add(*bound, -count);
        }
        since
    }

    /// How many observations there are.
    pub(super) fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// The value that `percent` of the observations do not exceed, as far as its bounds tell: on a line between the two
    /// around it. 0 without any; beyond the last bound that bound.
    pub(super) fn quantile(&self, percent: f64) -> f64 {
        let wanted = self.count() * percent / 100.0;
        let (mut low, mut below) = (0.0, 0.0);
        for (bound, count) in &self.0 {
            let within = count - below;
            if *count >= wanted && within > 0.0 {
                return match bound.is_finite() {
                    true => low + (bound - low) * (wanted - below) / within,
                    false => low,
                };
            }
            (low, below) = (*bound, *count);
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# TYPE a_seconds histogram
a_seconds_sum{model="m",phase="load"} 1.5
a_seconds_count{model="m",phase="load"} 4
a_seconds_bucket{le="0.1",model="m",phase="load"} 1
a_seconds_bucket{le="0.2",model="m",phase="load"} 3
a_seconds_bucket{le="+Inf",model="m",phase="load"} 4
a_seconds_bucket{le="0.1",model="n",phase="load"} 1
a_seconds_bucket{le="0.2",model="n",phase="load"} 1
a_seconds_bucket{le="+Inf",model="n",phase="load"} 1 # {trace="x"} 0.05
a_seconds_bucket{le="0.1",model="m",phase="total"} 7
b_seconds_bucket{le="0.1",model="m",phase="load"} 7
"#;

    fn load() -> Histogram {
        Histogram::read(TEXT, "a_seconds", ("phase", "load"))
    }

    #[test]
    fn series_with_the_label_are_added_up() {
        let expect = vec![(0.1, 2.0), (0.2, 4.0), (f64::INFINITY, 5.0)];
        assert_eq!(load(), Histogram(expect));
        let none = Histogram::read(TEXT, "a_seconds", ("phase", "lo"));
        assert_eq!(none, Histogram::default());
    }

    #[test]
    fn a_quantile_lies_between_its_bounds() {
        let near = |value: f64, expect: f64| assert!((value - expect).abs() < 1e-9, "{value}");
        near(load().quantile(20.0), 0.05);
        near(load().quantile(40.0), 0.1);
        near(load().quantile(60.0), 0.15);
        near(load().quantile(100.0), 0.2);
        near(Histogram::default().quantile(50.0), 0.0);
    }

    #[test]
    fn what_was_there_before_does_not_count() {
        let before = "a_seconds_bucket{le=\"0.1\",phase=\"load\"} 2\n\
            a_seconds_bucket{le=\"0.2\",phase=\"load\"} 2\n\
            a_seconds_bucket{le=\"+Inf\",phase=\"load\"} 2\n";
        let before = Histogram::read(before, "a_seconds", ("phase", "load"));
        let since = load().since(&before);
        assert!((since.count() - 3.0).abs() < 1e-9);
        assert!((since.quantile(50.0) - 0.175).abs() < 1e-9, "{since:?}");
        assert!((load().since(&Histogram::default()).count() - 5.0).abs() < 1e-9);
    }
}
