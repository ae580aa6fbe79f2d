//! Every typed id of Berth, in one file, so that no bare string or integer names a thing.
//!
//! Each id has a parser that checks its form, a `Display` that prints it back, and (through
//! [`DnsLabel`]'s rules) the limits that make it usable as a DNS label. Counters that fence or
//! order things ([`Epoch`], [`Generation`], [`Term`]) only ever grow, and can only be advanced
//! through their methods, which refuse to wrap.

use std::{cmp::Ordering, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest DNS label in bytes (RFC 1035, 2.3.4).
pub const MAX_LABEL: usize = 63;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("a name is missing; give one of 1 to {MAX_LABEL} characters a-z, 0-9 and '-'")]
    Empty,
    /// Longer than a DNS label may be.
    #[error("'{text}' has {} bytes, a name has at most {MAX_LABEL}; shorten it", text.len())]
    TooLong {
        /// The refused text.
        text: String,
    },
    /// A character, or its place, that a DNS label does not allow (RFC 1123, 2.1).
    #[error(
        "'{text}' is not a DNS label; use a-z, 0-9 and '-', begin and end with a letter or digit"
    )]
    NotALabel {
        /// The refused text.
        text: String,
    },
    /// A compound id (such as `default/etcd-0`) whose shape is wrong.
    #[error("'{text}' is not {expected}")]
    Shape {
        /// The refused text.
        text: String,
        /// The expected shape, with its article.
        expected: &'static str,
    },
}

/// Checks that a text is a DNS label as RFC 1123 section 2.1 has it, in lower case.
///
/// # Errors
/// The rule that the text breaks.
pub fn check_label(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > MAX_LABEL {
        return Err(IdError::TooLong {
            text: text.to_owned(),
        });
    }
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().is_some_and(|b| inner(*b)) && bytes.last().is_some_and(|b| inner(*b));
    if !ends || !bytes.iter().all(|b| inner(*b) || *b == b'-') {
        return Err(IdError::NotALabel {
            text: text.to_owned(),
        });
    }
    Ok(())
}

// Keys of everything, copied and compared all the time: a copy shares its text.
macro_rules! label_id {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        #[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                check_label(text)?;
                Ok(Self(text.into()))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                // Most of what is compared in a search are copies of one.
                if Arc::ptr_eq(&self.0, &other.0) {
                    return Ordering::Equal;
                }
                self.0.cmp(&other.0)
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                check_label(&text)?;
                Ok(Self(text.into()))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    )+};
}

label_id! {
    /// A machine with one agent; chosen by the operator, unique in the cluster.
    HostName,
    /// A namespace; objects without one live in `default`.
    Namespace,
    /// The name of an object within its kind and namespace.
    ObjectName,
    /// The name of one process of a member, unique within the member.
    ProcessName,
    /// Somebody who works with the coordinator, or a program that does; unique in the cluster.
    UserName,
}

impl Default for Namespace {
    fn default() -> Self {
        Self("default".into())
    }
}

