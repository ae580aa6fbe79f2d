//! What upstream's unit tests of a StatefulSet do to one, for ordered and parallel sets and every
//! retention policy; names begin with the scenario (docs/scenarios.md). After every step the checker
//! has nothing to say, and what upstream's own invariants say holds: starts in order, claims of their
//! member and tied as the policy says, and updates from the highest ordinal down.

use std::{collections::BTreeSet, time::Duration};

use proptest::test_runner::Config;

use crate::{
    check::{check_plan, check_state},
    fixture::{friend::Friends, host_name, key, member, put_set, spec, state},
    ids::{Epoch, MemberId, Ordinal, TemplateHash, Uid},
    plan::{Plan, Step},
    spec::{
        EnvVar, GatePolicy, Retention, RetentionPolicy, RollingUpdate, Spread, StatefulSetSpec,
        UpdateKind, UpdateStrategy,
    },
    state::{GoesWith, Set},
};

mod failures;

const POLICIES: [GatePolicy; 2] = [GatePolicy::OrderedReady, GatePolicy::Parallel];
const RETENTIONS: [Retention; 2] = [Retention::Retain, Retention::Delete];
/// More hosts than any of these sets has members.
const HOSTS: u8 = 10;

/// One set, and what is done to it.
struct Walk {
    friends: Friends,
    policy: GatePolicy,
    retention: RetentionPolicy,
}

/// Plays a scenario with every policy; all members are there.
fn every_policy(replicas: i64, scenario: impl Fn(&mut Walk)) {
    every_beginning(replicas, |walk| {
        walk.settle();
        walk.friends.log.clear();
        scenario(walk);
    });
}

/// As [`every_policy`], with a set that nothing was done about yet.
fn every_beginning(replicas: i64, scenario: impl Fn(&mut Walk)) {
    for policy in POLICIES {
        for when_deleted in RETENTIONS {
            for when_scaled in RETENTIONS {
                let retention = RetentionPolicy {
                    when_deleted,
                    when_scaled,
                };
                scenario(&mut Walk::begin(replicas, policy, retention));
            }
        }
    }
}

impl Walk {
    /// A set that nothing was done about yet.
    fn begin(replicas: i64, policy: GatePolicy, retention: RetentionPolicy) -> Self {
        let mut state = state(HOSTS);
        let mut wanted = spec(replicas, true);
        wanted.pod_management_policy = policy;
        // As upstream: also when all of them are down.
        wanted.cold_start_policy = Some(policy);
        wanted.persistent_volume_claim_retention_policy = retention;
        put_set(&mut state, "db", wanted);
        Self {
            friends: Friends::new(state),
            policy,
            retention,
        }
    }

    fn ordered(&self) -> bool {
        self.policy == GatePolicy::OrderedReady
    }

    fn set(&self) -> &Set {
        &self.friends.state.sets[&key("db")]
    }

    fn edit(&mut self, change: impl FnOnce(&mut StatefulSetSpec)) {
        let mut wanted = (*self.set().spec).clone();
        change(&mut wanted);
        put_set(&mut self.friends.state, "db", wanted);
    }

    fn scale(&mut self, replicas: i64) {
        self.edit(|wanted| wanted.replicas = Some(replicas));
    }

    /// Another template.
    fn update(&mut self, revision: u32) {
        self.edit(|wanted| {
            wanted.template.spec.processes[0].env = vec![EnvVar {
                name: "REVISION".to_owned(),
                value: Some(revision.to_string()),
                ..EnvVar::default()
            }];
        });
    }

    fn strategy(&mut self, kind: UpdateKind, partition: u32) {
        self.edit(|wanted| {
            wanted.update_strategy = Some(UpdateStrategy {
                kind,
                rolling_update: (partition > 0).then_some(RollingUpdate {
                    partition,
                    max_unavailable: None,
                }),
            });
        });
    }

    fn restart(&mut self, ordinal: u32) {
        let now = self.friends.now;
        let set = self.friends.state.sets.get_mut(&key("db")).unwrap();
        let member = set.members.get_mut(&Ordinal(ordinal)).unwrap();
        member.restart_asked = Some(now);
    }

