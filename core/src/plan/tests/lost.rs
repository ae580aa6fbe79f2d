//! Members of Failover sets whose hosts are out of contact.

use std::time::Duration;

use crate::{
    check::{Rule, check_plan},
    fixture::{friend::Friends, host_name, key, member, nfs_class, put_set, spec, state},
    history::Mismatched,
    ids::{HostName, Ordinal},
    lease::Leases,
    plan::{Step, plan, step::Proof},
    spec::FailurePolicy,
    state::{Enforcement, Fenced, Fences, State},
    time::Timestamp,
    waiting::{Reason, Refusal},
};

/// Two members of a Failover set on the first two of four hosts, all of which reboot themselves.
fn running(claim: bool) -> Friends {
    let mut start = state(4);
    for n in 1..=4 {
        fences_itself(&mut start, n, true);
    }
    let mut wanted = spec(2, claim);
    wanted.failure_policy = FailurePolicy::Failover;
    if claim {
        nfs_class(&mut start, "nas");
        let template = &mut wanted.volume_claim_templates[0].spec;
        template.storage_class_name = Some("nas".to_owned());
    }
    put_set(&mut start, "db", wanted);
    let mut friends = Friends::new(start);
    friends.settle();
    assert_eq!(friends.running(), ["db-0", "db-1"]);
    friends
}

fn fences_itself(state: &mut State, n: u8, does: bool) {
    let host = state.hosts.get_mut(&host_name(n)).unwrap();
    host.record.self_fences = does;
}

/// The first member's host, of which nothing is heard from now on.
fn cut(friends: &mut Friends) -> HostName {
    let host = placed_on(friends);
    friends.contact(&host, false);
    let contact = &mut friends.state.hosts.get_mut(&host).unwrap().contact;
    contact.renewed = Some(friends.now);
    host
}

fn placed_on(friends: &Friends) -> HostName {
    friends.state.sets[&key("db")].members[&Ordinal(0)]
        .host
        .clone()
}

fn waits(friends: &Friends) -> Option<&Reason> {
    friends.report.waiting.get(&member("db", 0))
}

/// From the last renewal to what is surely over, at the built-in lengths.
const OVER: Duration = Duration::from_millis(15_613 + 2_000);

#[test]
fn a_member_moves_when_the_lease_of_its_host_is_surely_over() {
    let mut friends = running(false);
    let host = cut(&mut friends);
    let until = friends.now.plus(OVER);
    friends.settle();
    let lease = Reason::LeaseRunning {
        host: host.clone(),
        until,
    };
    assert_eq!(waits(&friends), Some(&lease));
    assert_eq!(friends.report.wake_at, Some(until));
    let before = friends.state.sets[&key("db")].members[&Ordinal(0)].clone();
    friends.now = Timestamp(until.0 - 1);
    friends.settle();
    assert_eq!(placed_on(&friends), host);
    friends.now = until;
    let plan = friends.plan();
    let released = Step::Release {
        member: member("db", 0),
        epoch: before.epoch,
        proof: Proof::LeaseOver,
    };
    let at = plan.steps.iter().position(|step| *step == released);
    let assigned =
        |step: &Step| matches!(step, Step::Assign { member: id, .. } if *id == member("db", 0));
    let assigned = plan.steps.iter().position(assigned);
    assert!(
        at.unwrap() < assigned.unwrap(),
        "the proof comes with the next epoch"
    );
    friends.settle();
    let after = &friends.state.sets[&key("db")].members[&Ordinal(0)];
    assert!(after.host != host && after.epoch > before.epoch);
    assert_eq!(waits(&friends), None);
}

