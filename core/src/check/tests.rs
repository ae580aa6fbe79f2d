//! For each rule a plan that this rule refuses and no other does: switched off, it is missed.

use super::*;
mod updates;

use updates::updates;

use crate::{
    fixture::{
        NOW, bind_claim, fill, friend::Friends, hand_made, host_name, key, member, put_set,
        quantity, report, spec, state, static_volume, volume_key,
    },
    ids::{Epoch, Ordinal, Uid, ZoneSerial},
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

mod leaving;
mod properties;
mod scenarios;

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

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each rule is in one of nine tables; the test below holds that none is missing"
)]
fn grants(rule: Rule) -> Option<Bad> {
    Some(match rule {
        Rule::OneEpoch => {
            let state = running().state;
            let step = assign(&state, "db", 0, 1);
            (state, vec![step])
        }
        Rule::EpochGrows => {
            let state = lost().state;
            let before = epoch(&state, 0);
            let steps = replace(&state, |step| {
                if let Step::Assign { epoch, .. } = step {
                    *epoch = before;
                }
            });
            (state, steps)
        }
        Rule::ReleaseProven => {
            let mut friends = running();
            friends.contact(&host_name(1), false);
            let mut steps = replace(&friends.state, |_| {});
            steps.truncate(1);
            (friends.state, steps)
        }
        Rule::CurrentGrant => {
            let state = running().state;
            let epoch = epoch(&state, 0).next(state.term);
            let member = member("db", 0);
            (state, vec![Step::PassGate { member, epoch }])
        }
        Rule::OrderedOnce => {
            let state = running().state;
            let steps = start(&state, 2).split_off(1);
            (state, steps)
        }
        Rule::HistoryKnown => {
            let mut state = named().state;
            state.mismatched.insert(host_name(4));
            let steps = start(&state, 0);
            (state, steps)
        }
        Rule::Wanted => {
            let state = running().state;
            let step = assign(&state, "db", 3, 4);
            (state, vec![step])
        }
        _ => return None,
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each rule is in one of nine tables; the test below holds that none is missing"
)]
fn order(rule: Rule) -> Option<Bad> {
    Some(match rule {
        Rule::StartOrder => {
            let state = named().state;
            let steps = start(&state, 1);
            (state, steps)
        }
        Rule::StopOrder => {
            let mut state = running().state;
            put_set(&mut state, "db", spec(1, true));
            let steps = stop(&state, 1);
            (state, steps)
        }
        Rule::HeldBack => {
            let mut state = named().state;
            offline(&mut state, 0);
            let steps = start(&state, 0);
            (state, steps)
        }
        Rule::StaysPinned => {
            let mut state = running().state;
            let record = &mut state.hosts.get_mut(&host_name(3)).unwrap().record;
            record.directives.draining = Some(Draining {
                since: NOW,
                stop_pinned: false,
            });
            let steps = stop(&state, 2);
            (state, steps)
        }
        Rule::NamesFirst => {
            let mut state = named().state;
            for host in state.hosts.values_mut() {
                host.contact.zone_acked = ZoneSerial(0);
            }
            let steps = start(&state, 0);
            (state, steps)
        }
        _ => return None,
    })
}

/// A claim `one` on volume `one`, and claim and volume `two` that wait for each other.
fn two_volumes() -> State {
    let mut state = state(4);
    for name in ["one", "two"] {
        static_volume(&mut state, name, 5);
        hand_made(&mut state, name, 5);
    }
    let step = bind_static(&state, "one", "one");
    state.apply(&step, NOW);
    state
}

fn bind_static(state: &State, claim: &str, volume: &str) -> Step {
    let (key, name) = (key(claim), volume_key(volume));
    let volume = bound(state, &name, &key, &state.claims[&key], NOW).unwrap();
    Step::BindClaim { key, name, volume }
}

/// Two members that share a claim for one of them, and the first one runs.
fn shared() -> Friends {
    let mut state = two_volumes();
    let modes = vec![AccessMode::ReadWriteOncePod];
    let claim = state.claims.get_mut(&key("one")).unwrap();
    claim.spec.access_modes = modes;
    let mut wanted = spec(2, false);
    wanted.template.spec.volumes.push(MemberVolume {
        name: "data".to_owned(),
        persistent_volume_claim: ClaimReference {
            claim_name: "one".to_owned(),
            read_only: false,
        },
    });
    put_set(&mut state, "db", wanted);
    let mut friends = Friends::new(state);
    friends.settle();
    friends
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each rule is in one of nine tables; the test below holds that none is missing"
)]
fn volumes(rule: Rule) -> Option<Bad> {
    Some(match rule {
        Rule::ClaimOwner => {
            let state = named().state;
            let claim = Claim {
                uid: Uid("another".to_owned()),
                ..state.claims[&data(0)].clone()
            };
            let key = data(0);
            (state, vec![Step::CreateClaim { key, claim }])
        }
        Rule::ClaimAdopted => {
            let mut state = state(4);
            hand_made(&mut state, "data-db-0", 5);
            let mut wanted = spec(1, true);
            wanted.volume_claim_templates[0].spec.resources.requests = quantity(6);
            put_set(&mut state, "db", wanted);
            let step = Step::AdoptClaim {
                key: data(0),
                member: member("db", 0),
                template: "data".to_owned(),
            };
            (state, vec![step])
        }
        Rule::ClaimGrows => {
            let storage = "0".to_owned();
            let key = data(0);
            (running().state, vec![Step::GrowClaim { key, storage }])
        }
        Rule::BoundOnce => {
            let state = running().state;
            let step = bind_claim(&state, &data(0), &host_name(1));
            (state, vec![step])
        }
        Rule::BoundFits => {
            let mut state = two_volumes();
            let claim = state.claims.get_mut(&key("two")).unwrap();
            claim.spec.resources.requests = quantity(6);
            let step = bind_static(&state, "two", "two");
            (state, vec![step])
        }
        Rule::DataAlone => {
            let mut state = two_volumes();
            let object = state.persistent_volumes.get_mut(&volume_key("two"));
            "/static/one/inside".clone_into(&mut object?.spec.nfs.as_mut()?.path);
            let step = bind_static(&state, "two", "two");
            (state, vec![step])
        }
        Rule::BoundHost => {
            let (key, host) = (data(0), host_name(2));
            let state = named().state;
            let step = bind_claim(&state, &key, &host);
            (state, vec![step])
        }
        _ => return None,
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each rule is in one of nine tables; the test below holds that none is missing"
)]
fn starts(rule: Rule) -> Option<Bad> {
    Some(match rule {
        Rule::ClaimHost => {
            let state = named().state;
            let steps = start(&state, 0).split_off(1);
            (state, steps)
        }
        Rule::VolumeUsable => {
            let mut state = named().state;
            let mut steps = start(&state, 0);
            state.apply(&steps.remove(0), NOW);
            let volume = state.volumes.values_mut().next()?;
            volume.state = VolumeState::Trashing;
            (state, steps)
        }
        Rule::OwnerVisible => {
            let mut state = named().state;
            let steps = start(&state, 0);
            state.claims.get_mut(&data(0))?.owner = Some(Ownership {
                user: "app".to_owned(),
                uid: 7,
                gid: 7,
            });
            let set = state.sets.get_mut(&db())?;
            set.members.get_mut(&Ordinal(0))?.lease = leases(FailurePolicy::Failover);
            (state, steps)
        }
        Rule::AccessModes => {
            let state = shared().state;
            let (member, epoch) = (member("db", 1), epoch(&state, 1));
            (state, vec![Step::Start { member, epoch }])
        }
        Rule::FillReported => (named().state, vec![fill(data(0))]),
        _ => return None,
    })
}

/// The volume of the first member, as a snapshot of it is taken while it runs.
fn snapshot(state: &State, claim: u32) -> Step {
    let key = data(claim);
    let volume = state.claims[&key].volume.clone().unwrap();
    let record = &state.volumes[&volume];
    Step::TakeSnapshot {
        name: volume_key("snap-uid-one"),
        snapshot: Snapshot {
            of: self::key("one"),
            claim: key,
            source: record.source.clone(),
            owners: record.owners.clone(),
            bytes: record.capacity,
            online: true,
            state: SnapshotState::Taking,
            created_at: NOW,
            volume,
        },
    }
}

/// Members that run on pools that copy in one instant, and an asked-for snapshot of the first.
fn copied() -> State {
    let mut state = running().state;
    for host in state.hosts.values_mut() {
        let info = PoolInfo {
            kind: PoolKind::Image,
            clones: true,
            ..PoolInfo::default()
        };
        host.record.pools.insert("default".to_owned(), info);
    }
    let mut object = VolumeSnapshot::default();
    "uid-one".clone_into(&mut object.metadata.uid);
    let source = &mut object.spec.source;
    "data-db-0".clone_into(&mut source.persistent_volume_claim_name);
    state.volume_snapshots.insert(key("one"), object);
    state
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each rule is in one of nine tables; the test below holds that none is missing"
)]
fn copies(rule: Rule) -> Option<Bad> {
    Some(match rule {
        Rule::SnapshotSource => {
            let state = copied();
            let step = snapshot(&state, 1);
            (state, vec![step])
        }
        Rule::CopyStill => {
            let mut state = copied();
            for host in state.hosts.values_mut() {
                host.record.pools.get_mut("default")?.clones = false;
            }
            let step = snapshot(&state, 0);
            (state, vec![step])
        }
        Rule::CopySource => {
            let mut state = named().state;
            let claim = state.claims.get_mut(&data(0))?;
            claim.spec.data_source = Some(DataSource {
                api_group: String::new(),
                kind: DataSourceKind::VolumeSnapshot,
                name: "one".to_owned(),
            });
            let step = bind_claim(&state, &data(0), &host_name(1));
            (state, vec![step])
        }
        _ => return None,
    })
}