macro_rules! counter_id {
    ($(#[$doc:meta] $name:ident($int:ty)),+ $(,)?) => {$(
        #[$doc]
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl $name {
            /// The next one.
            ///
            /// # Panics
            /// If the counter would wrap, which no run can reach by counting.
            #[must_use]
            pub fn next(self) -> Self {
                assert!(self.0 < <$int>::MAX, "counter exhausted");
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

counter_id! {
    /// The number of a member within its set.
    Ordinal(u32),
    /// Grows with every change of the order for one host; an agent refuses older ones.
    Generation(u64),
    /// Grows durably at every coordinator start or take-over.
    Term(u64),
    /// One start of a member within an epoch, numbered by the agent.
    RunNumber(u64),
    /// The store's global revision; grows, not necessarily by one.
    Revision(u64),
    /// The zone's serial; grows with every change of any DNS record.
    ZoneSerial(u64),
    /// Numbers the reports of one agent within one stream.
    ReportNumber(u64),
}

/// One grant of a member to a host by the coordinator: the fencing token. Ordered by term first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Epoch {
    /// The coordinator's term when it granted the epoch.
    pub term: Term,
    /// Counts the grants of this member; grows across terms too.
    pub counter: u64,
}

impl Epoch {
    /// The next grant of the same member, in the term given.
    #[must_use]
    pub fn next(self, term: Term) -> Self {
        Self {
            term: term.max(self.term),
            counter: self.counter.saturating_add(1),
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.counter)
    }
}

impl FromStr for Epoch {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let shape = || IdError::Shape {
            text: text.to_owned(),
            expected: "an epoch, <term>.<counter>",
        };
        let (term, counter) = text.split_once('.').ok_or_else(shape)?;
        Ok(Self {
            term: Term(term.parse().map_err(|_| shape())?),
            counter: counter.parse().map_err(|_| shape())?,
        })
    }
}

macro_rules! opaque_id {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        #[derive(
            Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

opaque_id! {
    /// The unique id of one object; an object deleted and made again has another.
    Uid,
    /// Names one history of the store; a restored backup gets a new one.
    HistoryId,
    /// The kernel's boot id of a host.
    BootId,
    /// Hash of the unrendered template and the config it uses.
    TemplateHash,
    /// Hash of the content of an order or of a zone.
    ContentHash,
}

/// A namespaced object of a kind that the type of the map or field says: `default/etcd`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectKey {
    /// The namespace.
    pub namespace: Namespace,
    /// The name within it.
    pub name: ObjectName,
}

/// The key of a set. Sets, claims and config objects share the form, so they share the type.
pub type SetKey = ObjectKey;
/// The key of a claim, `<namespace>/<template>-<set>-<ordinal>`.
pub type ClaimKey = ObjectKey;

impl ObjectKey {
    /// The key of what belongs to no namespace, as classes, volumes and hosts do.
    ///
    /// # Errors
    /// If it is no name.
    pub fn of_cluster(name: &str) -> Result<Self, IdError> {
        Ok(Self {
            namespace: Namespace::default(),
            name: name.parse()?,
        })
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ObjectKey {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (namespace, name) = text.split_once('/').ok_or_else(|| IdError::Shape {
            text: text.to_owned(),
            expected: "a key, <namespace>/<name>",
        })?;
        Ok(Self {
            namespace: namespace.parse()?,
            name: name.parse()?,
        })
    }
}

impl TryFrom<String> for ObjectKey {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ObjectKey> for String {
    fn from(key: ObjectKey) -> Self {
        key.to_string()
    }
}

/// One ordinal of one set: `default/etcd-0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MemberId {
    /// The set that the member belongs to.
    pub set: SetKey,
    /// Its number there.
    pub ordinal: Ordinal,
}

impl MemberId {
    /// The member's name, `<set>-<ordinal>`: its host name and DNS label.
    pub fn name(&self) -> String {
        format!("{}-{}", self.set.name, self.ordinal)
    }

    /// The key of the member's claim of one claim template, `<template>-<set>-<ordinal>`.
    ///
    /// # Errors
    /// If the joined name is longer than a label; validation of the set excludes it.
    pub fn claim(&self, template: &str) -> Result<ClaimKey, IdError> {
        // Asked for every member several times in a plan: one piece of memory is enough.
        let mut name = String::with_capacity(MAX_LABEL);
        let ordinal = self.ordinal.to_string();
        name.extend([template, "-", self.set.name.as_str(), "-", &ordinal]);
        Ok(ObjectKey {
            namespace: self.set.namespace.clone(),
            name: name.parse()?,
        })
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.set, self.ordinal)
    }
}

impl FromStr for MemberId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let shape = || IdError::Shape {
            text: text.to_owned(),
            expected: "a member, <namespace>/<set>-<ordinal>",
        };
        let (set, ordinal) = text.rsplit_once('-').ok_or_else(shape)?;
        let number: u32 = ordinal.parse().map_err(|_| shape())?;
        if number.to_string() != ordinal {
            return Err(shape());
        }
        Ok(Self {
            set: set.parse()?,
            ordinal: Ordinal(number),
        })
    }
}

impl TryFrom<String> for MemberId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<MemberId> for String {
    fn from(id: MemberId) -> Self {
        id.to_string()
    }
}

/// One start of a member: the epoch, the boot it happened in, and the agent's number for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// The grant under which the member runs.
    pub epoch: Epoch,
    /// The boot of the host.
    pub boot: BootId,
    /// Counts the starts within the epoch.
    pub number: RunNumber,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_id_is_printed_and_parsed_back() {
        let id: MemberId = "default/my-db-12".parse().unwrap();
        assert_eq!(id.set.name.as_str(), "my-db");
        assert_eq!(id.ordinal, Ordinal(12));
        assert_eq!(id.to_string(), "default/my-db-12");
        assert_eq!(
            id.claim("data").unwrap().to_string(),
            "default/data-my-db-12"
        );
    }

    #[test]
    fn padded_ordinals_and_bare_names_are_no_members() {
        for text in [
            "default/etcd-01",
            "default/etcd",
            "etcd-0",
            "default/etcd--",
            "default/-0",
        ] {
            assert!(text.parse::<MemberId>().is_err(), "{text}");
        }
    }

    #[test]
    fn epochs_are_ordered_by_term_then_counter() {
        let old = Epoch {
            term: Term(2),
            counter: 7,
        };
        assert!(old.next(Term(3)) > old);
        assert!(
            old.next(Term(1)) > old,
            "a lower term never lowers the epoch"
        );
        assert_eq!("2.7".parse::<Epoch>().unwrap(), old);
    }

    #[test]
    fn labels_follow_rfc_1123() {
        for good in ["a", "a-b", "0a", &"x".repeat(63)] {
            assert!(check_label(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", &"x".repeat(64)] {
            assert!(check_label(bad).is_err(), "{bad}");
        }
    }
}
