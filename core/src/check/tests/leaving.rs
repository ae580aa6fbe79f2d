//! Bad plans about what leaves: claims with their members, sets with those that need them, and sets
//! without their members.

use std::{sync::Arc, time::Duration};

use super::{Bad, data, db, epoch, running, stop};
use crate::{
    check::Rule,
    fixture::{NOW, key, member, put_set, spec},
    plan::Step,
    spec::{Dependency, ReadinessGate, Retention, StatefulSetSpec},
    state::{GoesWith, State, VolumeState},
};

fn change(state: &mut State, change: impl FnOnce(&mut StatefulSetSpec)) {
    let set = state.sets.get_mut(&db()).unwrap();
    change(Arc::make_mut(&mut set.spec));
}

/// A set of one member that needs `db`.
fn dependant(state: &mut State) {
    let mut wanted = spec(1, false);
    wanted.template.spec.processes[0].ports.clear();
    wanted.depends_on.push(Dependency {
        set: "db".to_owned(),
        ..Dependency::default()
    });
    put_set(state, "web", wanted);
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each rule is in one of the tables; the test beside them holds that none is missing"
)]
pub(super) fn leaving(rule: Rule) -> Option<Bad> {
    let key = data(2);
    Some(match rule {
        Rule::ClaimTied => {
            let mut state = running().state;
            change(&mut state, |spec| {
                let policy = &mut spec.persistent_volume_claim_retention_policy;
                policy.when_scaled = Retention::Delete;
            });
            let epoch = epoch(&state, 2);
            let goes_with = Some(GoesWith::Member { epoch });
            (state, vec![Step::TieClaim { key, goes_with }])
        }
        Rule::ClaimDropped => {
            let mut state = running().state;
            let claim = state.claims.get_mut(&key)?;
            claim.goes_with = Some(GoesWith::Asked);
            let uid = claim.uid.clone();
            (state, vec![Step::DropClaim { key, uid }])
        }
        Rule::TrashExpired => {
            let mut state = running().state;
            state.claims.clear();
            state.trash_keep = Some(Duration::from_millis(11));
            let name = state.volumes.keys().next()?.clone();
            let since = crate::time::Timestamp(NOW.0 - 10);
            state.volumes.get_mut(&name)?.state = VolumeState::Trashed { since };
            (state, vec![Step::PurgeVolume { name }])
        }
        Rule::DependencyOrder => {
            let mut state = running().state;
            dependant(&mut state);
            crate::fixture::run_all(&mut state, "web");
            for set in state.sets.values_mut() {
                set.deleting = Some(NOW);
            }
            let steps = stop(&state, 2);
            (state, steps)
        }
        Rule::OrphansKept => {
            let mut state = running().state;
            change(&mut state, |spec| spec.replicas = Some(2));
            state.sets.get_mut(&db())?.orphaned = Some(NOW);
            let steps = stop(&state, 2);
            (state, steps)
        }
        Rule::FoundedAnew => {
            let state = running().state;
            let uid = state.sets[&db()].uid.clone();
            (state, vec![Step::Refound { set: db(), uid }])
        }
        _ => return None,
    })
}

#[test]
fn a_start_before_what_it_needs_is_refused_too() {
    let mut friends = running();
    friends.unready.insert(member("db", 1));
    friends.agents();
    dependant(&mut friends.state);
    friends.plan();
    friends.agents();
    let id = member("web", 0);
    let epoch = friends.state.sets[&key("web")].members[&id.ordinal].epoch;
    let plan = super::Plan {
        steps: vec![Step::Start { member: id, epoch }],
    };
    let found = super::check_plan(&friends.state, &plan, friends.now);
    let rules: Vec<_> = found.iter().map(|breach| breach.rule).collect();
    assert_eq!(rules, [Rule::DependencyOrder]);
}

#[test]
fn a_start_before_a_gate_of_what_it_needs_is_refused_too() {
    let mut friends = running();
    let set = friends.state.sets.get_mut(&db()).unwrap();
    let revision = set.revision.clone();
    let revision = set.revisions.get_mut(&revision).unwrap();
    let gate = ReadinessGate {
        condition_type: "example.com/registered".to_owned(),
    };
    let template = Arc::make_mut(&mut revision.template);
    template.spec.readiness_gates.push(gate);
    dependant(&mut friends.state);
    friends.plan();
    friends.agents();
    let id = member("web", 0);
    let epoch = friends.state.sets[&key("web")].members[&id.ordinal].epoch;
    let plan = super::Plan {
        steps: vec![Step::Start { member: id, epoch }],
    };
    let found = super::check_plan(&friends.state, &plan, friends.now);
    let rules: Vec<_> = found.iter().map(|breach| breach.rule).collect();
    assert_eq!(rules, [Rule::DependencyOrder]);
}

#[test]
fn a_claim_that_its_set_keeps_by_now_does_not_go_with_it() {
    let mut state = running().state;
    let uid = state.sets[&db()].uid.clone();
    let set = state.sets.get_mut(&db()).unwrap();
    set.deleting = Some(NOW);
    set.members.clear();
    let claim = state.claims.get_mut(&data(2)).unwrap();
    claim.goes_with = Some(GoesWith::Set { uid });
    let (key, uid) = (data(2), claim.uid.clone());
    let steps = vec![Step::DropClaim { key, uid }];
    let plan = super::whole(Rule::ClaimDropped, &state, steps);
    let broken = |state: &State| {
        let found = crate::check::check_plan(state, &plan, NOW);
        found.iter().any(|breach| breach.rule == Rule::ClaimDropped)
    };
    assert!(broken(&state));
    change(&mut state, |spec| {
        spec.persistent_volume_claim_retention_policy.when_deleted = Retention::Delete;
    });
    assert!(!broken(&state));
}
