//! Plans into records and back, without a store or an agent: whatever is committed, the view that
//! follows from the records is the state that the plan meant, now and after a restart.

use std::{collections::BTreeMap, sync::Arc};

use berth_core::{
    admission::{Options, admit},
    check::{check_state, plan_checked},
    ids::{HistoryId, HostName, MemberId, Term},
    manifest::{Source, parse},
    order::OrderHead,
    report::{MemberReport, Phase},
    session::Base,
    state::{Contact, HostRecord, Observation, Ordered, State},
    store::{Batch, CommitError, Keep, MAX_WRITES, Model, RecordKind},
    time::Timestamp,
    zone,
};

use super::{Links, cut, orders};
use crate::{
    service::{Known, to_batch},
    sessions::{Link, SentOrder},
    state::{View, keys::host_key, records::put},
};

const KEEP: Keep = Keep {
    commits: 10,
    events: 10,
};

struct World {
    model: Model,
    view: View,
    links: Links,
    now: Timestamp,
    commits: usize,
}

impl World {
    fn new(hosts: u32) -> Self {
        let mut world = Self {
            model: Model::new(KEEP),
            view: View::load(
                &Model::new(KEEP),
                &HistoryId::default(),
                Term(1),
                "berth.internal",
            ),
            links: Links::new(),
            now: Timestamp(1_000_000),
            commits: 0,
        };
        for n in 0..hosts {
            let name: HostName = format!("host-{n}").parse().unwrap();
            let record = HostRecord {
                name: name.clone(),
                advertise_address: format!("10.0.0.{}", n + 1).parse().unwrap(),
                labels: BTreeMap::new(),
                pools: [(
                    "default".to_owned(),
                    berth_core::volume::PoolInfo::default(),
                )]
                .into(),
                unschedulable: false,
                machine_id: name.to_string(),
                product_uuid: String::new(),
                controllers: std::collections::BTreeSet::new(),
                self_fences: false,
                watchdog: false,
                agent_labels: BTreeMap::new(),
                directives: berth_core::state::HostDirectives::default(),
            };
            let mut batch = Batch::default();
            put(
                &mut batch,
                host_key(RecordKind::Host, &name).unwrap(),
                &record,
            )
            .unwrap();
            world.commit(batch);
            world.links.insert(name.clone(), synced());
        }
        world.observe();
        world
    }

    fn commit(&mut self, batch: Batch) {
        assert!(batch.writes() <= MAX_WRITES);
        let commit = self.model.commit(batch).unwrap();
        self.view.absorb(&commit);
        self.commits += 1;
        let again = View::load(
            &self.model,
            &HistoryId::default(),
            Term(1),
            "berth.internal",
        );
        assert_eq!(
            durable(&again.state),
            durable(&self.view.state),
            "after a restart"
        );
        assert_eq!(check_state(&self.view.state), []);
    }

    fn apply(&mut self, text: &str) {
        let sources = [Source {
            file: "test.yaml".to_owned(),
            text: text.to_owned(),
        }];
        let known = Known::of(&self.view);
        let existing = known.existing(&self.view);
        let objects = parse(&sources, "default").unwrap();
        let admission = admit(existing, objects, Options::default()).unwrap();
        let (batch, _) = to_batch(&self.view, &admission.changes, self.now).unwrap();
        self.commit(batch);
    }

    /// Every agent has done what it is to do, and says so.
    fn observe(&mut self) {
        self.now = self.now.plus(std::time::Duration::from_secs(60));
        let now = self.now;
        let zone = self.view.state.zone.serial;
        let mut contacts: BTreeMap<HostName, Contact> = BTreeMap::new();
        for name in self.links.keys() {
            let contact = Contact {
                connected: true,
                settled: true,
                since: now,
                zone_acked: zone,
                ..Contact::default()
            };
            contacts.insert(name.clone(), contact);
        }
        for (key, set) in &self.view.state.sets {
            for (ordinal, member) in &set.members {
                let id = MemberId {
                    set: key.clone(),
                    ordinal: *ordinal,
                };
                let runs = match member.ordered {
                    Ordered::Nothing => continue,
                    Ordered::Run => true,
                    Ordered::Stop => false,
                };
                let seen = Observation {
                    report: report(&id, member.epoch, runs),
                    ready_since: runs.then_some(now),
                    waiting_since: now,
                };
                contacts
                    .get_mut(&member.host)
                    .unwrap()
                    .members
                    .insert(id, seen);
            }
        }
        for (name, contact) in contacts {
            *self.view.contact(&name).unwrap() = contact;
        }
    }

