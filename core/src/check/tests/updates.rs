//! Bad plans about updates.

use super::*;
use crate::{
    ids::TemplateHash,
    spec::{Amount, DisruptionBudget, RollingUpdate, StatefulSetSpec, UpdateKind, UpdateStrategy},
    state::{Rollout, RolloutPhase, Turn, rollout::Progress},
};

/// The same set with another template.
pub(super) fn newer() -> StatefulSetSpec {
    let mut wanted = spec(3, true);
    let process = &mut wanted.template.spec.processes[0];
    process.env.push(EnvVar::default());
    wanted
}

fn strategy(kind: UpdateKind, partition: u32) -> Option<UpdateStrategy> {
    Some(UpdateStrategy {
        kind,
        rolling_update: (partition > 0).then_some(RollingUpdate {
            partition,
            max_unavailable: None,
        }),
    })
}

/// Three members that run, and a newer template that the plan has taken notice of.
fn outdated(change: impl FnOnce(&mut StatefulSetSpec)) -> Friends {
    let mut friends = running();
    let mut wanted = newer();
    wanted.paused = Some(true);
    put_set(&mut friends.state, "db", wanted.clone());
    friends.plan();
    wanted.paused = Some(false);
    change(&mut wanted);
    put_set(&mut friends.state, "db", wanted);
    friends
}

fn rollout(state: &mut State) -> &mut Rollout {
    &mut state.sets.get_mut(&db()).unwrap().rollout
}

fn turn(turn: Turn) -> Vec<Step> {
    let set = db();
    vec![Step::Rollout { set, turn }]
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each rule is in one of eight tables; a test holds that none is missing"
)]
pub(super) fn updates(rule: Rule) -> Option<Bad> {
    Some(match rule {
        Rule::StopCause => {
            let state = running().state;
            let steps = stop(&state, 2);
            (state, steps)
        }
        Rule::Floor => {
            let mut friends = outdated(|_| {});
            friends.unready.insert(member("db", 0));
            friends.agents();
            let steps = stop(&friends.state, 2);
            (friends.state, steps)
        }
        Rule::BrokenAlone => {
            let mut friends = outdated(|_| {});
            friends.unready.extend([1, 2].map(|n| member("db", n)));
            friends.agents();
            let first = stop(&friends.state, 2);
            let steps = [first, stop(&friends.state, 1)].concat();
            (friends.state, steps)
        }
        Rule::Partition => {
            let mut friends = outdated(|wanted| {
                wanted.update_strategy = strategy(UpdateKind::RollingUpdate, 2);
            });
            friends.lose(&member("db", 0));
            let steps = replace(&friends.state, |_| {});
            (friends.state, steps)
        }
        Rule::RecreateAlone => {
            let mut friends = outdated(|wanted| {
                wanted.update_strategy = strategy(UpdateKind::Recreate, 0);
            });
            friends.lose(&member("db", 0));
            let mut steps = replace(&friends.state, |_| {});
            let Some(Step::Assign { epoch, .. }) = steps.last() else {
                return None;
            };
            let epoch = *epoch;
            let member = member("db", 0);
            steps.push(Step::Start { member, epoch });
            // Its new name is served, as far as that goes.
            for host in friends.state.hosts.values_mut() {
                host.contact.zone_acked = friends.state.zone.serial.next();
            }
            (friends.state, steps)
        }
        Rule::RolloutProven => {
            let state = outdated(|_| {}).state;
            let revision = state.sets[&db()].revision.clone();
            (state, turn(Turn::Completes { revision }))
        }
        _ => return None,
    })
}

/// Whether the checker takes a single step of the set.
fn taken(state: &State, steps: Vec<Step>, rule: Rule) -> bool {
    let plan = whole(rule, state, steps);
    check_plan(state, &plan, NOW).is_empty()
}

