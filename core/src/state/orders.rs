//! State to orders: what each agent is to have.
//!
//! An order is derived, never stored on the coordinator: the same state always gives the same
//! order. It holds every member that was ordered to run or to stop; a member that is only assigned
//! is not in it.

use std::{collections::BTreeMap, sync::Arc};

use base64::Engine as _;

use crate::{
    ids::{ClaimKey, HostName, MemberId, Namespace, ObjectKey, SetKey},
    order::{ConfigData, MemberOrder, OrderDelta, OrderHead, Peer, RenderValues, VolumeOrder},
    spec::{Kind, MemberSpec, MemberTemplate, Sealed, Secret},
    state::{Claim, Founding, Member, Set, State},
    template::config_refs,
    volume::access::shared_claims,
};

pub use crate::order::order_hash;

/// The complete order for one host.
pub fn host_order(state: &State, host: &HostName) -> BTreeMap<MemberId, MemberOrder> {
    let mut orders = BTreeMap::new();
    for (key, set) in &state.sets {
        let mut here = set.members.iter().filter(|(_, m)| m.host == *host);
        let Some(first) = here.next() else { continue };
        // One list for all of them: otherwise an order costs the square of the set's size.
        let declared = declared_peers(state, key, set);
        for (ordinal, _) in std::iter::once(first).chain(here) {
            let id = MemberId {
                set: key.clone(),
                ordinal: *ordinal,
            };
            let order = order_among(state, set, &id, &declared);
            orders.extend(order.map(|order| (id, order)));
        }
    }
    orders
}

/// The order for one member; `None` if it is not assigned, or nothing was ordered of it.
pub fn member_order(state: &State, id: &MemberId) -> Option<MemberOrder> {
    let set = state.sets.get(&id.set)?;
    order_among(state, set, id, &declared_peers(state, &id.set, set))
}

fn declared_peers(state: &State, key: &SetKey, set: &Set) -> Arc<[Peer]> {
    let ids = set.spec.declared().map(|ordinal| MemberId {
        set: key.clone(),
        ordinal,
    });
    ids.map(|id| peer(state, set, &id)).collect()
}

fn order_among(
    state: &State,
    set: &Set,
    id: &MemberId,
    declared: &Arc<[Peer]>,
) -> Option<MemberOrder> {
    let member = set.members.get(&id.ordinal)?;
    let desired = member.ordered.desired()?;
    let template = set.revisions.get(&member.revision)?;
    Some(MemberOrder {
        member: id.clone(),
        epoch: member.epoch,
        desired,
        revision: member.revision.clone(),
        template: Arc::new(template.spec.clone()),
        values: values(state, set, id, member, declared),
        volumes: volumes(state, set, id, template),
        config: config_data(state, &id.set.namespace, &template.spec),
    })
}

/// The change from one complete order to another, under the head that the new one has.
pub fn delta(
    base: &OrderHead,
    old: &BTreeMap<MemberId, MemberOrder>,
    head: OrderHead,
    new: &BTreeMap<MemberId, MemberOrder>,
) -> OrderDelta {
    let changed = new
        .iter()
        .filter(|(id, order)| old.get(*id) != Some(*order));
    OrderDelta {
        head,
        base: Some(base.generation),
        upserts: changed.map(|(_, order)| order.clone()).collect(),
        removals: old
            .keys()
            .filter(|id| !new.contains_key(*id))
            .cloned()
            .collect(),
    }
}

/// A complete order as a change that needs no earlier one.
pub fn snapshot(head: OrderHead, members: &BTreeMap<MemberId, MemberOrder>) -> OrderDelta {
    OrderDelta {
        head,
        base: None,
        upserts: members.values().cloned().collect(),
        removals: Vec::new(),
    }
}

/// One member as its peers see it, whether or not it is assigned yet.
pub fn peer(state: &State, set: &Set, id: &MemberId) -> Peer {
    let member = set.members.get(&id.ordinal);
    let own = set.addresses.get(&id.ordinal).copied();
    let address = member.map(|member| member.address).or(own);
    let host = member.and_then(|member| state.hosts.get(&member.host));
    Peer {
        name: id.name(),
        fqdn: state.member_fqdn(set, id),
        address: address.map(|a| a.to_string()).unwrap_or_default(),
        ordinal: id.ordinal,
        host_labels: host
            .map(|host| host.record.labels.clone())
            .unwrap_or_default(),
    }
}

impl Founding {
    /// Whether a volume that this founder was started on is gone, while the founder was open.
    pub fn lost_volume(&self, state: &State, id: &MemberId) -> bool {
        let Some(set) = state.sets.get(&id.set) else {
            return false;
        };
        let mut templates = set.spec.volume_claim_templates.iter();
        templates.any(|template| {
            let Ok(key) = id.claim(&template.metadata.name) else {
                return false;
            };
            let uid = self.filled.get(&key);
            uid.is_some() && uid != state.claims.get(&key).map(|claim| &claim.uid)
        })
    }
}

