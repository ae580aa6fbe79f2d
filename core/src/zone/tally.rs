//! The hash of the zone without the zone: kept up by what changed.
//!
//! Every plan asks whether the zone is still the published one. To build it for that costs as much
//! as there are members. So the hash is a sum, one number for each record, and a change is taken out
//! and put in. See [`super::Zone::hash`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Item, base, item_of_service, items_of_member, items_of_set, named, sum::Sum};
use crate::{
    ids::{ContentHash, Ordinal, SetKey},
    map::{Change, Map},
    state::{Set, State, first_label},
};

/// What was counted of a state.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How many members and services give each item: it is in the zone once.
    counts: Map<Arc<Item>, u32>,
    sum: Sum,
    seen: Arc<State>,
}

/// The hash of the zone that follows from a state: that of [`super::build`].
pub fn hash(state: &State) -> ContentHash {
    let mut memo = state.zone_memo.lock();
    let tally = memo.get_or_insert_default();
    if !tally.is_of(state) {
        state.index();
        Arc::make_mut(tally).follow(state);
    }
    tally.sum.hash()
}

/// A copy with its index, and without a tally.
fn indexed(state: &State) -> State {
    let memo = state.memo.clone();
    State {
        memo,
        ..state.bare()
    }
}

/// By how much counts of items change: as they were found, one item several times. At a start that is all
/// there is, and to sort it once costs less than to keep it sorted.
type Changes = Vec<(Item, i64)>;

impl Tally {
    fn is_of(&self, state: &State) -> bool {
        let seen = &self.seen;
        seen.zone_name == state.zone_name
            && seen.sets.is_same(&state.sets)
            && seen.hosts.is_same(&state.hosts)
            && seen.services.is_same(&state.services)
    }

    fn follow(&mut self, state: &State) {
        let mut changes = Changes::new();
        if self.seen.zone_name != state.zone_name || self.sum == Sum::default() {
            *self = Self {
                sum: Sum::of(&state.zone_name),
                ..Self::default()
            };
            add(&mut changes, [base(&state.zone_name)], 1);
        }
        let before = std::mem::replace(&mut self.seen, Arc::new(indexed(state)));
        let touched = touched(&before, state);
        for (from, sign) in [(&*before, -1), (state, 1)] {
            for (key, which) in &touched {
                count(from, key, which, sign, &mut changes);
            }
        }
        for Change {
            key,
            before: was,
            after: is,
        } in state.services.changes(&before.services)
        {
            let sign = i64::from(is.is_some()) - i64::from(was.is_some());
            add(&mut changes, [item_of_service(state, key)], sign);
        }
        changes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut changes = changes.into_iter().peekable();
        while let Some((item, mut change)) = changes.next() {
            while let Some((_, more)) = changes.next_if(|(other, _)| *other == item) {
                change += more;
            }
            if change != 0 {
                self.change(item, change);
            }
        }
    }

    fn change(&mut self, item: Item, change: i64) {
        let before = self.counts.get(&item).copied().unwrap_or_default();
        let after = u32::try_from(i64::from(before) + change).unwrap_or_default();
        if (before == 0) != (after == 0) {
            self.sum.put(&item.0, item.1.as_ref(), after > 0);
        }
        if after == 0 {
            self.counts.remove(&item);
        } else if after != before {
            self.counts.insert(Arc::new(item), after);
        }
    }
}

/// The members of a set that give other items than before; all, if anything of the set changed that
/// all of them have.
#[derive(Debug)]
enum Which {
    All,
    These(BTreeSet<Ordinal>),
}

fn one(touched: &mut BTreeMap<SetKey, Which>, set: &SetKey, ordinal: Ordinal) {
    let none = || Which::These(BTreeSet::new());
    if let Which::These(ordinals) = touched.entry(set.clone()).or_insert_with(none) {
        ordinals.insert(ordinal);
    }
}

fn touched(before: &State, after: &State) -> BTreeMap<SetKey, Which> {
    let mut touched: BTreeMap<SetKey, Which> = BTreeMap::new();
    for change in after.hosts.changes(&before.hosts) {
        let connected = |host: Option<&crate::state::Host>| host.map(|host| host.contact.connected);
        if connected(change.before) != connected(change.after) {
            let (was, is) = (before.index(), after.index());
            let all = was.on_host.of(change.key).chain(is.on_host.of(change.key));
            all.for_each(|id| one(&mut touched, &id.set, id.ordinal));
        }
        let none = Map::new();
        let reports = |host: Option<&crate::state::Host>| {
            host.map_or_else(|| none.clone(), |host| host.contact.members.clone())
        };
        let (was, is) = (reports(change.before), reports(change.after));
        for change in is.changes(&was) {
            one(&mut touched, &change.key.set, change.key.ordinal);
        }
    }
    for Change {
        key,
        before: was,
        after: is,
    } in after.sets.changes(&before.sets)
    {
        let (Some(was), Some(is)) = (was, is) else {
            touched.insert(key.clone(), Which::All);
            continue;
        };
        if was.service_name(key) != is.service_name(key) || !is.carries_as(was) {
            touched.insert(key.clone(), Which::All);
            continue;
        }
        for ordinal in newly_or_no_longer_declared(was, is) {
            one(&mut touched, key, ordinal);
        }
        for change in is.members.changes(&was.members) {
            one(&mut touched, key, *change.key);
        }
    }
    for change in after.services.changes(&before.services) {
        for (state, service) in [(before, change.before), (after, change.after)] {
            let index = state.index();
            let label = service.and_then(|service| first_label(change.key, service));
            let taken = label.iter().flat_map(|label| index.labelled.of(label));
            let sets = index.named_by.of(change.key).chain(taken);
            touched.extend(sets.map(|set| (set.clone(), Which::All)));
        }
    }
    touched
}

/// The ordinals that only one of two versions of a set declares.
fn newly_or_no_longer_declared(one: &Set, other: &Set) -> Vec<Ordinal> {
    let same = Arc::ptr_eq(&one.spec, &other.spec)
        && one.deleting == other.deleting
        && one.own_hosts.is_same(&other.own_hosts);
    if same {
        return Vec::new();
    }
    let (one, other): (BTreeSet<_>, BTreeSet<_>) =
        (one.declared().collect(), other.declared().collect());
    one.symmetric_difference(&other).copied().collect()
}

fn count(state: &State, key: &SetKey, which: &Which, sign: i64, changes: &mut Changes) {
    let Some(set) = state.sets.get(key) else {
        return;
    };
    let index = state.index();
    match which {
        Which::All => {
            add(changes, items_of_set(state, key, set), sign);
            for ordinal in named(set) {
                add(
                    changes,
                    items_of_member((state, &index), key, set, ordinal),
                    sign,
                );
            }
        }
        Which::These(ordinals) => {
            for ordinal in ordinals {
                let named = set.members.contains_key(ordinal) || set.is_declared(*ordinal);
                if named {
                    add(
                        changes,
                        items_of_member((state, &index), key, set, *ordinal),
                        sign,
                    );
                }
            }
        }
    }
}

/// Counts items; with each record its name.
fn add(changes: &mut Changes, items: impl IntoIterator<Item = Item>, sign: i64) {
    for (name, record) in items {
        if record.is_some() {
            changes.push(((name.clone(), None), sign));
        }
        changes.push(((name, record), sign));
    }
}
