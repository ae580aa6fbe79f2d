//! When each member wants to be woken. One entry per member, the earliest first.

use std::collections::{BTreeMap, BTreeSet};

use berth_core::{ids::MemberId, time::Timestamp};

#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Timestamp, MemberId)>,
    by_member: BTreeMap<MemberId, Timestamp>,
}

impl Timers {
    pub(super) fn set(&mut self, member: &MemberId, at: Option<Timestamp>) {
        if let Some(old) = self.by_member.remove(member) {
            self.queue.remove(&(old, member.clone()));
        }
        if let Some(at) = at {
            self.by_member.insert(member.clone(), at);
            self.queue.insert((at, member.clone()));
        }
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes one member whose time has come.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<MemberId> {
        if self.next()? > now {
            return None;
        }
        let (_, member) = self.queue.pop_first()?;
        self.by_member.remove(&member);
        Some(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_one_time_and_the_earliest_comes_first() {
        let (a, b): (MemberId, MemberId) = ("n/a-0".parse().unwrap(), "n/b-0".parse().unwrap());
        let mut timers = Timers::default();
        timers.set(&a, Some(Timestamp(5)));
        timers.set(&b, Some(Timestamp(4)));
        timers.set(&a, Some(Timestamp(3)));
        assert_eq!(timers.pop(Timestamp(2)), None);
        assert_eq!(timers.pop(Timestamp(5)), Some(a.clone()));
        timers.set(&b, None);
        assert_eq!(timers.pop(Timestamp(9)), None);
    }
}
