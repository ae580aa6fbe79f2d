//! What does not hold on a host: the parts that several reasons share.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::ProcessName;

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
