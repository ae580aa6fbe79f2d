//! Orders of members with the list of their peers once: as they travel, as the ledger keeps them and as
//! they are hashed. Each member of a set has the whole list among its values, so that a set of a hundred
//! on one host would say ten thousand peers for every hundred that there are.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{MemberOrder, Peer};

/// Orders that follow each other and have the same list of peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderGroup {
    /// The list.
    peers: Arc<[Peer]>,
    /// The orders, without it.
    orders: Vec<MemberOrder>,
}

/// Takes the lists out of orders. What stands side by side decides, so that the same orders always
/// come to the same groups.
pub fn grouped<'a>(orders: impl IntoIterator<Item = &'a MemberOrder>) -> Vec<OrderGroup> {
    let none: Arc<[Peer]> = Arc::default();
    let mut groups: Vec<OrderGroup> = Vec::new();
    for order in orders {
        let peers = &order.values.peers;
        let mut bare = order.clone();
        bare.values.peers = Arc::clone(&none);
        match groups.last_mut().filter(|group| group.peers == *peers) {
            Some(group) => group.orders.push(bare),
            None => groups.push(OrderGroup {
                peers: Arc::clone(peers),
                orders: vec![bare],
            }),
        }
    }
    groups
}

/// Puts the lists back: one copy for all of a group.
pub fn ungrouped(groups: Vec<OrderGroup>) -> Vec<MemberOrder> {
    let with_peers = |OrderGroup { peers, orders }| {
        orders.into_iter().map(move |mut order: MemberOrder| {
            order.values.peers = Arc::clone(&peers);
            order
        })
    };
    groups.into_iter().flat_map(with_peers).collect()
}

/// For `#[serde(with)]` of a list of orders.
pub(crate) mod list {
    use super::{
        Deserialize, Deserializer, MemberOrder, Serialize, Serializer, grouped, ungrouped,
    };

    pub(crate) fn serialize<S: Serializer>(
        orders: &[MemberOrder],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        grouped(orders).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<MemberOrder>, D::Error> {
        Vec::deserialize(deserializer).map(ungrouped)
    }
}

/// For `#[serde(with)]` of orders by their members.
pub(crate) mod map {
    use std::collections::BTreeMap;

    use super::{Deserializer, MemberOrder, Serialize, Serializer, grouped, list};
    use crate::ids::MemberId;

    pub(crate) fn serialize<S: Serializer>(
        orders: &BTreeMap<MemberId, MemberOrder>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        grouped(orders.values()).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<MemberId, MemberOrder>, D::Error> {
        let orders = list::deserialize(deserializer)?.into_iter();
        Ok(orders.map(|order| (order.member.clone(), order)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        fixture::{host_name, put_set, run_all, spec, state},
        ids::MemberId,
        order::order_hash,
        state::orders::host_order,
    };

    /// The orders of two sets, each with a list of its own, as one host's.
    fn orders() -> BTreeMap<MemberId, MemberOrder> {
        let mut state = state(3);
        for (name, replicas) in [("a", 3), ("b", 2)] {
            put_set(&mut state, name, spec(replicas, false));
            run_all(&mut state, name);
        }
        let hosts = (1..=3).map(|n| host_order(&state, &host_name(n)));
        hosts.flatten().collect()
    }

    #[test]
    fn a_list_is_said_once_for_all_that_have_it() {
        let orders = orders();
        assert_eq!(orders.len(), 5);
        let groups = grouped(orders.values());
        let sizes: Vec<usize> = groups.iter().map(|group| group.orders.len()).collect();
        assert_eq!(sizes, [3, 2]);
        let text = serde_json::to_string(&groups).unwrap();
        assert_eq!(text.matches("\"name\":\"a-2\"").count(), 1, "{text}");
    }

    #[test]
    fn what_is_put_together_again_is_what_it_was() {
        let orders: Vec<MemberOrder> = orders().into_values().collect();
        let text = serde_json::to_string(&grouped(&orders)).unwrap();
        let groups: Vec<OrderGroup> = serde_json::from_str(&text).unwrap();
        let back = ungrouped(groups);
        assert_eq!(back, orders);
        assert!(Arc::ptr_eq(&back[0].values.peers, &back[2].values.peers));
    }

    #[test]
    fn copies_of_a_list_hash_as_the_list() {
        let orders = orders();
        let mut copies = orders.clone();
        for order in copies.values_mut() {
            order.values.peers = order.values.peers.to_vec().into();
        }
        assert_eq!(order_hash(&copies), order_hash(&orders));
        let first = copies.values_mut().next().unwrap();
        let fewer = first.values.peers[1..].to_vec();
        first.values.peers = fewer.into();
        assert_ne!(order_hash(&copies), order_hash(&orders));
    }
}
