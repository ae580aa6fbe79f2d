//! Claims and their volumes: made, adopted, bound; in `shared` who shares them, in `pools` what room there
//! is for them and how they grow.

use crate::{
    check::{Rule, check_plan},
    fixture::{
        NOW, class, friend::Friends, hand_made, host_name, key, member, nfs_class, put_set,
        quantity, spec, state, static_volume, volume_key,
    },
    ids::{ClaimKey, Ordinal, Uid},
    plan::{Plan, Step},
    spec::{
        AccessMode, ClaimReference, ClaimTemplate, GatePolicy, LabelSelector, LimitPolicy,
        MemberVolume, Provisioner, Spread, StatefulSetSpec,
    },
    state::{State, VolumeState},
    volume::{PoolInfo, VolumeSource},
    waiting::{BoundVolume, HostRefusal, Reason, Refusal, VolumeMisfit, VolumeRefusal},
};

mod pools;
mod shared;

fn settled(state: State) -> Friends {
    let mut friends = Friends::new(state);
    friends.settle_checked();
    friends
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
                friends.settle_checked();
            }
        }
        friends.settle_checked();
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
    friends.settle_checked();
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
    friends.settle_checked();
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
    friends.settle_checked();
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
    friends.settle_checked();
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
    friends.settle_checked();
    assert_eq!(place(&friends.state, "data-web-0"), "nfs:nas:/static/pv");
}

#[test]
fn a_lost_or_trashed_volume_holds_its_member() {
    let mut state = state(2);
    put_set(&mut state, "web", spec(1, true));
    let mut friends = settled(state);
    put_set(&mut friends.state, "web", spec(0, true));
    friends.settle_checked();
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
        friends.settle_checked();
        assert_eq!(friends.report.waiting[&member("web", 0)], gone);
    }
    friends.state.volumes.get_mut(name).unwrap().state = VolumeState::Restoring;
    friends.settle_checked();
    assert_eq!(
        friends.report.waiting[&member("web", 0)],
        Reason::VolumeRestoring(bound)
    );
    friends.state.volumes.clear();
    friends.settle_checked();
    assert_eq!(
        friends.report.waiting[&member("web", 0)],
        gone,
        "lost for good"
    );
    friends.state.volumes = volumes;
    friends.settle_checked();
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
    friends.settle_checked();
    friends.state.claims.clear();
    put_set(&mut friends.state, "web", spec(1, true));
    friends.settle_checked();
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
    for dir in [
        "../{{ set }}",
        "{{ '.x' }}",
        "{{ '' }}",
        "a/b",
        "{{ nobody }}",
    ] {
        nfs_class(&mut state, "nfs").parameters.sub_dir = dir.to_owned();
        let friends = settled(state.clone());
        let reason = &friends.report.waiting[&member("web", 0)];
        let refused = matches!(reason, Reason::RenderFailed { .. });
        assert!(refused, "{dir}: {reason}");
    }
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
    friends.settle_checked();
    let host = friends.state.hosts.get_mut(&host_name(1)).unwrap();
    host.record.unschedulable = true;
    wanted.replicas = Some(1);
    put_set(&mut friends.state, "web", wanted);
    friends.settle_checked();
    let member = &friends.state.sets[&key("web")].members[&Ordinal(0)];
    assert_eq!(member.host, host_name(2));
    assert_eq!(place(&friends.state, "data-web-0"), before);
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
    friends.settle_checked();
    friends.state.claims.clear();
    let (name, _) = friends.state.volumes.first_key_value().unwrap();
    let name = name.clone();
    let volume = friends.state.volumes.values_mut().next().unwrap();
    volume.claim = None;
    volume.access_modes.push(AccessMode::ReadWriteOnce);
    let solo = hand_made(&mut friends.state, "data-new-0", 0);
    solo.spec.volume_name = name.name.to_string();
    solo.spec.storage_class_name = Some("local".to_owned());
    friends.settle_checked();
    let waits = Reason::WaitForFirstConsumer {
        claim: claim("data-new-0"),
    };
    assert_eq!(friends.report.claims[&claim("data-new-0")], waits);
    put_set(&mut friends.state, "other", spec(1, true));
    put_set(&mut friends.state, "new", spec(1, true));
    friends.settle_checked();
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
    friends.settle_checked();
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
    friends.settle_checked();
    let reason = &friends.report.waiting[&member("new", 0)];
    assert!(matches!(reason, Reason::NoEligibleHost { .. }), "{reason}");
    let host = friends.state.hosts.get_mut(&host_name(1)).unwrap();
    host.record.unschedulable = false;
    friends.settle_checked();
    let bound = &friends.state.claims[&claim("data-new-0")].volume;
    assert_eq!(*bound, Some(volume_key(&name)));
    let volume = &friends.state.volumes[&volume_key(&name)];
    assert!(matches!(volume.source, VolumeSource::Local { .. }));
}
