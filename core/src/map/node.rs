//! The nodes of a [`super::Map`]: how they are searched, split and joined.

use std::{borrow::Borrow, mem, sync::Arc};

/// A node has at most so many children or entries; it is split beyond.
const MOST: usize = 32;
/// A node with fewer is joined with its neighbour.
const LEAST: usize = 8;

/// The entries of a leaf. Keys lie in the node itself: a search reads little else.
pub(super) type Entries<K, V> = Vec<(K, Arc<V>)>;
/// A node with a key that is not above any of its own.
pub(super) type Child<K, V> = (K, Arc<Node<K, V>>);
/// The children of a branch. What is below the first key belongs to the first child all the same.
pub(super) type Children<K, V> = Vec<Child<K, V>>;

/// A node; all leaves have the same depth.
pub(super) enum Node<K, V> {
    Leaf(Entries<K, V>),
    Branch(Children<K, V>),
}

/// What a node was split into on its right.
type Split<K, V> = Option<Child<K, V>>;

impl<K: Clone, V> Clone for Node<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(entries) => Self::Leaf(entries.clone()),
            Self::Branch(children) => Self::Branch(children.clone()),
        }
    }
}

impl<K, V> Node<K, V> {
    /// How many levels are below.
    pub(super) fn height(&self) -> usize {
        match self {
            Self::Leaf(_) => 0,
            Self::Branch(children) => children.first().map_or(0, |(_, child)| child.height()) + 1,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Branch(children) => children.len(),
        }
    }
}

impl<K: Clone, V> Node<K, V> {
    /// The node above two.
    pub(super) fn above(left: Self, right: Child<K, V>) -> Self {
        let low = match &left {
            Self::Leaf(entries) => entries.first().map(|(key, _)| key),
            Self::Branch(children) => children.first().map(|(key, _)| key),
        };
        let low = low.unwrap_or(&right.0).clone();
        Self::Branch(vec![(low, Arc::new(left)), right])
    }

    /// Takes away the levels that have one node only.
    pub(super) fn shrink(&mut self) {
        while let Self::Branch(children) = self {
            if children.len() > 1 {
                return;
            }
            let only = children.pop().map(|(_, child)| child);
            *self = only.map_or(Self::Leaf(Vec::new()), Arc::unwrap_or_clone);
        }
    }

    /// Splits what has grown too large.
    fn split(&mut self) -> Split<K, V> {
        if self.len() <= MOST {
            return None;
        }
        match self {
            Self::Leaf(entries) => {
                let right = entries.split_off(entries.len() / 2);
                let low = right.first()?.0.clone();
                Some((low, Arc::new(Self::Leaf(right))))
            }
            Self::Branch(children) => {
                let right = children.split_off(children.len() / 2);
                let low = right.first()?.0.clone();
                Some((low, Arc::new(Self::Branch(right))))
            }
        }
    }

    /// Takes in its right neighbour, which has no key below `low`.
    fn join(&mut self, low: K, right: Self) {
        match (self, right) {
            (Self::Leaf(entries), Self::Leaf(more)) => entries.extend(more),
            (Self::Branch(children), Self::Branch(mut more)) => {
                if let Some(first) = more.first_mut() {
                    first.0 = low;
                }
                children.extend(more);
            }
            // All leaves have the same depth.
            (Self::Leaf(_), Self::Branch(_)) | (Self::Branch(_), Self::Leaf(_)) => {}
        }
    }

    pub(super) fn values_mut<'a>(&'a mut self, found: &mut Vec<&'a mut V>)
    where
        V: Clone,
    {
        match self {
            Self::Leaf(entries) => found.extend(entries.iter_mut().map(|(_, v)| Arc::make_mut(v))),
            Self::Branch(children) => {
                for (_, child) in children {
                    Arc::make_mut(child).values_mut(found);
                }
            }
        }
    }
}

