//! Room in pools, and growth.

use super::*;
use crate::{plan::pool_free, volume::PoolKind};

/// Pools of 10 bytes; limited on all hosts or on none.
fn small_pools(state: &mut State, limits: bool) {
    for host in state.hosts.values_mut() {
        let info = PoolInfo {
            capacity: 10,
            available: 10,
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
    friends.settle_checked();
    assert_eq!(sizes(&friends), (6, 6, 6), "nothing limits it");
    put_set(&mut friends.state, "web", sized(1, 5));
    friends.settle_checked();
    assert_eq!(sizes(&friends), (6, 6, 6), "it never shrinks");
    small_pools(&mut friends.state, true);
    put_set(&mut friends.state, "web", sized(1, 8));
    friends.settle_checked();
    assert_eq!(sizes(&friends), (8, 6, 8), "its agent makes it so");
    put_set(&mut friends.state, "web", sized(1, 11));
    friends.settle_checked();
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
    friends.settle_checked();
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
fn what_others_keep_on_the_disk_of_a_pool_is_not_there_for_volumes() {
    let mut state = state(1);
    for kind in [PoolKind::Directory, PoolKind::Image] {
        small_pools(&mut state, true);
        let host = state.hosts.get_mut(&host_name(1)).unwrap();
        let pool = host.record.pools.get_mut("default").unwrap();
        (pool.kind, pool.available) = (kind, 3);
        assert_eq!(pool_free(&state, &host_name(1), "default"), 3, "{kind:?}");
        let mut small = state.clone();
        put_set(&mut small, "web", sized(1, 3));
        assert_eq!(settled(small).running().len(), 1, "{kind:?}");
        put_set(&mut state, "web", sized(1, 4));
        let friends = settled(state.clone());
        let Reason::NoEligibleHost { hosts } = &friends.report.waiting[&member("web", 0)] else {
            panic!("{:?}", friends.report);
        };
        assert_eq!(hosts[0].because, full(4, 3), "{kind:?}");
        state.sets.clear();
    }
}

#[test]
fn an_image_that_is_to_be_made_is_still_free_on_the_disk() {
    let mut state = state(1);
    small_pools(&mut state, true);
    let host = state.hosts.get_mut(&host_name(1)).unwrap();
    let pool = host.record.pools.get_mut("default").unwrap();
    (pool.kind, pool.available) = (PoolKind::Image, 9);
    put_set(&mut state, "web", sized(1, 4));
    let mut friends = Friends::new(state);
    friends.plan();
    let free = || pool_free(&friends.state, &host_name(1), "default");
    assert!(friends.state.volumes.is_empty(), "it waits for its name");
    assert_eq!(free(), 5);
}
