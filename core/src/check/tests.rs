//! For each rule a plan that this rule refuses and no other does: switched off, it is missed.

use super::*;
use crate::{
    fixture::{
        NOW, bind_claim, fill, friend::Friends, hand_made, host_name, key, member, put_set,
        quantity, report, spec, state, static_volume, volume_key,
    },
    ids::{Epoch, Ordinal, SetKey, Uid, ZoneSerial},
    lease::{LeaseTerms, Leases},
    plan::{plan_without, step::Proof},
    prerequisite::{Answer, Fact},
    spec::{
        AccessMode, ClaimReference, ConfigUpdate, DataSource, DataSourceKind, EnvVar,
        FailurePolicy, FileSource, GatePolicy, KeySelector, MemberVolume, Membership, OnChange,
        Override, Placement, StatefulSetSpec, TopologySpreadConstraint, VolumeSnapshot,
    },
    state::{
        Claim, Draining, Offline, Ordered, Snapshot, SnapshotState, VolumeState, ZoneHead,
        orders::peer,
    },
    volume::{Ownership, PoolInfo, PoolKind, binding::bound},
    zone,
};

mod data;
mod grants;
mod leaving;
mod moves;
mod parked;
mod places;
mod properties;
mod scenarios;
mod updates;

use data::{copies, starts, volumes};
use grants::{grants, order};
use leaving::leaving;
use moves::moves;
use places::{ends, founding, places};
use updates::updates;

/// A plan and what it is about.
type Bad = (State, Vec<Step>);

fn db() -> SetKey {
    key("db")
}

fn epoch(state: &State, ordinal: u32) -> Epoch {
    state.sets[&db()].members[&Ordinal(ordinal)].epoch
}

fn data(ordinal: u32) -> crate::ids::ClaimKey {
    member("db", ordinal).claim("data").unwrap()
}

fn offline(state: &mut State, ordinal: u32) {
    let offline = Offline {
        since: NOW,
        reason: String::new(),
    };
    let set = state.sets.get_mut(&db()).unwrap();
    set.offline.insert(Ordinal(ordinal), offline);
}

fn special(ordinals: &str) -> Override {
    Override {
        ordinals: ordinals.to_owned(),
        args: Some(vec!["-x".to_owned()]),
        ..Override::default()
    }
}

/// Three members that run and are ready, on the first three of four hosts.
fn running() -> Friends {
    let mut state = state(4);
    put_set(&mut state, "db", spec(3, true));
    let mut friends = Friends::new(state);
    friends.settle();
    friends
}

/// The same, assigned and named, and nothing started.
fn named() -> Friends {
    let mut state = state(4);
    put_set(&mut state, "db", spec(3, true));
    let mut friends = Friends::new(state);
    friends.plan();
    friends.agents();
    friends
}

/// A set that is founded by its members together, assigned and named.
fn quorum() -> Friends {
    let mut state = state(4);
    let mut wanted = spec(3, true);
    wanted.bootstrap_policy = Some(GatePolicy::Parallel);
    wanted.membership = Some(Membership::Static);
    put_set(&mut state, "db", wanted);
    let mut friends = Friends::new(state);
    friends.plan();
    friends.agents();
    friends
}

fn start(state: &State, ordinal: u32) -> Vec<Step> {
    let host = state.sets[&db()].members[&Ordinal(ordinal)].host.clone();
    let epoch = epoch(state, ordinal);
    let id = member("db", ordinal);
    let key = data(ordinal);
    vec![
        bind_claim(state, &key, &host),
        Step::Start { member: id, epoch },
    ]
}

fn stop(state: &State, ordinal: u32) -> Vec<Step> {
    let epoch = epoch(state, ordinal);
    let member = member("db", ordinal);
    vec![Step::Stop { member, epoch }]
}

/// Releases `db-0`, which its agent lost, and assigns it again.
fn replace(state: &State, change: impl FnOnce(&mut Step)) -> Vec<Step> {
    let (id, epoch) = (member("db", 0), epoch(state, 0));
    let mut assign = assign(state, "db", 0, 1);
    change(&mut assign);
    let proof = Proof::ReportedAbsent;
    let release = Step::Release {
        member: id,
        epoch,
        proof,
    };
    vec![release, assign]
}

fn assign(state: &State, set: &str, ordinal: u32, host: u8) -> Step {
    let id = member(set, ordinal);
    let of = &state.sets[&id.set];
    let last = of.last_grants.get(&id.ordinal).map(|grant| grant.epoch);
    Step::Assign {
        member: id,
        epoch: last.unwrap_or_default().next(state.term),
        host: host_name(host),
        address: state.hosts[&host_name(host)].record.advertise_address,
        revision: of.revision.clone(),
    }
}

