//! Every history of a small set, up to a depth: what readiness, exits, hosts, edits and the passing
//! of time can do to it in any order.
//!
//! After each act the checker has nothing to say, and nothing is stuck: each member that is not
//! where it should be is named in the plan or waits for a [`Reason`] that says what frees it, and
//! once every fault is mended the set comes to what was asked for. Histories that lead to the same
//! situation are followed once.

use std::{collections::BTreeSet, time::Duration};

use proptest::test_runner::Config;

use crate::{
    check::{check_plan, check_state},
    fixture::{friend::Friends, host_name, key, member, put_set, spec, state},
    ids::{MemberId, Ordinal},
    plan::Plan,
    spec::{
        Amount, EnvVar, GatePolicy, RollingUpdate, Spread, StatefulSetSpec, UpdateKind,
        UpdateStrategy,
    },
    state::{Knowledge, Set},
    time::Timestamp,
    waiting::Reason,
};

const SET: &str = "db";

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// A member stops, or begins, to pass its readiness probe.
    Unready(u32),
    /// The processes of a member end, and its agent has nothing of it.
    Exit(u32),
    /// The operator asks for the restart of a member.
    Restart(u32),
    /// The agent of a host is lost, or comes back.
    Host(u8),
    /// The operator writes the other template.
    Edit,
    /// The operator takes the highest member away, or gives it back.
    Scale,
    /// The coordinator plans, and agents do as they are told and report.
    Round,
    /// As a round, after every patience has run out.
    Later,
}

/// How the set is for all of its histories.
#[derive(Debug, Clone, Copy)]
struct Setting {
    members: u8,
    policy: GatePolicy,
    claims: bool,
    update: UpdateKind,
    max_unavailable: u32,
}

/// One situation: the cluster, and what the operator wrote last.
#[derive(Debug, Clone)]
struct Situation {
    friends: Friends,
    edited: bool,
    shrunk: bool,
    plan: Plan,
}

impl Setting {
    fn spec(self, situation: (bool, bool)) -> StatefulSetSpec {
        let (edited, shrunk) = situation;
        let replicas = i64::from(self.members) - i64::from(shrunk);
        let mut wanted = spec(replicas, self.claims);
        wanted.pod_management_policy = self.policy;
        let rolling = self.update == UpdateKind::RollingUpdate;
        wanted.update_strategy = Some(UpdateStrategy {
            kind: self.update,
            rolling_update: rolling.then(|| RollingUpdate {
                max_unavailable: Some(Amount::Number(self.max_unavailable)),
                ..RollingUpdate::default()
            }),
        });
        wanted.spread = Spread::Require;
        wanted.template.spec.processes[0].env.push(EnvVar {
            name: "EDITED".to_owned(),
            value: Some(edited.to_string()),
            ..EnvVar::default()
        });
        wanted
    }

    fn acts(self) -> Vec<Act> {
        let members = u32::from(self.members);
        let mut acts = vec![Act::Edit, Act::Scale, Act::Round, Act::Later];
        acts.extend((0..members).map(Act::Unready));
        acts.extend((0..members).map(Act::Exit));
        acts.extend((1..=self.members).map(Act::Host));
        if self.update == UpdateKind::OnDelete {
            acts.extend((0..members).map(Act::Restart));
        }
        acts
    }

    fn start(self) -> Situation {
        let mut friends = Friends::new(state(self.members));
        put_set(&mut friends.state, SET, self.spec((false, false)));
        friends.settle();
        Situation {
            friends,
            edited: false,
            shrunk: false,
            plan: Plan::default(),
        }
    }

    fn after(self, from: &Situation, act: Act) -> Situation {
        let mut next = from.clone();
        next.friends.log.clear();
        match act {
            Act::Unready(n) => {
                let id = member(SET, n);
                if !next.friends.unready.remove(&id) {
                    next.friends.unready.insert(id);
                }
            }
            Act::Exit(n) => {
                let id = member(SET, n);
                if next.set().members.contains_key(&id.ordinal) {
                    next.friends.wipe(&id);
                }
            }
            Act::Restart(n) => next.restart(&member(SET, n)),
            Act::Host(n) => {
                let name = host_name(n);
                let there = next.friends.state.hosts[&name].contact.connected;
                next.friends.contact(&name, !there);
            }
            Act::Edit => {
                next.edited = !next.edited;
                next.write(self);
            }
            Act::Scale => {
                next.shrunk = !next.shrunk;
                next.write(self);
            }
            Act::Round => next.round(),
            Act::Later => {
                next.friends.now = next.friends.now.plus(Duration::from_secs(60));
                next.round();
            }
        }
        next
    }
}

