//! What an operator should know of a set before it bites.

use std::collections::BTreeMap;

use crate::{
    ids::{ClaimKey, MemberId, ObjectKey, SetKey},
    lease::longest_grace,
    plan::{budget::floor_of, draft::Draft},
    spec::{GatePolicy, Placement},
    state::{Set, State, VolumeState},
};

/// Warns of a set.
pub(super) fn run(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    for text in warnings(&draft.state, key, set) {
        draft.warn(key, text);
    }
}

fn warnings(state: &State, key: &SetKey, set: &Set) -> Vec<String> {
    let mut found = Vec::new();
    let spec = &set.spec;
    if spec.pod_management_policy == GatePolicy::OrderedReady
        && spec.replicas() > 1
        && spec.bootstrap_policy.is_none()
        && !set.members.values().any(|member| member.passed_gate)
    {
        found.push(
            "podManagementPolicy is OrderedReady and there is no bootstrapPolicy: an application \
             that is ready only with its peers will not start; set bootstrapPolicy: Parallel then"
                .to_owned(),
        );
    }
    found.extend(budget(set));
    found.extend(grace(state, set));
    let (partition, wanted) = (spec.partition(), set.wanted());
    if partition > wanted && wanted > 0 {
        found.push(format!(
            "partition is {partition} and there are {wanted} members: none of them is updated"
        ));
    }
    if spec.placement == Placement::PerHost && set.wanted() == 0 && set.deleting.is_none() {
        found.push(
            "no host has the labels of nodeSelector, so there are no members; label some with \
             'berth host label'"
                .to_owned(),
        );
    }
    let service = set.service_name(key);
    let exists = service.parse().is_ok_and(|name| {
        let namespace = key.namespace.clone();
        state.services.contains_key(&ObjectKey { namespace, name })
    });
    if spec.service_name.is_some() && !exists {
        found.push(format!(
            "serviceName '{service}' matches no Service: members have their names, and the \
             service's name lists the ready ones with their own ports"
        ));
    }
    found.extend(left_behind(state, key, set));
    found
}

/// What a disruption budget comes to that its writer may not have thought of.
fn budget(set: &Set) -> Option<String> {
    let size = set.wanted();
    let asked = floor_of(set.spec.disruption_budget.as_ref()?, size);
    if size == 0 || asked < size {
        return None;
    }
    Some(if size <= 2 {
        format!(
            "disruptionBudget asks for {asked} of {size} members, and one may be down all the \
             same: with so few, none could ever be replaced"
        )
    } else {
        format!(
            "disruptionBudget asks for all {size} members: none that is available is ever taken \
             down, so updates and restarts wait for ever"
        )
    })
}

/// A grace that was stored when leases were longer.
fn grace(state: &State, set: &Set) -> Option<String> {
    let lease = state.leases.too_short_for(&set.spec)?;
    let most = longest_grace(lease);
    Some(format!(
        "fenceGrace is half of the lease of {lease:?} or more, which the coordinator is configured \
         with by now: members are granted {most:?}; give {most:?} or less"
    ))
}

