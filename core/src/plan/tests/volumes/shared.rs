//! Claims that several members use.

use super::*;

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
    friends.settle_checked();
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
    friends.settle_checked();
    assert_eq!(
        friends.report.waiting[&member("b", 0)],
        in_use,
        "it is not proven gone"
    );
    friends.lingering.clear();
    friends.settle_checked();
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
    friends.settle_checked();
    let pending = Reason::ClaimPending { claim };
    assert_eq!(friends.report.waiting[&member("web", 0)], pending);
    static_volume(&mut friends.state, "pv", 5);
    friends.settle_checked();
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