fn values(
    state: &State,
    set: &Set,
    id: &MemberId,
    member: &Member,
    declared: &Arc<[Peer]>,
) -> RenderValues {
    let founding = state.foundings.get(&id.set);
    let open = founding.is_some_and(|founding| {
        founding.open.contains(&id.ordinal) && !founding.lost_volume(state, id)
    });
    let host = state.hosts.get(&member.host);
    // A member that is no longer wanted still sees itself; nobody else does.
    let replicas = set.spec.replicas();
    let peers = if set.spec.ordinals.contains(replicas, id.ordinal) {
        Arc::clone(declared)
    } else {
        let own = std::iter::once(peer(state, set, id));
        declared.iter().cloned().chain(own).collect()
    };
    RenderValues {
        namespace: id.set.namespace.to_string(),
        set: id.set.name.to_string(),
        member: id.name(),
        ordinal: id.ordinal.0,
        replicas,
        fqdn: state.member_fqdn(set, id),
        address: member.address.to_string(),
        peers,
        founders: founding
            .map(|founding| founding.founders.clone())
            .unwrap_or_default(),
        founding: open,
        host_labels: host
            .map(|host| host.record.labels.clone())
            .unwrap_or_default(),
        previous_address: member.previous_address.map(|a| a.to_string()),
    }
}

/// A member's own volumes in the order of the claim templates, then those that it shares.
fn volumes(state: &State, set: &Set, id: &MemberId, template: &MemberTemplate) -> Vec<VolumeOrder> {
    let templates = set.spec.volume_claim_templates.iter();
    let own = templates.filter_map(|template| {
        let name = &template.metadata.name;
        let key = id.claim(name).ok()?;
        let claim = state.claims.get(&key).filter(|claim| claim.is_for(id))?;
        volume(state, name, key, claim)
    });
    let shared = shared_claims(id, template).filter_map(|(used, key)| {
        let claim = state.claims.get(&key)?;
        let order = volume(state, &used.name, key, claim)?;
        Some(VolumeOrder {
            read_only: order.read_only || used.persistent_volume_claim.read_only,
            shared: true,
            ..order
        })
    });
    own.chain(shared).collect()
}

fn volume(state: &State, name: &str, key: ClaimKey, claim: &Claim) -> Option<VolumeOrder> {
    let volume = state.volume_of(claim)?;
    Some(VolumeOrder {
        name: name.to_owned(),
        claim: key,
        claim_uid: claim.uid.clone(),
        source: volume.source.clone(),
        capacity: claim.wanted_capacity(volume),
        filled: claim.filled,
        adopt: volume.adopt && !claim.filled,
        read_only: claim.is_read_only(),
        shared: false,
        owner: claim.owner.clone(),
    })
}

/// The content of the config objects that a template uses, as far as they exist.
pub fn config_data(state: &State, namespace: &Namespace, template: &MemberSpec) -> ConfigData {
    let mut data = ConfigData::default();
    for (kind, key) in references(namespace, template).into_keys() {
        let name = key.name.to_string();
        if kind == Kind::ConfigMap {
            if let Some(object) = state.config_maps.get(&key) {
                data.config_maps.insert(name, object.data.clone());
            }
        } else if let Some(object) = state.secrets.get(&key) {
            data.secrets.insert(name, decoded(object));
        }
    }
    data
}

/// The config objects that a template uses, each with whether a member can do without it.
fn references(namespace: &Namespace, template: &MemberSpec) -> BTreeMap<(Kind, ObjectKey), bool> {
    let mut found = BTreeMap::new();
    for reference in config_refs(template) {
        // Validation refuses what is no object name.
        let Ok(name) = reference.name.parse() else {
            continue;
        };
        let namespace = namespace.clone();
        let key = (reference.kind, ObjectKey { namespace, name });
        // Needed once is needed.
        *found.entry(key).or_insert(true) &= reference.optional;
    }
    found
}

/// A secret's values as text. What is not base64 of UTF-8 is left out: whoever uses that key is
/// told that it is missing, instead of running with a damaged value.
fn decoded(secret: &Secret) -> BTreeMap<String, Sealed> {
    let engine = base64::engine::general_purpose::STANDARD;
    let data = secret.data.iter().filter_map(|(key, value)| {
        let bytes = engine.decode(value.expose()).ok()?;
        Some((key.clone(), Sealed::new(String::from_utf8(bytes).ok()?)))
    });
    let plain = secret.string_data.clone();
    data.chain(plain).collect()
}

/// The first config object that a template needs and that does not exist.
pub fn missing_config(
    state: &State,
    namespace: &Namespace,
    template: &MemberSpec,
) -> Option<(Kind, ObjectKey)> {
    let needed = references(namespace, template).into_iter();
    needed
        .filter(|(_, optional)| !optional)
        .map(|(reference, _)| reference)
        .find(|(kind, key)| {
            if *kind == Kind::ConfigMap {
                !state.config_maps.contains_key(key)
            } else {
                !state.secrets.contains_key(key)
            }
        })
}

#[cfg(test)]
mod tests;
