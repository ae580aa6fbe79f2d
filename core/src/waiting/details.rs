//! What several reasons know alike.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{ClaimKey, ProcessName};

/// A probe that does not pass.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeFailure {
    /// The process that is probed.
    pub process: ProcessName,
    /// The last failure.
    pub error: String,
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, error } = self;
        write!(f, "probe of {process}: {error}")
    }
}

/// A claim and the volume that it is bound to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BoundVolume {
    /// The claim.
    pub claim: ClaimKey,
    /// The volume.
    pub volume: String,
}

impl fmt::Display for BoundVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { claim, volume } = self;
        write!(f, "volume {volume} of claim {claim}")
    }
}
