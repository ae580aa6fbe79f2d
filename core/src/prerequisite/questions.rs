//! What is known of the prerequisites on a host, and when its agent is asked (again).

use std::{collections::BTreeMap, time::Duration};

use super::{Answer, Finding, Prerequisite, Unmet};
use crate::{
    ids::HostName,
    plan::Report,
    state::{Contact, State},
    time::Timestamp,
    waiting::Reason,
};

/// From an answer that fails to the next question; then doubling to the longest. Mending a host is
/// the work of people, who look at the status after it.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A prerequisite that a host was asked about. Not durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// When it was asked last.
    pub at: Timestamp,
    /// How often it was asked since it last held.
    pub times: u32,
    /// The last answer, if one came.
    pub finding: Option<Finding>,
}

impl Contact {
    /// Those of these that are known not to hold.
    pub fn unmet(&self, required: impl Iterator<Item = Prerequisite>) -> Vec<Unmet> {
        let known = required.filter_map(|required| {
            let finding = self.asked.get(&required)?.finding.clone()?;
            finding.unmet(required)
        });
        known.collect()
    }

    /// Those of these that nothing is known of.
    pub fn unknown(&self, required: impl Iterator<Item = Prerequisite>) -> Vec<Prerequisite> {
        let known = |one: &Prerequisite| {
            let asked = self.asked.get(one);
            asked.is_some_and(|asked| asked.finding.is_some())
        };
        required.filter(|one| !known(one)).collect()
    }

    /// Notes that something is asked.
    pub fn ask(&mut self, required: Prerequisite, now: Timestamp) {
        let asked = self.asked.entry(required).or_insert(Asked {
            at: now,
            times: 0,
            finding: None,
        });
        asked.at = now;
        asked.times = asked.times.saturating_add(1);
    }

    /// Takes in answers, also to what was asked of another coordinator.
    pub fn answered(&mut self, answers: Vec<Answer>, now: Timestamp) {
        for Answer { of, finding } in answers {
            let asked = self.asked.entry(of).or_insert(Asked {
                at: now,
                times: 1,
                finding: None,
            });
            if finding == Finding::Met {
                asked.times = 0;
            }
            asked.finding = Some(finding);
        }
    }

    /// Forgets who held a port: it may have been a member that left.
    pub fn forget_ports(&mut self) {
        let is_port = |one: &Prerequisite| matches!(one, Prerequisite::Port { .. });
        self.asked.retain(|one, _| !is_port(one));
    }
}

/// What hosts are to be asked now, and when the next question is due: what a plan wanted to know,
/// and what failed a while ago and is still waited for.
pub fn questions(
    state: &State,
    report: &Report,
    now: Timestamp,
) -> (BTreeMap<HostName, Vec<Prerequisite>>, Option<Timestamp>) {
    let mut due: BTreeMap<HostName, Vec<Prerequisite>> = BTreeMap::new();
    let mut wake = None;
    for (host, required) in report.waiting.values().flat_map(wanted) {
        let contact = state.hosts.get(host).map(|host| &host.contact);
        let Some(contact) = contact.filter(|contact| contact.connected) else {
            continue;
        };
        for required in required {
            match next(contact.asked.get(required)) {
                Next::Now => {}
                Next::Later(at) if at <= now => {}
                Next::Later(at) => {
                    wake = wake.into_iter().chain([at]).min();
                    continue;
                }
                Next::Never => continue,
            }
            let list = due.entry(host.clone()).or_default();
            if !list.contains(required) {
                list.push(required.clone());
            }
        }
    }
    (due, wake)
}

/// When something is asked.
enum Next {
    Now,
    Later(Timestamp),
    /// It holds.
    Never,
}

fn next(asked: Option<&Asked>) -> Next {
    let Some(asked) = asked else {
        return Next::Now;
    };
    match asked.finding {
        // The answer is on its way, or was lost with a connection.
        None => Next::Later(asked.at.plus(LONGEST_PAUSE)),
        Some(Finding::Met) => Next::Never,
        Some(Finding::Unmet { .. }) => {
            let doubled = asked.times.saturating_sub(1).min(16);
            let pause = FIRST_PAUSE.saturating_mul(1 << doubled);
            Next::Later(asked.at.plus(pause.min(LONGEST_PAUSE)))
        }
    }
}

/// What a reason says of hosts and their prerequisites.
fn wanted(reason: &Reason) -> Vec<(&HostName, Vec<&Prerequisite>)> {
    if let Reason::RequirementUnmet { host, unmet } = reason {
        return vec![(host, unmet.iter().map(|one| &one.required).collect())];
    }
    let (Reason::NoEligibleHost { hosts } | Reason::DrainNowhere { hosts, .. }) = reason else {
        return Vec::new();
    };
    let hosts = hosts.iter();
    hosts
        .map(|one| (&one.host, one.because.required()))
        .filter(|(_, required)| !required.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{NOW, state},
        prerequisite::Fact,
        waiting::{HostRefusal, Refusal},
    };

    #[test]
    fn a_host_is_asked_once_and_again_only_while_somebody_waits() {
        let mut state = state(1);
        let host: HostName = "host-1".parse().unwrap();
        let required = Prerequisite::User {
            name: "db".to_owned(),
        };
        let report = |because| {
            let host = host.clone();
            let hosts = vec![HostRefusal { host, because }];
            let member = "default/db-0".parse().unwrap();
            let mut report = Report::default();
            report
                .waiting
                .insert(member, Reason::NoEligibleHost { hosts });
            report
        };
        let unknown = report(Refusal::RequirementUnknown {
            required: vec![required.clone()],
        });
        let (asked, wake) = questions(&state, &unknown, NOW);
        assert_eq!(asked[&host], std::slice::from_ref(&required));
        assert_eq!(wake, None);
        let contact = &mut state.hosts.get_mut(&host).unwrap().contact;
        contact.ask(required.clone(), NOW);
        // An answer may be lost with a connection.
        let lost = NOW.plus(LONGEST_PAUSE);
        assert_eq!(
            questions(&state, &unknown, NOW),
            (BTreeMap::new(), Some(lost))
        );
        let (asked, _) = questions(&state, &unknown, lost);
        assert_eq!(asked[&host], std::slice::from_ref(&required));

        let contact = &mut state.hosts.get_mut(&host).unwrap().contact;
        let finding = required.judge(&Fact::Absent);
        let of = required.clone();
        contact.answered(vec![Answer { of, finding }], NOW);
        let unmet = contact.unmet([required.clone()].into_iter());
        let unmet = report(Refusal::RequirementUnmet { unmet });
        let (asked, wake) = questions(&state, &unmet, NOW);
        assert!(asked.is_empty());
        let at = wake.unwrap();
        assert_eq!(at, NOW.plus(FIRST_PAUSE));
        assert_eq!(
            questions(&state, &Report::default(), at),
            (BTreeMap::new(), None)
        );
        let (asked, _) = questions(&state, &unmet, at);
        assert_eq!(asked[&host], std::slice::from_ref(&required));
        // The pause grows, to a limit.
        let contact = &mut state.hosts.get_mut(&host).unwrap().contact;
        for _ in 0..40 {
            contact.ask(required.clone(), at);
        }
        let (_, wake) = questions(&state, &unmet, at);
        assert_eq!(wake, Some(at.plus(LONGEST_PAUSE)));
    }
}