#[test]
fn nothing_starts_while_an_agent_in_contact_tells_of_another_grant() {
    let mut friends = running(false);
    let id = member("db", 0);
    let host = cut(&mut friends);
    friends.settle();
    friends.now = friends.now.plus(OVER);
    // It moves; before it is started its old host is back, and has it still.
    let moves = friends.plan();
    let now = friends.now;
    for step in moves.steps {
        friends.state.apply(&step, now);
    }
    let granted = friends.state.sets[&id.set].members[&id.ordinal].clone();
    assert_ne!(granted.host, host);
    friends.contact(&host, true);
    let starts = |friends: &Friends| {
        let plan = plan(&friends.state, friends.now.plus(Duration::from_secs(5)));
        let start = |step: &Step| matches!(step, Step::Start { member, .. } if *member == id);
        (
            plan.0.steps.iter().any(start),
            plan.1.waiting.get(&id).cloned(),
        )
    };
    let (started, reason) = starts(&friends);
    assert!(!started);
    assert!(
        matches!(&reason, Some(Reason::StopNotConfirmed { host: there, .. }) if *there == host),
        "{reason:?}"
    );
    let step = Step::Start {
        member: id.clone(),
        epoch: granted.epoch,
    };
    let by_force = crate::plan::Plan { steps: vec![step] };
    let broken = |friends: &Friends| {
        let found = check_plan(&friends.state, &by_force, friends.now);
        found.iter().any(|breach| breach.rule == Rule::OneEpoch)
    };
    assert!(broken(&friends));
    let contact = &mut friends.state.hosts.get_mut(&host).unwrap().contact;
    contact.members.remove(&id);
    assert!(!broken(&friends) && starts(&friends).0);
}

#[test]
fn a_host_that_reboots_itself_only_since_the_grant_is_not_believed() {
    let mut friends = running(false);
    let set = friends.state.sets.get_mut(&key("db")).unwrap();
    let lease = &mut set.members.get_mut(&Ordinal(0)).unwrap().lease;
    lease.as_mut().unwrap().self_fences = false;
    let host = cut(&mut friends);
    friends.now = friends.now.plus(OVER);
    friends.settle();
    assert_eq!(waits(&friends), Some(&Reason::FenceNotConfirmed { host }));
}

#[test]
fn an_earlier_coordinator_may_have_renewed_until_the_term_began() {
    let mut friends = running(false);
    let host = cut(&mut friends);
    let began = friends.now.plus(Duration::from_secs(9));
    friends.state.term_began = began;
    friends.settle();
    let until = began.plus(OVER);
    assert_eq!(waits(&friends), Some(&Reason::LeaseRunning { host, until }));
}

#[test]
fn what_was_granted_counts_and_not_what_is_written_by_now() {
    let mut friends = running(false);
    let host = cut(&mut friends);
    let mut wanted = spec(2, false);
    wanted.failure_policy = FailurePolicy::Failover;
    wanted.lease_class = Some(crate::spec::LeaseClass::Fast);
    put_set(&mut friends.state, "db", wanted);
    friends.state.leases = Leases {
        default: Duration::from_secs(1),
        ..Leases::default()
    };
    let until = friends.now.plus(OVER);
    friends.settle();
    assert_eq!(waits(&friends), Some(&Reason::LeaseRunning { host, until }));
}

#[test]
fn a_member_that_was_granted_without_a_lease_stays_whatever_its_set_says_now() {
    let mut start = state(3);
    put_set(&mut start, "db", spec(1, false));
    let mut friends = Friends::new(start);
    friends.settle();
    let host = cut(&mut friends);
    let mut wanted = spec(1, false);
    wanted.failure_policy = FailurePolicy::Failover;
    put_set(&mut friends.state, "db", wanted);
    friends.now = friends.now.plus(Duration::from_secs(3600));
    friends.settle();
    assert_eq!(
        waits(&friends),
        Some(&Reason::HostUnknown { host: host.clone() })
    );
    assert_eq!(placed_on(&friends), host);
}

