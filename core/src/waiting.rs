//! Why something does not happen: promise I10. The enum has no catch-all, and each reason names the
//! rule, says what it knows, and names the verb or the event that frees it. What holds for every wait of
//! a rule alike (what it means, what causes it, what frees it) hangs on [`Rule`].

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

mod causes;
mod details;
mod frees;
mod means;
mod others;
mod reason;
mod refusal;
mod rule;
mod text;
mod trouble;

pub use details::{
    BoundVolume, CopyOf, DisruptionCause, Forbidden, Growth, MissingConfig, Moving, NoSpace,
    OtherMachine, Privilege, ProbeFailure, ShutGate, Unenforced, UserIds,
};
pub use frees::Way;
pub use reason::Reason;
pub use refusal::{CopyRefusal, HostRefusal, Refusal, VolumeMisfit, VolumeRefusal};
pub use rule::{Rule, UnknownRule};

/// A reason and since when it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Why.
    pub reason: Reason,
    /// Since when, on the coordinator's clock.
    pub since: Timestamp,
}
