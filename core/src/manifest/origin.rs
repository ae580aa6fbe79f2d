//! Where an object was written, and the one form in which its mistakes are told.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::tree::{Content, Entry, Node, Place};

/// Characters of a message. It may quote what was written, and that may be anything.
const MAX_MESSAGE: usize = 600;

/// What the template of a pod has under another word, and ours.
pub(super) const UPSTREAM: [(&str, &str); 2] = [
    ("containers", "processes"),
    ("initContainers", "initProcesses"),
];

/// One mistake, with everything that helps to find it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Violation {
    /// The file, if it came from one.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column in characters, from 1.
    pub column: Option<u32>,
    /// The object, such as `StatefulSet/etcd`.
    pub object: Option<String>,
    /// The field, such as `spec.template.spec.processes[0].command`; may be empty.
    pub field: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "{line}:{column}:")?;
        }
        if self.file.is_some() || self.line.is_some() {
            f.write_str(" ")?;
        }
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// Where an object was written.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    file: Option<String>,
    root: Option<Node>,
}

impl Origin {
    pub(super) fn new(file: &str, root: Node) -> Self {
        Self {
            file: Some(file.to_owned()),
            root: Some(root),
        }
    }

    /// A violation at a field of the object, or at what is nearest to it.
    pub fn violation(&self, object: Option<&str>, field: &str, message: &str) -> Violation {
        let place = self.root.as_ref().map(|root| nearest(root, field, false));
        self.at(place, object, field, message)
    }

    /// A violation of the key of a field.
    pub(super) fn key_violation(
        &self,
        object: Option<&str>,
        field: &str,
        message: &str,
    ) -> Violation {
        let place = self.root.as_ref().map(|root| nearest(root, field, true));
        self.at(place, object, field, message)
    }

    fn at(
        &self,
        place: Option<Place>,
        object: Option<&str>,
        field: &str,
        message: &str,
    ) -> Violation {
        Violation {
            file: self.file.clone(),
            line: place.map(|p| p.line),
            column: place.map(|p| p.column),
            object: object.map(shorten),
            field: shorten(field),
            message: shorten(message),
        }
    }

    /// Where the object begins, such as `etcd.yaml:12`; empty if it came from no text.
    pub fn describe(&self) -> String {
        match (&self.file, &self.root) {
            (Some(file), Some(root)) => format!("{file}:{}", root.place.line),
            (Some(file), None) => file.clone(),
            (None, _) => String::new(),
        }
    }
}

/// The text, or its two ends.
fn shorten(text: &str) -> String {
    if text.chars().count() <= MAX_MESSAGE {
        return text.to_owned();
    }
    let first: String = text.chars().take(MAX_MESSAGE / 2).collect();
    let count = text.chars().count();
    let last: String = text.chars().skip(count - MAX_MESSAGE / 2).collect();
    format!("{first} ... {last}")
}

/// The entry whose key a field begins with, also if it was written in the word of Kubernetes, and
/// what is left of the field.
fn first_of<'a, 'f>(entries: &'a [Entry], field: &'f str) -> Option<(&'a Entry, &'f str)> {
    let begins = |key: &str| {
        let left = field.strip_prefix(key)?;
        let ends = left.is_empty() || left.starts_with(['.', '[']);
        ends.then_some(left)
    };
    let own = |key: &str| {
        let mut words = UPSTREAM.into_iter();
        words.find_map(|(upstream, own)| (upstream == key).then_some(own))
    };
    let as_written = entries
        .iter()
        .filter_map(|entry| Some((entry, begins(&entry.key)?)))
        .max_by_key(|(entry, _)| entry.key.len());
    as_written.or_else(|| {
        let mut renamed = entries.iter();
        renamed.find_map(|entry| Some((entry, begins(own(&entry.key)?)?)))
    })
}

/// The place of a field, or of the last node on the way to it. Keys may contain dots, so a field
/// is matched against the keys that are there.
fn nearest(root: &Node, field: &str, of_key: bool) -> Place {
    let mut node = root;
    let mut place = root.place;
    let mut rest = field;
    loop {
        let (next, next_place, left) = match &node.content {
            Content::Map(entries) => {
                let Some((entry, left)) = first_of(entries, rest) else {
                    return place;
                };
                let place = if of_key && left.is_empty() {
                    entry.key_place
                } else {
                    entry.node.place
                };
                (&entry.node, place, left)
            }
            Content::List(nodes) => {
                let Some((number, left)) =
                    rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
                else {
                    return place;
                };
                let Some(next) = number.parse().ok().and_then(|n: usize| nodes.get(n)) else {
                    return place;
                };
                (next, next.place, left)
            }
            Content::Scalar(_) => return place,
        };
        node = next;
        place = next_place;
        rest = left.strip_prefix('.').unwrap_or(left);
        if rest.is_empty() {
            return place;
        }
    }
}
