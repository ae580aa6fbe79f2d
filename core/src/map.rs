//! A sorted map that is cheap to copy and that tells cheaply what changed since a copy was made.
//!
//! The planner works on a copy of everything that is known, and asks what changed since it looked
//! last. With the maps of the standard library both cost as much as there is. Here a copy shares
//! all of its parts with the original: it costs the same for one entry and for a million, a change
//! copies only the few parts on its way, and [`Map::changes`] skips what is still shared.
//!
//! A B+ tree behind reference counts. What its methods share with those of
//! [`std::collections::BTreeMap`] has their names and their meaning. There are fewer, and these
//! differ: [`Map::or_insert_with`] is in place of an entry; [`Map::values_mut`] and
//! [`Map::or_insert_with`] count as a change of what they lend; to consume a map copies its entries,
//! because others may share them; and [`Map::changes`] and [`Map::is_same`] are its own.

use std::{
    borrow::Borrow,
    fmt,
    ops::{Bound, Index, RangeBounds},
    sync::Arc,
};

mod changes;
mod node;
mod walk;

pub use changes::{Change, Changes};
pub use walk::Iter;

use node::Node;

/// A sorted map. See the module.
pub struct Map<K, V> {
    root: Arc<Node<K, V>>,
    len: usize,
}

impl<K, V> Map<K, V> {
    /// An empty map.
    pub fn new() -> Self {
        Self {
            root: Arc::new(Node::Leaf(Vec::new())),
            len: 0,
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// All entries, sorted by key.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter::new(&self.root, self.len)
    }

    /// All keys, sorted.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + Clone {
        self.iter().map(|(key, _)| key)
    }

    /// All values, sorted by key.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + Clone {
        self.iter().map(|(_, value)| value)
    }

    /// The entry with the lowest key.
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    /// Whether two maps are the same one, none of them changed since one was copied from the other.
    /// Two that are not may have the same entries all the same.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.root, &other.root)
    }

    /// What was put, changed and removed since `before`, which this map was copied from, sorted by
    /// key. It costs as much as was changed. A value that was borrowed to be changed counts as
    /// changed.
    pub fn changes<'a>(&'a self, before: &'a Self) -> Changes<'a, K, V> {
        Changes::new(&before.root, &self.root)
    }
}

impl<K: Ord, V> Map<K, V> {
    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// The entry of a key.
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        self.root.get(key).map(|(key, value)| (key, &**value))
    }

    /// Whether a key has a value.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// The value of a key, which others may share.
    pub fn get_shared<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&Arc<V>>
    where
        K: Borrow<Q>,
    {
        self.root.get(key).map(|(_, value)| value)
    }

    /// The entries from the first on whose key is not below something, sorted by key.
    pub fn above(&self, is_below: impl Fn(&K) -> bool) -> impl Iterator<Item = (&K, &V)> {
        Iter::above(&self.root, is_below)
    }

    /// The entries whose keys are in a range, sorted by key.
    pub fn range<'a, R: RangeBounds<K> + 'a>(
        &'a self,
        range: R,
    ) -> impl Iterator<Item = (&'a K, &'a V)> {
        let from = Iter::above(&self.root, |key| match range.start_bound() {
            Bound::Included(start) => key < start,
            Bound::Excluded(start) => key <= start,
            Bound::Unbounded => false,
        });
        let inside = move |key: &K| range.contains(key);
        from.take_while(move |(key, _)| inside(key))
    }
}

impl<K: Ord + Clone, V: Clone> Map<K, V> {
    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        // Looking costs nothing, a path that is copied in vain does.
        if !self.contains_key(key) {
            return None;
        }
        Arc::make_mut(&mut self.root).get_mut(key)
    }

    /// Puts a value; the one that the key had is returned.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.insert_shared(key, Arc::new(value))
    }

    /// As [`Self::insert`], of a value that others may share.
    pub fn insert_shared(&mut self, key: K, value: Arc<V>) -> Option<V> {
        let root = Arc::make_mut(&mut self.root);
        let (before, split) = root.insert(key, value);
        if let Some(right) = split {
            let left = std::mem::replace(root, Node::Leaf(Vec::new()));
            *root = Node::above(left, right);
        }
        if before.is_none() {
            self.len += 1;
        }
        before.map(Arc::unwrap_or_clone)
    }

    /// Removes a key; the value that it had is returned.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if !self.contains_key(key) {
            return None;
        }
        let root = Arc::make_mut(&mut self.root);
        let value = root.remove(key)?;
        root.shrink();
        self.len -= 1;
        Some(Arc::unwrap_or_clone(value))
    }

    /// The value of a key, to be changed; if it has none, this one is put before.
    pub fn or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        if !self.contains_key(&key) {
            self.insert(key.clone(), value());
        }
        Arc::make_mut(&mut self.root).slot(&key)
    }

    /// Keeps the entries that a test holds of.
    pub fn retain(&mut self, mut keeps: impl FnMut(&K, &V) -> bool) {
        let entries = self.iter().filter(|(key, value)| !keeps(key, value));
        let gone: Vec<K> = entries.map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.remove(&key);
        }
    }

    /// Removes the entry with the lowest key.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        let key = self.first_key_value()?.0.clone();
        let value = self.remove(&key)?;
        Some((key, value))
    }

    /// All values, sorted by key, to be changed. All of them count as changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let mut found = Vec::with_capacity(self.len);
        Arc::make_mut(&mut self.root).values_mut(&mut found);
        found.into_iter()
    }
}

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Self {
            root: Arc::clone(&self.root),
            len: self.len,
        }
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for Map<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord, V> Index<&K> for Map<K, V> {
    type Output = V;

    /// As with every map, for a key that surely is there; [`Map::get`] asks.
    #[expect(
        clippy::expect_used,
        reason = "what is indexed is there, or it is a bug"
    )]
    fn index(&self, key: &K) -> &V {
        self.get(key).expect("the key is there")
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for Map<K, V> {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, entries: T) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<K: Ord + Clone, V: Clone, const N: usize> From<[(K, V); N]> for Map<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K: Clone, V: Clone> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        let entries = self.iter().map(|(key, value)| (key.clone(), value.clone()));
        entries.collect::<Vec<_>>().into_iter()
    }
}

impl<'a, K, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
