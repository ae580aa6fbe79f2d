//! A cluster is founded once, by members that all have names before the first of them starts.

use std::time::Duration;

use crate::{
    fixture::{friend::Friends, key, member, put_set, report, spec, state},
    ids::{MemberId, Ordinal, Uid},
    plan::{Step, step::Proof},
    report::Phase,
    spec::{GatePolicy, Membership, StatefulSetSpec},
    state::{
        State,
        leaving::{self, NotLeaving},
        lost::confirm_dead,
        orders::member_order,
    },
    waiting::Reason,
};

fn quorum(replicas: i64) -> StatefulSetSpec {
    StatefulSetSpec {
        bootstrap_policy: Some(GatePolicy::Parallel),
        membership: Some(Membership::Static),
        ..spec(replicas, true)
    }
}

fn friends(hosts: u8, replicas: i64) -> Friends {
    let mut state = state(hosts);
    put_set(&mut state, "db", quorum(replicas));
    Friends::new(state)
}

fn founding(state: &State, ordinal: u32) -> bool {
    let order = member_order(state, &member("db", ordinal)).unwrap();
    order.values.founding
}

#[test]
fn all_members_are_named_before_any_starts_and_bootstrap_in_parallel() {
    let mut friends = friends(3, 3);
    friends.plan();
    assert_eq!(friends.running().len(), 3);
    assert_eq!(
        friends.log,
        Vec::<String>::new(),
        "the zone is not served yet"
    );
    friends.agents();
    friends.plan();
    assert_eq!(friends.log, ["+db-0", "+db-1", "+db-2"]);
    let founders = &friends.state.foundings[&key("db")].founders;
    let addresses: Vec<_> = founders.iter().map(|f| f.address.as_str()).collect();
    assert_eq!(addresses, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    assert!((0..3).all(|n| founding(&friends.state, n)));
    friends.settle();
    assert!(!(0..3).any(|n| founding(&friends.state, n)), "they serve");
}

#[test]
fn nobody_starts_until_every_founder_has_a_host() {
    let mut friends = friends(2, 3);
    friends.settle();
    assert_eq!(friends.log, Vec::<String>::new());
    let ordinal = Ordinal(2);
    let waits = &friends.report.waiting;
    assert_eq!(
        waits[&member("db", 0)],
        Reason::FoundersIncomplete { ordinal }
    );
    assert!(matches!(
        waits[&member("db", 2)],
        Reason::NoEligibleHost { .. }
    ));
}

#[test]
fn bootstrap_policy_governs_until_founded_and_no_longer() {
    let mut friends = friends(4, 3);
    friends.unready.extend([0, 1, 2].map(|n| member("db", n)));
    friends.settle();
    assert_eq!(friends.log.len(), 3, "parallel, although nobody is ready");
    friends.unready.clear();
    friends.settle();
    put_set(&mut friends.state, "db", quorum(4));
    friends.unready.insert(member("db", 0));
    friends.agents();
    friends.settle();
    assert_eq!(friends.log.len(), 3, "founded: OrderedReady governs");
    let founders = &friends.state.foundings[&key("db")].founders;
    assert_eq!(founders.len(), 3, "frozen");
}

#[test]
fn without_a_majority_a_founded_set_waits_for_starts_only() {
    let mut friends = friends(3, 1);
    friends.settle();
    // It grows to three, and the first is not ready without a second.
    put_set(&mut friends.state, "db", quorum(3));
    friends.unready.extend([0, 1, 2].map(|n| member("db", n)));
    friends.agents();
    friends.settle();
    assert_eq!(
        friends.log,
        ["+db-0", "+db-1"],
        "two of three run: the third waits"
    );
    friends.unready.clear();
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "+db-1", "+db-2"]);
}

#[test]
fn a_founder_that_lost_its_volume_is_not_founded_again() {
    let mut friends = friends(3, 3);
    friends.unready.extend([0, 1, 2].map(|n| member("db", n)));
    friends.settle();
    let id = member("db", 1);
    let claim = id.claim("data").unwrap();
    assert!(friends.state.claims[&claim].filled);
    // The disk is gone: the agent lost the member, the operator deleted the claim.
    friends.lose(&id);
    friends.state.claims.remove(&claim);
    friends.settle();
    let reason = Reason::FoundingDiskLost { member: id.clone() };
    assert_eq!(friends.report.waiting[&id], reason);
    assert!(
        member_order(&friends.state, &id).is_none(),
        "it is not started"
    );
}

/// Three founders without volumes, which run and do not serve yet, and their second one.
fn begun() -> (Friends, MemberId) {
    let mut state = state(4);
    let spec = StatefulSetSpec {
        volume_claim_templates: Vec::new(),
        ..quorum(3)
    };
    put_set(&mut state, "db", spec);
    let mut friends = Friends::new(state);
    friends.unready.extend([0, 1, 2].map(|n| member("db", n)));
    friends.settle();
    assert_eq!(friends.log.len(), 3);
    (friends, member("db", 1))
}

