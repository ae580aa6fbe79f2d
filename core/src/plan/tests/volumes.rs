//! Claims and their volumes: made, adopted, bound, shared, full, grown.

use crate::{
    check::{Rule, check_plan},
    fixture::{
        NOW, class, friend::Friends, hand_made, host_name, key, member, nfs_class, put_set,
        quantity, spec, state, static_volume, volume_key,
    },
    ids::{ClaimKey, Ordinal, Uid},
    plan::{Plan, Step, plan},
    spec::{
        AccessMode, ClaimReference, ClaimTemplate, GatePolicy, LabelSelector, LimitPolicy,
        MemberVolume, Provisioner, Spread, StatefulSetSpec,
    },
    state::{State, VolumeState},
    volume::{PoolInfo, VolumeSource},
    waiting::{BoundVolume, HostRefusal, Reason, Refusal, VolumeMisfit, VolumeRefusal},
};

fn settled(state: State) -> Friends {
    let mut friends = Friends::new(state);
    settle(&mut friends);
    friends
}

/// Settles; the checker has nothing to say about any plan on the way.
fn settle(friends: &mut Friends) {
    for _ in 0..100 {
        let before = friends.state.clone();
        let (steps, _) = plan(&before, friends.now);
        assert_eq!(check_plan(&before, &steps, friends.now), []);
        friends.plan();
        friends.agents();
        if friends.state == before {
            return;
        }
    }
    panic!("does not settle: {:#?}", friends.report);
}

fn template(spec: &mut StatefulSetSpec) -> &mut ClaimTemplate {
    &mut spec.volume_claim_templates[0]
}

fn select(name: &str, value: &str) -> Option<LabelSelector> {
    let mut selector = LabelSelector::default();
    let labels = &mut selector.match_labels;
    labels.insert(name.to_owned(), value.to_owned());
    Some(selector)
}

fn labelled(state: &mut State, name: &str, slot: &str) {
    let volume = static_volume(state, name, 5);
    let labels = &mut volume.metadata.labels;
    labels.insert("slot".to_owned(), slot.to_owned());
}

fn claim(text: &str) -> ClaimKey {
    key(text)
}

/// Where the data of a claim lies.
fn place(state: &State, name: &str) -> String {
    let volume = state.volume_of(&state.claims[&claim(name)]);
    volume.map_or_else(|| "nowhere".to_owned(), |volume| volume.source.describe())
}

fn shares(spec: &mut StatefulSetSpec, claim: &str) {
    spec.template.spec.volumes.push(MemberVolume {
        name: "shared".to_owned(),
        persistent_volume_claim: ClaimReference {
            claim_name: claim.to_owned(),
            read_only: false,
        },
    });
}

/// A claim that was made by hand, and the volume that it is bound to.
fn shared_claim(state: &mut State, name: &str, mode: AccessMode) {
    static_volume(state, name, 5).spec.access_modes = vec![mode];
    hand_made(state, name, 5).spec.access_modes = vec![mode];
}

/// The usual tutorial: two volumes on a server, two claims made by hand that select them by label,
/// and the set.
#[test]
fn every_member_has_its_own_path_whatever_the_order_of_creation() {
    for seed in 0..100_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % u64::try_from(below).unwrap()).unwrap()
        };
        let mut makes: Vec<usize> = (0..5).collect();
        let mut friends = Friends::new(state(3));
        while !makes.is_empty() {
            let make = makes.remove(next(makes.len()));
            let state = &mut friends.state;
            match make {
                0 | 1 => labelled(state, &format!("pv-{}", 1 - make), &format!("web-{make}")),
                2 | 3 => {
                    let slot = format!("web-{}", make - 2);
                    let claim = hand_made(state, &format!("data-{slot}"), 5);
                    claim.spec.selector = select("slot", &slot);
                }
                _ => {
                    let mut wanted = spec(2, true);
                    let asked = &mut template(&mut wanted).spec;
                    asked.storage_class_name = Some(String::new());
                    asked.selector = select("slot", "web-{{ ordinal }}");
                    asked.access_modes = vec![AccessMode::ReadWriteOnce];
                    asked.resources.requests = quantity(5);
                    put_set(state, "web", wanted);
                }
            }
            if makes.is_empty() || next(2) == 0 {
                // A claim of the set may be there before the one made by hand.
                let made = |make: usize| {
                    friends
                        .state
                        .claims
                        .contains_key(&claim(&format!("data-web-{}", make - 2)))
                };
                let left: Vec<usize> = makes
                    .iter()
                    .copied()
                    .filter(|m| !(2..4).contains(m) || !made(*m))
                    .collect();
                makes = left;
                settle(&mut friends);
            }
        }
        settle(&mut friends);
        assert_eq!(friends.running(), ["web-0", "web-1"], "seed {seed}");
        assert!(
            friends.report.waiting.is_empty(),
            "seed {seed}: {:?}",
            friends.report
        );
        assert_eq!(
            place(&friends.state, "data-web-0"),
            "nfs:nas:/static/pv-1",
            "seed {seed}"
        );
        assert_eq!(
            place(&friends.state, "data-web-1"),
            "nfs:nas:/static/pv-0",
            "seed {seed}"
        );
    }
}

