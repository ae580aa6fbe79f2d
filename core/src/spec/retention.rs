//! What becomes of a set's claims when members leave: `persistentVolumeClaimRetentionPolicy`, with the
//! words of Kubernetes.

use serde::{Deserialize, Serialize};

/// What becomes of the claims of members that leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RetentionPolicy {
    /// When the set is deleted.
    pub when_deleted: Retention,
    /// When the number of members shrinks.
    pub when_scaled: Retention,
}

/// What becomes of a claim whose member left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Retention {
    /// It stays, and the member finds it again when it comes back.
    #[default]
    Retain,
    /// It is deleted, once the member is proven gone. Its volume goes the way of its reclaim policy.
    Delete,
}
