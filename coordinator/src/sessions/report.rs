//! What a report changes of a contact, and which events it tells of. Pure.

use berth_core::{
    ids::Generation,
    map::Map,
    report::{MemberReport, Phase},
    state::{Contact, Observation},
    store::Note,
    time::Timestamp,
    waiting::{Reason, Rule},
};
use berth_proto::convert::report::AgentReport;

use crate::notes::{self, NORMAL, WARNING};

/// Takes a report in. `newest` is the generation that was last recorded as sent to the host.
pub(super) fn take(
    contact: &mut Contact,
    report: AgentReport,
    newest: Generation,
    now: Timestamp,
) -> Vec<Note> {
    let mut events = Vec::new();
    let old = if report.complete {
        std::mem::take(&mut contact.members)
    } else {
        Map::new()
    };
    for member in report.members {
        let id = member.member.clone();
        let before = contact.members.remove(&id);
        let before = before.or_else(|| old.get(&id).cloned());
        // What a first report tells of is no news: a coordinator that was away learns it anew.
        if before.is_some() || !report.complete {
            events.extend(differences(before.as_ref(), &member, now));
        }
        let seen = observe(before.as_ref(), member, now);
        contact.members.insert(id, seen);
    }
    for id in &report.forgotten {
        contact.members.remove(id);
    }
    if report.complete && !contact.connected {
        contact.connected = true;
        contact.since = now;
    }
    contact.report = report.number;
    contact.settled = contact.connected && report.generation == newest;
    events
}

fn observe(before: Option<&Observation>, report: MemberReport, now: Timestamp) -> Observation {
    let same_epoch = before.filter(|seen| seen.report.epoch == report.epoch);
    let began = Timestamp(now.0.saturating_sub(report.ready_for_ms));
    let ready_since = report.ready.then(|| {
        let same_run = same_epoch.filter(|seen| seen.report.run == report.run);
        same_run.and_then(|seen| seen.ready_since).unwrap_or(began)
    });
    let same_reason = same_epoch.filter(|seen| rule(&seen.report) == rule(&report));
    Observation {
        ready_since,
        waiting_since: same_reason.map_or(now, |seen| seen.waiting_since),
        report,
    }
}

fn rule(report: &MemberReport) -> Option<Rule> {
    report.waiting.as_ref().map(Reason::rule)
}

/// What happened to a member between two reports, as far as people want to read it.
fn differences(before: Option<&Observation>, report: &MemberReport, now: Timestamp) -> Vec<Note> {
    let old = before
        .map(|seen| &seen.report)
        .filter(|old| old.epoch == report.epoch);
    let was = |holds: fn(&MemberReport) -> bool| old.is_some_and(holds);
    let mut events = Vec::new();
    let mut say = |level, reason: &str, message: String| {
        events.push(notes::member(now, &report.member, level, reason, message));
    };
    if report.restarts > old.map_or(0, |old| old.restarts) {
        say(WARNING, "Restarted", restarted(report));
    }
    if report.started && !was(|old| old.started) {
        say(
            NORMAL,
            "Started",
            format!("epoch {} has started", report.epoch),
        );
    }
    if report.ready && !was(|old| old.ready) {
        say(NORMAL, "Ready", "it serves".to_owned());
    }
    if !report.ready && was(|old| old.ready) {
        say(WARNING, "Unready", because(report));
    }
    let stopped = |report: &MemberReport| report.phase == Phase::Stopped;
    if stopped(report) && !was(stopped) {
        say(
            NORMAL,
            "Stopped",
            "no process is left, no volume is mounted".to_owned(),
        );
    }
    events
}

fn restarted(report: &MemberReport) -> String {
    let mut exits = report.processes.iter().filter_map(|process| {
        let exit = process.last_exit.as_ref()?;
        Some(format!("process {} {exit}", process.name))
    });
    let exit = exits
        .next()
        .unwrap_or_else(|| "its processes ended".to_owned());
    format!("{exit}; restarted {} times", report.restarts)
}