impl Situation {
    fn set(&self) -> &Set {
        &self.friends.state.sets[&key(SET)]
    }

    fn write(&mut self, setting: Setting) {
        let wanted = setting.spec((self.edited, self.shrunk));
        put_set(&mut self.friends.state, SET, wanted);
    }

    fn restart(&mut self, id: &MemberId) {
        let now = self.friends.now;
        let set = self.friends.state.sets.get_mut(&id.set).unwrap();
        if let Some(member) = set.members.get_mut(&id.ordinal) {
            member.restart_asked.get_or_insert(now);
        }
    }

    /// The agents act and report, then the coordinator plans: what it says is of what is known.
    fn round(&mut self) {
        self.friends.agents();
        let before = self.friends.state.clone();
        self.plan = self.friends.plan();
        let breaches = check_plan(&before, &self.plan, self.friends.now);
        assert!(breaches.is_empty(), "{breaches:#?} in {:#?}", self.plan);
        let alarms = check_state(&self.friends.state);
        assert!(alarms.is_empty(), "{alarms:#?}");
        self.explained();
    }

    /// Each member that is not where it should be is acted on, or waits for a reason.
    fn explained(&self) {
        let set = self.set();
        let all: BTreeSet<Ordinal> = set.declared().chain(set.members.keys().copied()).collect();
        for ordinal in all {
            let id = member(SET, ordinal.0);
            let acted = self
                .plan
                .steps
                .iter()
                .any(|step| step.member() == Some((&id.set, ordinal)));
            let why = self.friends.report.waiting.get(&id);
            let in_place = self.friends.state.in_place(&id);
            assert!(
                in_place || acted || why.is_some_and(|reason| !reason.frees().is_empty()),
                "{id} is not in place, and nobody says why"
            );
        }
    }

    /// Mends every fault and lets rounds pass until all is as written.
    fn heals(&self, setting: Setting, good: &mut BTreeSet<String>) {
        let mut on = self.clone();
        on.friends.unready.clear();
        for n in 1..=setting.members {
            on.friends.contact(&host_name(n), true);
        }
        let mut passed = Vec::new();
        for _ in 0..200 {
            let situation = on.key();
            if good.contains(&situation) || on.at_rest() {
                good.insert(situation);
                good.extend(passed);
                return;
            }
            passed.push(situation);
            let before = on.friends.state.clone();
            on.round();
            on.restart_those_that_wait_for_it();
            if on.friends.state == before {
                let wake = on.friends.report.wake_at;
                let why = &on.friends.report.waiting;
                on.friends.now = wake.unwrap_or_else(|| panic!("it rests too early: {why:#?}"));
            }
        }
        panic!("it never comes to rest: {:#?}", on.friends.report);
    }

    fn restart_those_that_wait_for_it(&mut self) {
        let waiting = self.friends.report.waiting.clone();
        for (id, why) in waiting {
            if why == Reason::UpdatedOnRestart {
                self.restart(&id);
            }
        }
    }

    fn at_rest(&self) -> bool {
        let set = self.set();
        set.declared().eq(set.members.keys().copied())
            && set.declared().all(|ordinal| {
                let id = member(SET, ordinal.0);
                self.friends.state.in_place(&id)
            })
    }