/// A member goes to a host that is known to lack what its set requires.
fn lacking() -> Bad {
    let mut state = state(1);
    let mut wanted = spec(1, false);
    wanted.template.spec.requires.users = vec!["db".to_owned()];
    let required = wanted.template.spec.requires.each().next().unwrap();
    put_set(&mut state, "db", wanted);
    let contact = &mut state.hosts.get_mut(&host_name(1)).unwrap().contact;
    let finding = required.judge(&Fact::Absent);
    let of = required;
    contact.answered(vec![Answer { of, finding }], NOW);
    let step = assign(&state, "db", 0, 1);
    (state, vec![step])
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each rule is in one of nine tables; the test below holds that none is missing"
)]
fn places(rule: Rule) -> Option<Bad> {
    Some(match rule {
        Rule::AddressUnique => {
            let member = member("db", 0);
            let address = "10.0.0.2".parse().unwrap();
            (running().state, vec![Step::TakeAddress { member, address }])
        }
        Rule::AddressOwned => {
            let state = lost().state;
            let steps = replace(&state, |step| {
                if let Step::Assign { address, .. } = step {
                    *address = "10.0.0.99".parse().unwrap();
                }
            });
            (state, steps)
        }
        Rule::SocketUnique => {
            let mut state = running().state;
            other_set(&mut state, true);
            let step = assign(&state, "other", 0, 1);
            (state, vec![step])
        }
        Rule::RequirementsMet => lacking(),
        Rule::SpreadEven => {
            let mut state = state(4);
            let mut wanted = spec(2, false);
            let constraints = &mut wanted.template.spec.topology_spread_constraints;
            constraints.push(TopologySpreadConstraint {
                topology_key: "rack".to_owned(),
                max_skew: 1,
                ..TopologySpreadConstraint::default()
            });
            put_set(&mut state, "db", wanted);
            for (n, rack) in [(1, "a"), (2, "a"), (3, "b")] {
                let host = state.hosts.get_mut(&host_name(n)).unwrap();
                host.record.label("rack", Some(rack));
            }
            let steps = vec![assign(&state, "db", 0, 1), assign(&state, "db", 1, 2)];
            (state, steps)
        }
        Rule::OwnHost => {
            let mut state = state(2);
            let mut wanted = spec(0, false);
            wanted.replicas = None;
            wanted.placement = Placement::PerHost;
            put_set(&mut state, "db", wanted);
            let take = |ordinal| Step::TakeHost {
                member: member("db", ordinal),
                host: host_name(1),
            };
            (state, vec![take(0), take(1)])
        }
        Rule::HostFences => {
            let mut state = state(2);
            let mut wanted = spec(1, false);
            wanted.failure_policy = FailurePolicy::Failover;
            put_set(&mut state, "db", wanted);
            let step = assign(&state, "db", 0, 1);
            (state, vec![step])
        }
        Rule::HostFits => {
            let mut state = running().state;
            other_set(&mut state, false);
            let host = state.hosts.get_mut(&host_name(1)).unwrap();
            host.record.unschedulable = true;
            let step = assign(&state, "other", 0, 1);
            (state, vec![step])
        }
        _ => return None,
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each rule is in one of nine tables; the test below holds that none is missing"
)]
fn founding(rule: Rule) -> Option<Bad> {
    let set = db();
    Some(match rule {
        Rule::FoundOnce => {
            let mut friends = quorum();
            friends.settle();
            let founders = Vec::new();
            (friends.state, vec![Step::Found { set, founders }])
        }
        Rule::FoundersComplete => {
            let state = quorum().state;
            let of = &state.sets[&set];
            let founders = vec![peer(&state, of, &member("db", 0))];
            (state, vec![Step::Found { set, founders }])
        }
        Rule::FoundedFirst => {
            let state = quorum().state;
            let steps = start(&state, 0);
            (state, steps)
        }
        Rule::FounderDisk => {
            let mut friends = quorum();
            friends.unready.extend([0, 1, 2].map(|n| member("db", n)));
            friends.settle();
            friends.lose(&member("db", 0));
            friends.state.claims.remove(&data(0));
            friends.state.volumes.clear();
            friends.settle();
            let steps = start(&friends.state, 0);
            (friends.state, steps)
        }
        Rule::GatePassed => {
            let mut friends = running();
            friends.unready.insert(member("db", 0));
            friends.settle();
            let (member, epoch) = (member("db", 0), epoch(&friends.state, 0));
            (friends.state, vec![Step::PassGate { member, epoch }])
        }
        Rule::FoundingKept => {
            let mut friends = quorum();
            friends.settle();
            (friends.state, vec![Step::ForgetFounding { set }])
        }
        _ => return None,
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each rule is in one of nine tables; the test below holds that none is missing"
)]
fn ends(rule: Rule) -> Option<Bad> {
    let set = db();
    Some(match rule {
        Rule::SetEmpty => {
            let state = running().state;
            let uid = state.sets[&set].uid.clone();
            (state, vec![Step::RemoveSet { set, uid }])
        }
        Rule::RevisionKept => {
            let state = running().state;
            let revision = state.sets[&set].revision.clone();
            (state, vec![Step::DropRevision { set, revision }])
        }
        Rule::ReloadFits => {
            let mut state = running().state;
            let mut spec = (*state.sets[&set].spec).clone();
            spec.config_update = ConfigUpdate::Reload;
            spec.template.spec.processes[0].args.push("-v".to_owned());
            put_set(&mut state, "db", spec);
            let (id, set) = (member("db", 1), &state.sets[&set]);
            let step = Step::Reload {
                epoch: set.members[&id.ordinal].epoch,
                member: id,
                revision: set.revision.clone(),
            };
            (state, vec![step])
        }
        Rule::CarriesSame => {
            let mut state = running().state;
            let mut wanted = spec(3, true);
            wanted.overrides.push(special("2"));
            put_set(&mut state, "db", wanted);
            let step = Step::Carry {
                member: member("db", 2),
                epoch: epoch(&state, 2),
                revision: state.sets[&db()].revision.clone(),
            };
            (state, vec![step])
        }
        Rule::ZoneSerial => {
            let state = running().state;
            let zone = ZoneHead {
                serial: ZoneSerial(state.zone.serial.0 + 2),
                hash: zone::build(&state).hash(),
            };
            (state, vec![Step::PublishZone { zone }])
        }
        Rule::ZonePublished => {
            let mut friends = lost();
            let mut steps = replace(&friends.state, |_| {});
            steps.truncate(1);
            friends
                .state
                .sets
                .get_mut(&set)
                .unwrap()
                .last_grants
                .clear();
            (friends.state, steps)
        }
        _ => return None,
    })
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
        let leaving = leaving::leaving;
        let all = [
            grants, order, volumes, copies, starts, places, founding, ends, updates, leaving,
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
    if !parked.contains_key(&db()) {
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