fn because(report: &MemberReport) -> String {
    match &report.waiting {
        Some(reason) => reason.to_string(),
        None => "it does not serve any more".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use berth_core::{
        ids::{BootId, Epoch, ReportNumber, RunId, RunNumber, Term},
        waiting::Reason,
    };

    use super::*;

    fn member(ready: bool, run: u64, ready_for_ms: u64) -> MemberReport {
        let epoch = Epoch {
            term: Term(1),
            counter: 1,
        };
        MemberReport {
            member: "default/etcd-0".parse().unwrap(),
            epoch,
            run: Some(RunId {
                epoch,
                boot: BootId("b".to_owned()),
                number: RunNumber(run),
            }),
            revision: None,
            phase: Phase::Running,
            started: true,
            ready,
            passed_gate: ready,
            ready_for_ms,
            restarts: 0,
            processes: Vec::new(),
            waiting: None,
            volumes: Vec::new(),
            filled: Vec::new(),
        }
    }

    fn report(complete: bool, members: Vec<MemberReport>) -> AgentReport {
        AgentReport {
            number: ReportNumber(1),
            complete,
            members,
            forgotten: Vec::new(),
            generation: Generation(3),
        }
    }

    fn at(contact: &mut Contact, report: AgentReport, now: u64) -> Vec<String> {
        let events = take(contact, report, Generation(3), Timestamp(now));
        events.into_iter().map(|event| event.reason).collect()
    }

    fn ready_since(contact: &Contact) -> Option<Timestamp> {
        contact.members.values().next().unwrap().ready_since
    }

    #[test]
    fn contact_begins_with_the_first_complete_report() {
        let mut contact = Contact::default();
        at(&mut contact, report(false, vec![member(true, 1, 0)]), 100);
        assert!(!contact.connected && !contact.settled);
        at(&mut contact, report(true, vec![]), 200);
        assert!(contact.connected && contact.settled && contact.members.is_empty());
        assert_eq!(contact.since, Timestamp(200));
        let older = AgentReport {
            generation: Generation(2),
            ..report(false, vec![])
        };
        at(&mut contact, older, 300);
        assert!(!contact.settled, "it has not answered the newest order");
        assert_eq!(contact.since, Timestamp(200));
    }

    #[test]
    fn readiness_counts_on_our_clock_and_anew_for_each_run() {
        let mut contact = Contact::default();
        at(
            &mut contact,
            report(true, vec![member(true, 1, 400)]),
            1_000,
        );
        assert_eq!(ready_since(&contact), Some(Timestamp(600)));
        at(&mut contact, report(true, vec![member(true, 1, 5)]), 2_000);
        assert_eq!(
            ready_since(&contact),
            Some(Timestamp(600)),
            "the same run is as ready"
        );
        at(&mut contact, report(false, vec![member(true, 2, 5)]), 3_000);
        assert_eq!(ready_since(&contact), Some(Timestamp(2_995)));
        at(
            &mut contact,
            report(false, vec![member(false, 2, 0)]),
            4_000,
        );
        assert_eq!(ready_since(&contact), None);
    }

    #[test]
    fn each_change_is_told_once() {
        let mut contact = Contact::default();
        let known = at(
            &mut contact.clone(),
            report(true, vec![member(true, 1, 0)]),
            1,
        );
        assert!(known.is_empty(), "a first report tells no news: {known:?}");
        let first = at(&mut contact, report(false, vec![member(true, 1, 0)]), 1);
        assert_eq!(first, ["Started", "Ready"]);
        assert!(at(&mut contact, report(true, vec![member(true, 1, 0)]), 2).is_empty());
        let mut waits = member(false, 1, 0);
        waits.waiting = Some(Reason::HeldByOperator);
        let told = at(&mut contact, report(false, vec![waits.clone()]), 3);
        assert_eq!(told, ["Unready"], "reasons are told by the reconcile loop");
        assert!(at(&mut contact, report(false, vec![waits]), 4).is_empty());
        let since = contact.members.values().next().unwrap().waiting_since;
        assert_eq!(since, Timestamp(3));
    }

    #[test]
    fn a_forgotten_member_is_not_known_any_more() {
        let mut contact = Contact::default();
        at(&mut contact, report(true, vec![member(true, 1, 0)]), 1);
        let gone = AgentReport {
            forgotten: vec!["default/etcd-0".parse().unwrap()],
            ..report(false, vec![])
        };
        at(&mut contact, gone, 2);
        assert!(contact.members.is_empty());
    }
}