#[test]
fn a_host_that_does_not_reboot_itself_must_be_fenced_off() {
    let mut friends = running(false);
    let host = cut(&mut friends);
    let known = friends.state.hosts.get_mut(&host).unwrap();
    known.record.self_fences = false;
    friends.now = friends.now.plus(OVER);
    friends.settle();
    let reason = Reason::FenceNotConfirmed { host: host.clone() };
    assert_eq!(waits(&friends), Some(&reason));
    confirm(&mut friends, &host, Fenced::Storage);
    assert_eq!(
        waits(&friends),
        Some(&reason),
        "what runs there is not known"
    );
    confirm(&mut friends, &host, Fenced::Off);
    assert_ne!(placed_on(&friends), host);
}

fn confirm(friends: &mut Friends, host: &HostName, fenced: Fenced) {
    let known = friends.state.hosts.get_mut(host).unwrap();
    known.contact.fenced = Some(fenced);
    friends.settle();
}

#[test]
fn what_is_on_its_way_to_a_server_holds_the_successor_back() {
    for fenced in [Fenced::Off, Fenced::Storage] {
        let mut friends = running(true);
        let host = cut(&mut friends);
        friends.now = friends.now.plus(OVER);
        friends.settle();
        let claim = member("db", 0).claim("data").unwrap();
        let reason = Reason::UnfencedWriter {
            host: host.clone(),
            claim,
        };
        assert_eq!(waits(&friends), Some(&reason));
        confirm(&mut friends, &host, fenced);
        assert_ne!(placed_on(&friends), host);
    }
}

#[test]
fn a_host_is_fenced_by_what_proves_most() {
    let mut friends = running(true);
    let host = cut(&mut friends);
    friends.now = friends.now.plus(OVER);
    friends.settle();
    let mut asked = |power, storage| {
        let fences = Fences { power, storage };
        friends.state.fences.insert(host.clone(), fences);
        let waiting = friends.report.waiting.values();
        friends.state.to_fence(waiting).into_values().next()
    };
    assert_eq!(asked(false, false), None);
    assert_eq!(asked(false, true), Some(Fenced::Storage));
    assert_eq!(asked(true, true), Some(Fenced::Off));
    let reboots = Reason::FenceNotConfirmed { host: host.clone() };
    friends.state.fences.insert(
        host,
        Fences {
            power: false,
            storage: true,
        },
    );
    assert!(friends.state.to_fence([&reboots].into_iter()).is_empty());
}

#[test]
fn a_host_that_is_back_is_not_fenced_for_what_was_found_before() {
    let mut friends = running(false);
    let host = cut(&mut friends);
    let fences = Fences {
        power: true,
        storage: true,
    };
    friends.state.fences.insert(host.clone(), fences);
    let claim = member("db", 0).claim("data").unwrap();
    let found = [
        Reason::FenceNotConfirmed { host: host.clone() },
        Reason::UnfencedWriter {
            host: host.clone(),
            claim,
        },
    ];
    assert_eq!(friends.state.to_fence(found.iter()).len(), 1);
    friends.contact(&host, true);
    assert!(friends.state.to_fence(found.iter()).is_empty());
}

#[test]
fn a_host_that_is_off_need_not_be_waited_for() {
    let mut friends = running(true);
    let host = cut(&mut friends);
    confirm(&mut friends, &host, Fenced::Off);
    assert_ne!(placed_on(&friends), host);
}

#[test]
fn nothing_is_given_up_while_agents_follow_another_history() {
    let mut friends = running(false);
    let host = cut(&mut friends);
    friends
        .state
        .past
        .mismatched
        .insert(host_name(4), Mismatched::default());
    friends.now = friends.now.plus(OVER);
    friends.settle();
    assert_eq!(placed_on(&friends), host);
}

#[test]
fn a_member_that_is_to_stop_is_released_when_its_lease_is_over() {
    let mut friends = running(false);
    let host = cut(&mut friends);
    let mut wanted = spec(0, false);
    wanted.failure_policy = FailurePolicy::Failover;
    put_set(&mut friends.state, "db", wanted);
    friends.settle();
    assert_eq!(friends.running(), ["db-0"]);
    let until = friends.now.plus(OVER);
    assert_eq!(waits(&friends), Some(&Reason::LeaseRunning { host, until }));
    friends.now = until;
    friends.settle();
    assert_eq!(friends.running(), [""; 0]);
}

