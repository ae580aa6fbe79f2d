//! What is to be told to the coordinator: which members changed since when. A session asks for all
//! that changed after what it sent last, so that changes meet in one report instead of queueing.

use std::collections::BTreeMap;

use berth_core::ids::{Generation, MemberId};
use berth_core::report::MemberReport;
use tokio::sync::watch;

/// What changed.
#[derive(Debug, Clone)]
pub struct Changes {
    /// Ask for what comes after this next time.
    pub version: u64,
    /// The order that the reports are about.
    pub generation: Generation,
    /// The members that changed; all of them if that was asked for.
    pub members: Vec<MemberReport>,
    /// Members that this host has nothing of any more.
    pub forgotten: Vec<MemberId>,
}

/// Versions of what is known of each member.
#[derive(Debug)]
pub(super) struct Board {
    version: watch::Sender<u64>,
    changed: BTreeMap<MemberId, u64>,
    forgotten: BTreeMap<MemberId, u64>,
}

impl Board {
    pub(super) fn new() -> Self {
        Self {
            version: watch::Sender::new(0),
            changed: BTreeMap::new(),
            forgotten: BTreeMap::new(),
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn next(&self) -> u64 {
        let mut next = 0;
        self.version.send_modify(|version| {
            *version += 1;
            next = *version;
        });
        next
    }

    pub(super) fn change(&mut self, member: &MemberId) {
        let version = self.next();
        self.forgotten.remove(member);
        self.changed.insert(member.clone(), version);
    }

    pub(super) fn forget(&mut self, member: &MemberId) {
        let version = self.next();
        self.changed.remove(member);
        self.forgotten.insert(member.clone(), version);
    }

    /// Something about the whole changed: a report is due even if no member changed.
    pub(super) fn touch(&self) {
        self.next();
    }

    /// The members that changed after a version, or all, and those that were forgotten after it.
    pub(super) fn after(&mut self, after: Option<u64>) -> (u64, Vec<MemberId>, Vec<MemberId>) {
        if after.is_none() {
            // A complete report says by itself what is not there.
            self.forgotten.clear();
        }
        let newer = |(member, version): (&MemberId, &u64)| {
            after
                .is_none_or(|after| *version > after)
                .then(|| member.clone())
        };
        (
            *self.version.borrow(),
            self.changed.iter().filter_map(newer).collect(),
            self.forgotten.iter().filter_map(newer).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> MemberId {
        text.parse().unwrap()
    }

    #[test]
    fn only_what_changed_after_a_version_is_told() {
        let mut board = Board::new();
        board.change(&id("a/x-0"));
        board.change(&id("a/x-1"));
        let (first, all, _) = board.after(None);
        assert_eq!(all.len(), 2);
        assert_eq!(board.after(Some(first)), (first, vec![], vec![]));
        board.change(&id("a/x-1"));
        board.change(&id("a/x-1"));
        board.forget(&id("a/x-0"));
        let (_, changed, forgotten) = board.after(Some(first));
        assert_eq!(changed, [id("a/x-1")]);
        assert_eq!(forgotten, [id("a/x-0")]);
        let (_, all, forgotten) = board.after(None);
        assert_eq!((all.len(), forgotten.len()), (1, 0));
    }
}