#[test]
fn a_claim_made_by_hand_is_bound_at_once_and_one_for_a_pool_waits() {
    let mut state = state(2);
    static_volume(&mut state, "pv", 5);
    hand_made(&mut state, "ready", 5);
    hand_made(&mut state, "none", 6);
    hand_made(&mut state, "pool", 5).spec.storage_class_name = Some("local".to_owned());
    hand_made(&mut state, "unknown", 5).spec.storage_class_name = Some("unknown".to_owned());
    nfs_class(&mut state, "nfs");
    hand_made(&mut state, "made", 5).spec.storage_class_name = Some("nfs".to_owned());
    let friends = settled(state);
    assert_eq!(place(&friends.state, "ready"), "nfs:nas:/static/pv");
    assert_eq!(place(&friends.state, "pool"), "nowhere");
    assert_eq!(
        place(&friends.state, "made"),
        "nfs:nas:/exports/default_made"
    );
    let waits = &friends.report.claims;
    assert_eq!(waits.len(), 3, "{waits:?}");
    let because = VolumeMisfit::Bound {
        claim: claim("ready"),
        released: false,
    };
    let volume = "pv".to_owned();
    let volumes = vec![VolumeRefusal { volume, because }];
    let none = claim("none");
    let Reason::NoMatchingVolume { volumes: found, .. } = &waits[&none] else {
        panic!("{waits:?}");
    };
    assert_eq!(found[..1], volumes);
    let (key, class) = (claim("unknown"), "unknown".to_owned());
    let missing = Reason::ClassMissing {
        claim: key.clone(),
        class,
    };
    assert_eq!(waits[&key], missing);
}

#[test]
fn nothing_is_bound_while_a_host_has_another_history() {
    let mut state = state(2);
    static_volume(&mut state, "pv", 5);
    hand_made(&mut state, "ready", 5);
    state
        .past
        .mismatched
        .insert(host_name(1), crate::history::Mismatched::default());
    let mut friends = settled(state);
    assert_eq!(place(&friends.state, "ready"), "nowhere");
    friends.state.past.mismatched.clear();
    settle(&mut friends);
    assert_eq!(place(&friends.state, "ready"), "nfs:nas:/static/pv");
}

#[test]
fn a_claim_made_by_hand_is_adopted_if_it_satisfies_the_template() {
    let mut state = state(2);
    static_volume(&mut state, "pv", 5);
    hand_made(&mut state, "data-web-0", 5);
    let mut wanted = spec(1, true);
    template(&mut wanted).spec.resources.requests = quantity(5);
    put_set(&mut state, "web", wanted);
    let friends = settled(state);
    let adopted = &friends.state.claims[&claim("data-web-0")];
    assert_eq!(adopted.uid, Uid("uid-data-web-0".to_owned()));
    assert_eq!(adopted.member, Some(member("web", 0)));
    assert!(adopted.filled);
    assert_eq!(place(&friends.state, "data-web-0"), "nfs:nas:/static/pv");
}

#[test]
fn one_that_does_not_holds_the_member_with_the_difference() {
    let mut state = state(2);
    hand_made(&mut state, "data-web-0", 4);
    let mut wanted = spec(1, true);
    template(&mut wanted).spec.resources.requests = quantity(5);
    put_set(&mut state, "web", wanted);
    let mut friends = settled(state);
    let mismatch = Reason::ClaimMismatch {
        claim: claim("data-web-0"),
        differences: vec!["storage is 4, not 5".to_owned()],
    };
    assert_eq!(friends.report.waiting[&member("web", 0)], mismatch);
    friends.state.claims.clear();
    settle(&mut friends);
    assert_eq!(friends.running(), ["web-0"]);
}

