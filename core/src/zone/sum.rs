//! The hash of a zone as a sum modulo 2^256 of the hashes of its parts.

use sha2::{Digest as _, Sha256};

use super::RecordData;
use crate::{ids::ContentHash, order::hex};

/// A sum of hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum([u64; 4]);

impl Sum {
    /// The sum for a zone without records.
    pub(super) fn of(origin: &str) -> Self {
        let mut sum = Self::default();
        sum.add(&Sha256::digest(origin.to_ascii_lowercase()).into(), true);
        sum
    }

    /// Puts a name or one of its records in, or takes it out.
    pub(super) fn put(&mut self, name: &str, record: Option<&RecordData>, is_there: bool) {
        let mut hasher = Sha256::new();
        hasher.update(name.as_bytes());
        hasher.update(b"\n");
        // Text keys and no floats: this cannot fail.
        hasher.update(serde_json::to_vec(&record).unwrap_or_default());
        self.add(&hasher.finalize().into(), is_there);
    }

    fn add(&mut self, digest: &[u8; 32], is_there: bool) {
        let mut over = false;
        for (digit, bytes) in self.0.iter_mut().zip(digest.as_chunks::<8>().0) {
            let part = u64::from_le_bytes(*bytes);
            let step = |a: u64, b: u64| {
                if is_there {
                    a.overflowing_add(b)
                } else {
                    a.overflowing_sub(b)
                }
            };
            let (first, over_first) = step(*digit, part);
            let (second, over_second) = step(first, u64::from(over));
            *digit = second;
            over = over_first || over_second;
        }
    }

    pub(super) fn hash(self) -> ContentHash {
        let bytes: Vec<u8> = self
            .0
            .iter()
            .flat_map(|digit| digit.to_be_bytes())
            .collect();
        ContentHash(hex(&bytes))
    }
}
