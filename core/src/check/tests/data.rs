//! Bad plans about claims, volumes and copies of them.

use super::*;

/// A claim `one` on volume `one`, and claim and volume `two` that wait for each other.
pub(super) fn two_volumes() -> State {
    let mut state = state(4);
    for name in ["one", "two"] {
        static_volume(&mut state, name, 5);
        hand_made(&mut state, name, 5);
    }
    let step = bind_static(&state, "one", "one");
    state.apply(&step, NOW);
    state
}

pub(super) fn bind_static(state: &State, claim: &str, volume: &str) -> Step {
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
pub(super) fn volumes(rule: Rule) -> Option<Bad> {
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
pub(super) fn starts(rule: Rule) -> Option<Bad> {
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
pub(super) fn snapshot(state: &State, claim: u32) -> Step {
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
pub(super) fn copied() -> State {
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
pub(super) fn copies(rule: Rule) -> Option<Bad> {
    Some(match rule {
        Rule::SnapshotSource => {
            let state = copied();
            let step = snapshot(&state, 1);
            (state, vec![step])
        }
        Rule::SnapshotMeant => {
            let state = copied();
            let uid = state.claims[&data(1)].uid.clone();
            let (key, claim) = (key("one"), data(1));
            (state, vec![Step::PinSnapshot { key, claim, uid }])
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