/// What a set of this policy is granted with.
fn leases(policy: FailurePolicy) -> Option<LeaseTerms> {
    let spec = StatefulSetSpec {
        failure_policy: policy,
        ..StatefulSetSpec::default()
    };
    Leases::default().terms(&spec)
}

fn lost() -> Friends {
    let mut friends = running();
    friends.lose(&member("db", 0));
    friends
}

fn other_set(state: &mut State, port: bool) {
    let mut wanted = spec(1, false);
    if !port {
        wanted.template.spec.processes[0].ports.clear();
    }
    put_set(state, "other", wanted);
}

/// The steps, and the zone that follows from them unless that is what the rule is about.
fn whole(rule: Rule, state: &State, mut steps: Vec<Step>) -> Plan {
    let mut after = state.clone();
    let mut assigned = false;
    for step in &steps {
        assigned |= matches!(step, Step::Assign { .. });
        after.apply(step, NOW);
    }
    let hash = zone::build(&after).hash();
    let about_zones = matches!(rule, Rule::ZoneSerial | Rule::ZonePublished);
    if !about_zones && (assigned || hash != after.zone.hash) {
        let serial = after.zone.serial.next();
        let zone = ZoneHead { serial, hash };
        steps.push(Step::PublishZone { zone });
    }
    Plan { steps }
}

#[test]
fn each_rule_alone_refuses_something() {
    for rule in Rule::ALL {
        let all = [
            grants, order, volumes, copies, starts, places, founding, ends, updates, leaving, moves,
        ];
        let bad = all.into_iter().find_map(|group| group(rule));
        let Some((state, steps)) = bad else {
            panic!("no bad plan for {}", rule.name());
        };
        let plan = whole(rule, &state, steps);
        let found = check_plan(&state, &plan, NOW);
        assert!(
            !found.is_empty(),
            "{} does not refuse its plan",
            rule.name()
        );
        for breach in &found {
            assert_eq!(breach.rule, rule, "{breach}");
        }
    }
}

#[test]
fn good_plans_break_nothing() {
    for friends in [running(), named(), quorum(), lost()] {
        let (plan, _) = crate::plan::plan(&friends.state, friends.now);
        assert_eq!(check_plan(&friends.state, &plan, friends.now), []);
        assert_eq!(check_state(&friends.state), []);
        let (same, _, breaches) = plan_checked(&friends.state, friends.now);
        assert_eq!((same, breaches), (plan, Vec::new()));
    }
}

#[test]
fn a_report_from_before_the_order_to_stop_proves_nothing() {
    let mut friends = running();
    let id = member("db", 2);
    // An operator holds it on its host, so it is stopped under an order to run.
    report(&mut friends.state, &id, Phase::Stopped, false);
    put_set(&mut friends.state, "db", spec(2, true));
    for step in stop(&friends.state, 2) {
        friends.state.apply(&step, NOW);
    }
    let release = Step::Release {
        member: id,
        epoch: epoch(&friends.state, 2),
        proof: Proof::ReportedStopped,
    };
    let released = |state: &State| plan_without(state, NOW, &Parked::new()).0.steps;
    let refused = |state: &State| {
        let plan = whole(Rule::ReleaseProven, state, vec![release.clone()]);
        let found = check_plan(state, &plan, NOW);
        found
            .iter()
            .any(|breach| breach.rule == Rule::ReleaseProven)
    };
    assert!(!released(&friends.state).contains(&release));
    assert!(refused(&friends.state));
    friends.agents();
    assert!(released(&friends.state).contains(&release));
    assert!(!refused(&friends.state));
}

#[test]
fn a_member_that_runs_twice_is_an_alarm() {
    let mut state = running().state;
    let first = &state.hosts[&host_name(1)].contact.members;
    let seen = first[&member("db", 0)].clone();
    let other = &mut state.hosts.get_mut(&host_name(4)).unwrap().contact.members;
    other.insert(member("db", 0), seen);
    let rules: Vec<_> = check_state(&state).into_iter().map(|b| b.rule).collect();
    assert_eq!(rules, [Rule::OneEpoch]);
}

#[test]
fn an_epoch_that_is_not_the_last_is_an_alarm() {
    let mut state = running().state;
    let set = state.sets.get_mut(&db()).unwrap();
    let member = set.members.get_mut(&Ordinal(1)).unwrap();
    assert_eq!(member.ordered, Ordered::Run);
    member.epoch.counter += 1;
    let rules: Vec<_> = check_state(&state).into_iter().map(|b| b.rule).collect();
    assert_eq!(rules, [Rule::EpochGrows]);
}

