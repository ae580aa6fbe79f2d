//! What operators may say of hosts and members that nothing is known of any more. Each function
//! gives the state as it is then, or says why not; the plan does the rest.
//!
//! These words stand in for a proof, so they are for what is out of contact only: what is in contact
//! proves what it has by itself.

use thiserror::Error;

use crate::{
    ids::{HostName, MemberId, ObjectKey},
    state::{ConfirmedDead, Contact, Host, Ordered, State},
    time::Timestamp,
};

/// Why a word about what is lost does not count.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotLost {
    /// There is no such host.
    #[error("host {0} does not exist; 'berth host list' shows those that do")]
    NoHost(HostName),
    /// There is no such member, or it has no host.
    #[error("member {0} is on no host; 'berth status' says why")]
    NoMember(MemberId),
    /// The host is in contact.
    #[error(
        "{host} is in contact, and says by itself what runs there; 'berth host drain {host}' takes \
         its members away, 'berth member restart' one of them"
    )]
    InContact {
        /// The host.
        host: HostName,
    },
    /// The agent of the host has what this store never sent.
    #[error(
        "the agent of {host} talks, and has what is not known here; 'berth admin history' shows \
         what, and 'berth admin accept-restore' takes it in"
    )]
    Mismatched {
        /// The host.
        host: HostName,
    },
    /// Nothing was ever ordered of the member there.
    #[error("{member} was never ordered to run on {host}; it goes elsewhere by itself")]
    NeverOrdered {
        /// The member.
        member: MemberId,
        /// Its host.
        host: HostName,
    },
    /// Its set is gone, and nothing is decided of its members.
    #[error(
        "the set of {member} was deleted and its members run on; nothing is placed anew before the \
         set is applied again"
    )]
    Orphaned {
        /// The member.
        member: MemberId,
    },
    /// Members are on the host.
    #[error(
        "members are on {host}: {}; run 'berth host drain {host}', or 'berth host confirm-dead \
         {host}' if it is gone for good",
        names(members)
    )]
    HasMembers {
        /// The host.
        host: HostName,
        /// The members.
        members: Vec<MemberId>,
    },
    /// Data of claims is on the host.
    #[error(
        "data of {} is on {host}; give it up with 'berth member replace --new-volume' or 'berth \
         delete pvc' first",
        names(claims)
    )]
    HasData {
        /// The host.
        host: HostName,
        /// The claims.
        claims: Vec<ObjectKey>,
    },
}