#[test]
fn a_member_without_a_matching_volume_has_its_name_and_waits() {
    let mut state = state(2);
    let mut wanted = spec(2, true);
    template(&mut wanted).spec.selector = select("slot", "{{ member }}");
    put_set(&mut state, "web", wanted);
    labelled(&mut state, "pv-1", "web-1");
    let mut friends = settled(state);
    let because = VolumeMisfit::Bound {
        claim: claim("data-web-1"),
        released: false,
    };
    let volume = "pv-1".to_owned();
    let none = Reason::NoMatchingVolume {
        claim: claim("data-web-0"),
        volumes: vec![VolumeRefusal { volume, because }],
    };
    assert_eq!(friends.report.waiting[&member("web", 0)], none);
    assert_eq!(
        friends.state.sets[&key("web")].members.len(),
        2,
        "names first"
    );
    let volume = "nfs:nas:/static/pv-1";
    assert_eq!(
        place(&friends.state, "data-web-1"),
        volume,
        "before its start"
    );
    labelled(&mut friends.state, "pv-0", "web-0");
    settle(&mut friends);
    assert!(friends.report.waiting.is_empty());
    let made = &friends.state.claims[&claim("data-web-0")];
    assert_eq!(
        made.spec.storage_class_name.as_deref(),
        Some(""),
        "no class makes those"
    );
    assert_eq!(made.labels["slot"], "web-0", "as upstream");
}

#[test]
fn a_class_without_an_object_is_missing_unless_a_volume_has_it() {
    let mut state = state(1);
    let mut wanted = spec(1, true);
    template(&mut wanted).spec.storage_class_name = Some("manual".to_owned());
    put_set(&mut state, "web", wanted);
    let mut friends = settled(state);
    let (claim, class) = (claim("data-web-0"), "manual".to_owned());
    let missing = Reason::ClassMissing { claim, class };
    assert_eq!(friends.report.waiting[&member("web", 0)], missing);
    assert!(
        friends.state.claims.is_empty(),
        "nothing is made that could not be taken back"
    );
    let volume = static_volume(&mut friends.state, "pv", 5);
    volume.spec.storage_class_name = "manual".to_owned();
    settle(&mut friends);
    assert_eq!(place(&friends.state, "data-web-0"), "nfs:nas:/static/pv");
}

#[test]
fn a_volume_kept_for_the_claim_is_not_replaced_by_a_new_one() {
    let mut state = state(1);
    let mut wanted = spec(1, true);
    template(&mut wanted).spec.resources.requests = quantity(5);
    put_set(&mut state, "web", wanted);
    let volume = static_volume(&mut state, "pv", 4);
    volume.spec.claim_ref = Some(crate::spec::ClaimRef {
        name: "data-web-0".to_owned(),
        ..crate::spec::ClaimRef::default()
    });
    let mut friends = settled(state);
    let reason = &friends.report.waiting[&member("web", 0)];
    assert!(
        matches!(reason, Reason::NoMatchingVolume { .. }),
        "{reason}"
    );
    let volume = friends
        .state
        .persistent_volumes
        .values_mut()
        .next()
        .unwrap();
    volume.spec.capacity = quantity(5);
    settle(&mut friends);
    assert_eq!(place(&friends.state, "data-web-0"), "nfs:nas:/static/pv");
}

#[test]
fn a_lost_or_trashed_volume_holds_its_member() {
    let mut state = state(2);
    put_set(&mut state, "web", spec(1, true));
    let mut friends = settled(state);
    put_set(&mut friends.state, "web", spec(0, true));
    settle(&mut friends);
    assert!(friends.running().is_empty());
    let volumes = friends.state.volumes.clone();
    let (name, _) = volumes.first_key_value().unwrap();
    put_set(&mut friends.state, "web", spec(1, true));
    let bound = BoundVolume {
        claim: claim("data-web-0"),
        volume: name.name.to_string(),
    };
    let gone = Reason::VolumeGone(bound.clone());
    for state in [VolumeState::Trashing, VolumeState::Trashed { since: NOW }] {
        friends.state.volumes.get_mut(name).unwrap().state = state;
        settle(&mut friends);
        assert_eq!(friends.report.waiting[&member("web", 0)], gone);
    }
    friends.state.volumes.get_mut(name).unwrap().state = VolumeState::Restoring;
    settle(&mut friends);
    assert_eq!(
        friends.report.waiting[&member("web", 0)],
        Reason::VolumeRestoring(bound)
    );
    friends.state.volumes.clear();
    settle(&mut friends);
    assert_eq!(
        friends.report.waiting[&member("web", 0)],
        gone,
        "lost for good"
    );
    friends.state.volumes = volumes;
    settle(&mut friends);
    assert!(friends.report.waiting.is_empty());
}

