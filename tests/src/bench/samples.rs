//! Times of single events, and their percentiles.

use std::{fmt, time::Duration};

/// Times in no particular order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Adds one.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Adds those of another.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The median.
    pub fn p50(&self) -> Option<Duration> {
        self.percentile(50)
    }

    /// The time that one in a hundred exceeds.
    pub fn p99(&self) -> Option<Duration> {
        self.percentile(99)
    }

    fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        sorted.get(last * percent / 100).copied()
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<T: IntoIterator<Item = Duration>>(times: T) -> Self {
        Self(times.into_iter().collect())
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |t: Option<Duration>| t.unwrap_or_default().as_secs_f64() * 1e3;
        write!(
            f,
            "{:.3} ms p50 {:.3} p99",
            millis(self.p50()),
            millis(self.p99())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let samples: Samples = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(samples.p50(), Some(Duration::from_millis(50)));
        assert_eq!(samples.p99(), Some(Duration::from_millis(99)));
        assert_eq!(samples.to_string(), "50.000 ms p50 99.000 p99");
        assert_eq!(Samples::default().p50(), None);
    }
}
