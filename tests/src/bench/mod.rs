//! Figures, each beside a limit or a peer that was measured in the same run: a number alone says
//! more about the machine than about Berth.
//!
//! Nothing here fails because something is slow: figures are for reading, and a test that depends
//! on time is a test that sometimes fails. `tests/bench` builds with optimization and runs it.

pub mod agents;
pub mod answers;
pub mod bed;
pub mod change;
pub mod daemon;
pub mod dns;
pub mod failover;
pub mod fleet;
pub mod limits;
pub mod load;
pub mod marks;
pub mod memory;
pub mod model;
pub mod mtls;
pub mod order;
pub mod plan;
pub mod played;
pub mod process;
pub mod reopen;
pub mod restart;
pub mod samples;
pub mod server;
pub mod start;
pub mod streams;
pub mod volumes;

use std::fmt;

use self::samples::Samples;

/// Something measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Times of single events.
    Times(Samples),
    /// Events per second.
    Rate(f64),
    /// CPU time per event, in microseconds.
    CpuMicros(f64),
    /// Memory in kibibytes.
    Kib(u64),
    /// Of one core, in percent.
    Share(f64),
    /// Not measured, and why.
    Missing(String),
}

impl Value {
    /// The number that ratios and goals are about: milliseconds (p50), events per second,
    /// microseconds, kibibytes, percent.
    fn number(&self) -> Option<f64> {
        match self {
            Self::Times(samples) => samples.p50().map(|t| t.as_secs_f64() * 1e3),
            Self::Rate(number) | Self::CpuMicros(number) | Self::Share(number) => Some(*number),
            #[expect(clippy::cast_precision_loss, reason = "memory is below 2^53 KiB")]
            Self::Kib(kib) => Some(*kib as f64),
            Self::Missing(_) => None,
        }
    }

    /// What that number counts.
    fn unit(&self) -> &'static str {
        match self {
            Self::Times(_) => "ms",
            Self::Rate(_) => "/s",
            Self::CpuMicros(_) => "µs",
            Self::Kib(_) => "KiB",
            Self::Share(_) => "% of a core",
            Self::Missing(_) => "",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(samples) => samples.fmt(f),
            Self::Rate(rate) if *rate < 1e3 => write!(f, "{rate:.0} /s"),
            Self::Rate(rate) => write!(f, "{:.1} k/s", rate / 1e3),
            Self::CpuMicros(micros) => write!(f, "{micros:.1} µs CPU each"),
            Self::Share(percent) => write!(f, "{percent:.1} % of a core"),
            Self::Kib(kib @ ..1024) => write!(f, "{kib} KiB"),
            Self::Kib(_) => write!(f, "{:.1} MiB", self.number().unwrap_or_default() / 1024.0),
            Self::Missing(why) => write!(f, "- ({why})"),
        }
    }
}

/// What was hoped for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// At most this many of the value's units.
    AtMost(f64),
    /// At least this many times what it stands beside.
    RatioAtLeast(f64),
    /// At most this many times what it stands beside.
    RatioAtMost(f64),
}

/// One line of the result.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// Berth's value.
    pub ours: Value,
    /// What it stands beside, and its value.
    pub beside: (String, Value),
    /// What was hoped for, if anything.
    pub goal: Option<Goal>,
}

impl Figure {
    /// A figure without a goal.
    pub fn new(name: impl Into<String>, ours: Value, beside: (impl Into<String>, Value)) -> Self {
        Self {
            name: name.into(),
            ours,
            beside: (beside.0.into(), beside.1),
            goal: None,
        }
    }

    /// With a goal.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    fn ratio(&self) -> Option<f64> {
        let beside = self.beside.1.number().filter(|n| *n > 0.0)?;
        Some(self.ours.number()? / beside)
    }

    fn met(&self) -> Option<bool> {
        match self.goal? {
            Goal::AtMost(most) => Some(self.ours.number()? <= most),
            Goal::RatioAtLeast(least) => Some(self.ratio()? >= least),
            Goal::RatioAtMost(most) => Some(self.ratio()? <= most),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio = self
            .ratio()
            .map_or_else(|| "-".to_owned(), |r| format!("{r:.2}"));
        write!(
            f,
            "{:<38} {:<28} {:<46} ratio {ratio:<7}",
            self.name,
            self.ours.to_string(),
            format!("{} {}", self.beside.0, self.beside.1),
        )?;
        let goal = match self.goal {
            Some(Goal::AtMost(most)) => format!("<= {most:.1} {}", self.ours.unit()),
            Some(Goal::RatioAtLeast(least)) => format!("ratio >= {least}"),
            Some(Goal::RatioAtMost(most)) => format!("ratio <= {most}"),
            None => return Ok(()),
        };
        let met = match self.met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not measured",
        };
        write!(f, "goal {goal}: {met}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_says_its_ratio_and_whether_its_goal_is_met() {
        let figure = Figure::new("x", Value::Rate(90e3), ("echo", Value::Rate(100e3)));
        let text = figure.clone().goal(Goal::RatioAtLeast(0.8)).to_string();
        assert!(text.contains("90.0 k/s") && text.contains("0.90"), "{text}");
        assert!(text.ends_with("ratio >= 0.8: met"), "{text}");
        let text = figure.goal(Goal::AtMost(1.0)).to_string();
        assert!(text.ends_with("<= 1.0 /s: missed"), "{text}");
    }

    #[test]
    fn what_was_not_measured_has_no_ratio() {
        let missing = Value::Missing("runsv is not installed".into());
        let text = Figure::new("x", Value::Kib(2048), ("runit", missing))
            .goal(Goal::RatioAtLeast(1.0))
            .to_string();
        assert!(
            text.contains("2.0 MiB") && text.contains("ratio -"),
            "{text}"
        );
        assert!(text.ends_with("not measured"), "{text}");
    }
}
