//! What is known of a member now: by reports of the epoch that it has, and only of hosts in contact.

use super::{Contact, Member, Observation, Ordered, State};
use crate::{
    bug::{self, Bug},
    ids::{Epoch, HostName, MemberId},
    report::Phase,
    waiting::Reason,
};

/// What is known of one epoch of a member. Unknown never frees an ordinal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge<'a> {
    /// Its host is in contact and reported this.
    Known(&'a Observation),
    /// Its host is in contact and surely has nothing of this epoch.
    Absent,
    /// Its host is out of contact, or has not yet answered the newest order.
    Unknown,
}

impl Contact {
    /// What is known of an epoch of a member.
    pub fn knowledge(&self, id: &MemberId, epoch: Epoch) -> Knowledge<'_> {
        if !self.connected && !bug::on(Bug::UnknownIsAbsent) {
            return Knowledge::Unknown;
        }
        match self.members.get(id) {
            Some(seen) if seen.report.epoch == epoch => Knowledge::Known(seen),
            None if self.settled || bug::on(Bug::UnknownIsAbsent) => Knowledge::Absent,
            Some(_) | None => Knowledge::Unknown,
        }
    }
}

impl State {
    /// What is known of the epoch that a member is assigned with.
    pub fn knowledge(&self, id: &MemberId, member: &Member) -> Knowledge<'_> {
        let host = self.hosts.get(&member.host);
        host.map_or(Knowledge::Unknown, |host| {
            host.contact.knowledge(id, member.epoch)
        })
    }

    /// A host in contact that has a member under a grant which is not the present one, and of which
    /// nothing proves that it is gone. What the records say of such a grant does not count: an agent
    /// that has it knows better.
    pub fn still_there(&self, id: &MemberId) -> Option<(&HostName, Epoch)> {
        let set = self.sets.get(&id.set)?;
        let member = set.members.get(&id.ordinal);
        let last = set.last_grants.get(&id.ordinal);
        let proven = |host: &HostName, epoch: Epoch| {
            last.is_some_and(|last| {
                let after = last.after.as_ref();
                (last.gone.is_some() && last.host == *host && last.epoch == epoch)
                    || after.is_some_and(|former| former.host == *host && former.epoch == epoch)
            })
        };
        let index = self.index();
        let hosts = index.reported_on.of(id);
        let mut hosts = hosts.filter_map(|name| self.hosts.get_key_value(name));
        hosts.find_map(|(name, host)| {
            let contact = &host.contact;
            let seen = contact.members.get(id).filter(|_| contact.connected)?;
            let epoch = seen.report.epoch;
            let granted = member.is_some_and(|m| m.host == *name && m.epoch == epoch);
            let stopped =
                seen.report.phase == Phase::Stopped && (contact.settled || proven(name, epoch));
            (!granted && !stopped).then_some((name, epoch))
        })
    }

    /// Why a member may neither be granted nor started: another grant of it is still there.
    ///
    /// # Errors
    /// Where.
    pub fn surely_alone(&self, id: &MemberId) -> Result<(), Reason> {
        match self.still_there(id) {
            Some((host, epoch)) if !bug::on(Bug::UnknownIsAbsent) => {
                let host = host.clone();
                Err(Reason::StopNotConfirmed { host, epoch })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a member is ready, wanted where it is, and of the revision that its set goes to: it
    /// waits for nothing. A reason that an earlier plan gave is of a time before this was reported.
    pub fn in_place(&self, id: &MemberId) -> bool {
        let Some(set) = self.sets.get(&id.set) else {
            return false;
        };
        let Some(member) = set.members.get(&id.ordinal) else {
            return false;
        };
        let decided = set.orphaned.is_none();
        let wanted = decided && set.is_declared(id.ordinal) && member.ordered == Ordered::Run;
        let ready = match self.knowledge(id, member) {
            Knowledge::Known(seen) => {
                set.ready_since(member, seen).is_some() && !set.lacks_files(member, &seen.report)
            }
            Knowledge::Absent | Knowledge::Unknown => false,
        };
        let host = self.hosts.get(&member.host);
        let drained = host.is_some_and(|host| host.record.directives.draining.is_some());
        let leaves = drained || set.is_offline(id.ordinal) || set.is_to_move(id.ordinal);
        wanted
            && ready
            && !leaves
            && member.restart_asked.is_none()
            && member.revision == *set.target_revision()
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        fixture::{member, put_set, report, run_all, spec, state},
        report::Phase,
    };

    #[test]
    fn a_member_is_in_place_while_it_is_ready_wanted_and_up_to_date() {
        let mut state = state(2);
        put_set(&mut state, "db", spec(2, false));
        run_all(&mut state, "db");
        let id = member("db", 1);
        assert!(!state.in_place(&id), "nothing is known of it");
        for n in 0..2 {
            report(&mut state, &member("db", n), Phase::Running, true);
        }
        assert!(state.in_place(&id));
        assert!(!state.in_place(&member("db", 2)), "there is none");
        let mut unready = state.clone();
        report(&mut unready, &id, Phase::Running, false);
        assert!(!unready.in_place(&id));
        let mut outdated = state.clone();
        let mut newer = spec(2, false);
        newer.template.spec.processes[0].command = vec!["/bin/newer".to_owned()];
        put_set(&mut outdated, "db", newer);
        assert!(!outdated.in_place(&id));
        put_set(&mut state, "db", spec(1, false));
        assert!(!state.in_place(&id), "it is to stop");
        assert!(state.in_place(&member("db", 0)));
    }
}