#[test]
fn only_hosts_that_can_be_proven_empty_take_members_that_move() {
    let mut start = state(3);
    fences_itself(&mut start, 2, true);
    let power = Fences {
        power: true,
        storage: false,
    };
    let storage = Fences {
        power: false,
        storage: true,
    };
    start.fences.insert(host_name(3), storage);
    let mut wanted = spec(2, false);
    wanted.failure_policy = FailurePolicy::Failover;
    put_set(&mut start, "db", wanted);
    let mut friends = Friends::new(start);
    friends.settle();
    assert_eq!(placed_on(&friends), host_name(2));
    let Some(Reason::NoEligibleHost { hosts }) = friends.report.waiting.get(&member("db", 1))
    else {
        panic!("{:?}", friends.report.waiting);
    };
    let refused: Vec<_> = hosts.iter().map(|refusal| &refusal.because).collect();
    assert!(matches!(
        refused[..],
        [
            Refusal::NotFenced,
            Refusal::SpreadTaken { .. },
            Refusal::NotFenced
        ]
    ));
    friends.state.fences.insert(host_name(3), power);
    friends.settle();
    assert_eq!(friends.running(), ["db-0", "db-1"]);
}

#[test]
fn no_member_that_moves_starts_on_a_volume_without_an_owner_record() {
    let mut friends = running(true);
    let claim = member("db", 0).claim("data").unwrap();
    let owner = crate::volume::Ownership {
        user: "app".to_owned(),
        uid: 7,
        gid: 7,
    };
    friends.state.claims.get_mut(&claim).unwrap().owner = Some(owner);
    friends.lose(&member("db", 0));
    friends.settle();
    assert_eq!(waits(&friends), Some(&Reason::OwnerNotOnVolume { claim }));
}

#[test]
fn what_enforces_it_is_told_of_a_set() {
    use Enforcement::{Fenced, Hold, Lease, NoMember, Nothing, Watchdog};
    let told = |friends: &Friends| {
        let set = &friends.state.sets[&key("db")];
        friends.state.enforcement(&key("db"), set)
    };
    let (none, power, storage) = ((false, false), (true, false), (false, true));
    for (writes, reboots, (power, storage), expected) in [
        (false, true, none, Lease),
        (false, true, power, Lease),
        (false, false, none, Nothing),
        (false, false, power, Fenced),
        (false, false, storage, Nothing),
        (true, true, none, Nothing),
        (true, true, power, Fenced),
        (true, true, storage, Fenced),
        (true, false, none, Nothing),
        (true, false, power, Fenced),
        (true, false, storage, Nothing),
    ] {
        // The other member's host enforces it by what proves most.
        let mut friends = running(writes);
        let all = Fences {
            power: true,
            storage: true,
        };
        friends
            .state
            .fences
            .extend((1..=4).map(|n| (host_name(n), all)));
        let host = placed_on(&friends);
        let known = friends.state.hosts.get_mut(&host).unwrap();
        known.record.self_fences = reboots;
        let own = Fences { power, storage };
        friends.state.fences.insert(host, own);
        assert_eq!(told(&friends), expected, "{writes} {reboots} {own:?}");
    }
    let mut reset = running(false);
    let host = placed_on(&reset);
    for known in reset.state.hosts.values_mut() {
        known.record.watchdog = known.record.name == host;
    }
    assert_eq!(told(&reset), Watchdog);
    let mut empty = running(false);
    empty
        .state
        .sets
        .get_mut(&key("db"))
        .unwrap()
        .members
        .clear();
    assert_eq!(told(&empty), NoMember);
    let mut hold = state(1);
    put_set(&mut hold, "db", spec(1, false));
    assert_eq!(told(&Friends::new(hold)), Hold);
}