#[test]
fn a_founder_that_was_given_up_unheard_waits_and_comes_back_as_one_that_joins() {
    let (mut friends, id) = begun();
    let host = friends.state.sets[&id.set].members[&id.ordinal]
        .host
        .clone();
    friends.contact(&host, false);
    friends.state = confirm_dead(&friends.state, &host, friends.now).unwrap();
    friends.settle();
    let reason = Reason::FoundingDiskLost { member: id.clone() };
    assert_eq!(friends.report.waiting[&id], reason);
    assert_eq!(friends.log.len(), 3, "it is not started elsewhere");

    friends.state = leaving::replace(&friends.state, &id, friends.now).unwrap();
    friends.plan();
    friends.agents();
    friends.plan();
    assert!(!founding(&friends.state, 1), "it joins");
    assert_eq!(friends.log[3..], ["+db-1"]);
    assert!(founding(&friends.state, 0) && founding(&friends.state, 2));
    let refused = leaving::replace(&friends.state, &id, friends.now);
    assert!(matches!(refused, Err(NotLeaving::NoData(_))), "{refused:?}");
}

#[test]
fn a_founder_that_its_agent_stopped_before_it_served_founds_again() {
    let (mut friends, id) = begun();
    let set = friends.state.sets.get_mut(&id.set).unwrap();
    let member = set.members.get_mut(&id.ordinal).unwrap();
    member.restart_asked = Some(friends.now);
    friends.now = friends.now.plus(Duration::from_secs(60));
    friends.settle();
    assert_eq!(friends.log[3..], ["-db-1", "+db-1"]);
    assert!(founding(&friends.state, 1));
}

#[test]
fn only_what_was_said_or_never_ordered_tells_whether_a_founder_served() {
    let tells = [Proof::NeverOrdered, Proof::ReportedStopped];
    let silent = [
        Proof::ReportedAbsent,
        Proof::ConfirmedDead,
        Proof::Forced,
        Proof::LeaseOver,
        Proof::Fenced,
    ];
    for (proofs, told) in [(tells.as_slice(), true), (silent.as_slice(), false)] {
        for proof in proofs {
            let (mut friends, member) = begun();
            let epoch = friends.state.sets[&member.set].members[&member.ordinal].epoch;
            let release = Step::Release {
                member: member.clone(),
                epoch,
                proof: proof.clone(),
            };
            friends.state.apply(&release, friends.now);
            let founding = &friends.state.foundings[&member.set];
            assert_eq!(founding.is_lost(&friends.state, &member), !told, "{proof}");
        }
    }
}

#[test]
fn a_claim_lost_after_the_founding_makes_no_founder() {
    let mut friends = friends(3, 3);
    friends.settle();
    let id = member("db", 1);
    let claim = id.claim("data").unwrap();
    friends.lose(&id);
    friends.state.claims.remove(&claim);
    friends.settle();
    assert!(!founding(&friends.state, 1));
    assert_eq!(friends.report.waiting.len(), 0);
}

#[test]
fn a_founder_that_served_unnoticed_is_no_founder_again() {
    let mut friends = friends(3, 3);
    friends.plan();
    friends.agents();
    friends.plan();
    let id = member("db", 1);
    // It served while nobody heard it, and is held by an operator when its agent is back.
    report(&mut friends.state, &id, Phase::Stopped, false);
    let host = friends.state.sets[&id.set].members[&id.ordinal]
        .host
        .clone();
    let contact = &mut friends.state.hosts.get_mut(&host).unwrap().contact;
    contact.members.get_mut(&id).unwrap().report.passed_gate = true;
    friends.plan();
    assert!(!founding(&friends.state, 1));
    friends.lose(&id);
    friends.settle();
    assert!(!founding(&friends.state, 1), "nor under its next epoch");
}

#[test]
fn a_set_that_ran_before_it_had_a_record_counts_as_founded() {
    let mut state = state(3);
    put_set(&mut state, "db", spec(3, true));
    let mut friends = Friends::new(state);
    friends.settle();
    put_set(&mut friends.state, "db", quorum(3));
    friends.lose(&member("db", 2));
    friends.settle();
    assert!(!founding(&friends.state, 2));
    assert!(friends.state.foundings[&key("db")].founders.is_empty());
}

#[test]
fn claims_of_one_name_and_different_times_have_different_ids() {
    let mut friends = friends(3, 3);
    friends.settle();
    let claim = member("db", 1).claim("data").unwrap();
    let before: Uid = friends.state.claims[&claim].uid.clone();
    friends.lose(&member("db", 1));
    friends.state.claims.remove(&claim);
    friends.settle();
    assert_ne!(friends.state.claims[&claim].uid, before);
    let ids: std::collections::BTreeSet<_> =
        friends.state.claims.values().map(|c| &c.uid).collect();
    assert_eq!(ids.len(), 3);
}
