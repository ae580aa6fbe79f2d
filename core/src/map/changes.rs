//! What differs between two [`super::Map`]s of which one was copied from the other. Nodes that both
//! share are skipped whole.

use std::{cmp::Ordering, fmt, sync::Arc};

use super::node::{Child, Node};

/// A key that was put, changed or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<'a, K, V> {
    /// The key.
    pub key: &'a K,
    /// Its value before, if it had one.
    pub before: Option<&'a V>,
    /// Its value now, if it has one.
    pub after: Option<&'a V>,
}

/// The changes between two maps, sorted by key.
pub struct Changes<'a, K, V> {
    before: Side<'a, K, V>,
    after: Side<'a, K, V>,
}

impl<K, V> fmt::Debug for Changes<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

/// What is still to be compared of one map; the next is last.
struct Side<'a, K, V>(Vec<Part<'a, K, V>>);

/// A part of a map that was not looked into yet, or an entry.
enum Part<'a, K, V> {
    Node(&'a Arc<Node<K, V>>),
    Entry(&'a K, &'a Arc<V>),
}

impl<'a, K, V> Side<'a, K, V> {
    /// Looks into the next part, if it is a node.
    fn open(&mut self) {
        let Some(Part::Node(node)) = self.0.pop_if(|part| matches!(part, Part::Node(_))) else {
            return;
        };
        match &**node {
            Node::Leaf(entries) => self.push_entries(entries),
            Node::Branch(children) => self.push_children(children),
        }
    }

    fn push_entries(&mut self, entries: &'a [(K, Arc<V>)]) {
        let entries = entries.iter().rev();
        self.0
            .extend(entries.map(|(key, value)| Part::Entry(key, value)));
    }

    fn push_children(&mut self, children: &'a [Child<K, V>]) {
        let children = children.iter().rev();
        self.0.extend(children.map(|(_, child)| Part::Node(child)));
    }

    /// How many levels are below the next part; `None` at an entry, or at the end.
    fn height(&self) -> Option<usize> {
        match self.0.last()? {
            Part::Node(node) => Some(node.height()),
            Part::Entry(..) => None,
        }
    }

    fn node(&self) -> Option<&'a Arc<Node<K, V>>> {
        match self.0.last()? {
            Part::Node(node) => Some(node),
            Part::Entry(..) => None,
        }
    }

    fn entry(&self) -> Option<(&'a K, &'a Arc<V>)> {
        match self.0.last()? {
            Part::Node(_) => None,
            Part::Entry(key, value) => Some((key, value)),
        }
    }

    fn skip(&mut self) {
        self.0.pop();
    }
}

impl<'a, K, V> Changes<'a, K, V> {
    pub(super) fn new(before: &'a Arc<Node<K, V>>, after: &'a Arc<Node<K, V>>) -> Self {
        Self {
            before: Side(vec![Part::Node(before)]),
            after: Side(vec![Part::Node(after)]),
        }
    }

    /// Goes on until both sides are at an entry or at their end, and skips what they share.
    fn align(&mut self) {
        loop {
            let shared = self.before.node().zip(self.after.node());
            if shared.is_some_and(|(before, after)| Arc::ptr_eq(before, after)) {
                self.before.skip();
                self.after.skip();
                continue;
            }
            // The higher part first, so that what is shared meets.
            match self.before.height().cmp(&self.after.height()) {
                Ordering::Greater => self.before.open(),
                Ordering::Less => self.after.open(),
                Ordering::Equal if self.before.height().is_none() => return,
                Ordering::Equal => self.open_both(),
            }
        }
    }

    /// Looks into both next parts, which are nodes of one height, but for what those share at either
    /// end: mostly all but one.
    fn open_both(&mut self) {
        let nodes = self.before.node().zip(self.after.node());
        let Some((before, after)) = nodes.map(|(before, after)| (&**before, &**after)) else {
            return;
        };
        if let (Node::Leaf(before), Node::Leaf(after)) = (before, after) {
            let same =
                |(_, before): &(_, Arc<V>), (_, after): &(_, Arc<V>)| Arc::ptr_eq(before, after);
            let (before, after) = unshared(before, after, same);
            self.before.skip();
            self.after.skip();
            self.before.push_entries(before);
            self.after.push_entries(after);
        } else if let (Node::Branch(before), Node::Branch(after)) = (before, after) {
            let same =
                |(_, before): &Child<K, V>, (_, after): &Child<K, V>| Arc::ptr_eq(before, after);
            let (before, after) = unshared(before, after, same);
            self.before.skip();
            self.after.skip();
            self.before.push_children(before);
            self.after.push_children(after);
        } else {
            self.before.open();
            self.after.open();
        }
    }
}

/// Two lists without what is the same at the beginning of both, and at the end.
fn unshared<'a, T>(
    before: &'a [T],
    after: &'a [T],
    same: impl Fn(&T, &T) -> bool,
) -> (&'a [T], &'a [T]) {
    let pairs = before.iter().zip(after);
    let start = pairs.take_while(|(one, other)| same(one, other)).count();
    let (before, after) = (&before[start..], &after[start..]);
    let pairs = before.iter().rev().zip(after.iter().rev());
    let end = pairs.take_while(|(one, other)| same(one, other)).count();
    (&before[..before.len() - end], &after[..after.len() - end])
}

impl<'a, K: Ord, V> Iterator for Changes<'a, K, V> {
    type Item = Change<'a, K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.align();
            let (before, after) = (self.before.entry(), self.after.entry());
            let order = match (before, after) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((before, _)), Some((after, _))) => before.cmp(after),
            };
            let before = before.filter(|_| order.is_le());
            let after = after.filter(|_| order.is_ge());
            if before.is_some() {
                self.before.skip();
            }
            if after.is_some() {
                self.after.skip();
            }
            let values = before.zip(after);
            if values.is_some_and(|((_, before), (_, after))| Arc::ptr_eq(before, after)) {
                continue;
            }
            let key = before.or(after)?.0;
            return Some(Change {
                key,
                before: before.map(|(_, value)| &**value),
                after: after.map(|(_, value)| &**value),
            });
        }
    }
}
