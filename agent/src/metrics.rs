//! All metrics of the agent. `docs/metrics.md` lists them; the test below holds that list against what is
//! printed.

use std::collections::BTreeMap;

use berth_core::{
    ids::{Generation, MemberId, Term, ZoneSerial},
    report::{MemberReport, Phase},
    waiting::Rule,
};
use berth_proto::metrics::{Family, Metric, count, flag, process};

use crate::{dns::DnsServer, ledger::LedgerStore, reconcile::Members};

const MEMBER: &[&str] = &["namespace", "set", "ordinal"];

static CONNECTED: Metric = Metric::gauge(
    "berth_agent_connected",
    &[],
    "Whether a session with the coordinator is open.",
);
static TERM: Metric = Metric::gauge(
    "berth_agent_order_term",
    &[],
    "The coordinator's term when it gave the order that is in force.",
);
static GENERATION: Metric = Metric::gauge(
    "berth_agent_order_generation",
    &[],
    "The generation of the order that is in force.",
);
static ZONE: Metric = Metric::gauge(
    "berth_agent_zone_serial",
    &[],
    "The serial of the DNS zone that is served.",
);
static ORDERED: Metric = Metric::gauge(
    "berth_agent_members_ordered",
    &[],
    "How many members the order has.",
);
static HELD: Metric = Metric::gauge(
    "berth_agent_members_held",
    &[],
    "How many members an operator stopped on this host.",
);
static UP: Metric = Metric::gauge(
    "berth_agent_member_up",
    MEMBER,
    "Whether the member's processes run.",
);
static READY: Metric = Metric::gauge(
    "berth_agent_member_ready",
    MEMBER,
    "Whether the member's processes are ready.",
);
static RESTARTS: Metric = Metric::counter(
    "berth_agent_member_restarts",
    MEMBER,
    "Restarts of the member's processes since it was ordered here.",
);
static WAITS: Metric = Metric::gauge(
    "berth_agent_member_waiting",
    &["namespace", "set", "ordinal", "reason"],
    "The reason for which the member waits; always 1.",
);
static WAITING: Metric = Metric::gauge(
    "berth_agent_waiting_members",
    &["reason"],
    "How many members of this host wait for this reason.",
);

/// Where the values come from.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) ledger: LedgerStore,
    pub(crate) members: Members,
    /// Weak: whoever ends the server must be the last to have it.
    pub(crate) dns: std::sync::Weak<DnsServer>,
    pub(crate) connected: tokio::sync::watch::Receiver<bool>,
}

/// What is shown.
#[derive(Debug, Default)]
struct Values {
    connected: bool,
    term: Term,
    generation: Generation,
    zone: ZoneSerial,
    ordered: usize,
    held: usize,
    members: Vec<MemberReport>,
}

impl Sources {
    /// All of them, as they are now.
    pub(crate) async fn gather(self) -> Vec<Family> {
        // Not a complete report: those are for the coordinator, which then needs to be told no more
        // of what is gone.
        let changes = self.members.changes(Some(0)).await;
        let values = {
            let ledger = self.ledger.read();
            Values {
                connected: *self.connected.borrow(),
                term: ledger.head.term,
                generation: ledger.head.generation,
                zone: self
                    .dns
                    .upgrade()
                    .map(|dns| dns.serving().0)
                    .unwrap_or_default(),
                ordered: ledger.members.len(),
                held: ledger.held.len(),
                members: changes.map(|changes| changes.members).unwrap_or_default(),
            }
        };
        let mut families = process(env!("CARGO_PKG_VERSION"));
        families.extend(values.families());
        families
    }
}

impl Values {
    fn families(&self) -> Vec<Family> {
        let mut up = Family::of(&UP);
        let mut ready = Family::of(&READY);
        let mut restarts = Family::of(&RESTARTS);
        let mut waits = Family::of(&WAITS);
        let mut numbers: BTreeMap<Rule, u64> = Rule::ALL.iter().map(|rule| (*rule, 0)).collect();
        for report in &self.members {
            let labels = || labels(&report.member);
            up.push(labels(), flag(report.phase == Phase::Running));
            ready.push(labels(), flag(report.ready));
            restarts.push(labels(), f64::from(report.restarts));
            if let Some(reason) = &report.waiting {
                let rule = reason.rule();
                *numbers.entry(rule).or_default() += 1;
                let mut labels = labels();
                labels.push(rule.name().to_owned());
                waits.push(labels, 1.0);
            }
        }
        let mut waiting = Family::of(&WAITING);
        for (rule, number) in numbers {
            waiting.push(vec![rule.name().to_owned()], count(number));
        }
        vec![
            CONNECTED.is(flag(self.connected)),
            TERM.is(count(self.term.0)),
            GENERATION.is(count(self.generation.0)),
            ZONE.is(count(self.zone.0)),
            ORDERED.is(count(self.ordered)),
            HELD.is(count(self.held)),
            up,
            ready,
            restarts,
            waits,
            waiting,
        ]
    }
}

fn labels(member: &MemberId) -> Vec<String> {
    vec![
        member.set.namespace.to_string(),
        member.set.name.to_string(),
        member.ordinal.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use berth_core::{ids::Epoch, waiting::Reason};
    use berth_proto::metrics::{lint, render, table};

    use super::*;

    fn values() -> Values {
        let report = MemberReport {
            member: "default/db-0".parse().unwrap(),
            epoch: Epoch::default(),
            run: None,
            revision: None,
            phase: Phase::Stopped,
            started: false,
            ready: false,
            passed_gate: false,
            ready_for_ms: 0,
            restarts: 2,
            processes: Vec::new(),
            waiting: Some(Reason::HeldByOperator),
            filled: Vec::new(),
            volumes: Vec::new(),
        };
        Values {
            connected: true,
            members: vec![report],
            ..Values::default()
        }
    }

    #[test]
    fn every_metric_is_documented_and_every_documented_one_is_there() {
        let text = std::fs::read_to_string("../docs/metrics.md").unwrap();
        let lines = text
            .lines()
            .skip_while(|line| *line != "## The agent")
            .skip(1);
        let lines = lines.take_while(|line| !line.starts_with("## "));
        let rows: Vec<&str> = lines.filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows, table(&values().families()));
    }

    #[test]
    fn what_is_shown_is_well_formed_and_bounded() {
        let text = render(values().families()).unwrap();
        let shown = lint(&text).unwrap();
        assert_eq!(
            shown["berth_agent_waiting_members"].samples,
            Rule::ALL.len()
        );
        for line in [
            "berth_agent_connected 1.0",
            "berth_agent_member_restarts_total{namespace=\"default\",set=\"db\",ordinal=\"0\"} 2.0",
            "berth_agent_member_waiting{namespace=\"default\",set=\"db\",ordinal=\"0\",\
             reason=\"HeldByOperator\"} 1.0",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
    }
}
