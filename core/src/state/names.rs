//! The DNS names of members and services, derived from the state and from nothing else.

use crate::{
    ids::{MemberId, Namespace, Ordinal, SetKey},
    spec::Placement,
    state::{Set, State},
};

impl Set {
    /// How many members are wanted; none while the set is being deleted.
    pub fn wanted(&self) -> u32 {
        match self.deleting {
            Some(_) => 0,
            None => self.asked(),
        }
    }

    /// The ordinals that are wanted, lowest first. Every stage asks this: nothing else knows which
    /// numbers a set has.
    pub fn declared(&self) -> impl DoubleEndedIterator<Item = Ordinal> + use<> {
        let wanted: Vec<Ordinal> = match self.deleting {
            Some(_) => Vec::new(),
            None => self.asked_ordinals(),
        };
        wanted.into_iter()
    }

    /// Whether an ordinal is wanted.
    pub fn is_declared(&self, ordinal: Ordinal) -> bool {
        self.deleting.is_none() && self.asks_for(ordinal)
    }

    /// How many members are asked for, whether or not the set is being deleted.
    pub fn asked(&self) -> u32 {
        match self.spec.placement {
            Placement::Replicas => self.spec.replicas(),
            Placement::PerHost => u32::try_from(self.selected().count()).unwrap_or(u32::MAX),
        }
    }

    /// The ordinals that are asked for, lowest first, whether or not the set is being deleted.
    pub fn asked_ordinals(&self) -> Vec<Ordinal> {
        match self.spec.placement {
            Placement::Replicas => self.spec.declared().collect(),
            Placement::PerHost => self.selected().collect(),
        }
    }

    /// Whether an ordinal is asked for, whether or not the set is being deleted.
    pub fn asks_for(&self, ordinal: Ordinal) -> bool {
        match self.spec.placement {
            Placement::Replicas => self.spec.ordinals.contains(self.spec.replicas(), ordinal),
            Placement::PerHost => {
                let own = self.own_hosts.get(&ordinal);
                own.is_some_and(|own| own.selected)
            }
        }
    }

    /// The ordinals whose hosts are selected.
    pub(super) fn selected(&self) -> impl Iterator<Item = Ordinal> {
        let own = self.own_hosts.iter().filter(|(_, own)| own.selected);
        own.map(|(ordinal, _)| *ordinal)
    }

    /// The service whose name the members' names carry; the set's own name if it names none.
    pub fn service_name<'a>(&'a self, key: &'a SetKey) -> &'a str {
        match self.spec.service_name.as_deref() {
            Some(name) if !name.is_empty() => name,
            Some(_) | None => key.name.as_str(),
        }
    }
}

impl State {
    /// `<service>.<namespace>.svc.<zone>`, in lower case, without a final dot.
    pub fn service_fqdn(&self, namespace: &Namespace, service: &str) -> String {
        format!("{service}.{namespace}.svc.{}", self.zone_name).to_ascii_lowercase()
    }

    /// `<member>.<service>.<namespace>.svc.<zone>`, in lower case, without a final dot.
    pub fn member_fqdn(&self, set: &Set, id: &MemberId) -> String {
        let service = self.service_fqdn(&id.set.namespace, set.service_name(&id.set));
        format!("{}.{service}", id.name())
    }
}