    /// Plans once and commits it, piece by piece.
    fn step(&mut self) -> usize {
        let (plan, _report, breaches) = plan_checked(&self.view.state, self.now);
        assert_eq!(breaches, []);
        let mut meant = self.view.state.clone();
        let mut rest = plan.steps.as_slice();
        while !rest.is_empty() {
            let piece = cut::next(&self.view, &self.links, rest, self.now).unwrap();
            for step in &rest[..piece.steps] {
                meant.apply(step, self.now);
            }
            let zone = piece.zone.as_ref().map(zone::hash);
            self.commit(piece.batch);
            if let Some(hash) = zone {
                assert_eq!(hash, self.view.state.zone.hash, "the zone to send");
            }
            for send in piece.sends {
                self.links.get_mut(send.host()).unwrap().order = Some(send.order().clone());
            }
            rest = &rest[piece.steps..];
        }
        assert_eq!(
            durable(&self.view.state),
            durable(&meant),
            "what the plan meant"
        );
        plan.steps.len()
    }

    /// Plans and observes until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            let steps = self.step();
            self.observe();
            if steps == 0 && self.step() == 0 {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    fn running(&self, set: &str) -> usize {
        let members = self
            .view
            .state
            .sets
            .get(&format!("default/{set}").parse().unwrap());
        members.map_or(0, |set| {
            set.members
                .values()
                .filter(|member| member.ordered == Ordered::Run)
                .count()
        })
    }
}

fn synced() -> Link {
    let order = SentOrder {
        head: OrderHead::default(),
        members: Arc::default(),
    };
    Link {
        stream: 0,
        base: Base::Complete,
        hello: OrderHead::default(),
        order: Some(order),
        acked: berth_core::ids::Generation(0),
        zone: None,
        behind: false,
        work: BTreeMap::new(),
    }
}

fn report(id: &MemberId, epoch: berth_core::ids::Epoch, runs: bool) -> MemberReport {
    MemberReport {
        member: id.clone(),
        epoch,
        run: None,
        revision: None,
        phase: if runs { Phase::Running } else { Phase::Stopped },
        started: runs,
        ready: runs,
        passed_gate: runs,
        ready_for_ms: 0,
        restarts: 0,
        processes: Vec::new(),
        waiting: None,
        volumes: Vec::new(),
        filled: if runs {
            vec!["data".to_owned()]
        } else {
            Vec::new()
        },
    }
}

/// What of a state is to be there after a restart.
fn durable(state: &State) -> State {
    let mut state = state.clone();
    for host in state.hosts.values_mut() {
        host.contact = Contact::default();
    }
    state
}

fn set(name: &str, replicas: u32, more: &str) -> String {
    format!(
        "
kind: StatefulSet
apiVersion: apps/v1
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  spread: Prefer
{more}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      processes:
        - {{name: main, command: [/bin/true], user: nobody}}
  volumeClaimTemplates:
    - metadata: {{name: data}}
      spec: {{resources: {{requests: {{storage: 1Gi}}}}}}
"
    )
}

const POOL: &str = "
kind: AddressPool
apiVersion: berth/v1
metadata: {name: dev}
spec: {cidr: 127.77.0.0/16, default: true}
";

#[test]
fn a_set_lives_and_dies_and_the_records_say_the_same_as_the_plan() {
    let mut world = World::new(3);
    world.apply(POOL);
    world.apply(&set("etcd", 3, "  membership: Static"));
    world.settle();
    assert_eq!(world.running("etcd"), 3);
    let first = world.view.state.sets.values().next().unwrap().clone();
    world.apply(&set("web", 2, ""));
    world.settle();
    assert_eq!((world.running("etcd"), world.running("web")), (3, 2));

    let key = "default/web".parse().unwrap();
    let marked = crate::service::marked(&world.view, &key, world.now).unwrap();
    let mut batch = Batch::default();
    let record = RecordKind::Object(berth_core::spec::Kind::StatefulSet);
    let record = berth_core::store::Key::new(record, key.clone());
    put(&mut batch, record, &marked).unwrap();
    let grants = world.view.state.sets[&key].last_grants.clone();
    world.commit(batch);
    world.settle();
    assert!(!world.view.state.sets.contains_key(&key), "the set is gone");
    assert_eq!(
        world.view.state.sets.values().next().unwrap().members,
        first.members
    );

    world.apply(&set("web", 2, ""));
    let again = &world.view.state.sets[&key];
    let epochs = |grants: &berth_core::map::Map<_, berth_core::state::Grant>| {
        let each = grants.values().map(|grant| grant.epoch);
        each.collect::<Vec<_>>()
    };
    let (now, then) = (epochs(&again.last_grants), epochs(&grants));
    assert_eq!(now, then, "epochs go on counting");
    assert!(again.addresses.is_empty(), "addresses are taken anew");
    world.settle();
    for (ordinal, member) in &world.view.state.sets[&key].members {
        assert!(member.epoch > grants[ordinal].epoch, "{ordinal}");
    }
}

#[test]
fn a_plan_that_is_too_large_for_one_commit_is_cut_and_each_part_stands() {
    let mut world = World::new(4);
    world.apply(POOL);
    world.apply(&set("wide", 120, "  podManagementPolicy: Parallel"));
    let before = world.commits;
    world.step();
    assert!(
        world.commits > before + 2,
        "{} commits",
        world.commits - before
    );
    world.settle();
    assert_eq!(world.running("wide"), 120);
    world.apply(&set(
        "wide",
        120,
        "  podManagementPolicy: Parallel\n  minReadySeconds: 1",
    ));
    world.settle();
}

#[test]
fn what_was_planned_for_another_spec_is_not_committed() {
    let mut world = World::new(1);
    world.apply(&set("web", 2, ""));
    let (plan, _report, _) = plan_checked(&world.view.state, world.now);
    let links = Links::new();
    let stale = cut::next(&world.view, &links, &plan.steps, world.now).unwrap();
    world.apply(&set("web", 3, ""));
    let refused = world.model.commit(stale.batch).unwrap_err();
    assert!(matches!(refused, CommitError::Conflict { .. }), "{refused}");
    world.settle();
    assert_eq!(world.running("web"), 3);
}

#[test]
fn an_order_that_was_held_back_is_sent_later_as_what_is_lacking_by_then() {
    let mut world = World::new(1);
    world.apply(POOL);
    world.apply(&set("web", 1, ""));
    world.settle();
    let host: HostName = "host-0".parse().unwrap();
    let next = |world: &World| {
        let mut batch = Batch::default();
        let link = &world.links[&host];
        let sent = orders::next(&world.view, &world.view.state, &host, link, &mut batch).unwrap();
        assert!(batch.is_empty(), "it is recorded already");
        sent
    };
    let before = world.links[&host].order.clone().unwrap();
    world.apply(&set("db", 1, ""));
    world.apply(&set("more", 1, ""));
    world.settle();
    let newest = world.view.sent[&host].head.clone();
    assert!(next(&world).is_none(), "it was sent all");

    let held_back = |order: SentOrder| Link {
        order: Some(order),
        behind: true,
        ..synced()
    };
    world.links.insert(host.clone(), held_back(before.clone()));
    let lacking = next(&world).unwrap();
    let change = lacking.change().unwrap();
    assert_eq!(change.base, Some(before.head.generation));
    assert_eq!((&change.head, change.upserts.len()), (&newest, 2));

    // What was decided meanwhile was taken back: the agent is told the newest generation all the same.
    let as_now = SentOrder {
        head: before.head,
        members: Arc::clone(&lacking.order().members),
    };
    world.links.insert(host.clone(), held_back(as_now));
    let lacking = next(&world).unwrap();
    let change = lacking.change().unwrap();
    assert_eq!((&change.head, change.upserts.len()), (&newest, 0));
}