#[test]
fn a_new_volume_never_has_the_directory_of_another() {
    let mut state = state(1);
    put_set(&mut state, "web", spec(1, true));
    let mut friends = settled(state);
    let first = "local:default/default_data-web-0";
    assert_eq!(place(&friends.state, "data-web-0"), first);
    put_set(&mut friends.state, "web", spec(0, true));
    settle(&mut friends);
    friends.state.claims.clear();
    put_set(&mut friends.state, "web", spec(1, true));
    settle(&mut friends);
    let uid: String = friends.state.claims[&claim("data-web-0")]
        .uid
        .0
        .chars()
        .take(8)
        .collect();
    assert_eq!(
        place(&friends.state, "data-web-0"),
        format!("{first}.{uid}")
    );
}

#[test]
fn a_directory_on_a_server_is_never_given_twice() {
    let mut state = state(2);
    let made = nfs_class(&mut state, "nfs");
    made.parameters.sub_dir = "{{ set }}".to_owned();
    let mut wanted = spec(2, true);
    wanted.pod_management_policy = GatePolicy::Parallel;
    template(&mut wanted).spec.storage_class_name = Some("nfs".to_owned());
    put_set(&mut state, "web", wanted.clone());
    let friends = settled(state.clone());
    assert_eq!(place(&friends.state, "data-web-0"), "nfs:nas:/exports/web");
    let first = friends.state.claims[&claim("data-web-0")]
        .volume
        .clone()
        .unwrap();
    let taken = Reason::ExportTaken {
        claim: claim("data-web-1"),
        path: "nfs:nas:/exports/web".to_owned(),
        volume: first.name.to_string(),
    };
    assert_eq!(friends.report.waiting[&member("web", 1)], taken);
    // Nor one around which, or in which, a volume made by hand lies.
    for path in ["/exports", "/exports/web", "/exports/web/deep"] {
        let mut state = state.clone();
        let object = static_volume(&mut state, "pv", 5);
        path.clone_into(&mut object.spec.nfs.as_mut().unwrap().path);
        let friends = settled(state);
        let reason = &friends.report.waiting[&member("web", 0)];
        assert!(
            matches!(reason, Reason::ExportTaken { .. }),
            "{path}: {reason}"
        );
    }
    let made = nfs_class(&mut state, "nfs");
    for dir in [
        "../{{ set }}",
        "{{ '.x' }}",
        "{{ '' }}",
        "a/b",
        "{{ nobody }}",
    ] {
        made.parameters.sub_dir = dir.to_owned();
    }
    let friends = settled(state);
    let reason = &friends.report.waiting[&member("web", 0)];
    assert!(matches!(reason, Reason::RenderFailed { .. }), "{reason}");
}

#[test]
fn members_on_a_server_move_with_their_data() {
    let mut state = state(2);
    nfs_class(&mut state, "nfs");
    let mut wanted = spec(1, true);
    template(&mut wanted).spec.storage_class_name = Some("nfs".to_owned());
    put_set(&mut state, "web", wanted.clone());
    let mut friends = settled(state);
    let before = place(&friends.state, "data-web-0");
    wanted.replicas = Some(0);
    put_set(&mut friends.state, "web", wanted.clone());
    settle(&mut friends);
    let host = friends.state.hosts.get_mut(&host_name(1)).unwrap();
    host.record.unschedulable = true;
    wanted.replicas = Some(1);
    put_set(&mut friends.state, "web", wanted);
    settle(&mut friends);
    let member = &friends.state.sets[&key("web")].members[&Ordinal(0)];
    assert_eq!(member.host, host_name(2));
    assert_eq!(place(&friends.state, "data-web-0"), before);
}

#[test]
fn a_claim_for_one_host_keeps_its_users_together() {
    let mut state = state(2);
    shared_claim(&mut state, "media", AccessMode::ReadWriteOnce);
    let mut wanted = spec(2, false);
    wanted.template.spec.processes[0].ports.clear();
    shares(&mut wanted, "media");
    put_set(&mut state, "web", wanted.clone());
    let mut friends = settled(state);
    let Reason::NoEligibleHost { hosts } = &friends.report.waiting[&member("web", 1)] else {
        panic!("{:?}", friends.report);
    };
    let elsewhere = HostRefusal {
        host: host_name(2),
        because: Refusal::ClaimElsewhere {
            claim: claim("media"),
            host: host_name(1),
        },
    };
    assert!(hosts.contains(&elsewhere), "{hosts:?}");
    wanted.spread = Spread::Prefer;
    put_set(&mut friends.state, "web", wanted);
    settle(&mut friends);
    let members = friends.state.sets[&key("web")].members.values();
    let hosts: Vec<_> = members.map(|member| member.host.clone()).collect();
    assert_eq!(hosts, [host_name(1), host_name(1)]);
    assert!(friends.state.claims[&claim("media")].filled);
}

