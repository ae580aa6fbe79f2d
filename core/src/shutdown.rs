//! In which order the members of a host stop when the host is shut down. The host decides it by itself:
//! it may be out of contact, and nobody can keep it from going down.
//!
//! Within a set the highest ordinal stops first, and the next only after it is fully gone, volumes and
//! all, as the coordinator itself would have it (I3). Sets do not wait for each other.

use std::collections::BTreeMap;

use crate::{
    ids::{MemberId, SetKey},
    report::Phase,
};

/// Whose turn it is to stop, or has been: these are to be stopped, and to stay so.
pub fn turns(members: &BTreeMap<MemberId, Phase>) -> Vec<MemberId> {
    let mut blocked: Option<&SetKey> = None;
    let mut turns = Vec::new();
    // By set, then by ordinal: backwards, the highest ordinal of each set comes first.
    for (member, phase) in members.iter().rev() {
        if blocked == Some(&member.set) {
            continue;
        }
        turns.push(member.clone());
        if *phase != Phase::Stopped {
            blocked = Some(&member.set);
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns_of(members: &[(&str, Phase)]) -> Vec<String> {
        let members = members.iter();
        let members = members.map(|(id, phase)| (id.parse().unwrap(), *phase));
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
    fn an_empty_host_has_nobody_to_stop() {
        assert!(turns(&BTreeMap::new()).is_empty());
    }
}