fn names<T: ToString>(things: &[T]) -> String {
    let names: Vec<String> = things.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// A host is dead: what was granted to it is gone, and may be granted anew.
///
/// # Errors
/// If there is no such host, or it is in contact.
pub fn confirm_dead(state: &State, host: &HostName, now: Timestamp) -> Result<State, NotLost> {
    let awaited = state.past.awaited.contains(host);
    let known = state.hosts.get(host);
    if known.is_none() && !awaited {
        return Err(NotLost::NoHost(host.clone()));
    }
    if known.is_some_and(|known| known.contact.connected) {
        return Err(NotLost::InContact { host: host.clone() });
    }
    if state.past.mismatched.contains_key(host) {
        return Err(NotLost::Mismatched { host: host.clone() });
    }
    let mut after = state.clone();
    after.past.awaited.remove(host);
    let told = known.is_some_and(|known| known.is_dead());
    if let Some(known) = after.hosts.get_mut(host).filter(|_| !told) {
        known.record.directives.dead = Some(ConfirmedDead {
            since: now,
            returned: false,
        });
    }
    Ok(after)
}

/// A member is to be placed anew although nothing is known of it: an operator answers for it that it
/// does not run.
///
/// # Errors
/// If it is on no host, or its host is in contact.
pub fn force(state: &State, id: &MemberId, now: Timestamp) -> Result<State, NotLost> {
    let set = state.sets.get(&id.set);
    let member = set.and_then(|set| set.members.get(&id.ordinal));
    let (Some(set), Some(member)) = (set, member) else {
        return Err(NotLost::NoMember(id.clone()));
    };
    if set.orphaned.is_some() {
        return Err(NotLost::Orphaned { member: id.clone() });
    }
    let host = member.host.clone();
    let known = state.hosts.get(&host);
    if known.is_some_and(|known| known.contact.connected) {
        return Err(NotLost::InContact { host });
    }
    if state.past.mismatched.contains_key(&host) {
        return Err(NotLost::Mismatched { host });
    }
    if member.ordered == Ordered::Nothing {
        let member = id.clone();
        return Err(NotLost::NeverOrdered { member, host });
    }
    let told = member.forced;
    let told = told.is_some_and(|said| known.is_none_or(|known| known.contact.counts(said)));
    let mut after = state.clone();
    let set = after.sets.get_mut(&id.set).filter(|_| !told);
    if let Some(member) = set.and_then(|set| set.members.get_mut(&id.ordinal)) {
        member.forced = Some(now);
    }
    Ok(after)
}

/// The agent of a host is there: what operators said of it while it was away is of a time that is
/// over. `None` if nobody said anything.
pub fn returned(state: &State, host: &HostName) -> Option<State> {
    let index = state.index();
    let forced = index.on_host.of(host).filter(|id| {
        let set = state.sets.get(&id.set);
        let member = set.and_then(|set| set.members.get(&id.ordinal));
        member.is_some_and(|member| member.forced.is_some())
    });
    let forced: Vec<&MemberId> = forced.collect();
    let dead = state.hosts.get(host)?.record.directives.dead.as_ref();
    let dead = dead.filter(|dead| !dead.returned);
    if forced.is_empty() && dead.is_none() {
        return None;
    }
    let mut after = state.clone();
    for id in forced {
        let set = after.sets.get_mut(&id.set);
        if let Some(member) = set.and_then(|set| set.members.get_mut(&id.ordinal)) {
            member.forced = None;
        }
    }
    let known = after.hosts.get_mut(host);
    if let Some(dead) = known.and_then(|known| known.record.directives.dead.as_mut()) {
        dead.returned = true;
    }
    Some(after)
}

/// A host is forgotten, also one that is in contact. Its agent comes back with a new join only. Volumes of nobody that
/// were left there are forgotten with it.
///
/// # Errors
/// If members or data of claims are on it.
pub fn remove_host(state: &State, host: &HostName) -> Result<State, NotLost> {
    if !state.hosts.contains_key(host) {
        return Err(NotLost::NoHost(host.clone()));
    }
    let host = host.clone();
    let members: Vec<MemberId> = state.index().on_host.of(&host).cloned().collect();
    if !members.is_empty() {
        return Err(NotLost::HasMembers { host, members });
    }
    let claims = state.claims.iter();
    let claims = claims.filter(|(_, claim)| state.host_of(claim) == Some(&host));
    let claims: Vec<ObjectKey> = claims.map(|(key, _)| key.clone()).collect();
    if !claims.is_empty() {
        return Err(NotLost::HasData { host, claims });
    }
    let mut after = state.clone();
    for name in left_on(state, &host) {
        after.volumes.remove(&name);
    }
    after.hosts.remove(&host);
    Ok(after)
}

/// The volumes on a host.
pub fn left_on(state: &State, host: &HostName) -> Vec<ObjectKey> {
    let volumes = state.volumes.iter();
    let there = volumes.filter(|(_, volume)| volume.source.host() == Some(host));
    there.map(|(name, _)| name.clone()).collect()
}

impl State {
    /// What an operator's word proves of a member whose host is out of contact.
    pub fn word_for(&self, id: &MemberId) -> Option<Word> {
        let member = self.sets.get(&id.set)?.members.get(&id.ordinal)?;
        let host = self.hosts.get(&member.host)?;
        if host.is_dead() {
            return Some(Word::HostDead);
        }
        let said = member.forced?;
        host.contact.counts(said).then_some(Word::Forced)
    }
}

impl Contact {
    /// Whether what an operator said then of what is lost still counts: nothing was heard since.
    fn counts(&self, said: Timestamp) -> bool {
        !self.connected && self.heard.is_none_or(|heard| heard <= said)
    }
}

impl Host {
    /// Whether an operator confirmed it dead, and it was not there since.
    pub fn is_dead(&self) -> bool {
        let dead = self.record.directives.dead.as_ref();
        dead.is_some_and(|dead| !dead.returned && self.contact.counts(dead.since))
    }
}

/// An operator's word, in place of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The host is dead.
    HostDead,
    /// The member does not run.
    Forced,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{self, NOW, host_name, key, member, put_set, run_all, spec},
        history::Mismatched,
        ids::Ordinal,
        plan::{Step, plan, step::Proof},
        waiting::{HostRefusal, Reason, Refusal},
    };

    /// Two hosts, and `db-0` on the first, which is out of contact.
    fn lost(claim: bool) -> State {
        let mut state = fixture::state(2);
        put_set(&mut state, "db", spec(1, claim));
        run_all(&mut state, "db");
        let contact = &mut state.hosts.get_mut(&host_name(1)).unwrap().contact;
        contact.connected = false;
        contact.settled = false;
        assert_eq!(
            state.sets[&key("db")].members[&Ordinal(0)].host,
            host_name(1)
        );
        state
    }

    /// How the member is released, and where it goes.
    fn moves(state: &State) -> (Option<Proof>, Option<HostName>) {
        let (planned, _) = plan(state, NOW);
        let (mut proved, mut goes) = (None, None);
        for step in planned.steps {
            if let Step::Release { proof, .. } = step {
                proved = Some(proof);
            } else if let Step::Assign { host, .. } = step {
                goes = Some(host);
            }
        }
        (proved, goes)
    }

    #[test]
    fn nothing_moves_without_a_word() {
        assert_eq!(moves(&lost(false)), (None, None));
    }

    #[test]
    fn a_dead_host_frees_its_members_and_a_forced_member_itself() {
        let state = lost(false);
        let dead = confirm_dead(&state, &host_name(1), NOW).unwrap();
        let there = Some(host_name(2));
        assert_eq!(moves(&dead), (Some(Proof::ConfirmedDead), there.clone()));
        let forced = force(&state, &member("db", 0), NOW).unwrap();
        assert_eq!(moves(&forced), (Some(Proof::Forced), there));
    }

    #[test]
    fn data_that_is_lost_with_a_host_is_not_made_up_elsewhere() {
        let dead = confirm_dead(&lost(true), &host_name(1), NOW).unwrap();
        let (proved, goes) = moves(&dead);
        assert_eq!((proved, goes), (Some(Proof::ConfirmedDead), None));
        let (_, report) = plan(&dead, NOW);
        let Reason::NoEligibleHost { hosts } = &report.waiting[&member("db", 0)] else {
            panic!("{:?}", report.waiting)
        };
        let refusal = |of: &HostRefusal| of.because.clone();
        let refused: Vec<Refusal> = hosts.iter().map(refusal).collect();
        assert_eq!(refused[0], Refusal::ConfirmedDead);
        assert!(matches!(refused[1], Refusal::VolumeElsewhere { .. }));
    }

    #[test]
    fn a_dead_host_that_is_back_takes_nothing_before_it_is_uncordoned() {
        let mut state = confirm_dead(&lost(false), &host_name(1), NOW).unwrap();
        let contact = &mut state.hosts.get_mut(&host_name(1)).unwrap().contact;
        contact.connected = true;
        contact.settled = true;
        state.hosts.remove(&host_name(2));
        let (_, goes) = moves(&state);
        assert_eq!(goes, None);
        state
            .hosts
            .get_mut(&host_name(1))
            .unwrap()
            .record
            .directives
            .dead = None;
        assert_eq!(moves(&state).1, Some(host_name(1)));
    }

    #[test]
    fn a_word_ends_when_the_host_is_back() {
        let state = lost(false);
        let (host, id) = (host_name(1), member("db", 0));
        let words = [
            confirm_dead(&state, &host, NOW).unwrap(),
            force(&state, &id, NOW).unwrap(),
        ];
        let later = NOW.plus(std::time::Duration::from_secs(1));
        for (nth, said) in words.iter().enumerate() {
            assert!(moves(said).0.is_some(), "{nth}");
            // It was there for a moment, as this coordinator saw, or an earlier one wrote down.
            let mut seen = said.clone();
            let contact = &mut seen.hosts.get_mut(&host).unwrap().contact;
            contact.join(7, None, later);
            contact.leave(None, later);
            let written = returned(said, &host).unwrap();
            assert_eq!(returned(&written, &host), None);
            for back in [seen, written] {
                assert_eq!(moves(&back).0, None, "{nth}");
                let later = later.plus(std::time::Duration::from_secs(1));
                let again = match nth {
                    0 => confirm_dead(&back, &host, later).unwrap(),
                    _ => force(&back, &id, later).unwrap(),
                };
                assert!(moves(&again).0.is_some(), "{nth}: it can be said again");
            }
        }
    }

    #[test]
    fn nobody_is_forced_of_whose_set_nothing_is_decided() {
        let mut state = lost(false);
        state.sets.get_mut(&key("db")).unwrap().orphaned = Some(NOW);
        assert!(matches!(
            force(&state, &member("db", 0), NOW),
            Err(NotLost::Orphaned { .. })
        ));
    }

    #[test]
    fn words_are_for_what_is_out_of_contact() {
        let mut state = lost(false);
        let (one, two) = (host_name(1), host_name(2));
        let id = member("db", 0);
        assert!(matches!(
            confirm_dead(&state, &two, NOW),
            Err(NotLost::InContact { .. })
        ));
        assert!(matches!(
            confirm_dead(&state, &host_name(9), NOW),
            Err(NotLost::NoHost(_))
        ));
        assert!(matches!(
            force(&state, &member("db", 1), NOW),
            Err(NotLost::NoMember(_))
        ));
        state.hosts.get_mut(&one).unwrap().contact.connected = true;
        assert!(matches!(
            force(&state, &id, NOW),
            Err(NotLost::InContact { .. })
        ));
        // Its certificate is not taken any more, whoever has it.
        assert!(remove_host(&state, &two).is_ok());
    }

    #[test]
    fn words_are_not_for_hosts_that_are_not_listened_to() {
        let mut state = lost(false);
        let (host, id) = (host_name(1), member("db", 0));
        let past = &mut state.past;
        past.mismatched.insert(host.clone(), Mismatched::default());
        let (_, report) = plan(&state, NOW);
        let hosts = vec![host.clone()];
        assert_eq!(report.waiting[&id], Reason::HistoryMismatch { hosts });
        for refused in [confirm_dead(&state, &host, NOW), force(&state, &id, NOW)] {
            assert!(matches!(refused, Err(NotLost::Mismatched { .. })));
        }
    }

    #[test]
    fn a_host_is_removed_when_neither_members_nor_data_are_there() {
        let state = lost(true);
        let host = host_name(1);
        assert!(matches!(
            remove_host(&state, &host),
            Err(NotLost::HasMembers { .. })
        ));
        let mut state = confirm_dead(&state, &host, NOW).unwrap();
        let set = state.sets.get_mut(&key("db")).unwrap();
        set.members.remove(&Ordinal(0));
        assert!(matches!(
            remove_host(&state, &host),
            Err(NotLost::HasData { .. })
        ));
        let claims: Vec<_> = state.claims.keys().cloned().collect();
        for claim in claims {
            state.claims.remove(&claim);
        }
        assert!(!left_on(&state, &host).is_empty());
        let after = remove_host(&state, &host).unwrap();
        assert!(!after.hosts.contains_key(&host) && left_on(&after, &host).is_empty());
    }
}