#[test]
fn what_the_set_says_decides_whether_an_older_member_may_be_stopped() {
    let held: [fn(&mut StatefulSetSpec); 4] = [
        |wanted| wanted.paused = Some(true),
        |wanted| wanted.update_strategy = strategy(UpdateKind::OnDelete, 0),
        |wanted| wanted.update_strategy = strategy(UpdateKind::RollingUpdate, 3),
        |wanted| wanted.update_strategy = strategy(UpdateKind::RollingUpdate, 9),
    ];
    for change in held {
        let state = outdated(change).state;
        assert!(!taken(&state, stop(&state, 2), Rule::StopCause));
    }
    let state = outdated(|_| {}).state;
    assert!(taken(&state, stop(&state, 2), Rule::StopCause));
    let mut stalled = state.clone();
    rollout(&mut stalled).phase = RolloutPhase::Stalled;
    assert!(!taken(&stalled, stop(&stalled, 2), Rule::StopCause));
    let mut back = state;
    rollout(&mut back).phase = RolloutPhase::TakenBack;
    assert!(
        !taken(&back, stop(&back, 2), Rule::StopCause),
        "it is where it goes"
    );
    // Recreate stops all of them, whoever is available.
    let state = outdated(|wanted| wanted.update_strategy = strategy(UpdateKind::Recreate, 0)).state;
    let all = [2, 1, 0].map(|n| stop(&state, n)).concat();
    assert!(taken(&state, all, Rule::Floor));
}

#[test]
fn the_floor_is_that_of_the_budget() {
    let budget = |min: Option<Amount>, max: Option<Amount>| {
        move |wanted: &mut StatefulSetSpec| {
            wanted.disruption_budget = Some(DisruptionBudget {
                min_available: min,
                max_unavailable: max,
            });
            let wide = RollingUpdate {
                partition: 0,
                max_unavailable: Some(Amount::Number(3)),
            };
            wanted.update_strategy = Some(UpdateStrategy {
                rolling_update: Some(wide),
                ..UpdateStrategy::default()
            });
        }
    };
    for (min, max, may_go) in [
        (Some(Amount::Quorum), None, 1),
        (Some(Amount::Number(1)), None, 2),
        (Some(Amount::Percent(34)), None, 1),
        (Some(Amount::Number(3)), None, 0),
        (None, Some(Amount::Percent(50)), 1),
        (None, Some(Amount::Number(2)), 2),
    ] {
        let state = outdated(budget(min.clone(), max.clone())).state;
        for count in 1..=3 {
            let ordinals = (0..3).rev().take(count);
            let steps: Vec<Step> = ordinals.flat_map(|n| stop(&state, n)).collect();
            let taken = taken(&state, steps, Rule::Floor);
            assert_eq!(taken, count <= may_go, "{min:?} {max:?}: {count}");
        }
    }
}

#[test]
fn a_rollout_halts_only_when_its_deadline_has_passed() {
    let mut state = outdated(|_| {}).state;
    rollout(&mut state).phase = RolloutPhase::Going;
    rollout(&mut state).progress.at = NOW;
    assert!(!taken(&state, turn(Turn::Stalls), Rule::RolloutProven));
    rollout(&mut state).progress.at = Timestamp(NOW.0 - 600_000);
    assert!(taken(&state, turn(Turn::Stalls), Rule::RolloutProven));
    assert!(!taken(&state, turn(Turn::IsTakenBack), Rule::RolloutProven));
    rollout(&mut state).phase = RolloutPhase::Stalled;
    assert!(!taken(&state, turn(Turn::IsTakenBack), Rule::RolloutProven));
    let set = state.sets.get_mut(&db()).unwrap();
    std::sync::Arc::make_mut(&mut set.spec).auto_rollback = true;
    assert!(taken(&state, turn(Turn::IsTakenBack), Rule::RolloutProven));
    let progress = Progress {
        lacking: 9,
        ..state.sets[&db()].rollout.progress
    };
    assert!(!taken(
        &state,
        turn(Turn::Betters { progress }),
        Rule::RolloutProven
    ));
    let other = Turn::Begins {
        revision: TemplateHash("other".to_owned()),
        from: TemplateHash("other".to_owned()),
        progress,
    };
    assert!(!taken(&state, turn(other), Rule::RolloutProven));
}