    /// One step: plans, and holds the plan against the checker and the invariants.
    fn plan(&mut self) -> Plan {
        let before = self.friends.state.clone();
        let plan = self.friends.plan();
        let case = (self.policy, self.retention);
        let breaches = check_plan(&before, &plan, self.friends.now);
        assert!(breaches.is_empty(), "{case:?}: {breaches:#?}");
        let alarms = check_state(&self.friends.state);
        assert!(alarms.is_empty(), "{case:?}: {alarms:#?}");
        for step in &plan.steps {
            if let Step::Start { member, .. } = step {
                self.started_in_order(member);
            }
        }
        self.claims_match();
        plan
    }

    /// Upstream's `monotonic`: nobody is started whose predecessor does not serve.
    fn started_in_order(&self, id: &MemberId) {
        if !self.ordered() {
            return;
        }
        for lower in self.set().declared().filter(|lower| *lower < id.ordinal) {
            let lower = member("db", lower.0);
            let mut hosts = self.friends.state.hosts.values();
            let serves = hosts.any(|host| {
                let seen = host.contact.members.get(&lower);
                seen.is_some_and(|seen| seen.report.ready)
            });
            assert!(serves, "{id} starts and {lower} does not serve");
        }
    }

    /// Upstream's `burst`: each member has its own claims, and they go with what the policy says.
    fn claims_match(&self) {
        let set = self.set();
        let with_set = GoesWith::Set {
            uid: set.uid.clone(),
        };
        let kept = (self.retention.when_deleted == Retention::Delete).then_some(with_set);
        for (ordinal, one) in &set.members {
            let id = member("db", ordinal.0);
            let claim = &self.friends.state.claims[&id.claim("data").unwrap()];
            assert_eq!(claim.member.as_ref(), Some(&id));
            let epoch = one.epoch;
            let condemned = Some(GoesWith::Member { epoch });
            let leaves = claim.goes_with == condemned;
            assert!(
                leaves && self.retention.when_scaled == Retention::Delete
                    || claim.goes_with == kept,
                "{id}: {:?}",
                claim.goes_with
            );
            assert!(!leaves || self.stops(*ordinal), "{id} goes with its claim");
        }
    }

    fn stops(&self, ordinal: Ordinal) -> bool {
        let member = &self.set().members[&ordinal];
        member.ordered == crate::state::Ordered::Stop || !self.set().is_declared(ordinal)
    }

    /// Steps until there is nothing to do.
    fn settle(&mut self) {
        for _ in 0..1000 {
            let before = self.friends.state.clone();
            self.plan();
            self.friends.agents();
            if self.friends.state == before {
                return;
            }
        }
        panic!("does not settle: {:#?}", self.friends.report);
    }

    /// The starts and stops since this was asked last.
    fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.friends.log)
    }

    fn here(&self) -> Vec<u32> {
        self.set().members.keys().map(|ordinal| ordinal.0).collect()
    }

    /// The ordinals that have the newest template.
    fn updated(&self) -> Vec<u32> {
        let members = self.set().members.iter();
        let updated = members.filter(|(_, member)| member.revision == self.set().revision);
        updated.map(|(ordinal, _)| ordinal.0).collect()
    }

    fn revision(&self, ordinal: u32) -> TemplateHash {
        self.set().members[&Ordinal(ordinal)].revision.clone()
    }

    fn epoch(&self, ordinal: u32) -> Epoch {
        self.set().members[&Ordinal(ordinal)].epoch
    }

    fn claims(&self) -> Vec<u32> {
        let claims = self.friends.state.claims.values();
        claims
            .map(|claim| claim.member.as_ref().unwrap().ordinal.0)
            .collect()
    }

    fn uid(&self, ordinal: u32) -> Uid {
        let claim = member("db", ordinal).claim("data").unwrap();
        self.friends.state.claims[&claim].uid.clone()
    }
}

/// `-db-2` and the like, in this order.
fn words(sign: char, ordinals: impl IntoIterator<Item = u32>) -> Vec<String> {
    let ordinals = ordinals.into_iter();
    ordinals.map(|n| format!("{sign}db-{n}")).collect()
}

