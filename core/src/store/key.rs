//! Names of records: a kind, a namespace and a name.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    ids::{IdError, ObjectKey, SetKey, TemplateHash},
    order::hex,
    spec::Kind,
};

/// What kind of thing a record is: an object that operators write, or a decision of the
/// coordinator. What each holds is written at the types of [`crate::state`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RecordKind {
    /// An object as the operator wrote it, with the coordinator's metadata.
    Object(Kind),
    /// A claim (and with it the PersistentVolumeClaim that operators see), by its key.
    Claim,
    /// A volume that is, or was, bound, by its name.
    Volume,
    /// A copy of a volume that was or is being taken, by its own name.
    Snapshot,
    /// The claim that a volume had when the claim was deleted, by the volume's name: with it the
    /// claim can come back.
    FormerClaim,
    /// What the coordinator decided of a whole set, by the set's key.
    Set,
    /// One revision of a set, by a hash of the set's name and of the revision.
    Revision,
    /// One ordinal of a set: its last epoch, its address, its assignment. By member name.
    Member,
    /// Who founds a set, by the set's key.
    Founding,
    /// A host that ever joined, by its name.
    Host,
    /// The head of the order that a host was last sent, by the host's name.
    Order,
    /// The zone that was last published; one record.
    Zone,
    /// What became of the store's history; one record, once there is anything to say.
    History,
    /// A token with which a host may join, by its id.
    JoinToken,
    /// Somebody who may use the coordinator from afar, by name.
    User,
    /// Which certificates of a host are not taken any more, by the host's name.
    Revocation,
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [Self; 24] = [
        Self::Object(Kind::AddressPool),
        Self::Object(Kind::ConfigMap),
        Self::Object(Kind::Secret),
        Self::Object(Kind::Service),
        Self::Object(Kind::StorageClass),
        Self::Object(Kind::PersistentVolume),
        Self::Object(Kind::PersistentVolumeClaim),
        Self::Object(Kind::VolumeSnapshot),
        Self::Object(Kind::StatefulSet),
        Self::Claim,
        Self::Volume,
        Self::Snapshot,
        Self::FormerClaim,
        Self::Set,
        Self::Revision,
        Self::Member,
        Self::Founding,
        Self::Host,
        Self::Order,
        Self::Zone,
        Self::History,
        Self::JoinToken,
        Self::User,
        Self::Revocation,
    ];

    /// The kind's name in keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Object(kind) => kind.as_str(),
            Self::Claim => "claim",
            Self::Volume => "volume",
            Self::Snapshot => "snapshot",
            Self::FormerClaim => "formerclaim",
            Self::Set => "set",
            Self::Revision => "revision",
            Self::Member => "member",
            Self::Founding => "founding",
            Self::Host => "host",
            Self::Order => "order",
            Self::Zone => "zone",
            Self::History => "history",
            Self::JoinToken => "jointoken",
            Self::User => "user",
            Self::Revocation => "revocation",
        }
    }

    /// Whether operators can watch it: only its changes are kept in the history.
    pub fn watched(self) -> bool {
        match self {
            Self::Object(_) | Self::Claim | Self::Volume | Self::Snapshot => true,
            Self::FormerClaim
            | Self::Set
            | Self::Revision
            | Self::Member
            | Self::Founding
            | Self::Host
            | Self::Order
            | Self::Zone
            | Self::History
            | Self::JoinToken
            | Self::User
            | Self::Revocation => false,
        }
    }

    /// Whether its records hold values of Secrets: where they are kept, they are sealed.
    pub fn holds_secrets(self) -> bool {
        match self {
            // A revision has the config that its members use.
            Self::Object(Kind::Secret) | Self::Revision => true,
            Self::Object(_)
            | Self::Claim
            | Self::Volume
            | Self::Snapshot
            | Self::FormerClaim
            | Self::Set
            | Self::Member
            | Self::Founding
            | Self::Host
            | Self::Order
            | Self::Zone
            | Self::History
            | Self::JoinToken
            | Self::User
            | Self::Revocation => false,
        }
    }
}

impl FromStr for RecordKind {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| IdError::Shape {
                text: text.to_owned(),
                expected: "a kind of record",
            })
    }
}

/// Digits of the name of a revision's record.
const REVISION_DIGITS: usize = 40;

/// Names one record: `StatefulSet/default/etcd`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key {
    /// What it is.
    pub kind: RecordKind,
    /// Namespace and name.
    pub object: ObjectKey,
}

impl Key {
    /// A key of a kind.
    pub fn new(kind: RecordKind, object: ObjectKey) -> Self {
        Self { kind, object }
    }

    /// The key of a set's revision: the set's name and the revision together may be longer than a
    /// name, so it is a hash of both.
    ///
    /// # Errors
    /// Never: a hash in hexadecimal is a name.
    pub fn revision(set: &SetKey, revision: &TemplateHash) -> Result<Self, IdError> {
        let digest = Sha256::digest(format!("{}/{revision}", set.name));
        let mut name = hex(&digest);
        name.truncate(REVISION_DIGITS);
        let object = ObjectKey {
            namespace: set.namespace.clone(),
            name: name.parse()?,
        };
        Ok(Self::new(RecordKind::Revision, object))
    }

    /// How many bytes it has in text form.
    pub(super) fn len(&self) -> usize {
        let ObjectKey { namespace, name } = &self.object;
        self.kind.as_str().len() + namespace.as_str().len() + name.as_str().len() + 2
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.object)
    }
}

impl FromStr for Key {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (kind, object) = text.split_once('/').ok_or_else(|| IdError::Shape {
            text: text.to_owned(),
            expected: "the key of a record, <kind>/<namespace>/<name>",
        })?;
        Ok(Self {
            kind: kind.parse()?,
            object: object.parse()?,
        })
    }
}

impl TryFrom<String> for Key {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_kind_are_printed_and_parsed_back() {
        for kind in RecordKind::ALL {
            let key = Key::new(kind, "default/etcd-0".parse().unwrap());
            let text = key.to_string();
            assert_eq!(text.len(), key.len());
            assert_eq!(text.parse::<Key>().unwrap(), key);
        }
    }

    #[test]
    fn other_texts_are_no_keys() {
        for text in [
            "",
            "set",
            "set/default",
            "Set/default/etcd",
            "set/default/ETCD",
        ] {
            assert!(text.parse::<Key>().is_err(), "{text}");
        }
    }
}
