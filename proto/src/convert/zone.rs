//! Zones, in chunks that stay well below the limit of a message.

use berth_core::{
    ids::{ContentHash, ZoneSerial},
    zone::Zone,
};

use super::{ConvertError, from_json, to_json};
use crate::v1;

/// Bytes of records after which a chunk is closed.
const CHUNK_BYTES: usize = 256 * 1024;

/// A zone as the messages that carry it; at least one.
///
/// # Errors
/// If a record cannot be written as JSON, which none meets.
pub fn chunks(zone: &Zone, hash: &ContentHash) -> Result<Vec<v1::Zone>, ConvertError> {
    let empty = |chunk| v1::Zone {
        serial: zone.serial.0,
        hash: hash.0.clone(),
        chunk,
        last: false,
        records: Vec::new(),
        origin: zone.origin.clone(),
    };
    let mut done = Vec::new();
    let (mut open, mut bytes) = (empty(0), 0);
    for record in &zone.records {
        let record = to_json("records", &record)?;
        bytes += record.len();
        open.records.push(record.into());
        if bytes >= CHUNK_BYTES {
            let next = empty(open.chunk + 1);
            done.push(std::mem::replace(&mut open, next));
            bytes = 0;
        }
    }
    open.last = true;
    done.push(open);
    Ok(done)
}

/// Puts chunks together again.
#[derive(Debug, Default)]
pub struct ZoneAssembly {
    zone: Zone,
    next: u32,
}

impl ZoneAssembly {
    /// Takes a chunk; the zone with its stated hash, checked, once the last one is there. The first
    /// chunk of another zone begins anew.
    ///
    /// # Errors
    /// If a chunk is missing or damaged, or the records do not have the stated hash.
    pub fn add(&mut self, chunk: v1::Zone) -> Result<Option<(Zone, ContentHash)>, ConvertError> {
        if chunk.chunk == 0 {
            *self = Self::default();
            self.zone.origin = chunk.origin;
            self.zone.serial = ZoneSerial(chunk.serial);
        }
        if chunk.chunk != self.next || chunk.serial != self.zone.serial.0 {
            return Err(ConvertError::Chunk {
                serial: chunk.serial,
                got: chunk.chunk,
                expected: self.next,
            });
        }
        self.next += 1;
        for record in &chunk.records {
            let (name, data) = from_json("records", record)?;
            self.zone.records.insert(name, data);
        }
        if !chunk.last {
            return Ok(None);
        }
        let zone = std::mem::take(self).zone;
        let found = zone.hash();
        if found.0 != chunk.hash {
            return Err(ConvertError::ZoneHash {
                serial: chunk.serial,
                stated: chunk.hash,
                found: found.0,
            });
        }
        Ok(Some((zone, found)))
    }
}

#[cfg(test)]
mod tests {
    use berth_core::zone::RecordData;

    use super::*;

    fn zone(names: usize) -> Zone {
        Zone {
            origin: "berth.internal".to_owned(),
            serial: ZoneSerial(3),
            records: (0..names)
                .map(|n| {
                    let text = RecordData::Txt("x".repeat(100));
                    (format!("m-{n}.berth.internal"), vec![text])
                })
                .collect(),
        }
    }

    fn assemble(chunks: Vec<v1::Zone>) -> Result<Option<(Zone, ContentHash)>, ConvertError> {
        let mut assembly = ZoneAssembly::default();
        let mut last = None;
        for chunk in chunks {
            assert_eq!(last, None, "a zone before its last chunk");
            last = assembly.add(chunk)?;
        }
        Ok(last)
    }

    #[test]
    fn a_zone_arrives_as_it_was_sent() {
        for (names, at_least) in [(0, 1), (10, 1), (10_000, 3)] {
            let zone = zone(names);
            let chunks = chunks(&zone, &zone.hash()).unwrap();
            assert!(chunks.len() >= at_least, "{} chunks", chunks.len());
            assert_eq!(assemble(chunks).unwrap(), Some((zone.clone(), zone.hash())));
        }
    }

    #[test]
    fn a_lost_chunk_and_other_records_are_noticed() {
        let zone = zone(10_000);
        let mut lost = chunks(&zone, &zone.hash()).unwrap();
        lost.remove(1);
        assert!(matches!(
            assemble(lost),
            Err(ConvertError::Chunk {
                got: 2,
                expected: 1,
                ..
            })
        ));
        let mut other = chunks(&zone, &zone.hash()).unwrap();
        other[0].records.pop();
        assert!(matches!(
            assemble(other),
            Err(ConvertError::ZoneHash { .. })
        ));
    }
}
