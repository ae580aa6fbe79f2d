//! What an operator accepts, and what is believed of hosts then.

use super::*;
use crate::{
    fixture::{self, NOW, friend::Friends, host_name, member, put_set, run_all, spec},
    ids::{ContentHash, Generation, ObjectKey, Uid},
    plan::plan,
    report::Phase,
    spec::FailurePolicy,
    state::{ConfirmedDead, VolumeState},
    volume::VolumeSource,
    waiting::Reason,
};

fn epoch(term: u64, counter: u64) -> Epoch {
    Epoch {
        term: Term(term),
        counter,
    }
}

/// Three hosts, and `db-0` and `db-1` that run on the first two.
fn cluster() -> State {
    let mut state = fixture::state(3);
    state.history = HistoryId("first".to_owned());
    put_set(&mut state, "db", spec(2, false));
    run_all(&mut state, "db");
    state
}

fn on(state: &State, id: &MemberId) -> (HostName, Epoch) {
    let member = granted(state, id).unwrap();
    (member.host.clone(), member.epoch)
}

/// What a host says that has what the state has.
fn says(state: &State, host: &HostName) -> Heard {
    let ids = state.index();
    let all = ids.on_host.of(host);
    let members: BTreeMap<_, _> = all.map(|id| (id.clone(), on(state, id).1)).collect();
    Heard {
        head: OrderHead {
            history: HistoryId("first".to_owned()),
            term: Term(1),
            generation: Generation(3),
            hash: ContentHash("h".to_owned()),
        },
        highest_epochs: members.clone(),
        members,
        leases: BTreeMap::new(),
        places: Places::new(),
        zone: ZoneSerial(3),
    }
}

/// A host that has answered its newest order, and has just what is granted to it.
fn in_contact(state: &State, host: &HostName) -> State {
    let mut state = state.clone();
    let ids: Vec<MemberId> = state.index().on_host.of(host).cloned().collect();
    for id in ids {
        fixture::report(&mut state, &id, Phase::Running, true);
    }
    let contact = &mut state.hosts.get_mut(host).unwrap().contact;
    contact.connected = true;
    contact.settled = true;
    state
}

fn accepted(state: &State) -> State {
    let mut state = state.clone();
    state.past.restored = Some(NOW);
    accept(&state, HistoryId("second".to_owned())).unwrap()
}

#[test]
fn nothing_is_accepted_that_is_not_in_question() {
    assert_eq!(
        accept(&cluster(), HistoryId("second".to_owned())),
        Err(NothingToAccept)
    );
}

#[test]
fn the_new_history_has_a_term_above_all_that_were_seen_and_waits_for_every_host() {
    let mut state = cluster();
    let seen = Mismatched {
        term: Term(41),
        history: HistoryId("other".to_owned()),
        ..Mismatched::default()
    };
    state.past.mismatched.insert(host_name(1), seen);
    let dead = Some(ConfirmedDead {
        since: NOW,
        returned: false,
    });
    let gone = state.hosts.get_mut(&host_name(3)).unwrap();
    gone.record.directives.dead = dead;
    let after = accept(&state, HistoryId("second".to_owned())).unwrap();
    assert_eq!(after.term, Term(42));
    assert_eq!(after.past.began, Term(42));
    let former = ["first", "other"].map(|name| HistoryId(name.to_owned()));
    assert_eq!(after.past.former, BTreeSet::from(former));
    // It was dead when the backup was made, and may be alive by now.
    let awaited = BTreeSet::from([1, 2, 3].map(host_name));
    assert_eq!(after.past.awaited, awaited);
    assert_eq!(after.hosts[&host_name(3)].record.directives.dead, None);
    assert!(!after.past.is_latched());
}

#[test]
fn nothing_starts_until_every_host_was_heard_of() {
    let mut state = accepted(&cluster());
    for host in state.hosts.values_mut() {
        host.contact.forget(None, NOW);
    }
    put_set(&mut state, "web", spec(1, false));
    for n in [1, 2, 3] {
        let (planned, report) = plan(&state, NOW);
        let begins = |s: &Step| matches!(s, Step::Assign { .. } | Step::Start { .. });
        assert!(!planned.steps.iter().any(begins), "{:?}", planned.steps);
        let reason = &report.waiting[&member("web", 0)];
        let Reason::HostsAwaited { hosts } = reason else {
            panic!("{reason:?}")
        };
        assert_eq!(hosts.len(), 4 - n);
        let host = host_name(u8::try_from(n).unwrap());
        let heard = says(&state, &host);
        state = take_in(&state, &host, &heard, NOW);
        assert!(!state.past.lets_start());
        assert!(answered(&state, &host).is_none(), "it did not say so yet");
        state = answered(&in_contact(&state, &host), &host).unwrap();
    }
    assert!(state.past.lets_start());
    let (planned, _) = plan(&state, NOW);
    let begins = |s: &Step| matches!(s, Step::Assign { .. });
    assert!(planned.steps.iter().any(begins));
}

