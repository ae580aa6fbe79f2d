//! What sets and their members add to an index. A set of many members is taken in by what changed
//! in it.

use std::{collections::BTreeSet, sync::Arc};

use super::{Index, Socket};
use crate::{
    ids::{MemberId, ObjectKey, Ordinal, SetKey, TemplateHash},
    map::{Change, Map},
    spec::{MemberTemplate, Placement},
    state::{Member, Ordered, Revision, Set},
    volume::access::shared_claims,
};

/// A member with what it runs.
type Found<'a> = (&'a Member, Option<&'a Arc<MemberTemplate>>);

impl Index {
    pub(super) fn set(&mut self, key: &SetKey, before: Option<&Set>, after: Option<&Set>) {
        let same = before
            .zip(after)
            .is_some_and(|(before, after)| Arc::ptr_eq(&before.spec, &after.spec));
        if !same {
            before
                .into_iter()
                .for_each(|set| self.spec(key, set, false));
            after.into_iter().for_each(|set| self.spec(key, set, true));
        }
        let addresses = |set: Option<&Set>| set.map_or_else(Map::new, |set| set.addresses.clone());
        let (old, new) = (addresses(before), addresses(after));
        for Change { before, after, .. } in new.changes(&old) {
            self.address_of(before.copied(), after.copied());
        }
        let same = before.zip(after);
        if !same.is_some_and(|(before, after)| before.has_same_templates(after)) {
            before
                .into_iter()
                .for_each(|set| self.labels(key, set, false));
            after
                .into_iter()
                .for_each(|set| self.labels(key, set, true));
        }
        self.members(key, before, after);
    }

    fn labels(&mut self, key: &SetKey, set: &Set, is_there: bool) {
        let templates = set.revisions.values().map(|revision| &revision.template);
        let labels = templates.flat_map(|template| &template.metadata.labels);
        for (label, value) in labels.collect::<BTreeSet<_>>() {
            let label = Arc::new((key.namespace.clone(), label.clone(), value.clone()));
            self.labelled.put(&label, key, is_there);
        }
    }

    fn spec(&mut self, key: &SetKey, set: &Set, is_there: bool) {
        for needed in set.spec.needed(&key.namespace) {
            self.dependants.put(&needed, key, is_there);
        }
        if set.spec.placement == Placement::PerHost {
            self.per_host.put(&(), key, is_there);
        }
        if let Ok(name) = set.service_name(key).parse() {
            let namespace = key.namespace.clone();
            self.named_by
                .put(&ObjectKey { namespace, name }, key, is_there);
        }
    }

    fn members(&mut self, key: &SetKey, before: Option<&Set>, after: Option<&Set>) {
        let of = |set: Option<&Set>| set.map_or_else(Map::new, |set| set.members.clone());
        let (old, new) = (of(before), of(after));
        for Change {
            key: n,
            before: was,
            after: is,
        } in new.changes(&old)
        {
            let was = was.map(|member| (member, run_by(before, member)));
            let is = is.map(|member| (member, run_by(after, member)));
            self.member(&id(key, *n), was, is);
        }
        let (Some(before), Some(after)) = (before, after) else {
            return;
        };
        if after.carries_as(before) {
            return;
        }
        // The members that are as they were and run what a revision says that is another now.
        for (ordinal, member) in &after.members {
            let was = before.members.get(ordinal);
            let (old, new) = (run_by(Some(before), member), run_by(Some(after), member));
            if was.is_some_and(|was| std::ptr::eq(was, member)) && !is_one(old, new) {
                let (old, new) = (Some((member, old)), Some((member, new)));
                self.member(&id(key, *ordinal), old, new);
            }
        }
    }

    /// Takes in what changed of a member: mostly nothing of this.
    fn member(&mut self, id: &MemberId, before: Option<Found<'_>>, after: Option<Found<'_>>) {
        let host = |found: Option<Found<'_>>| found.map(|(member, _)| member.host.clone());
        let (old, new) = (host(before), host(after));
        self.on_host.swap(old.as_ref(), new.as_ref(), id);
        let unstarted = |found: Option<Found<'_>>| {
            let member = found.filter(|(member, _)| member.ordered == Ordered::Nothing);
            host(member)
        };
        let (old, new) = (unstarted(before), unstarted(after));
        self.unstarted_on.swap(old.as_ref(), new.as_ref(), id);
        let named = |(member, _): Found<'_>| member.named_in;
        let (old, new) = (before.map(named), after.map(named));
        self.named.swap(old.as_ref(), new.as_ref());
        let address = |(member, _): Found<'_>| member.address;
        self.address_of(before.map(address), after.map(address));
        let same = before.zip(after).is_some_and(|(before, after)| {
            before.0.address == after.0.address && is_one(before.1, after.1)
        });
        if !same {
            before
                .into_iter()
                .for_each(|found| self.run(id, found, false));
            after
                .into_iter()
                .for_each(|found| self.run(id, found, true));
        }
    }

    /// Takes in what a member runs, or away.
    fn run(&mut self, id: &MemberId, (member, template): Found<'_>, is_there: bool) {
        let Some(template) = template else { return };
        for socket in sockets(member, template) {
            self.sockets.put(&socket, id, is_there);
        }
        for (_, claim) in shared_claims(id, template) {
            self.sharers.put(&claim, id, is_there);
        }
    }
}

fn id(set: &SetKey, ordinal: Ordinal) -> MemberId {
    MemberId {
        set: set.clone(),
        ordinal,
    }
}

fn run_by<'a>(set: Option<&'a Set>, member: &Member) -> Option<&'a Arc<MemberTemplate>> {
    set?.template_of(&member.revision)
}

fn is_one(one: Option<&Arc<MemberTemplate>>, other: Option<&Arc<MemberTemplate>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

impl Set {
    /// Whether two versions of a set have the same templates under the same names.
    pub(crate) fn has_same_templates(&self, other: &Self) -> bool {
        let one = |(hash, revision): (_, &Revision)| (hash, Arc::as_ptr(&revision.template));
        let (own, others) = (self.revisions.iter(), other.revisions.iter());
        own.map(one).eq(others.map(one))
    }

    /// Whether the revisions that the members carry have the templates that they had in another
    /// version of the set.
    pub(crate) fn carries_as(&self, before: &Self) -> bool {
        let hashes = self.revisions.keys().chain(before.revisions.keys());
        let other = hashes.filter(|hash| !is_one(self.template_of(hash), before.template_of(hash)));
        let other: BTreeSet<&TemplateHash> = other.collect();
        other.is_empty() || self.members.values().all(|m| !other.contains(&m.revision))
    }
}

fn sockets(member: &Member, template: &MemberTemplate) -> impl Iterator<Item = Socket> {
    let ports = template.spec.lasting().flat_map(|process| &process.ports);
    ports.map(|port| (member.address, port.container_port, port.protocol))
}
