//! In which order the members of a host stop when the host is shut down. The host decides it by itself:
//! it may be out of contact, and nobody can keep it from going down.
//!
//! Within a set the highest ordinal stops first, and the next only after it is fully gone, volumes and
//! all, as the coordinator itself would have it (I3). A set that others depend on begins when all members
//! of those are gone that this host has. Other sets do not wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ids::{MemberId, SetKey},
    report::Phase,
};

/// A member of a host that goes down.
#[derive(Debug, Clone, Copy)]
pub struct Leaving<'a> {
    /// How far it is.
    pub phase: Phase,
    /// The sets that its own one needs.
    pub depends_on: &'a [SetKey],
}

impl Leaving<'_> {
    fn is_gone(&self) -> bool {
        self.phase == Phase::Stopped
    }
}

/// Whose turn it is to stop, or has been: these are to be stopped, and to stay so.
pub fn turns(members: &BTreeMap<MemberId, Leaving<'_>>) -> Vec<MemberId> {
    let left = members.values().filter(|member| !member.is_gone());
    let needed: BTreeSet<&SetKey> = left.flat_map(|member| member.depends_on).collect();
    let turns = without(members, &needed);
    let somebody = turns.iter().any(|member| !members[member].is_gone());
    if needed.is_empty() || somebody {
        return turns;
    }
    // Sets that need each other are refused; but these orders may be of different times.
    without(members, &BTreeSet::new())
}

/// Whose turn it is while some sets are needed yet.
fn without(members: &BTreeMap<MemberId, Leaving<'_>>, needed: &BTreeSet<&SetKey>) -> Vec<MemberId> {
    let mut blocked: Option<&SetKey> = None;
    let mut turns = Vec::new();
    // By set, then by ordinal: backwards, the highest ordinal of each set comes first.
    for (id, member) in members.iter().rev() {
        if blocked == Some(&id.set) || needed.contains(&id.set) {
            continue;
        }
        turns.push(id.clone());
        if !member.is_gone() {
            blocked = Some(&id.set);
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns_of(members: &[(&str, Phase)]) -> Vec<String> {
        turns_with(members, &[])
    }

    /// The turns when some sets need others.
    fn turns_with(members: &[(&str, Phase)], needs: &[(&str, &str)]) -> Vec<String> {
        let needs = needs
            .iter()
            .map(|(set, needed)| (*set, [needed.parse().unwrap()]));
        let needs: BTreeMap<&str, [SetKey; 1]> = needs.collect();
        let members = members.iter().map(|(id, phase)| {
            let (phase, id) = (*phase, id.parse::<MemberId>().unwrap());
            let depends_on = needs.get(id.set.to_string().as_str());
            let depends_on = depends_on.map_or(&[][..], |needed| needed);
            (id, Leaving { phase, depends_on })
        });
        let turns = turns(&members.collect());
        turns.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_highest_ordinal_of_each_set_is_first_and_the_next_waits_until_it_is_gone() {
        let (run, end, gone) = (Phase::Running, Phase::Stopping, Phase::Stopped);
        let all = |web_10, web_9| {
            turns_of(&[
                ("a/db-0", run),
                ("a/web-2", run),
                ("a/web-9", web_9),
                ("a/web-10", web_10),
                ("b/web-0", run),
            ])
        };
        assert_eq!(all(run, run), ["b/web-0", "a/web-10", "a/db-0"]);
        assert_eq!(all(end, run), ["b/web-0", "a/web-10", "a/db-0"]);
        let next = ["b/web-0", "a/web-10", "a/web-9", "a/db-0"];
        assert_eq!(all(gone, run), next);
        assert_eq!(all(gone, end), next, "what has begun is not taken back");
        // One that was gone before its turn stays where it is until then.
        assert_eq!(all(run, gone), ["b/web-0", "a/web-10", "a/db-0"]);
        assert_eq!(
            all(gone, gone),
            ["b/web-0", "a/web-10", "a/web-9", "a/web-2", "a/db-0"]
        );
    }

    #[test]
    fn what_others_need_stops_when_all_of_those_are_gone() {
        let (run, end, gone) = (Phase::Running, Phase::Stopping, Phase::Stopped);
        let all = |app_0, app_1| {
            let members = [
                ("a/app-0", app_0),
                ("a/app-1", app_1),
                ("a/db-0", run),
                ("b/db-0", run),
            ];
            turns_with(&members, &[("a/app", "a/db")])
        };
        assert_eq!(all(run, run), ["b/db-0", "a/app-1"]);
        assert_eq!(all(run, gone), ["b/db-0", "a/app-1", "a/app-0"]);
        assert_eq!(all(end, gone), ["b/db-0", "a/app-1", "a/app-0"]);
        assert_eq!(all(gone, gone), ["b/db-0", "a/db-0", "a/app-1", "a/app-0"]);
        // What is needed on another host is not waited for, nor is a set that is not here.
        assert_eq!(
            turns_with(&[("a/app-0", run)], &[("a/app", "a/db")]),
            ["a/app-0"]
        );
    }

    #[test]
    fn sets_that_need_each_other_stop_all_the_same() {
        let members = [("a/x-0", Phase::Running), ("a/y-0", Phase::Running)];
        let turns = turns_with(&members, &[("a/x", "a/y"), ("a/y", "a/x")]);
        assert_eq!(turns, ["a/y-0", "a/x-0"]);
    }

    #[test]
    fn an_empty_host_has_nobody_to_stop() {
        assert!(turns(&BTreeMap::new()).is_empty());
    }
}
