//! Where members may be: one set-wide rule, and constraints over label domains.

use serde::{Deserialize, Serialize};

/// The label key that stands for the host itself.
pub const HOSTNAME: &str = "kubernetes.io/hostname";

/// How many members there are, and on which hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Placement {
    /// `replicas` of them, wherever they fit.
    #[default]
    Replicas,
    /// One on every host that `nodeSelector` admits.
    PerHost,
}

impl Placement {
    /// Whether it is what a set has that says nothing of it.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How evenly the members of a set are spread over hosts with the same value of a label.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TopologySpreadConstraint {
    /// The label; [`HOSTNAME`] for single hosts.
    pub topology_key: String,
    /// By how many members the fullest domain may be ahead of the emptiest.
    pub max_skew: u32,
    /// What becomes of a member that cannot be placed so.
    pub when_unsatisfiable: WhenUnsatisfiable,
}

/// What becomes of a member that would break a constraint wherever it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum WhenUnsatisfiable {
    /// It waits.
    #[default]
    DoNotSchedule,
    /// It goes where it breaks the constraint least.
    ScheduleAnyway,
}
