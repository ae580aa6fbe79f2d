//! How contact with a host begins and ends, and what is believed of it then.
//!
//! Each of the three writes down when the last renewal arrived that was acknowledged: from the moment
//! that a host is not in contact its leases are counted from there, and a host whose agent just opens
//! another stream must not look like one that never renewed.

use std::collections::BTreeMap;

use super::{Fenced, Observation};
use crate::{
    ids::{MemberId, ReportNumber, ZoneSerial},
    map::Map,
    prerequisite::{Asked, Prerequisite},
    time::Timestamp,
};

/// What is known of a host now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Contact {
    /// Whether its agent's stream is open and its first full report has arrived.
    pub connected: bool,
    /// Whether its last report is about the newest order for the host. While it is not, a member
    /// that it does not mention may still be on its way there: only a settled host proves that a
    /// member is absent. [`State::apply`] clears it with every step that changes the host's order;
    /// the coordinator sets it when a report arrives that names the newest generation.
    pub settled: bool,
    /// When `connected` last changed.
    pub since: Timestamp,
    /// When its agent last began or ended a stream, as far as this coordinator saw: an operator's
    /// word about what is lost counts only if it is of later.
    pub heard: Option<Timestamp>,
    /// The stream of its agent, numbered since the coordinator started: what was said on an older one
    /// does not count.
    pub stream: u64,
    /// The last report on it.
    pub report: ReportNumber,
    /// When the last renewal of its lease arrived that was acknowledged, as it stood when contact was
    /// lost: written down then, because nothing asks before.
    pub renewed: Option<Timestamp>,
    /// What a fence command confirmed since contact was lost.
    pub fenced: Option<Fenced>,
    /// The zone that its agent serves.
    pub zone_acked: ZoneSerial,
    /// What the agent reported last, by member. Kept when contact is lost, to be shown; the plan
    /// reads it only through [`State::knowledge`].
    pub members: Map<MemberId, Observation>,
    /// What its agent was asked of prerequisites on this stream, and said.
    pub asked: BTreeMap<Prerequisite, Asked>,
}

impl Contact {
    /// The agent opened a stream: what was said on an older one does not count any more, and nothing
    /// is known by this one before its first report.
    pub fn join(&mut self, stream: u64, renewed: Option<Timestamp>, now: Timestamp) {
        if std::mem::take(&mut self.connected) {
            self.since = now;
        }
        self.settled = false;
        self.stream = stream;
        self.report = ReportNumber::default();
        self.renewed = renewed;
        self.heard = Some(now);
        // What was confirmed was confirmed of a host that was away.
        self.fenced = None;
        self.zone_acked = ZoneSerial::default();
        // An answer may be on its way on the older stream, and the host may be another by now.
        self.asked.clear();
    }

    /// Its stream ended; whether it was in contact by it.
    pub fn leave(&mut self, renewed: Option<Timestamp>, now: Timestamp) -> bool {
        self.settled = false;
        self.renewed = renewed;
        self.since = now;
        self.heard = Some(now);
        std::mem::take(&mut self.connected)
    }

    /// All that was said counts for nothing, because another history goes on.
    pub fn forget(&mut self, renewed: Option<Timestamp>, now: Timestamp) {
        self.leave(renewed, now);
        self.fenced = None;
        self.zone_acked = ZoneSerial::default();
        self.members = Map::new();
        self.asked.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{self, host_name, member, put_set, run_all, spec},
        plan::{Step, plan},
        spec::FailurePolicy,
        state::State,
        waiting::Reason,
    };

    /// A member of a Failover set, with a lease that was just renewed.
    fn leased() -> State {
        let mut state = fixture::state(2);
        for n in [1, 2] {
            let host = state.hosts.get_mut(&host_name(n)).unwrap();
            host.record.self_fences = true;
        }
        let mut wanted = spec(1, false);
        wanted.failure_policy = FailurePolicy::Failover;
        put_set(&mut state, "db", wanted);
        run_all(&mut state, "db");
        state
    }

    #[test]
    fn a_host_that_opens_another_stream_still_holds_its_lease() {
        let now = Timestamp(5_000_000);
        let changes: [fn(&mut Contact, Option<Timestamp>, Timestamp); 3] = [
            |contact, renewed, now| contact.join(7, renewed, now),
            |contact, renewed, now| assert!(contact.leave(renewed, now)),
            Contact::forget,
        ];
        for (nth, change) in changes.iter().enumerate() {
            let mut state = leased();
            let contact = &mut state.hosts.get_mut(&host_name(1)).unwrap().contact;
            change(contact, Some(now), now);
            assert!(!contact.connected && contact.since == now, "{nth}");
            let (planned, report) = plan(&state, now);
            let gives_up = |step: &Step| matches!(step, Step::Release { .. });
            assert!(!planned.steps.iter().any(gives_up), "{nth}");
            let reason = report.waiting.get(&member("db", 0));
            assert!(
                matches!(reason, Some(Reason::LeaseRunning { .. })),
                "{nth}: {reason:?}"
            );
        }
    }
}
