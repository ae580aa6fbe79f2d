//! What an operator should know of a set before it bites.

use crate::{
    ids::{ObjectKey, SetKey},
    plan::draft::Draft,
    spec::{GatePolicy, Placement},
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
    found
}