#[test]
fn a_claim_for_one_member_is_used_by_one_at_a_time() {
    let mut state = state(2);
    shared_claim(&mut state, "media", AccessMode::ReadWriteOncePod);
    for set in ["a", "b"] {
        let mut wanted = spec(1, false);
        wanted.template.spec.processes[0].ports.clear();
        shares(&mut wanted, "media");
        put_set(&mut state, set, wanted);
    }
    let mut friends = settled(state);
    let in_use = Reason::VolumeInUse {
        claim: claim("media"),
        mode: AccessMode::ReadWriteOncePod,
        by: member("a", 0),
    };
    assert_eq!(friends.report.waiting[&member("b", 0)], in_use);
    friends.lingering.insert(member("a", 0));
    friends.state.sets.get_mut(&key("a")).unwrap().deleting = Some(NOW);
    settle(&mut friends);
    assert_eq!(
        friends.report.waiting[&member("b", 0)],
        in_use,
        "it is not proven gone"
    );
    friends.lingering.clear();
    settle(&mut friends);
    assert_eq!(friends.running(), ["b-0"]);
    assert!(friends.report.waiting.is_empty());
}

#[test]
fn a_claim_for_many_is_used_everywhere_and_read_only_if_it_says_so() {
    for mode in [AccessMode::ReadWriteMany, AccessMode::ReadOnlyMany] {
        let mut state = state(2);
        shared_claim(&mut state, "media", mode);
        let mut wanted = spec(2, true);
        shares(&mut wanted, "media");
        put_set(&mut state, "web", wanted);
        let friends = settled(state);
        assert!(friends.report.waiting.is_empty(), "{:?}", friends.report);
        for n in 0..2 {
            let order = crate::state::orders::member_order(&friends.state, &member("web", n));
            let volumes = order.unwrap().volumes;
            let [own, shared] = &volumes[..] else {
                panic!("{volumes:?}");
            };
            assert!(!own.shared && !own.read_only);
            assert_eq!(shared.name, "shared");
            assert!(shared.shared);
            assert_eq!(shared.read_only, mode == AccessMode::ReadOnlyMany);
        }
    }
}

#[test]
fn a_shared_claim_is_waited_for_until_it_is_there_and_bound() {
    let mut state = state(2);
    let mut wanted = spec(1, false);
    shares(&mut wanted, "media");
    put_set(&mut state, "web", wanted);
    let mut friends = settled(state);
    let claim = claim("media");
    let missing = Reason::ClaimMissing {
        claim: claim.clone(),
    };
    assert_eq!(friends.report.waiting[&member("web", 0)], missing);
    hand_made(&mut friends.state, "media", 5);
    settle(&mut friends);
    let pending = Reason::ClaimPending { claim };
    assert_eq!(friends.report.waiting[&member("web", 0)], pending);
    static_volume(&mut friends.state, "pv", 5);
    settle(&mut friends);
    assert!(friends.report.waiting.is_empty());
}

#[test]
fn a_shared_claim_in_a_pool_is_where_its_first_user_is() {
    let mut state = state(2);
    let shared = hand_made(&mut state, "media", 5);
    shared.spec.storage_class_name = None;
    shared.spec.access_modes = vec![AccessMode::ReadWriteMany];
    let mut wanted = spec(2, false);
    wanted.template.spec.processes[0].ports.clear();
    wanted.spread = Spread::Prefer;
    shares(&mut wanted, "media");
    put_set(&mut state, "web", wanted);
    let friends = settled(state);
    assert!(friends.report.waiting.is_empty(), "{:?}", friends.report);
    let members = friends.state.sets[&key("web")].members.values();
    let hosts: Vec<_> = members.map(|member| member.host.clone()).collect();
    assert_eq!(hosts, [host_name(1), host_name(1)]);
    let media = &friends.state.claims[&claim("media")];
    assert_eq!(
        media.spec.storage_class_name.as_deref(),
        Some("local"),
        "for good"
    );
}