    /// What tells this situation from others: all but epochs and serials, and of times only which
    /// patience has run out.
    fn key(&self) -> String {
        let (state, now) = (&self.friends.state, self.friends.now);
        let rollout = &self.set().rollout;
        let mut words = vec![format!(
            "{}{}{:?}{}",
            self.edited,
            self.shrunk,
            rollout.phase,
            rollout.current == self.set().revision
        )];
        for (ordinal, one) in &self.set().members {
            let id = member(SET, ordinal.0);
            words.push(format!(
                "{ordinal}@{}{:?}{}{}{}{}",
                one.host,
                one.ordered,
                one.revision == self.set().revision,
                one.passed_gate,
                one.restart_asked.is_some(),
                age(now, one.assigned_at)
            ));
            words.push(known(state.knowledge(&id, one), now));
        }
        for (name, host) in &state.hosts {
            let contact = &host.contact;
            let served = contact.zone_acked == state.zone.serial;
            words.push(format!(
                "{name}{}{}{served}{}",
                contact.connected,
                contact.settled,
                age(now, contact.since)
            ));
        }
        words.push(format!("{:?}", names(&self.friends.unready)));
        words.join(" ")
    }
}

fn names(of: &BTreeSet<MemberId>) -> Vec<u32> {
    of.iter().map(|id| id.ordinal.0).collect()
}

fn known(knowledge: Knowledge<'_>, now: Timestamp) -> String {
    match knowledge {
        Knowledge::Known(seen) => format!(
            "{:?}{}{}",
            seen.report.phase,
            seen.report.ready,
            age(now, seen.waiting_since)
        ),
        Knowledge::Absent => "absent".to_owned(),
        Knowledge::Unknown => "unknown".to_owned(),
    }
}

/// Which of the planner's patiences has run out: 2, 10 and 30 seconds.
fn age(now: Timestamp, since: Timestamp) -> usize {
    let limits = [2, 10, 30].map(|seconds| since.plus(Duration::from_secs(seconds)));
    limits.iter().filter(|at| **at <= now).count()
}

/// Follows every history up to a depth.
fn explore(setting: Setting, depth: u32) {
    let start = setting.start();
    let mut good = BTreeSet::new();
    let mut seen = BTreeSet::from([start.key()]);
    let mut ends = vec![(start, Vec::new())];
    for _ in 0..depth {
        let mut further = Vec::new();
        for (from, path) in ends {
            for act in setting.acts() {
                let mut path = path.clone();
                path.push(act);
                let followed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    let next = setting.after(&from, act);
                    let new = seen.insert(next.key());
                    if new {
                        next.heals(setting, &mut good);
                    }
                    new.then_some(next)
                }));
                match followed {
                    Ok(Some(next)) => further.push((next, path)),
                    Ok(None) => {}
                    Err(_) => panic!("{setting:?}: {path:?}; what failed is said above"),
                }
            }
        }
        ends = further;
    }
    let found = seen.len();
    assert!(found > 100, "{setting:?}: no more than {found} situations");
}

/// How deep to go: what takes seconds, and one more for each tenfold of the usual number of cases
/// that `PROPTEST_CASES` asks for.
fn depth(usual: u32) -> u32 {
    let tenfolds = (Config::default().cases / 256).max(1).ilog10();
    usual + tenfolds
}

fn all(policy: GatePolicy) {
    for (members, usual) in [(1, 7), (2, 5), (3, 4), (4, 3)] {
        for claims in [false, true] {
            let setting = Setting {
                members,
                policy,
                claims,
                update: UpdateKind::RollingUpdate,
                max_unavailable: 1,
            };
            explore(setting, depth(usual));
        }
    }
}

#[test]
fn no_history_of_an_ordered_set_is_a_dead_end() {
    all(GatePolicy::OrderedReady);
}

#[test]
fn no_history_of_a_set_that_waits_for_starts_is_a_dead_end() {
    all(GatePolicy::OrderedStarted);
}

#[test]
fn no_history_of_a_parallel_set_is_a_dead_end() {
    all(GatePolicy::Parallel);
}

#[test]
fn no_history_of_a_set_that_updates_in_another_way_is_a_dead_end() {
    for (update, policy) in [
        (UpdateKind::RollingUpdate, GatePolicy::Parallel),
        (UpdateKind::OnDelete, GatePolicy::OrderedReady),
        (UpdateKind::Recreate, GatePolicy::OrderedReady),
    ] {
        let setting = Setting {
            members: 3,
            policy,
            claims: true,
            update,
            max_unavailable: 2,
        };
        explore(setting, depth(4));
    }
}