/// A planner that stops a healthy member of the set `db`, unless it is parked.
fn reckless(state: &State, now: Timestamp, parked: &Parked) -> (Plan, Report) {
    let (mut plan, report) = plan_without(state, now, parked);
    if !parked.contains_key(&Subject::Set(db())) {
        plan.steps.splice(0..0, stop(state, 2));
        let whole = whole(Rule::StopCause, state, plan.steps);
        return (whole, report);
    }
    (plan, report)
}

#[test]
fn a_refused_plan_parks_its_set_and_no_other() {
    let mut state = running().state;
    other_set(&mut state, false);
    let (plan, report, breaches) = checked(&state, NOW, reckless);
    let rules: Vec<_> = breaches.iter().map(|breach| breach.rule).collect();
    assert_eq!(rules, [Rule::StopCause]);
    let about: Vec<_> = plan.steps.iter().filter_map(Step::member).collect();
    assert!(!about.is_empty());
    assert!(
        about.iter().all(|(set, _)| **set == key("other")),
        "{about:?}"
    );
    let rule = "StopCause".to_owned();
    let reason = crate::waiting::Reason::PlanRefused { rule };
    assert_eq!(report.waiting[&member("db", 0)], reason);
}

/// A planner whose zone is always wrong.
fn mistaken(state: &State, now: Timestamp, parked: &Parked) -> (Plan, Report) {
    let (mut plan, report) = plan_without(state, now, parked);
    let zone = ZoneHead::default();
    plan.steps.push(Step::PublishZone { zone });
    (plan, report)
}

#[test]
fn a_breach_of_no_set_refuses_the_whole_plan() {
    let mut state = running().state;
    other_set(&mut state, false);
    let (plan, report, breaches) = checked(&state, NOW, mistaken);
    assert_eq!(plan, Plan::default());
    assert!(!breaches.is_empty());
    assert!(report.waiting.contains_key(&member("other", 0)));
}

/// A set that reloads, with a file that starts its process anew, goes to another revision.
fn delivered(change: impl FnOnce(&mut StatefulSetSpec)) -> (State, Step) {
    let mut state = running().state;
    let mut wanted = (*state.sets[&db()].spec).clone();
    wanted.config_update = ConfigUpdate::Reload;
    change(&mut wanted);
    put_set(&mut state, "db", wanted);
    let set = &state.sets[&db()];
    let step = Step::Reload {
        epoch: epoch(&state, 2),
        member: member("db", 2),
        revision: set.revision.clone(),
    };
    (state, step)
}

#[test]
fn what_an_override_changes_is_not_delivered() {
    let (state, step) = delivered(|wanted| wanted.overrides.push(special("2")));
    let plan = Plan { steps: vec![step] };
    let found = check_plan(&state, &plan, NOW);
    assert!(found.iter().any(|breach| breach.rule == Rule::ReloadFits));
}

#[test]
fn config_is_not_delivered_to_who_does_not_hear_of_it() {
    let (mut state, step) = delivered(|wanted| {
        wanted.template.spec.processes[0]
            .files
            .push(FileSource::default());
    });
    let plan = Plan { steps: vec![step] };
    let refused = |state: &State| {
        let found = check_plan(state, &plan, NOW);
        let told = |breach: &Breach| breach.detail.contains("out of contact");
        found.iter().any(told)
    };
    assert!(!refused(&state));
    let host = &state.sets[&db()].members[&Ordinal(2)].host.clone();
    state.hosts.get_mut(host).unwrap().contact.connected = false;
    assert!(refused(&state));
}

#[test]
fn config_that_starts_a_process_anew_keeps_to_the_floor() {
    let (mut state, step) = delivered(|wanted| {
        wanted.template.spec.processes[0].files.push(FileSource {
            path: "conf".to_owned(),
            on_change: OnChange::Restart,
            config_map: Some(KeySelector {
                name: "conf".to_owned(),
                key: "conf".to_owned(),
                optional: true,
            }),
            ..FileSource::default()
        });
    });
    let plan = Plan { steps: vec![step] };
    let floor = |state: &State| {
        let found = check_plan(state, &plan, NOW);
        found.iter().any(|breach| breach.rule == Rule::Floor)
    };
    assert!(!floor(&state));
    report(&mut state, &member("db", 0), Phase::Running, false);
    assert!(floor(&state));
}