#[test]
fn a_host_that_has_what_the_store_has_changes_nothing() {
    let state = accepted(&cluster());
    let heard = says(&state, &host_name(1));
    let after = take_in(&state, &host_name(1), &heard, NOW);
    assert!(after.zone.serial >= ZoneSerial(3), "serials only grow");
    assert_eq!(after.sets, state.sets);
    assert_eq!(after.foundings, state.foundings);
}

#[test]
fn what_was_granted_elsewhere_meanwhile_is_there_and_nowhere_else() {
    let state = accepted(&cluster());
    let id = member("db", 0);
    let (old, had) = on(&state, &id);
    let newer = epoch(1, had.counter + 5);
    let there = host_name(3);
    let mut heard = says(&state, &there);
    heard.members.insert(id.clone(), newer);
    heard.highest_epochs.insert(id.clone(), newer);
    let after = take_in(&state, &there, &heard, NOW);
    assert_eq!(on(&after, &id), (there.clone(), newer));
    let set = &after.sets[&id.set];
    assert_eq!(set.last_grants[&id.ordinal].epoch, newer);
    let moved = &set.members[&id.ordinal];
    assert_eq!(
        moved.restart_asked,
        Some(NOW),
        "it goes through a new epoch"
    );
    // The host that had it is heard of later, and has nothing of it any more; or has it still.
    for members in [BTreeMap::new(), BTreeMap::from([(id.clone(), had)])] {
        let heard = Heard {
            members,
            ..says(&state, &old)
        };
        let last = take_in(&after, &old, &heard, NOW);
        assert_eq!(on(&last, &id), (there.clone(), newer));
    }
}

/// Where the data of `db-0` is, and what became of the volume that it had before.
fn data(state: &State, before: &ObjectKey) -> (VolumeSource, VolumeState) {
    let claim = &state.claims[&member("db", 0).claim("data").unwrap()];
    let volume = state.volume_of(claim).unwrap();
    (volume.source.clone(), state.volumes[before].state.clone())
}

#[test]
fn data_that_was_moved_meanwhile_is_where_its_host_has_it() {
    let mut state = fixture::state(3);
    state.history = HistoryId("first".to_owned());
    put_set(&mut state, "db", spec(2, true));
    let mut friends = Friends::new(state);
    friends.settle();
    let state = accepted(&friends.state);
    let id = member("db", 0);
    let claim = state.claims[&id.claim("data").unwrap()].clone();
    let (before, had) = (claim.volume.unwrap(), on(&state, &id).1);
    let there = host_name(3);
    let dir = "default_data-db-0.1-9".to_owned();
    let place = Place {
        pool: "default".to_owned(),
        dir: dir.clone(),
    };
    let heard = |epoch: Epoch, claim: &Uid| Heard {
        members: [(id.clone(), epoch)].into(),
        places: [(claim.clone(), place.clone())].into(),
        ..says(&state, &there)
    };
    let newer = epoch(1, had.counter + 5);
    let after = take_in(&state, &there, &heard(newer, &claim.uid), NOW);
    assert_eq!(granted(&after, &id).unwrap().ordered, Ordered::Run);
    let moved = VolumeSource::Local {
        host: there.clone(),
        pool: "default".to_owned(),
        dir,
    };
    assert_eq!(data(&after, &before), (moved, VolumeState::Trashing));
    let kept = after.is_kept_for_move(&after.volumes[&before]);
    assert!(kept, "until somebody was started on what was moved");
    // What is another claim's is no data of this one, and an older grant tells nothing new.
    let others = take_in(&state, &there, &heard(newer, &Uid("other".to_owned())), NOW);
    assert_eq!(granted(&others, &id).unwrap().ordered, Ordered::Stop);
    let older = take_in(&state, &there, &heard(epoch(1, 0), &claim.uid), NOW);
    for after in [others, older] {
        assert_eq!(data(&after, &before), data(&state, &before));
    }
}

#[test]
fn a_host_with_an_older_grant_is_awaited_until_it_says_that_it_is_gone() {
    let state = accepted(&cluster());
    let id = member("db", 0);
    let (old, had) = on(&state, &id);
    let newer = epoch(1, had.counter + 5);
    let there = host_name(3);
    // The one that has the older grant was heard of first, and answered.
    let heard = says(&state, &old);
    let first = in_contact(&take_in(&state, &old, &heard, NOW), &old);
    let first = answered(&first, &old).unwrap();
    let mut heard = says(&first, &there);
    heard.members.insert(id.clone(), newer);
    let after = take_in(&first, &there, &heard, NOW);
    assert_eq!(on(&after, &id), (there, newer));
    assert!(after.past.awaited.contains(&old), "{:?}", after.past);
    // Its report tells of the older grant still: nothing is started anywhere.
    assert!(answered(&after, &old).is_none());
    let mut gone = after;
    let contact = &mut gone.hosts.get_mut(&old).unwrap().contact;
    contact.members.remove(&id);
    let gone = answered(&gone, &old).unwrap();
    assert!(!gone.past.awaited.contains(&old));
}