#[test]
fn u01_creates_scales_out_and_scales_in() {
    every_policy(3, |walk| {
        assert_eq!(walk.here(), [0, 1, 2]);
        walk.scale(4);
        walk.settle();
        assert_eq!(walk.log(), ["+db-3"]);
        walk.scale(0);
        walk.settle();
        assert_eq!(walk.log(), words('-', [3, 2, 1, 0]));
        assert_eq!(walk.here(), [0; 0]);
        let kept = match walk.retention.when_scaled {
            Retention::Retain => vec![0, 1, 2, 3],
            Retention::Delete => Vec::new(),
        };
        assert_eq!(walk.claims(), kept);
    });
}

#[test]
fn u02_lost_members_come_back_from_the_lowest_up() {
    every_policy(5, |walk| {
        let before: Vec<Epoch> = (0..5).map(|n| walk.epoch(n)).collect();
        for n in [0, 2, 4] {
            walk.friends.lose(&member("db", n));
        }
        walk.settle();
        assert_eq!(walk.log(), words('+', [0, 2, 4]));
        for (n, before) in (0..5).zip(before) {
            assert_eq!(walk.epoch(n) > before, n % 2 == 0, "{n}");
        }
    });
}

/// Upstream's "RecreatesFailedPod" and "RecreatesSucceededPod": what ended is taken away once, and
/// only then is it made anew.
#[test]
fn u03_what_ended_is_released_once_and_then_made_anew() {
    every_policy(3, |walk| {
        let before = walk.epoch(1);
        walk.friends.lose(&member("db", 1));
        let steps = walk.plan().steps;
        let about = steps
            .iter()
            .filter(|step| step.member() == Some((&key("db"), Ordinal(1))));
        let names: Vec<&str> = about
            .map(|step| {
                let releases = matches!(step, Step::Release { .. });
                let assigns = matches!(step, Step::Assign { .. });
                match (releases, assigns) {
                    (true, _) => "release",
                    (_, true) => "assign",
                    (false, false) => "something else",
                }
            })
            .collect();
        assert_eq!(names, ["release", "assign"]);
        walk.settle();
        assert_eq!(walk.log(), ["+db-1"]);
        assert!(walk.epoch(1) > before);
    });
}

#[test]
fn u13_i08_ordinals_begin_where_the_set_says() {
    every_policy(3, |walk| {
        for (start, here) in [
            (2, [2, 3, 4]),
            (4, [4, 5, 6]),
            (3, [3, 4, 5]),
            (0, [0, 1, 2]),
        ] {
            walk.edit(|wanted| wanted.ordinals.start = start);
            walk.settle();
            assert_eq!(walk.here(), here, "{:?}", walk.policy);
        }
    });
}

#[test]
fn i02_each_number_is_reached() {
    every_policy(2, |walk| {
        for replicas in [3, 0, 2] {
            walk.scale(replicas.into());
            walk.settle();
            assert_eq!(walk.here(), (0..replicas).collect::<Vec<u32>>());
        }
        // Who comes back has the old data, or none of it.
        assert_eq!(
            walk.claims().len(),
            match walk.retention.when_scaled {
                Retention::Retain => 3,
                Retention::Delete => 2,
            }
        );
    });
}

/// Steps on; the members of the newest template are always the highest ones of those that are there.
fn updates_from_above(walk: &mut Walk) {
    for _ in 0..200 {
        let before = walk.friends.state.clone();
        walk.plan();
        let updated: BTreeSet<u32> = walk.updated().into_iter().collect();
        let lowest = updated.first().copied().unwrap_or(u32::MAX);
        let older: Vec<u32> = walk
            .here()
            .into_iter()
            .filter(|n| !updated.contains(n))
            .collect();
        assert!(
            older.iter().all(|n| *n < lowest),
            "{older:?} and {updated:?}"
        );
        walk.friends.agents();
        if walk.friends.state == before {
            return;
        }
    }
    panic!("does not settle: {:#?}", walk.friends.report);
}

