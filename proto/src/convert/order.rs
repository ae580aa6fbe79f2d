//! Orders and their heads.

use berth_core::{
    ids::{ContentHash, Generation, HistoryId, Term},
    order::{OrderDelta, OrderGroup, OrderHead, grouped, ungrouped},
};

use super::{ConvertError, from_json, id, to_json};
use crate::v1;

impl From<OrderHead> for v1::OrderHead {
    fn from(head: OrderHead) -> Self {
        Self {
            history: head.history.0,
            term: head.term.0,
            generation: head.generation.0,
            hash: head.hash.0,
        }
    }
}

impl From<v1::OrderHead> for OrderHead {
    fn from(head: v1::OrderHead) -> Self {
        Self {
            history: HistoryId(head.history),
            term: Term(head.term),
            generation: Generation(head.generation),
            hash: ContentHash(head.hash),
        }
    }
}

impl TryFrom<OrderDelta> for v1::Order {
    type Error = ConvertError;
    fn try_from(delta: OrderDelta) -> Result<Self, ConvertError> {
        let groups = grouped(&delta.upserts);
        Ok(Self {
            head: Some(delta.head.into()),
            base: delta.base.map(|base| base.0),
            upserts: groups
                .iter()
                .map(|group| to_json("upserts", group))
                .collect::<Result<_, _>>()?,
            removals: delta.removals.iter().map(ToString::to_string).collect(),
        })
    }
}

impl TryFrom<v1::Order> for OrderDelta {
    type Error = ConvertError;
    fn try_from(order: v1::Order) -> Result<Self, ConvertError> {
        let head = order.head.ok_or(ConvertError::Missing { field: "head" })?;
        let groups = order.upserts.iter();
        let groups = groups.map(|bytes| from_json("upserts", bytes));
        let groups = groups.collect::<Result<Vec<OrderGroup>, _>>()?;
        let removals = order.removals.iter();
        Ok(Self {
            head: head.into(),
            base: order.base.map(Generation),
            upserts: ungrouped(groups),
            removals: removals
                .map(|text| id("removals", text))
                .collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_core::{
        ids::{Epoch, TemplateHash},
        order::{ConfigData, Desired, MemberOrder, RenderValues},
        spec::MemberSpec,
    };

    use super::*;

    #[test]
    fn an_order_arrives_as_it_was_sent() {
        let order = MemberOrder {
            member: "default/etcd-0".parse().unwrap(),
            epoch: Epoch {
                term: Term(2),
                counter: 1,
            },
            desired: Desired::Run,
            revision: TemplateHash("abc".to_owned()),
            lease: None,
            depends_on: Vec::new(),
            template: Arc::new(MemberSpec::default()),
            values: RenderValues::default(),
            volumes: Vec::new(),
            config: ConfigData::default(),
        };
        for base in [None, Some(Generation(6))] {
            let delta = OrderDelta {
                head: OrderHead {
                    history: HistoryId("h".to_owned()),
                    term: Term(2),
                    generation: Generation(7),
                    hash: ContentHash("x".to_owned()),
                },
                base,
                upserts: vec![order.clone()],
                removals: vec!["default/etcd-1".parse().unwrap()],
            };
            let wire = v1::Order::try_from(delta.clone()).unwrap();
            assert_eq!(OrderDelta::try_from(wire).unwrap(), delta);
        }
    }

    #[test]
    fn a_damaged_order_is_refused_with_its_field() {
        let wire = v1::Order {
            head: Some(v1::OrderHead::default()),
            upserts: vec![b"{}".to_vec()],
            ..v1::Order::default()
        };
        let error = OrderDelta::try_from(wire).unwrap_err();
        assert!(error.to_string().starts_with("upserts"), "{error}");
        let headless = OrderDelta::try_from(v1::Order::default()).unwrap_err();
        assert!(matches!(headless, ConvertError::Missing { field: "head" }));
    }
}
