//! Amounts: what a process may use by cgroup (`resources`) and by itself (`rlimits`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lenient;

/// What a process may use. The kernel holds it to that where its host has the controllers of
/// cgroup v2; elsewhere it starts without, and status says so, unless `require` is set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// What it is promised: `cpu`, `memory`, as quantities.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "lenient::texts"
    )]
    pub requests: BTreeMap<String, String>,
    /// What it is held to: `cpu`, `memory`, `pids`.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "lenient::texts"
    )]
    pub limits: BTreeMap<String, String>,
    /// Its share of the disks.
    #[serde(skip_serializing_if = "Io::is_empty")]
    pub io: Io,
    /// Whether it is started only where all of this is enforced.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub require: bool,
}

/// A share of the disks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Io {
    /// How much it gets beside others when a disk is busy, 1 to 10000; 100 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The most that it gets, per disk.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<IoLimit>,
}

impl Io {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The most that a process gets of one disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct IoLimit {
    /// The block device, such as `/dev/nvme0n1`; of a partition, the whole disk counts.
    pub device: String,
    /// Bytes read per second, a quantity.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::text"
    )]
    pub read_bps: Option<String>,
    /// Bytes written per second, a quantity.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::text"
    )]
    pub write_bps: Option<String>,
    /// Reads per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_iops: Option<u64>,
    /// Writes per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_iops: Option<u64>,
}

impl Resources {
    /// Takes what another one gives; where both give something, the other one counts.
    pub(crate) fn take(&mut self, other: &Self) {
        self.requests.extend(other.requests.clone());
        self.limits.extend(other.limits.clone());
        self.io.weight = other.io.weight.or(self.io.weight);
        for limit in &other.io.limits {
            let mut known = self.io.limits.iter_mut();
            match known.find(|known| known.device == limit.device) {
                Some(known) => known.clone_from(limit),
                None => self.io.limits.push(limit.clone()),
            }
        }
        self.require |= other.require;
    }
}

/// A resource limit of setrlimit(2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RlimitValue {
    /// Soft and hard limit alike.
    Both(RlimitBound),
    /// Each by itself.
    Each(RlimitPair),
}

/// A soft and a hard limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RlimitPair {
    /// What counts; the process may raise it up to the hard one.
    pub soft: RlimitBound,
    /// The highest that the process may set.
    pub hard: RlimitBound,
}

/// A number, or `unlimited`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RlimitBound {
    /// In the unit of the limit.
    Number(u64),
    /// `unlimited`; validation refuses other words.
    Word(String),
}

impl RlimitBound {
    /// The number; `None` is unlimited.
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Word(_) => None,
        }
    }

    /// The word, if it is one.
    pub fn word(&self) -> Option<&str> {
        match self {
            Self::Number(_) => None,
            Self::Word(word) => Some(word),
        }
    }
}

impl RlimitValue {
    /// Soft and hard limit.
    pub fn bounds(&self) -> (&RlimitBound, &RlimitBound) {
        match self {
            Self::Both(bound) => (bound, bound),
            Self::Each(pair) => (&pair.soft, &pair.hard),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_takes_the_place_of_what_it_names_and_of_nothing_else() {
        let read = |text| serde_json::from_str::<Resources>(text).unwrap();
        let mut all = read(
            r#"{"limits": {"memory": "1Gi", "pids": 10}, "requests": {"cpu": 1},
                "io": {"weight": 50, "limits": [{"device": "/dev/a", "readIops": 1},
                                                {"device": "/dev/b", "readIops": 1}]}}"#,
        );
        let other = read(
            r#"{"limits": {"memory": "2Gi"}, "require": true,
                "io": {"limits": [{"device": "/dev/b", "writeBps": "1Mi"}]}}"#,
        );
        all.take(&other);
        let expected = read(
            r#"{"limits": {"memory": "2Gi", "pids": "10"}, "requests": {"cpu": "1"},
                "io": {"weight": 50, "limits": [{"device": "/dev/a", "readIops": 1},
                                                {"device": "/dev/b", "writeBps": "1Mi"}]},
                "require": true}"#,
        );
        assert_eq!(all, expected);
    }

    #[test]
    fn a_limit_is_read_as_it_is_written() {
        let text = r#"{"as":"unlimited","core":{"soft":0,"hard":"unlimited"},"nofile":7}"#;
        let read: BTreeMap<String, RlimitValue> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        let numbers = |name: &str| {
            let (soft, hard) = read[name].bounds();
            (soft.number(), hard.number())
        };
        assert_eq!(numbers("core"), (Some(0), None));
        assert_eq!(numbers("nofile"), (Some(7), Some(7)));
    }
}
