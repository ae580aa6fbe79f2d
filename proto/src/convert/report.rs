//! Reports of an agent.

use berth_core::{
    ids::{Generation, MemberId, ReportNumber},
    report::MemberReport,
};

use super::{ConvertError, from_json, id, to_json};
use crate::v1;

/// What an agent says at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentReport {
    /// Counts the reports of the stream.
    pub number: ReportNumber,
    /// Whether `members` is all that the host has.
    pub complete: bool,
    /// Members, new or changed.
    pub members: Vec<MemberReport>,
    /// Members that the host has nothing of any more.
    pub forgotten: Vec<MemberId>,
    /// The order that the report is about.
    pub generation: Generation,
}

impl TryFrom<AgentReport> for v1::Report {
    type Error = ConvertError;
    fn try_from(report: AgentReport) -> Result<Self, ConvertError> {
        let members = report.members.iter();
        Ok(Self {
            number: report.number.0,
            complete: report.complete,
            members: members
                .map(|member| to_json("members", member))
                .collect::<Result<_, _>>()?,
            forgotten: report.forgotten.iter().map(ToString::to_string).collect(),
            generation: report.generation.0,
        })
    }
}

impl TryFrom<v1::Report> for AgentReport {
    type Error = ConvertError;
    fn try_from(report: v1::Report) -> Result<Self, ConvertError> {
        let members = report.members.iter();
        let forgotten = report.forgotten.iter();
        Ok(Self {
            number: ReportNumber(report.number),
            complete: report.complete,
            members: members
                .map(|bytes| from_json("members", bytes))
                .collect::<Result<_, _>>()?,
            forgotten: forgotten
                .map(|text| id("forgotten", text))
                .collect::<Result<_, _>>()?,
            generation: Generation(report.generation),
        })
    }
}

#[cfg(test)]
mod tests {
    use berth_core::{ids::Epoch, report::Phase};

    use super::*;

    #[test]
    fn a_report_arrives_as_it_was_sent() {
        let report = AgentReport {
            number: ReportNumber(4),
            complete: true,
            members: vec![MemberReport {
                member: "default/etcd-0".parse().unwrap(),
                epoch: Epoch::default(),
                run: None,
                revision: None,
                phase: Phase::Running,
                started: true,
                ready: true,
                passed_gate: true,
                ready_for_ms: 12,
                restarts: 1,
                processes: Vec::new(),
                waiting: None,
                volumes: Vec::new(),
                filled: vec!["data".to_owned()],
            }],
            forgotten: vec!["default/etcd-1".parse().unwrap()],
            generation: Generation(9),
        };
        let wire = v1::Report::try_from(report.clone()).unwrap();
        assert_eq!(AgentReport::try_from(wire).unwrap(), report);
    }
}
