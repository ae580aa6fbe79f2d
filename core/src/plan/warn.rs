//! What an operator should know of a set before it bites.

use crate::{
    ids::{ObjectKey, SetKey},
    plan::{budget::floor_of, draft::Draft},
    spec::GatePolicy,
    state::{Set, State},
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
    {
        found.push(
            "podManagementPolicy is OrderedReady and there is no bootstrapPolicy: an application \
             that is ready only with its peers will not start; set bootstrapPolicy: Parallel then"
                .to_owned(),
        );
    }
    found.extend(budget(set));
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
