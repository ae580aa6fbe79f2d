//! The shapes that an index has: groups, counts, and runs of numbers.

use std::{borrow::Borrow, sync::Arc};

use crate::map::Map;

/// Values by what they have in common. A group without values is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Groups<K, V> {
    groups: Map<K, Map<V, ()>>,
    /// What every value of every group is mapped to.
    is_in: Arc<()>,
}

impl<K, V> Default for Groups<K, V> {
    fn default() -> Self {
        Self {
            groups: Map::new(),
            is_in: Arc::new(()),
        }
    }
}

impl<K: Ord + Clone, V: Ord + Clone> Groups<K, V> {
    /// Puts a value into a group, or takes it away.
    pub(super) fn put(&mut self, group: &K, value: &V, is_there: bool) {
        match self.groups.get_mut(group) {
            Some(values) if is_there => {
                values.insert_shared(value.clone(), Arc::clone(&self.is_in));
            }
            Some(values) => {
                values.remove(value);
                if values.is_empty() {
                    self.groups.remove(group);
                }
            }
            None if is_there => {
                let mut values = Map::new();
                values.insert_shared(value.clone(), Arc::clone(&self.is_in));
                self.groups.insert(group.clone(), values);
            }
            None => {}
        }
    }

    /// Takes a value from one group to another.
    pub(super) fn swap(&mut self, before: Option<&K>, after: Option<&K>, value: &V) {
        if before != after {
            before
                .into_iter()
                .for_each(|group| self.put(group, value, false));
            after
                .into_iter()
                .for_each(|group| self.put(group, value, true));
        }
    }

    /// The values of a group, sorted.
    pub fn of<Q: Ord + ?Sized>(&self, group: &Q) -> impl Iterator<Item = &V>
    where
        K: Borrow<Q>,
    {
        self.groups.get(group).into_iter().flat_map(Map::keys)
    }

    /// How many values a group has.
    pub fn len(&self, group: &K) -> usize {
        self.groups.get(group).map_or(0, Map::len)
    }

    /// All groups, sorted, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let groups = self.groups.iter();
        groups.flat_map(|(group, values)| values.keys().map(move |value| (group, value)))
    }
}

/// How often something is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts<K>(Map<K, u32>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Map::new())
    }
}

impl<K: Ord + Clone> Counts<K> {
    /// Counts one more, or one less; whether it is there now and was not, or the other way round.
    pub(super) fn put(&mut self, key: &K, is_there: bool) -> bool {
        let before = self.0.get(key).copied().unwrap_or_default();
        let after = if is_there {
            before.saturating_add(1)
        } else {
            before.saturating_sub(1)
        };
        if after == 0 {
            self.0.remove(key);
        } else {
            self.0.insert(key.clone(), after);
        }
        (before == 0) != (after == 0)
    }

    /// Counts one thing less and another one more.
    pub(super) fn swap(&mut self, before: Option<&K>, after: Option<&K>) {
        if before == after {
            return;
        }
        if let Some(key) = before {
            self.put(key, false);
        }
        if let Some(key) = after {
            self.put(key, true);
        }
    }

    /// Whether it is there.
    pub fn contains<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    /// The highest one.
    pub fn last(&self) -> Option<&K> {
        self.0.keys().next_back()
    }
}

/// A set of numbers, kept as the runs without a gap that they make: by the last of each, the first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Runs(Map<u32, u32>);

impl Runs {
    fn run(&self, number: u32) -> Option<(u32, u32)> {
        let (last, first) = self.0.range(number..).next()?;
        (*first <= number).then_some((*first, *last))
    }

    /// Puts a number that is not there, or takes one away that is.
    pub(super) fn put(&mut self, number: u32, is_there: bool) {
        if is_there {
            self.add(number);
        } else {
            self.remove(number);
        }
    }

    fn add(&mut self, number: u32) {
        let below = number.checked_sub(1).and_then(|below| self.run(below));
        let above = number.checked_add(1).and_then(|above| self.run(above));
        let first = below.map_or(number, |(first, _)| first);
        let last = above.map_or(number, |(_, last)| last);
        if let Some((_, last)) = below {
            self.0.remove(&last);
        }
        self.0.insert(last, first);
    }

    fn remove(&mut self, number: u32) {
        let Some((first, last)) = self.run(number) else {
            return;
        };
        self.0.remove(&last);
        if first < number {
            self.0.insert(number - 1, first);
        }
        if number < last {
            self.0.insert(last, number + 1);
        }
    }

    /// The lowest number from this one on that is not there.
    pub fn free_from(&self, number: u32) -> Option<u32> {
        match self.run(number) {
            Some((_, last)) => last.checked_add(1),
            None => Some(number),
        }
    }
}