#[test]
fn a_lost_ledger_proves_nothing_of_what_its_host_was_granted() {
    let state = accepted(&cluster());
    let id = member("db", 1);
    let (host, had) = on(&state, &id);
    let after = take_in(&state, &host, &Heard::default(), NOW);
    assert_eq!(on(&after, &id), (host.clone(), had));
    assert_eq!(granted(&after, &id).unwrap().ordered, Ordered::Stop);
    assert!(after.past.awaited.contains(&host));
}

#[test]
fn a_grant_is_taken_over_with_the_lease_that_it_was_told() {
    let mut state = accepted(&cluster());
    let mut wanted = spec(2, false);
    wanted.failure_policy = FailurePolicy::Failover;
    put_set(&mut state, "db", wanted);
    let id = member("db", 0);
    let there = host_name(3);
    let mut heard = says(&state, &there);
    heard.members.insert(id.clone(), epoch(1, 99));
    let after = take_in(&state, &there, &heard, NOW);
    let lease = |state: &State| granted(state, &id).unwrap().lease;
    assert_eq!(
        lease(&after),
        None,
        "it was granted before the set failed over"
    );
    let told = LeaseTerms {
        length_ms: 60_000,
        grace_ms: 1_000,
        kill_ms: 500,
        self_fences: false,
    };
    heard.leases.insert(id.clone(), told);
    let after = take_in(&state, &there, &heard, NOW);
    assert_eq!(lease(&after), Some(told));
}

#[test]
fn a_grant_that_its_host_does_not_have_is_gone_and_never_used_again() {
    let state = accepted(&cluster());
    let id = member("db", 1);
    let (host, had) = on(&state, &id);
    let heard = Heard {
        members: BTreeMap::new(),
        ..says(&state, &host)
    };
    let mut after = take_in(&state, &host, &heard, NOW);
    assert_eq!(granted(&after, &id), None);
    after.past.awaited.clear();
    let (planned, _) = plan(&after, NOW);
    let again = planned.steps.iter().find_map(|step| {
        let Step::Assign { member, epoch, .. } = step else {
            return None;
        };
        (*member == id).then_some(*epoch)
    });
    assert!(again.unwrap() > had && again.unwrap().term == after.term);
}

#[test]
fn who_was_granted_meanwhile_founds_nothing() {
    let mut state = accepted(&cluster());
    let id = member("db", 0);
    let founding = Founding {
        founders: Vec::new(),
        open: vec![id.ordinal],
        filled: BTreeMap::new(),
        untold: BTreeSet::new(),
    };
    state.foundings.insert(id.set.clone(), founding);
    let mut heard = says(&state, &host_name(3));
    heard.highest_epochs.insert(id.clone(), epoch(1, 99));
    let after = take_in(&state, &host_name(3), &heard, NOW);
    assert!(after.foundings[&id.set].open.is_empty());
    state.foundings.remove(&id.set);
    let after = take_in(&state, &host_name(3), &heard, NOW);
    assert!(after.foundings[&id.set].founders.is_empty());
}

fn founding(open: &MemberId) -> Founding {
    Founding {
        founders: Vec::new(),
        open: vec![open.ordinal],
        filled: BTreeMap::new(),
        untold: BTreeSet::new(),
    }
}

#[test]
fn a_founder_whose_agent_lost_its_ledger_founds_nothing_more() {
    let mut state = cluster();
    let (founder, other) = (member("db", 0), member("db", 1));
    state
        .foundings
        .insert(founder.set.clone(), founding(&founder));
    let (host, _) = on(&state, &founder);
    let none = OrderHead::default();
    let after = forgot(&state, &host, &none).unwrap();
    assert!(after.foundings[&founder.set].is_lost(&after, &founder));
    assert_eq!(granted(&after, &founder).unwrap().ordered, Ordered::Stop);
    assert_eq!(forgot(&after, &host, &none), None, "once");
    let (elsewhere, _) = on(&state, &other);
    assert_eq!(forgot(&state, &elsewhere, &none), None, "it has served");
    let follows = OrderHead {
        history: state.history.clone(),
        ..none
    };
    assert_eq!(forgot(&state, &host, &follows), None, "it had no order yet");
}

#[test]
fn a_founder_on_an_awaited_host_without_a_ledger_founds_nothing_more() {
    let mut state = accepted(&cluster());
    let founder = member("db", 0);
    state
        .foundings
        .insert(founder.set.clone(), founding(&founder));
    let (host, _) = on(&state, &founder);
    let after = take_in(&state, &host, &Heard::default(), NOW);
    assert!(
        after.foundings[&founder.set]
            .untold
            .contains(&founder.ordinal)
    );
}