#[test]
fn what_a_template_made_is_shared_by_nobody() {
    let mut state = state(2);
    put_set(&mut state, "web", spec(1, true));
    let mut other = spec(1, false);
    other.template.spec.processes[0].ports.clear();
    shares(&mut other, "data-web-0");
    put_set(&mut state, "x", other);
    let friends = settled(state);
    let reason = &friends.report.waiting[&member("x", 0)];
    let by = member("web", 0);
    let mode = AccessMode::ReadWriteOnce;
    let claim = claim("data-web-0");
    assert_eq!(*reason, Reason::VolumeInUse { claim, mode, by });
}

/// Pools of 10 bytes; limited on all hosts or on none.
fn small_pools(state: &mut State, limits: bool) {
    for host in state.hosts.values_mut() {
        let info = PoolInfo {
            capacity: 10,
            limits,
            ..PoolInfo::default()
        };
        host.record.pools.insert("default".to_owned(), info);
    }
}

fn sized(replicas: i64, bytes: u64) -> StatefulSetSpec {
    let mut wanted = spec(replicas, true);
    wanted.spread = Spread::Prefer;
    wanted.pod_management_policy = GatePolicy::Parallel;
    wanted.template.spec.processes[0].ports.clear();
    template(&mut wanted).spec.resources.requests = quantity(bytes);
    wanted
}

fn full(wanted: u64, free: u64) -> Refusal {
    let pool = "default".to_owned();
    Refusal::PoolFull { pool, wanted, free }
}

#[test]
fn a_claim_that_no_pool_can_hold_is_a_reason() {
    let mut state = state(2);
    small_pools(&mut state, false);
    put_set(&mut state, "web", sized(1, 11));
    let friends = settled(state);
    let hosts = (1..=2).map(|n| HostRefusal {
        host: host_name(n),
        because: full(11, 10),
    });
    let hosts = hosts.collect();
    let none = Reason::NoEligibleHost { hosts };
    assert_eq!(friends.report.waiting[&member("web", 0)], none);
    assert!(friends.state.claims.is_empty());
}

#[test]
fn a_class_that_must_limit_takes_only_pools_that_do() {
    let mut state = state(2);
    small_pools(&mut state, false);
    let fixed = class(&mut state, "fixed");
    fixed.provisioner = Provisioner::Local;
    fixed.parameters.limits = LimitPolicy::Required;
    let mut wanted = sized(1, 4);
    template(&mut wanted).spec.storage_class_name = Some("fixed".to_owned());
    put_set(&mut state, "web", wanted);
    let friends = settled(state.clone());
    let hosts = (1..=2).map(|n| HostRefusal {
        host: host_name(n),
        because: Refusal::NoLimits {
            pool: "default".to_owned(),
        },
    });
    let hosts = hosts.collect();
    let none = Reason::NoEligibleHost { hosts };
    assert_eq!(friends.report.waiting[&member("web", 0)], none);
    let pools = &mut state.hosts.get_mut(&host_name(2)).unwrap().record.pools;
    pools.get_mut("default").unwrap().limits = true;
    let friends = settled(state);
    assert_eq!(
        place(&friends.state, "data-web-0"),
        "local:default/default_data-web-0"
    );
    let key = claim("data-web-0");
    let volume = friends
        .state
        .volume_of(&friends.state.claims[&key])
        .unwrap();
    assert_eq!(volume.source.host(), Some(&host_name(2)));
    // The checker knows it by itself.
    let mut before = friends.state.clone();
    let pools = &mut before.hosts.get_mut(&host_name(2)).unwrap().record.pools;
    pools.get_mut("default").unwrap().limits = false;
    let volume = volume.clone();
    before.volumes.clear();
    let name = before.claims.get_mut(&key).unwrap().volume.take().unwrap();
    let plan = Plan {
        steps: vec![Step::BindClaim { key, name, volume }],
    };
    let found = check_plan(&before, &plan, friends.now);
    let rules: Vec<_> = found.iter().map(|breach| breach.rule).collect();
    assert!(rules.contains(&Rule::BoundFits), "{found:?}");
}