/// The child that has a key, if any has.
fn child<K: Borrow<Q>, V, Q: Ord + ?Sized>(children: &Children<K, V>, key: &Q) -> usize {
    children
        .partition_point(|(low, _)| low.borrow() <= key)
        .saturating_sub(1)
}

fn search<K: Borrow<Q>, V, Q: Ord + ?Sized>(
    entries: &Entries<K, V>,
    key: &Q,
) -> Result<usize, usize> {
    entries.binary_search_by(|(have, _)| have.borrow().cmp(key))
}

/// As [`child`], where the last one is the likeliest: much of what is put comes sorted.
fn child_to_put<K: Ord, V>(children: &Children<K, V>, key: &K) -> usize {
    match children.last() {
        Some((low, _)) if low <= key => children.len() - 1,
        Some(_) | None => child(children, key),
    }
}

/// As [`search`], where it likely is to be the last one.
fn search_to_put<K: Ord, V>(entries: &Entries<K, V>, key: &K) -> Result<usize, usize> {
    match entries.last() {
        Some((last, _)) if last < key => Err(entries.len()),
        Some(_) | None => search(entries, key),
    }
}

impl<K, V> Node<K, V> {
    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &Arc<V>)>
    where
        K: Borrow<Q>,
    {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(entries) => {
                    let (key, value) = &entries[search(entries, key).ok()?];
                    return Some((key, value));
                }
                Self::Branch(children) => node = &children[child(children, key)].1,
            }
        }
    }
}

impl<K: Ord + Clone, V> Node<K, V> {
    pub(super) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        V: Clone,
    {
        match self {
            Self::Leaf(entries) => {
                let at = search(entries, key).ok()?;
                Some(Arc::make_mut(&mut entries[at].1))
            }
            Self::Branch(children) => {
                let at = child(children, key);
                Arc::make_mut(&mut children[at].1).get_mut(key)
            }
        }
    }

    /// As [`Self::get_mut`], of a key that is there.
    pub(super) fn slot(&mut self, key: &K) -> &mut V
    where
        V: Clone,
    {
        match self {
            Self::Leaf(entries) => {
                let at = entries.partition_point(|(have, _)| have < key);
                Arc::make_mut(&mut entries[at].1)
            }
            Self::Branch(children) => {
                let at = child(children, key);
                Arc::make_mut(&mut children[at].1).slot(key)
            }
        }
    }

    /// Puts an entry: the value that was there, and the node that follows if this one was split.
    pub(super) fn insert(&mut self, key: K, value: Arc<V>) -> (Option<Arc<V>>, Split<K, V>) {
        let before = match self {
            Self::Leaf(entries) => match search_to_put(entries, &key) {
                Ok(at) => Some(mem::replace(&mut entries[at].1, value)),
                Err(at) => {
                    entries.insert(at, (key, value));
                    None
                }
            },
            Self::Branch(children) => {
                let at = child_to_put(children, &key);
                let (before, split) = Arc::make_mut(&mut children[at].1).insert(key, value);
                if let Some(right) = split {
                    children.insert(at + 1, right);
                }
                before
            }
        };
        (before, self.split())
    }

    /// Removes an entry.
    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Leaf(entries) => {
                let at = search(entries, key).ok()?;
                Some(entries.remove(at).1)
            }
            Self::Branch(children) => {
                let at = child(children, key);
                let node = Arc::make_mut(&mut children[at].1);
                let value = node.remove(key)?;
                if node.len() < LEAST {
                    balance(children, at.saturating_sub(1));
                }
                Some(value)
            }
        }
    }
}

/// Joins a child with the next one, and splits it again if that is too much.
fn balance<K: Clone, V>(children: &mut Children<K, V>, left: usize) {
    if left + 1 >= children.len() {
        return;
    }
    let (low, right) = children.remove(left + 1);
    let node = Arc::make_mut(&mut children[left].1);
    node.join(low, Arc::unwrap_or_clone(right));
    if let Some(right) = node.split() {
        children.insert(left + 1, right);
    }
}