#[test]
fn u15_a_rolling_update_goes_from_the_highest_down_and_scaling_comes_first() {
    every_policy(3, |walk| {
        walk.update(1);
        updates_from_above(walk);
        let each = [2, 1, 0].map(|n| [format!("-db-{n}"), format!("+db-{n}")]);
        assert_eq!(walk.log(), each.concat());
        // New ordinals have the newest template at once.
        walk.update(2);
        walk.scale(5);
        updates_from_above(walk);
        let log = walk.log();
        if walk.ordered() {
            assert_eq!(log[..2], ["+db-3", "+db-4"], "scaling comes first");
        }
        assert_eq!(walk.updated(), [0, 1, 2, 3, 4]);
        // Who leaves is not updated first.
        walk.update(3);
        walk.scale(3);
        walk.settle();
        let log = walk.log();
        assert!(!log.contains(&"+db-4".to_owned()) && !log.contains(&"+db-3".to_owned()));
        if walk.ordered() {
            assert_eq!(log[..2], ["-db-4", "-db-3"], "scaling comes first");
        }
        assert_eq!(walk.updated(), [0, 1, 2]);
    });
}

#[test]
fn u16_u17_on_delete_updates_who_is_restarted_and_who_is_new() {
    every_policy(3, |walk| {
        walk.strategy(UpdateKind::OnDelete, 0);
        walk.update(1);
        walk.settle();
        assert_eq!(walk.log(), [""; 0]);
        walk.scale(5);
        walk.settle();
        assert_eq!(walk.updated(), [3, 4]);
        walk.restart(1);
        walk.settle();
        assert_eq!(walk.updated(), [1, 3, 4]);
        walk.friends.lose(&member("db", 0));
        walk.settle();
        assert_eq!(walk.updated(), [0, 1, 3, 4]);
        walk.scale(3);
        walk.settle();
        assert_eq!(walk.updated(), [0, 1]);
    });
}

#[test]
fn u18_below_the_partition_members_keep_their_revision_and_come_back_with_it() {
    every_policy(4, |walk| {
        let old = walk.revision(0);
        walk.strategy(UpdateKind::RollingUpdate, 2);
        walk.update(1);
        updates_from_above(walk);
        assert_eq!(walk.updated(), [2, 3]);
        for n in [0, 3] {
            walk.friends.lose(&member("db", n));
        }
        walk.settle();
        assert_eq!(walk.updated(), [2, 3]);
        assert_eq!(walk.revision(0), old);
        assert_eq!(
            walk.set().current_revision(),
            &old,
            "not while there is a partition"
        );
        walk.strategy(UpdateKind::RollingUpdate, 0);
        updates_from_above(walk);
        assert_eq!(walk.updated(), [0, 1, 2, 3]);
        assert_eq!(walk.set().current_revision(), &walk.set().revision);
    });
}

#[test]
fn t10_t11_an_ordered_set_halts_while_somebody_is_unready_and_a_parallel_one_does_not() {
    every_policy(1, |walk| {
        walk.friends.unready.insert(member("db", 0));
        walk.friends.agents();
        walk.scale(3);
        walk.settle();
        let ordered = walk.ordered();
        assert_eq!(walk.log().is_empty(), ordered);
        walk.friends.unready.clear();
        walk.settle();
        assert_eq!(walk.here(), [0, 1, 2]);
        walk.log();
        let all = [0, 1, 2].map(|n| member("db", n));
        walk.friends.unready.extend(all);
        walk.friends.agents();
        walk.scale(0);
        walk.settle();
        assert_eq!(walk.log().is_empty(), ordered);
        walk.friends.unready.clear();
        walk.settle();
        assert_eq!(walk.here(), [0; 0]);
    });
}

/// Each number within two rounds, that of the names not counted: nobody waits for anybody. Upstream's
/// numbers take a debug build too long, and are for the runs of many cases.
#[test]
fn u22_a_parallel_set_reaches_any_number_at_once() {
    let full = Config::default().cases > 10_000;
    let large = if full { [501, 1000] } else { [100, 100] };
    for (from, to) in [(3, 30), (10, 1), (large[0], 0), (0, large[1])] {
        let mut walk = Walk::begin(from, GatePolicy::Parallel, RetentionPolicy::default());
        walk.edit(|wanted| {
            wanted.spread = Spread::Prefer;
            wanted.template.spec.processes[0].ports.clear();
        });
        walk.friends.settle();
        walk.friends.log.clear();
        walk.scale(to);
        for _ in 0..2 {
            walk.plan();
            walk.friends.agents();
        }
        walk.plan();
        let log = walk.log();
        let changed = usize::try_from(from.abs_diff(to)).unwrap();
        assert_eq!(log.len(), changed, "from {from} to {to}");
    }
}