#[test]
fn a_pool_that_is_not_there_takes_nobody_new_and_keeps_who_has_a_volume_there() {
    let mut state = state(2);
    let set_missing = |state: &mut State, host: u8, missing: bool| {
        let host = state.hosts.get_mut(&host_name(host)).unwrap();
        host.record.pools.get_mut("default").unwrap().missing = missing;
    };
    set_missing(&mut state, 1, true);
    put_set(&mut state, "web", sized(1, 4));
    let friends = settled(state.clone());
    let web = member("web", 0).ordinal;
    let host = |friends: &Friends| friends.state.sets[&key("web")].members[&web].host.clone();
    assert_eq!(host(&friends), host_name(2));

    // Its own pool goes away: it stays, and neither grows nor moves.
    let mut state = friends.state;
    set_missing(&mut state, 1, false);
    set_missing(&mut state, 2, true);
    put_set(&mut state, "web", sized(1, 6));
    let friends = settled(state.clone());
    assert_eq!(host(&friends), host_name(2));
    assert_eq!(friends.running().len(), 1);
    let grown = |friends: &Friends| friends.state.claims[&claim("data-web-0")].spec.storage();
    assert_eq!(grown(&friends), 4, "nobody knows whether there is room");
    set_missing(&mut state, 2, false);
    assert_eq!(grown(&settled(state.clone())), 6);

    // Where no host has it, the pool is the reason.
    (1..=2).for_each(|host| set_missing(&mut state, host, true));
    put_set(&mut state, "new", sized(1, 4));
    let friends = settled(state);
    let pool = || "default".to_owned();
    let hosts = (1..=2).map(|n| HostRefusal {
        host: host_name(n),
        because: Refusal::PoolNotThere { pool: pool() },
    });
    let hosts = hosts.collect();
    let none = Reason::NoEligibleHost { hosts };
    assert_eq!(friends.report.waiting[&member("new", 0)], none);
}

#[test]
fn pools_with_limits_are_never_promised_twice() {
    let mut state = state(2);
    small_pools(&mut state, true);
    put_set(&mut state, "web", sized(5, 4));
    let friends = settled(state.clone());
    assert_eq!(friends.running().len(), 4, "two on each");
    let Reason::NoEligibleHost { hosts } = &friends.report.waiting[&member("web", 4)] else {
        panic!("{:?}", friends.report);
    };
    assert!(hosts.iter().all(|refusal| refusal.because == full(4, 2)));
    small_pools(&mut state, false);
    let friends = settled(state);
    assert_eq!(
        friends.running().len(),
        5,
        "plain directories share their disk"
    );
}

#[test]
fn a_claim_grows_with_its_template() {
    let mut state = state(1);
    put_set(&mut state, "web", sized(1, 4));
    let mut friends = settled(state);
    let sizes = |friends: &Friends| {
        let claim = &friends.state.claims[&claim("data-web-0")];
        let volume = friends.state.volume_of(claim).unwrap();
        let order = crate::state::orders::member_order(&friends.state, &member("web", 0));
        (
            claim.spec.storage(),
            volume.capacity,
            order.unwrap().volumes[0].capacity,
        )
    };
    assert_eq!(sizes(&friends), (4, 4, 4));
    put_set(&mut friends.state, "web", sized(1, 6));
    settle(&mut friends);
    assert_eq!(sizes(&friends), (6, 6, 6), "nothing limits it");
    put_set(&mut friends.state, "web", sized(1, 5));
    settle(&mut friends);
    assert_eq!(sizes(&friends), (6, 6, 6), "it never shrinks");
    small_pools(&mut friends.state, true);
    put_set(&mut friends.state, "web", sized(1, 8));
    settle(&mut friends);
    assert_eq!(sizes(&friends), (8, 6, 8), "its agent makes it so");
    put_set(&mut friends.state, "web", sized(1, 11));
    settle(&mut friends);
    assert_eq!(sizes(&friends), (8, 6, 8));
    let warnings = &friends.report.warnings[&key("web")];
    assert!(
        warnings.iter().any(|text| text.contains("room for 10;")),
        "{warnings:?}"
    );
}

#[test]
fn what_cannot_grow_is_told() {
    let mut state = state(1);
    let fixed = class(&mut state, "fixed");
    fixed.provisioner = Provisioner::Local;
    static_volume(&mut state, "pv", 9);
    let mut wanted = sized(1, 4);
    template(&mut wanted).spec.storage_class_name = Some("fixed".to_owned());
    put_set(&mut state, "a", wanted.clone());
    let mut by_hand = sized(1, 4);
    template(&mut by_hand).spec.storage_class_name = Some(String::new());
    put_set(&mut state, "b", by_hand.clone());
    let mut friends = settled(state);
    template(&mut wanted).spec.resources.requests = quantity(5);
    template(&mut by_hand).spec.resources.requests = quantity(5);
    put_set(&mut friends.state, "a", wanted);
    put_set(&mut friends.state, "b", by_hand);
    settle(&mut friends);
    for (set, because) in [("a", "allowVolumeExpansion"), ("b", "made by hand")] {
        let warnings = &friends.report.warnings[&key(set)];
        assert!(
            warnings.iter().any(|text| text.contains(because)),
            "{warnings:?}"
        );
        let claim = &friends.state.claims[&claim(&format!("data-{set}-0"))];
        assert_eq!(claim.spec.storage(), 4);
    }
}

