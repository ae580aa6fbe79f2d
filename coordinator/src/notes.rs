//! Events as they are written down: one constructor per kind of subject.

use berth_core::{
    ids::{HostName, MemberId, ObjectKey},
    spec::Kind,
    store::{Note, NoteKind},
    time::Timestamp,
};

/// Something happened.
pub const NORMAL: NoteKind = NoteKind::Normal;
/// Something happened that a person should look at.
pub const WARNING: NoteKind = NoteKind::Warning;

/// An event about an object.
pub fn object(
    time: Timestamp,
    kind: Kind,
    key: &ObjectKey,
    level: NoteKind,
    reason: &str,
    message: String,
) -> Note {
    Note {
        time,
        namespace: key.namespace.to_string(),
        subject: format!("{kind}/{}", key.name),
        kind: level,
        reason: reason.to_owned(),
        message,
    }
}

/// An event about a member.
pub fn member(
    time: Timestamp,
    id: &MemberId,
    level: NoteKind,
    reason: &str,
    message: String,
) -> Note {
    Note {
        time,
        namespace: id.set.namespace.to_string(),
        subject: format!("Member/{}", id.name()),
        kind: level,
        reason: reason.to_owned(),
        message,
    }
}

/// An event about the whole cluster.
pub fn cluster(time: Timestamp, level: NoteKind, reason: &str, message: String) -> Note {
    Note {
        time,
        namespace: String::new(),
        subject: "Cluster".to_owned(),
        kind: level,
        reason: reason.to_owned(),
        message,
    }
}

/// An event about a host.
pub fn host(
    time: Timestamp,
    host: &HostName,
    level: NoteKind,
    reason: &str,
    message: String,
) -> Note {
    Note {
        time,
        namespace: String::new(),
        subject: format!("Host/{host}"),
        kind: level,
        reason: reason.to_owned(),
        message,
    }
}
