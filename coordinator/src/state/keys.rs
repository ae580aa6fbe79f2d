//! The keys of records, and what they name.

use berth_core::{
    access::TokenId,
    ids::{HostName, IdError, MemberId, ObjectKey, Ordinal, SetKey, UserName},
    store::{Key, RecordKind},
};

/// The key of the history's record.
pub fn history_key() -> Result<Key, IdError> {
    Ok(Key::new(
        RecordKind::History,
        ObjectKey::of_cluster("history")?,
    ))
}

/// The key of a host's record or of its order's.
pub fn host_key(kind: RecordKind, host: &HostName) -> Result<Key, IdError> {
    Ok(Key::new(kind, ObjectKey::of_cluster(host.as_str())?))
}

/// The key of a join token's record.
pub fn token_key(id: &TokenId) -> Result<Key, IdError> {
    Ok(Key::new(
        RecordKind::JoinToken,
        ObjectKey::of_cluster(id.0.as_str())?,
    ))
}

/// The token that a key names.
pub(super) fn token_id(key: &ObjectKey) -> TokenId {
    TokenId(key.name.clone())
}

/// The key of a user's record.
pub fn user_key(user: &UserName) -> Result<Key, IdError> {
    Ok(Key::new(
        RecordKind::User,
        ObjectKey::of_cluster(user.as_str())?,
    ))
}

/// The user that a key names.
pub(super) fn user_name(key: &ObjectKey) -> Result<UserName, IdError> {
    key.name.as_str().parse()
}

/// The host that a key names.
pub(super) fn host_name(key: &ObjectKey) -> Result<HostName, IdError> {
    key.name.as_str().parse()
}

/// The member that a key names.
pub(super) fn member_id(key: &ObjectKey) -> Result<MemberId, IdError> {
    key.to_string().parse()
}

/// The key of a member's record.
pub(super) fn member_key(set: &SetKey, ordinal: Ordinal) -> Result<Key, IdError> {
    let id = MemberId {
        set: set.clone(),
        ordinal,
    };
    let object = ObjectKey {
        namespace: set.namespace.clone(),
        name: id.name().parse()?,
    };
    Ok(Key::new(RecordKind::Member, object))
}

/// The key of the zone's record.
pub fn zone_key() -> Result<Key, IdError> {
    Ok(Key::new(RecordKind::Zone, ObjectKey::of_cluster("zone")?))
}