#[test]
fn who_owns_the_files_is_kept_of_a_volume_that_holds_no_record_itself() {
    use crate::volume::{Ownership, VolumeReport};
    let mut state = state(1);
    put_set(&mut state, "web", spec(1, true));
    let mut friends = settled(state);
    let owner = Ownership {
        user: "app".to_owned(),
        uid: 7,
        gid: 8,
    };
    let contact = &mut friends.state.hosts.get_mut(&host_name(1)).unwrap().contact;
    let seen = contact.members.get_mut(&member("web", 0)).unwrap();
    seen.report.volumes.push(VolumeReport {
        name: "data".to_owned(),
        recorded: true,
        owner: owner.clone(),
        address: None,
        usage: None,
    });
    let mut unrecorded = friends.state.clone();
    friends.plan();
    let key = claim("data-web-0");
    assert_eq!(friends.state.claims[&key].owner, None, "the record counts");
    let contact = &mut unrecorded.hosts.get_mut(&host_name(1)).unwrap().contact;
    let seen = contact.members.get_mut(&member("web", 0)).unwrap();
    seen.report.volumes[0].recorded = false;
    seen.report.volumes[0].address = Some([10, 0, 0, 5].into());
    friends.state = unrecorded;
    friends.plan();
    assert_eq!(friends.state.claims[&key].owner, Some(owner));
    let volume = friends.state.volumes.values().next().unwrap();
    assert_eq!(volume.address, Some([10, 0, 0, 5].into()));
}

#[test]
fn a_claim_that_nobody_uses_waits_although_it_names_a_volume_in_a_pool() {
    let mut state = state(2);
    put_set(&mut state, "web", spec(1, true));
    let mut friends = settled(state);
    friends.state.sets.get_mut(&key("web")).unwrap().deleting = Some(NOW);
    settle(&mut friends);
    friends.state.claims.clear();
    let (name, _) = friends.state.volumes.first_key_value().unwrap();
    let name = name.clone();
    let volume = friends.state.volumes.values_mut().next().unwrap();
    volume.claim = None;
    volume.access_modes.push(AccessMode::ReadWriteOnce);
    let solo = hand_made(&mut friends.state, "data-new-0", 0);
    solo.spec.volume_name = name.name.to_string();
    solo.spec.storage_class_name = Some("local".to_owned());
    settle(&mut friends);
    let waits = Reason::WaitForFirstConsumer {
        claim: claim("data-new-0"),
    };
    assert_eq!(friends.report.claims[&claim("data-new-0")], waits);
    put_set(&mut friends.state, "other", spec(1, true));
    put_set(&mut friends.state, "new", spec(1, true));
    settle(&mut friends);
    assert_eq!(friends.running().len(), 2, "{:?}", friends.report);
    assert_eq!(
        friends.state.claims[&claim("data-new-0")].volume,
        Some(name)
    );
}

#[test]
fn a_released_volume_in_a_pool_pins_who_asks_for_it_by_name() {
    let mut state = state(2);
    put_set(&mut state, "web", spec(1, true));
    let mut friends = settled(state);
    friends.state.sets.get_mut(&key("web")).unwrap().deleting = Some(NOW);
    settle(&mut friends);
    friends.state.claims.clear();
    let (name, volume) = friends.state.volumes.first_key_value().unwrap();
    let name = name.name.to_string();
    assert_eq!(volume.source.host(), Some(&host_name(1)));
    friends.state.volumes.values_mut().next().unwrap().claim = None;
    let host = friends.state.hosts.get_mut(&host_name(1)).unwrap();
    host.record.unschedulable = true;
    let mut wanted = spec(1, true);
    template(&mut wanted).spec.volume_name = name.clone();
    template(&mut wanted).spec.storage_class_name = Some("local".to_owned());
    put_set(&mut friends.state, "new", wanted);
    settle(&mut friends);
    let reason = &friends.report.waiting[&member("new", 0)];
    assert!(matches!(reason, Reason::NoEligibleHost { .. }), "{reason}");
    let host = friends.state.hosts.get_mut(&host_name(1)).unwrap();
    host.record.unschedulable = false;
    settle(&mut friends);
    let bound = &friends.state.claims[&claim("data-new-0")].volume;
    assert_eq!(*bound, Some(volume_key(&name)));
    let volume = &friends.state.volumes[&volume_key(&name)];
    assert!(matches!(volume.source, VolumeSource::Local { .. }));
}
