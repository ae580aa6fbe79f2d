//! The values of records, read. A start reads all there are before anybody is answered, so that is done
//! on all processors; what follows from them is taken in by one, in the order of their keys.

use std::{num::NonZero, thread};

use berth_core::{
    access::{JoinToken, Revocation, User},
    spec::Object,
    state::{Claim, Founding, HostRecord, Snapshot, Volume, ZoneHead},
    store::{Key, RecordKind, Value, model::Entry},
};
use serde::de::DeserializeOwned;

use super::records::{HistoryRecord, MemberRecord, OrderRecord, RevisionRecord, SetRecord};
use crate::store::{RecordError, decode};

/// Records that are read in one go: so few that all processors end at about the same time, whatever the
/// kinds of their records cost.
const CHUNK: usize = 1_024;

/// What a record says, by its kind.
#[derive(Debug)]
pub(super) enum Read {
    Object(Box<Object>),
    Claim(Box<Claim>),
    FormerClaim(Box<Claim>),
    Volume(Box<Volume>),
    Snapshot(Box<Snapshot>),
    Set(Box<SetRecord>),
    Revision(Box<RevisionRecord>),
    Member(Box<MemberRecord>),
    Founding(Box<Founding>),
    Host(Box<HostRecord>),
    Order(OrderRecord),
    Zone(ZoneHead),
    History(Box<HistoryRecord>),
    JoinToken(Box<JoinToken>),
    User(Box<User>),
    Revocation(Revocation),
}

impl Read {
    /// Reads one value.
    pub(super) fn of(key: &Key, value: &Value) -> Result<Self, RecordError> {
        fn boxed<T: DeserializeOwned>(value: &Value) -> Result<Box<T>, RecordError> {
            decode(value).map(Box::new)
        }
        Ok(match key.kind {
            RecordKind::Object(_) => Self::Object(boxed(value)?),
            RecordKind::Claim => Self::Claim(boxed(value)?),
            RecordKind::FormerClaim => Self::FormerClaim(boxed(value)?),
            RecordKind::Volume => Self::Volume(boxed(value)?),
            RecordKind::Snapshot => Self::Snapshot(boxed(value)?),
            RecordKind::Set => Self::Set(boxed(value)?),
            RecordKind::Revision => Self::Revision(boxed(value)?),
            RecordKind::Member => Self::Member(boxed(value)?),
            RecordKind::Founding => Self::Founding(boxed(value)?),
            RecordKind::Host => Self::Host(boxed(value)?),
            RecordKind::Order => Self::Order(decode(value)?),
            RecordKind::Zone => Self::Zone(decode(value)?),
            RecordKind::History => Self::History(boxed(value)?),
            RecordKind::JoinToken => Self::JoinToken(boxed(value)?),
            RecordKind::User => Self::User(boxed(value)?),
            RecordKind::Revocation => Self::Revocation(decode(value)?),
        })
    }
}

/// Reads all values, on all processors.
pub(super) fn all(records: &[(&Key, &Entry)]) -> Vec<Result<Read, RecordError>> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let chunks: Vec<_> = records.chunks(CHUNK).collect();
    let one = |of: &[(&Key, &Entry)]| -> Vec<_> {
        let read = of.iter().map(|(key, entry)| Read::of(key, &entry.value));
        read.collect()
    };
    if workers < 2 || chunks.len() < 2 {
        return one(records);
    }
    let every_nth = |first: usize| chunks.iter().skip(first).step_by(workers);
    let mut done: Vec<std::vec::IntoIter<Vec<_>>> = thread::scope(|scope| {
        let begun: Vec<_> = (1..workers)
            .map(|first| scope.spawn(move || every_nth(first).map(|of| one(of)).collect()))
            .collect();
        let ours: Vec<Vec<_>> = every_nth(0).map(|of| one(of)).collect();
        let others = begun.into_iter().map(|worker| {
            let ended: thread::Result<Vec<Vec<_>>> = worker.join();
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let all = [ours].into_iter().chain(others);
        all.map(Vec::into_iter).collect()
    });
    // In turn, as they were given out.
    let mut read = Vec::with_capacity(records.len());
    for turn in 0..chunks.len() {
        read.extend(done[turn % workers].next().into_iter().flatten());
    }
    read
}

#[cfg(test)]
mod tests {
    use berth_core::{ids::Revision, state::Volume};

    use super::*;

    #[test]
    fn every_record_is_read_once_and_in_its_place() {
        let entries: Vec<(Key, Entry)> = (0..5 * CHUNK + 7)
            .map(|n| {
                let key = Key::new(RecordKind::Zone, format!("default/z{n}").parse().unwrap());
                let value = format!("{{\"v\":1,\"record\":{{\"serial\":{n},\"hash\":\"h\"}}}}");
                let entry = Entry {
                    revision: Revision(1),
                    value: Value::from(value.into_bytes()),
                };
                (key, entry)
            })
            .collect();
        let records: Vec<_> = entries.iter().map(|(key, entry)| (key, entry)).collect();
        let read = all(&records);
        assert_eq!(read.len(), records.len());
        for (n, read) in read.iter().enumerate() {
            let Ok(Read::Zone(head)) = read else {
                panic!("{read:?}");
            };
            assert_eq!(head.serial.0, u64::try_from(n).unwrap());
        }
    }

    #[test]
    fn one_that_cannot_be_read_stays_in_its_place() {
        let key = Key::new(RecordKind::Volume, "default/v".parse().unwrap());
        let entry = Entry {
            revision: Revision(1),
            value: Value::from(b"{}".to_vec()),
        };
        assert!(decode::<Volume>(&entry.value).is_err());
        let records = vec![(&key, &entry); 2 * CHUNK];
        let read = all(&records);
        assert_eq!(read.len(), 2 * CHUNK);
        assert!(read.iter().all(Result::is_err));
    }
}
