//! Metrics for Prometheus, as both daemons show them: what a metric is, how it is printed and served.
//!
//! A daemon names all of its metrics in one file and gathers their values when it is asked: nothing is
//! counted twice, and a member that is gone is gone from the next answer, so there are never more
//! series than there are hosts, sets and members. `docs/metrics.md` lists them; a test of each daemon
//! holds that list against what it prints, with [`lint`].

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::Registry,
};

mod lint;
mod process;
mod serve;

pub use lint::{Shown, lint};
pub use process::process;
pub use serve::serve;

/// What a value means from one answer to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is what it is now.
    Gauge,
    /// It only grows, until what counts begins anew. Printed with `_total` behind the name.
    Counter,
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name, with its unit; that of a counter without `_total`.
    pub name: &'static str,
    /// What its values mean.
    pub kind: Kind,
    /// In a sentence.
    pub help: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
}

impl Metric {
    /// One that is what it is now.
    pub const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind: Kind::Gauge,
            help,
            labels,
        }
    }

    /// One that only grows.
    pub const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind: Kind::Counter,
            help,
            labels,
        }
    }

    /// Its only value.
    pub fn is(&'static self, value: f64) -> Family {
        let mut family = Family::of(self);
        family.push(Vec::new(), value);
        family
    }
}

/// A metric with its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    metric: &'static Metric,
    samples: Vec<(Vec<String>, f64)>,
}

impl Family {
    /// A metric that has no value yet.
    pub fn of(metric: &'static Metric) -> Self {
        Self {
            metric,
            samples: Vec::new(),
        }
    }

    /// Adds a value, with those of the labels in their order.
    pub fn push(&mut self, labels: Vec<String>, value: f64) {
        debug_assert_eq!(
            labels.len(),
            self.metric.labels.len(),
            "{}",
            self.metric.name
        );
        self.samples.push((labels, value));
    }
}

/// The rows of the table that documents these metrics, with the names that their values have.
pub fn table(families: &[Family]) -> Vec<String> {
    let row = |family: &Family| {
        let metric = family.metric;
        let (total, kind) = match metric.kind {
            Kind::Gauge => ("", "gauge"),
            Kind::Counter => ("_total", "counter"),
        };
        let labels: Vec<String> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
        let labels = labels.join(", ");
        format!(
            "| `{}{total}` | {kind} | {labels} | {} |",
            metric.name, metric.help
        )
    };
    families.iter().map(row).collect()
}

/// A number of things as a value.
#[expect(
    clippy::cast_precision_loss,
    reason = "a value is a double: above 2^53 its last digits are lost, as with every metric"
)]
pub fn count(number: impl TryInto<u64>) -> f64 {
    number.try_into().map_or(f64::NAN, |number| number as f64)
}

/// Yes or no as a value.
pub fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// What answers a question for metrics, in the OpenMetrics text format.
pub fn render(families: Vec<Family>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Gathered(families)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

/// What was gathered for one answer.
#[derive(Debug)]
struct Gathered(Vec<Family>);

impl Collector for Gathered {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { metric, samples } in &self.0 {
            let kind = match metric.kind {
                Kind::Gauge => MetricType::Gauge,
                Kind::Counter => MetricType::Counter,
            };
            let mut family = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            for (values, value) in samples {
                let values = values.iter().map(String::as_str);
                let labels: Vec<(&str, &str)> = metric.labels.iter().copied().zip(values).collect();
                if labels.is_empty() {
                    encode(metric.kind, *value, &mut family)?;
                } else {
                    encode(metric.kind, *value, &mut family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}

fn encode(kind: Kind, value: f64, series: &mut MetricEncoder<'_>) -> fmt::Result {
    match kind {
        Kind::Gauge => series.encode_gauge(&value),
        Kind::Counter => series.encode_counter::<NoLabelSet, _, f64>(&value, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ROUNDS: Metric = Metric::counter("berth_rounds", &[], "Rounds of the loop.");
    static POOLS: Metric = Metric::gauge("berth_pool_bytes", &["pool"], "Size of a pool.");

    #[test]
    fn what_is_printed_is_what_a_scraper_reads() {
        let mut pools = Family::of(&POOLS);
        pools.push(vec!["a \"b\"\\\n".to_owned()], 1.5);
        let text = render(vec![ROUNDS.is(3.0), pools]).unwrap();
        assert_eq!(
            text,
            "# HELP berth_rounds Rounds of the loop.\n\
             # TYPE berth_rounds counter\n\
             berth_rounds_total 3.0\n\
             # HELP berth_pool_bytes Size of a pool.\n\
             # TYPE berth_pool_bytes gauge\n\
             berth_pool_bytes{pool=\"a \\\"b\\\"\\\\\\n\"} 1.5\n\
             # EOF\n"
        );
        let shown = lint(&text).unwrap();
        assert_eq!(shown["berth_rounds_total"].samples, 1);
        assert!(shown["berth_pool_bytes"].labels.contains("pool"));
    }
}
