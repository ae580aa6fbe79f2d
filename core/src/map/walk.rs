//! Walking over the entries of a [`super::Map`], from both ends.

use std::{fmt, slice, sync::Arc};

use super::node::{Child, Node};

/// The entries of a map, sorted by key.
pub struct Iter<'a, K, V> {
    front: Vec<Level<'a, K, V>>,
    back: Vec<Level<'a, K, V>>,
    /// How many entries are between both ends, at most.
    left: usize,
}

/// What is still to be walked of a node.
enum Level<'a, K, V> {
    Leaf(slice::Iter<'a, (K, Arc<V>)>),
    Branch(slice::Iter<'a, Child<K, V>>),
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        let (front, back) = (self.front.clone(), self.back.clone());
        let left = self.left;
        Self { front, back, left }
    }
}

impl<K, V> Clone for Level<'_, K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(entries) => Self::Leaf(entries.clone()),
            Self::Branch(children) => Self::Branch(children.clone()),
        }
    }
}

impl<K, V> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

impl<'a, K, V> Level<'a, K, V> {
    fn of(node: &'a Node<K, V>) -> Self {
        match node {
            Node::Leaf(entries) => Self::Leaf(entries.iter()),
            Node::Branch(children) => Self::Branch(children.iter()),
        }
    }
}

impl<'a, K, V> Iter<'a, K, V> {
    pub(super) fn new(root: &'a Node<K, V>, len: usize) -> Self {
        Self {
            front: vec![Level::of(root)],
            back: vec![Level::of(root)],
            left: len,
        }
    }

    /// From the first key on that is not below something; only forward.
    pub(super) fn above(root: &'a Node<K, V>, is_below: impl Fn(&K) -> bool) -> Self {
        let mut front = Vec::new();
        let mut node = root;
        loop {
            match node {
                Node::Branch(children) => {
                    let below = children.partition_point(|(low, _)| is_below(low));
                    // Its last keys need not be below as its first is.
                    let at = below.saturating_sub(1);
                    front.push(Level::Branch(children[at + 1..].iter()));
                    node = &children[at].1;
                }
                Node::Leaf(entries) => {
                    let at = entries.partition_point(|(key, _)| is_below(key));
                    front.push(Level::Leaf(entries[at..].iter()));
                    break;
                }
            }
        }
        Self {
            front,
            back: Vec::new(),
            left: usize::MAX,
        }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        loop {
            let next = match self.front.last_mut()? {
                Level::Leaf(entries) => match entries.next() {
                    Some((key, value)) => return Some((key, value)),
                    None => None,
                },
                Level::Branch(children) => children.next(),
            };
            match next {
                Some((_, node)) => self.front.push(Level::of(node)),
                None => drop(self.front.pop()),
            }
        }
    }
}

impl<K, V> DoubleEndedIterator for Iter<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        loop {
            let next = match self.back.last_mut()? {
                Level::Leaf(entries) => match entries.next_back() {
                    Some((key, value)) => return Some((key, value)),
                    None => None,
                },
                Level::Branch(children) => children.next_back(),
            };
            match next {
                Some((_, node)) => self.back.push(Level::of(node)),
                None => drop(self.back.pop()),
            }
        }
    }
}
