//! What claims add to an index. Those of a set's members are there with their records: a plan asks for
//! all of them several times, and to find each by its name would be most of what it costs.

use std::sync::Arc;

use super::Index;
use crate::{
    ids::{ClaimKey, MemberId, Ordinal, SetKey},
    map::Map,
    state::{Claim, State},
};

/// The claims of a set's members, by member. A copy costs nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnClaims(Map<(Ordinal, ClaimKey), Claim>);

impl OwnClaims {
    /// All of them, by member.
    pub fn iter(&self) -> impl Iterator<Item = (Ordinal, &ClaimKey, &Claim)> {
        let all = self.0.iter();
        all.map(|((ordinal, key), claim)| (*ordinal, key, claim))
    }

    /// Those of a member, sorted.
    pub fn of(&self, ordinal: Ordinal) -> impl Iterator<Item = (&ClaimKey, &Claim)> {
        let from = self.0.above(move |(other, _)| *other < ordinal);
        let own = from.take_while(move |((other, _), _)| *other == ordinal);
        own.map(|((_, key), claim)| (key, claim))
    }

    /// That of a member for a claim template.
    pub fn named(&self, ordinal: Ordinal, template: &str) -> Option<(&ClaimKey, &Claim)> {
        self.of(ordinal)
            .find(|(_, claim)| claim.template == template)
    }
}

impl State {
    /// The claims of the members of a set, by member.
    pub fn own_claims(&self, set: &SetKey) -> OwnClaims {
        let index = self.index();
        index.claims_of.get(set).cloned().unwrap_or_default()
    }

    /// The claims of the members of a set, sorted.
    pub fn claims_of(&self, set: &SetKey) -> impl Iterator<Item = (&ClaimKey, &Claim)> {
        let own = self.own_claims(set);
        let mut keys: Vec<ClaimKey> = own.iter().map(|(_, key, _)| key.clone()).collect();
        keys.sort_unstable();
        keys.into_iter()
            .filter_map(|key| self.claims.get_key_value(&key))
    }

    /// The claims of a member, sorted: those that were made for it.
    pub fn claims_of_member<'a>(
        &'a self,
        id: &MemberId,
    ) -> impl Iterator<Item = (&'a ClaimKey, &'a Claim)> + use<'a> {
        let own = self.own_claims(&id.set);
        let keys: Vec<ClaimKey> = own.of(id.ordinal).map(|(key, _)| key.clone()).collect();
        keys.into_iter()
            .filter_map(|key| self.claims.get_key_value(&key))
    }
}

impl Index {
    pub(super) fn claim(
        &mut self,
        key: &ClaimKey,
        before: Option<&Claim>,
        after: Option<&Arc<Claim>>,
    ) {
        let uid = |claim: &Claim| Arc::new(claim.uid.clone());
        let (old, new) = (before.map(uid), after.map(|claim| uid(claim)));
        self.uids.swap(old.as_ref(), new.as_ref());
        let unbound = |claim: &Claim| claim.member.is_none() && claim.volume.is_none();
        let old = before.is_some_and(unbound);
        let new = after.is_some_and(|claim| unbound(claim));
        self.unbound
            .swap(old.then_some(&()), new.then_some(&()), key);
        self.own_claim(key, before, after);
    }

    fn own_claim(&mut self, key: &ClaimKey, before: Option<&Claim>, after: Option<&Arc<Claim>>) {
        let old = before.and_then(|claim| claim.member.as_ref());
        let new = after.and_then(|claim| claim.member.as_ref());
        if let Some(id) = old.filter(|id| new != Some(id))
            && let Some(own) = self.claims_of.get_mut(&id.set)
        {
            own.0.remove(&(id.ordinal, key.clone()));
            if own.0.is_empty() {
                self.claims_of.remove(&id.set);
            }
        }
        if let Some((id, claim)) = new.zip(after) {
            let own = self
                .claims_of
                .or_insert_with(id.set.clone(), OwnClaims::default);
            own.0
                .insert_shared((id.ordinal, key.clone()), Arc::clone(claim));
        }
    }
}
