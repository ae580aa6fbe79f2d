//! The DNS names of members and services, derived from the state and from nothing else.

use crate::{
    ids::{MemberId, Namespace, Ordinal, SetKey},
    state::{Set, State},
};

impl Set {
    /// How many members are wanted; none while the set is being deleted.
    pub fn wanted(&self) -> u32 {
        match self.deleting {
            Some(_) => 0,
            None => self.spec.replicas(),
        }
    }

    /// The ordinals that are wanted, lowest first. Every stage asks this: nothing else knows which
    /// numbers a set has.
    pub fn declared(&self) -> impl DoubleEndedIterator<Item = Ordinal> + use<> {
        self.spec.ordinals.first(self.wanted())
    }

    /// Whether an ordinal is wanted.
    pub fn is_declared(&self, ordinal: Ordinal) -> bool {
        self.spec.ordinals.contains(self.wanted(), ordinal)
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
