//! Parts of a member's status that coordinator and agent show alike.

use berth_core::{
    condition::Condition,
    report::{Phase, ProcessReport},
    time::Timestamp,
    waiting::Waiting,
};

use crate::v1;

/// A time as the wire has it; zero for none.
pub fn millis(time: Option<Timestamp>) -> i64 {
    time.map_or(0, |time| i64::try_from(time.0).unwrap_or(i64::MAX))
}

/// A phase by its name.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::Preparing => "Preparing",
        Phase::Starting => "Starting",
        Phase::Running => "Running",
        Phase::BackOff => "BackOff",
        Phase::Stopping => "Stopping",
        Phase::Stopped => "Stopped",
    }
}

/// Why something does not happen.
pub fn waiting(waiting: &Waiting) -> v1::Waiting {
    v1::Waiting {
        rule: waiting.reason.rule().to_string(),
        message: waiting.reason.to_string(),
        frees: waiting.reason.frees(),
        since_ms: millis(Some(waiting.since)),
    }
}

/// What holds of a set.
pub fn condition(condition: &Condition) -> v1::Condition {
    let status = if condition.holds { "True" } else { "False" };
    v1::Condition {
        r#type: condition.kind.to_string(),
        status: status.to_owned(),
        reason: condition.reason.to_string(),
        message: condition.message.clone(),
        since_ms: millis(condition.since),
    }
}

/// A process; one that does not run has pid 0.
pub fn process(process: &ProcessReport) -> v1::ProcessStatus {
    v1::ProcessStatus {
        name: process.name.to_string(),
        pid: process.pid.unwrap_or_default(),
        restarts: process.restarts,
        last_exit: process.last_exit.clone().unwrap_or_default(),
        status: process.status.clone().unwrap_or_default(),
        unenforced: process.unenforced.clone(),
    }
}

#[cfg(test)]
mod tests {
    use berth_core::waiting::Reason;

    use super::*;

    #[test]
    fn a_reason_is_sent_with_its_rule_and_what_frees_it() {
        let wire = waiting(&Waiting {
            reason: Reason::HeldByOperator,
            since: Timestamp(7),
        });
        assert_eq!(wire.rule, "HeldByOperator");
        assert!(!wire.message.is_empty() && !wire.frees.is_empty());
        assert_eq!(wire.since_ms, 7);
    }
}
