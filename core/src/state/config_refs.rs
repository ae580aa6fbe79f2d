//! Which config objects a template uses: the one list that orders, the plan and revisions share.

use std::collections::BTreeMap;

use crate::{
    ids::{Namespace, ObjectKey, ObjectName},
    spec::{KeySelector, Kind, MemberSpec, Process},
};

/// The config objects that a template uses, by kind and key, each with whether a member can do
/// without it. Names that are no object names are left out: validation refuses them.
pub fn references(spec: &MemberSpec, namespace: &Namespace) -> BTreeMap<(Kind, ObjectKey), bool> {
    let mut found = BTreeMap::new();
    let all = spec.init_processes.iter().chain(&spec.processes);
    for (kind, name, optional) in all.flat_map(of_process) {
        let Ok(name) = name.parse::<ObjectName>() else {
            continue;
        };
        let key = ObjectKey {
            namespace: namespace.clone(),
            name,
        };
        // Needed once is needed.
        let can_do_without = found.entry((kind, key)).or_insert(true);
        *can_do_without &= optional;
    }
    found
}

fn of_process(process: &Process) -> Vec<(Kind, &str, bool)> {
    let mut found = Vec::new();
    for source in process.env.iter().filter_map(|v| v.value_from.as_ref()) {
        push_key(
            &mut found,
            Kind::ConfigMap,
            source.config_map_key_ref.as_ref(),
        );
        push_key(&mut found, Kind::Secret, source.secret_key_ref.as_ref());
    }
    for source in &process.env_from {
        for (kind, object) in [
            (Kind::ConfigMap, &source.config_map_ref),
            (Kind::Secret, &source.secret_ref),
        ] {
            if let Some(object) = object {
                found.push((kind, object.name.as_str(), object.optional));
            }
        }
    }
    for file in &process.files {
        push_key(&mut found, Kind::ConfigMap, file.config_map.as_ref());
        push_key(&mut found, Kind::Secret, file.secret.as_ref());
    }
    found
}

fn push_key<'a>(
    found: &mut Vec<(Kind, &'a str, bool)>,
    kind: Kind,
    selector: Option<&'a KeySelector>,
) {
    if let Some(selector) = selector {
        found.push((kind, selector.name.as_str(), selector.optional));
    }
}
