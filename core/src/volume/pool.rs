//! What agents say of their pools: when something is worth to be told, and how it is told to people.
//! The free space of a disk changes with every write; that is told when it is another picture.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::quantity::of_bytes;

/// The free space of a pool is told again when it changed by this part of its size: for people.
const SHARE: u64 = 50;
/// The same where volumes are held to their sizes: then the plan goes by it.
const LIMITED_SHARE: u64 = 1000;

/// The pools of a host, by name.
pub type Pools = BTreeMap<String, PoolInfo>;

/// How a pool keeps its volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PoolKind {
    /// A directory each.
    #[default]
    Directory,
    /// A fully allocated file each, with a file system of its own.
    Image,
}

impl PoolKind {
    /// As the agent's configuration has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Image => "image",
        }
    }
}

/// What an agent says of one of its pools.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolInfo {
    /// How it keeps volumes.
    pub kind: PoolKind,
    /// Its directory on the host; empty if the agent does not say it.
    pub path: String,
    /// The size of its file system in bytes; 0 if that is not known.
    pub capacity: u64,
    /// What is free of that, in bytes, for users without privileges.
    pub available: u64,
    /// Whether a volume cannot grow beyond its size: images, and directories with a project quota.
    pub limits: bool,
    /// Whether a copy of a volume shares its blocks (reflink, btrfs), so that it takes no time.
    pub clones: bool,
    /// Whether it cannot be used now: its directory is not there, is not the one that was used
    /// before, or does not answer. Then nothing is known of its size.
    pub missing: bool,
    /// Why it is missing, in words.
    pub trouble: String,
}

impl PoolInfo {
    /// Whether its volumes take the space that they were promised, and no more: what one has is not
    /// there for another.
    pub fn is_limited(&self) -> bool {
        self.limits || self.kind == PoolKind::Image
    }

    /// Whether it is the same but for what is free.
    fn is_like(&self, other: &Self) -> bool {
        let available = other.available;
        *other
            == Self {
                available,
                ..self.clone()
            }
    }

    fn is_news(&self, told: &Self) -> bool {
        let moved = self.available.abs_diff(told.available);
        let share = if self.is_limited() {
            LIMITED_SHARE
        } else {
            SHARE
        };
        !self.is_like(told) || moved > self.capacity / share
    }
}

/// Whether the coordinator should hear of what an agent sees of its pools now.
pub fn is_news(told: &Pools, now: &Pools) -> bool {
    let all: BTreeSet<_> = told.keys().chain(now.keys()).collect();
    all.into_iter()
        .any(|name| match (told.get(name), now.get(name)) {
            (Some(told), Some(now)) => now.is_news(told),
            (None, _) | (_, None) => true,
        })
}

/// What changed of pools, in words, pool by pool; what is free is not worth an event.
pub fn changes(before: &Pools, now: &Pools) -> Vec<String> {
    let mut found = Vec::new();
    for (name, now) in now {
        let text = match before.get(name) {
            Some(before) if before.is_like(now) => continue,
            _ if now.missing => format!("cannot be used: {}", now.trouble),
            Some(before) if before.missing => {
                format!("can be used again; it has {}", of_bytes(now.capacity))
            }
            Some(before) if before.capacity != now.capacity => format!(
                "has {} now, and had {}",
                of_bytes(now.capacity),
                of_bytes(before.capacity)
            ),
            Some(before) if before.limits && !now.limits => {
                "holds volumes to their sizes no more; mount it with prjquota".to_owned()
            }
            Some(before) if now.limits && !before.limits => {
                "holds volumes to their sizes now".to_owned()
            }
            Some(_) => "is of another kind".to_owned(),
            None => format!("is new; it has {}", of_bytes(now.capacity)),
        };
        found.push(format!("pool '{name}' {text}"));
    }
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    found.extend(gone.map(|name| format!("pool '{name}' is not configured any more")));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(capacity: u64, available: u64) -> PoolInfo {
        PoolInfo {
            capacity,
            available,
            ..PoolInfo::default()
        }
    }

    fn pools(info: PoolInfo) -> Pools {
        [("disk".to_owned(), info)].into()
    }

    #[test]
    fn what_is_free_is_told_when_it_is_another_picture_and_everything_else_at_once() {
        let told = pools(pool(1000, 500));
        assert!(!is_news(&told, &told));
        assert!(!is_news(&told, &pools(pool(1000, 480))));
        assert!(is_news(&told, &pools(pool(1000, 479))));
        assert!(is_news(&told, &pools(pool(1000, 521))));
        assert!(is_news(&told, &pools(pool(1001, 500))));
        let limited = |available| {
            pools(PoolInfo {
                limits: true,
                ..pool(10_000, available)
            })
        };
        assert!(!is_news(&limited(500), &limited(490)));
        assert!(is_news(&limited(500), &limited(489)));
        let missing = pools(PoolInfo {
            missing: true,
            trouble: "not mounted".to_owned(),
            ..PoolInfo::default()
        });
        assert!(is_news(&told, &missing) && is_news(&missing, &told));
        assert!(is_news(&told, &Pools::new()) && is_news(&Pools::new(), &told));
    }

    #[test]
    fn changes_are_told_in_words() {
        let whole = pools(pool(1 << 30, 500));
        let missing = pools(PoolInfo {
            missing: true,
            trouble: "not mounted".to_owned(),
            ..PoolInfo::default()
        });
        let told = |before: &Pools, now: &Pools| changes(before, now).join("; ");
        assert_eq!(told(&whole, &pools(pool(1 << 30, 4))), "");
        for (before, now, text) in [
            (&whole, &missing, "pool 'disk' cannot be used: not mounted"),
            (
                &missing,
                &whole,
                "pool 'disk' can be used again; it has 1Gi",
            ),
            (
                &whole,
                &pools(pool(2 << 30, 0)),
                "pool 'disk' has 2Gi now, and had 1Gi",
            ),
            (&Pools::new(), &whole, "pool 'disk' is new; it has 1Gi"),
            (
                &whole,
                &Pools::new(),
                "pool 'disk' is not configured any more",
            ),
        ] {
            assert_eq!(told(before, now), text);
        }
    }
}
