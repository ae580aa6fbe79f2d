//! The ordinals of a set: from which number on, and which are left out.
//!
//! How many there are says `replicas`; a reserved one does not count as one of them, so reserving
//! the ordinal of a member takes that member away and adds one at the end.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::Ordinal;

/// Which numbers the members of a set have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Ordinals {
    /// The lowest one.
    pub start: u32,
    /// Numbers that no member has.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub reserved: BTreeSet<u32>,
}

impl Ordinals {
    /// Whether it says nothing: 0 and up, none left out.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The first `count` ordinals, lowest first.
    pub fn first(&self, count: u32) -> impl DoubleEndedIterator<Item = Ordinal> + use<> {
        let end = self.end(count);
        let all = self.start..end;
        let left_out: BTreeSet<u32> = self.reserved.range(all.clone()).copied().collect();
        all.filter(move |n| !left_out.contains(n)).map(Ordinal)
    }

    /// Whether an ordinal is one of the first `count`.
    pub fn contains(&self, count: u32, ordinal: Ordinal) -> bool {
        (self.start..self.end(count)).contains(&ordinal.0) && !self.reserved.contains(&ordinal.0)
    }

    /// The number after the last of the first `count`: each reserved one before it moves it by one.
    fn end(&self, count: u32) -> u32 {
        let end = self.start.saturating_add(count);
        self.reserved
            .range(self.start..)
            .fold(end, |end, reserved| {
                end.saturating_add(u32::from(*reserved < end))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(start: u32, reserved: &[u32], count: u32) -> Vec<u32> {
        let reserved = reserved.iter().copied().collect();
        let ordinals = Ordinals { start, reserved };
        let found: Vec<Ordinal> = ordinals.first(count).collect();
        let probed = (0..20)
            .map(Ordinal)
            .filter(|n| ordinals.contains(count, *n));
        assert_eq!(found, probed.collect::<Vec<_>>());
        found.into_iter().map(|ordinal| ordinal.0).collect()
    }

    #[test]
    fn reserved_ordinals_are_left_out_and_do_not_count() {
        assert_eq!(first(0, &[], 3), [0, 1, 2]);
        assert_eq!(first(0, &[1], 3), [0, 2, 3]);
        assert_eq!(first(0, &[2, 3, 4], 3), [0, 1, 5]);
        assert_eq!(first(0, &[3], 3), [0, 1, 2], "behind the last one");
        assert_eq!(
            first(5, &[0, 6], 2),
            [5, 7],
            "one below the start has no effect"
        );
        assert_eq!(first(0, &[0, 1], 0), [0; 0]);
    }
}
