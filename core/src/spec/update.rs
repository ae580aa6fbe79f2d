//! How a set comes to a newer template, and how many of its members may be down meanwhile.
//!
//! `updateStrategy` is that of Kubernetes. `progressDeadlineSeconds` and `paused`
//! are those of its Deployments, which a StatefulSet lacks. `disruptionBudget` is the
//! PodDisruptionBudget, as a field of the set: so one budget holds for everything that takes a
//! member down. What the numbers come to is decided in `plan/budget.rs`; docs/updates.md has it in
//! words.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// How members come to a newer template.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct UpdateStrategy {
    /// In which way.
    #[serde(rename = "type")]
    pub kind: UpdateKind,
    /// Details of `RollingUpdate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolling_update: Option<RollingUpdate>,
}

/// In which way members come to a newer template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum UpdateKind {
    /// Members are replaced from the highest down, as the budget allows.
    #[default]
    RollingUpdate,
    /// A member takes the newer template when it is restarted or lost for another reason.
    OnDelete,
    /// All members are stopped, and started again when all are gone.
    Recreate,
}

/// Details of `RollingUpdate`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RollingUpdate {
    /// So many of the lowest members keep the older template. May exceed the number of members:
    /// then nothing is updated.
    pub partition: u32,
    /// How many members may be unavailable for an update: a number from 1, or a percentage of
    /// `replicas`, rounded down, at least 1; 1 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<Amount>,
}

/// How many members may be taken down at a time, whatever for. One of the two is given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DisruptionBudget {
    /// At most so many are unavailable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<Amount>,
    /// At least so many stay available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_available: Option<Amount>,
}

/// A number of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Number(u32),
    /// So many of a hundred.
    Percent(u32),
    /// More than half.
    Quorum,
    /// What is none of these; validation refuses it.
    Unknown(String),
}

impl Amount {
    /// Reads what is no number.
    pub(crate) fn of_text(text: &str) -> Self {
        let percent = text
            .strip_suffix('%')
            .and_then(|number| number.parse().ok());
        match percent {
            Some(percent) => Self::Percent(percent),
            None if text == "quorum" => Self::Quorum,
            None => Self::Unknown(text.to_owned()),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Quorum => f.write_str("quorum"),
            Self::Unknown(text) => f.write_str(text),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => to.serialize_u32(*number),
            Self::Percent(_) | Self::Quorum | Self::Unknown(_) => to.collect_str(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_written_as_they_are_read() {
        for (value, amount) in [
            (json!(2), Amount::Number(2)),
            (json!("30%"), Amount::Percent(30)),
            (json!("quorum"), Amount::Quorum),
            (json!("half"), Amount::Unknown("half".to_owned())),
            (json!("-3%"), Amount::Unknown("-3%".to_owned())),
        ] {
            let read: Amount = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(read, amount);
            assert_eq!(serde_json::to_value(&read).unwrap(), value);
        }
        assert!(serde_json::from_value::<Amount>(json!(-1)).is_err());
    }
}