/// Data that earlier claims of the set's names left on volumes, where the set's own claims are new: it
/// is easily overlooked, and easily had as long as nothing was written.
fn left_behind(state: &State, key: &SetKey, set: &Set) -> Vec<String> {
    let own = state.own_claims(key);
    let claims = set.declared().flat_map(|ordinal| {
        let names = set.spec.volume_claim_templates.iter();
        let names = names.map(|template| &template.metadata.name);
        // What is in use holds no earlier data.
        let unused = names.filter(|name| {
            let claim = own.named(ordinal, name);
            !claim.is_some_and(|(_, claim)| claim.filled)
        });
        let id = MemberId {
            set: key.clone(),
            ordinal,
        };
        let unused: Vec<ClaimKey> = unused.filter_map(|name| id.claim(name).ok()).collect();
        unused
    });
    let index = state.index();
    let mut left: BTreeMap<&ObjectKey, ClaimKey> = BTreeMap::new();
    for claim in claims {
        // Nor does one that is filled and nobody's.
        if state.claims.get(&claim).is_some_and(|claim| claim.filled) {
            continue;
        }
        for name in index.volumes_of.of(&claim) {
            let volume = state.volumes.get(name);
            let filled = volume.filter(|one| one.filled && one.state == VolumeState::Live);
            let bound = filled.and_then(|volume| volume.claim.as_ref());
            if bound.is_some_and(|bound| !bound.is_there(state)) {
                left.insert(name, claim.clone());
            }
        }
    }
    let left = left.into_iter().map(|(volume, claim)| {
        format!(
            "volume {0} holds the data of an earlier claim {claim}, and the set gets a new claim; to \
             have that data, say berth volume undelete {0} before, while no claim has the name",
            volume.name
        )
    });
    left.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        fixture::{assign, fill, friend::Friends, key, member, put_set, spec, state},
        ids::Uid,
        spec::{FailurePolicy, RollingUpdate, UpdateStrategy},
        state::Claim,
        time::Timestamp,
    };

    #[test]
    fn a_partition_above_all_members_is_told() {
        let mut state = state(3);
        let mut wanted = spec(3, false);
        for (partition, told) in [(3, false), (4, true)] {
            wanted.update_strategy = Some(UpdateStrategy {
                rolling_update: Some(RollingUpdate {
                    partition,
                    ..RollingUpdate::default()
                }),
                ..UpdateStrategy::default()
            });
            put_set(&mut state, "db", wanted.clone());
            let all = warnings(&state, &key("db"), &state.sets[&key("db")]).join("\n");
            let text = "partition is 4 and there are 3 members: none of them is updated";
            assert_eq!(all.contains(text), told, "{all}");
        }
    }

    #[test]
    fn a_grace_that_the_lease_has_no_room_for_by_now_is_told() {
        let mut state = state(3);
        let mut wanted = spec(3, false);
        wanted.failure_policy = FailurePolicy::Failover;
        wanted.fence_grace = Some("7s".to_owned());
        put_set(&mut state, "db", wanted);
        let told = |state: &State| grace(state, &state.sets[&key("db")]);
        assert_eq!(told(&state), None);
        state.leases.default = Duration::from_secs(10);
        let warning = told(&state).unwrap();
        assert!(warning.contains("the lease of 10s or more"), "{warning}");
        assert!(warning.ends_with("give 4.999s or less"), "{warning}");
    }

    #[test]
    fn a_first_boot_in_order_is_warned_of_until_a_member_was_ready() {
        let mut state = state(3);
        put_set(&mut state, "db", spec(3, false));
        let mut friends = Friends::new(state);
        let told = |friends: &Friends| {
            let all = friends.report.warnings.get(&key("db"));
            all.is_some_and(|all| all[0].contains("there is no bootstrapPolicy"))
        };
        friends.unready = (0..3).map(|n| member("db", n)).collect();
        friends.settle();
        assert!(told(&friends));
        friends.unready.clear();
        friends.settle();
        assert!(!told(&friends));
    }

    #[test]
    fn data_that_an_earlier_claim_left_is_told_until_the_new_one_has_its_own() {
        let mut state = state(1);
        put_set(&mut state, "db", spec(1, true));
        let id = member("db", 0);
        assign(&mut state, &id);
        let (key, claim) = state.claims.pop_first().unwrap();
        let told = |state: &State| {
            let set = &state.sets[&id.set];
            left_behind(state, &id.set, set)
        };
        assert_eq!(told(&state), [""; 0], "nothing was ever written");
        state.claims.insert(key.clone(), claim);
        state.apply(&fill(key.clone()), Timestamp(1));
        assert_eq!(told(&state), [""; 0], "its claim is there");
        let old = state.claims.remove(&key).unwrap();
        let warnings = told(&state);
        assert!(
            warnings[0].contains("berth volume undelete"),
            "{warnings:?}"
        );
        let mut new = Claim {
            uid: Uid("new".to_owned()),
            filled: false,
            ..old
        };
        state.claims.insert(key.clone(), new.clone());
        assert_eq!(told(&state).len(), 1);
        new.filled = true;
        state.claims.insert(key, new);
        assert_eq!(told(&state), [""; 0], "it has data of its own");
    }
}
