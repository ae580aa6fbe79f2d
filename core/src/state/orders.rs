//! State to orders: what each agent is to have.
//!
//! An order is derived, never stored on the coordinator: the same state always gives the same
//! order. It holds every member that was ordered to run or to stop; a member that is only assigned
//! is not in it.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    bug::{self, Bug},
    ids::{ClaimKey, HostName, MemberId, Namespace, ObjectKey, SetKey},
    order::{ConfigData, MemberOrder, OrderDelta, OrderHead, Peer, RenderValues, VolumeOrder},
    spec::{ConfigMap, MemberSpec, MemberTemplate, Secret},
    state::{Claim, Founding, Member, Set, State},
    template::{ConfigSource, used_config},
    volume::{access::shared_claims, class},
};

pub use crate::order::order_hash;

/// The complete order for one host.
pub fn host_order(state: &State, host: &HostName) -> BTreeMap<MemberId, MemberOrder> {
    let mut orders = BTreeMap::new();
    let index = state.index();
    // One list for all members of a set: otherwise an order costs the square of the set's size.
    let mut peers: Option<(&SetKey, Arc<[Peer]>)> = None;
    for id in index.on_host.of(host) {
        let Some(set) = state.sets.get(&id.set) else {
            continue;
        };
        let known = peers.take().filter(|(of, _)| **of == id.set);
        let (_, declared) = peers.insert(match known {
            Some(known) => known,
            None => (&id.set, declared_peers(state, &id.set, set)),
        });
        let order = order_among(state, set, id, declared);
        orders.extend(order.map(|order| (id.clone(), order)));
    }
    orders
}

/// The order for one member; `None` if it is not assigned, or nothing was ordered of it.
pub fn member_order(state: &State, id: &MemberId) -> Option<MemberOrder> {
    let set = state.sets.get(&id.set)?;
    order_among(state, set, id, &declared_peers(state, &id.set, set))
}

fn declared_peers(state: &State, key: &SetKey, set: &Set) -> Arc<[Peer]> {
    let ids = set.asked_ordinals().into_iter().map(|ordinal| MemberId {
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
    let carried = set.revisions.get(&member.revision)?;
    let template = carried.template_for(id.ordinal);
    Some(MemberOrder {
        member: id.clone(),
        epoch: member.epoch,
        desired,
        revision: member.revision.clone(),
        lease: member.lease,
        depends_on: set.spec.needed(&id.set.namespace).collect(),
        template: Arc::new(template.spec.clone()),
        values: values(state, set, id, member, declared, &template),
        volumes: volumes(state, set, id, &template),
        config: carried.config.as_ref().clone(),
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
    /// Whether a founder must not be started as one again, although nobody heard that it served: a
    /// volume that it was started on is gone, or its host was given up without a word.
    pub fn is_lost(&self, state: &State, id: &MemberId) -> bool {
        let untold = self.untold.contains(&id.ordinal) && !bug::on(Bug::UntoldFounderFounds);
        untold || self.lost_volume(state, id)
    }

    /// Whether a volume that this founder was started on is gone, while the founder was open.
    fn lost_volume(&self, state: &State, id: &MemberId) -> bool {
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
    template: &MemberTemplate,
) -> RenderValues {
    let founding = state.foundings.get(&id.set);
    let open = founding.is_some_and(|founding| {
        founding.open.contains(&id.ordinal) && !founding.is_lost(state, id)
    });
    let host = state.hosts.get(&member.host);
    // A member that is no longer wanted still sees itself; nobody else does.
    let peers = if set.asks_for(id.ordinal) {
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
        replicas: set.asked(),
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
        host: member.host.to_string(),
        host_address: host
            .map(|host| host.record.advertise_address.to_string())
            .unwrap_or_default(),
        labels: template.metadata.labels.clone(),
        annotations: template.metadata.annotations.clone(),
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
        limited: class::must_limit(state, &volume.class),
        shared: false,
        owner: claim.owner.clone(),
        departed: volume.moved_out.as_ref().map(|moved_out| moved_out.epoch),
    })
}

/// The config objects of one namespace.
struct InNamespace<'a> {
    state: &'a State,
    namespace: &'a Namespace,
}

impl InNamespace<'_> {
    /// `None` for what is no object's name; validation refuses it.
    fn key(&self, name: &str) -> Option<ObjectKey> {
        let namespace = self.namespace.clone();
        let name = name.parse().ok()?;
        Some(ObjectKey { namespace, name })
    }
}

impl ConfigSource for InNamespace<'_> {
    fn config_map(&self, name: &str) -> Option<&ConfigMap> {
        self.state.config_maps.get(&self.key(name)?)
    }

    fn secret(&self, name: &str) -> Option<&Secret> {
        self.state.secrets.get(&self.key(name)?)
    }
}

impl State {
    /// What a template would use of the config objects as they are now.
    pub fn used_config(&self, namespace: &Namespace, template: &MemberSpec) -> ConfigData {
        let source = InNamespace {
            state: self,
            namespace,
        };
        used_config(template, &source)
    }
}

#[cfg(test)]
mod tests;
