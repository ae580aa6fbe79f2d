//! What fails on the way: commits, starts, stops, hosts, and claims that are lost.

use super::*;
use crate::{plan::plan, waiting::Reason};

impl Walk {
    /// Somebody takes all claims away; those that are made next are others, made at another time.
    fn lose_claims(&mut self) {
        self.friends.state.claims.clear();
        self.friends.now = self.friends.now.plus(Duration::from_millis(1));
    }

    /// All hosts.
    fn cordon(&mut self, unschedulable: bool) {
        for host in self.friends.state.hosts.values_mut() {
            host.record.unschedulable = unschedulable;
        }
    }
}

/// Upstream's delete calls that fail: here a stop that the host does not confirm.
#[test]
fn u04_u08_a_restart_whose_stop_is_not_confirmed_starts_nothing() {
    every_policy(3, |walk| {
        let before = walk.epoch(1);
        walk.friends.lingering.insert(member("db", 1));
        walk.restart(1);
        walk.settle();
        assert_eq!(
            walk.log(),
            ["-db-1"],
            "asked for once, however often it is planned"
        );
        assert_eq!(walk.epoch(1), before);
        walk.friends.lingering.clear();
        walk.settle();
        assert_eq!(walk.log(), ["+db-1"]);
        assert!(walk.epoch(1) > before);
    });
}

#[test]
fn u11_scaling_in_goes_on_when_a_stop_is_confirmed() {
    every_policy(4, |walk| {
        walk.friends.lingering.insert(member("db", 3));
        walk.scale(1);
        walk.settle();
        let first = if walk.ordered() {
            vec![3]
        } else {
            vec![3, 2, 1]
        };
        assert_eq!(walk.log(), words('-', first));
        assert!(walk.here().contains(&3), "it is counted until it is gone");
        walk.friends.lingering.clear();
        walk.settle();
        let rest = if walk.ordered() {
            vec![2, 1]
        } else {
            Vec::new()
        };
        assert_eq!(walk.log(), words('-', rest));
        assert_eq!(walk.here(), [0]);
    });
}

/// Upstream's create calls that fail: a plan that could not be committed, then a host that cannot start
/// the member. Nobody is made twice for that.
#[test]
fn u05_a_start_that_fails_is_made_up_for_and_no_member_is_there_twice() {
    every_policy(3, |walk| {
        walk.friends.failing.insert(member("db", 3));
        walk.scale(5);
        let lost = plan(&walk.friends.state, walk.friends.now).0;
        assert_eq!(walk.plan().steps, lost.steps, "the next pass makes it");
        walk.friends.agents();
        walk.settle();
        let first = if walk.ordered() { vec![3] } else { vec![3, 4] };
        assert_eq!(walk.log(), words('+', first));
        let before = (walk.epoch(3), walk.uid(3));
        walk.friends.failing.clear();
        walk.settle();
        let rest = if walk.ordered() { vec![4] } else { Vec::new() };
        assert_eq!(
            walk.log(),
            words('+', rest),
            "its agent tries again by itself"
        );
        assert_eq!((walk.epoch(3), walk.uid(3)), before);
        assert_eq!(walk.here(), [0, 1, 2, 3, 4]);
        assert_eq!(walk.claims(), [0, 1, 2, 3, 4]);
    });
}

#[test]
fn u10_the_lost_claim_of_a_member_that_waits_is_made_anew() {
    every_beginning(1, |walk| {
        walk.plan();
        assert_eq!(walk.log(), [""; 0], "it is named first");
        let (claims, before) = (&walk.friends.state.claims, walk.uid(0));
        assert_eq!(claims.len(), 1);
        walk.lose_claims();
        walk.friends.agents();
        walk.settle();
        assert_eq!(walk.log(), ["+db-0"]);
        assert_ne!(walk.uid(0), before);
    });
}

/// The member had data. It is lost with its claim while all hosts are cordoned: upstream makes the claim
/// at once, here it is made with the grant.
#[test]
fn t28_the_lost_claim_of_a_member_that_no_host_takes_is_made_anew() {
    every_policy(1, |walk| {
        let before = walk.uid(0);
        walk.cordon(true);
        walk.friends.lose(&member("db", 0));
        walk.lose_claims();
        walk.settle();
        assert_eq!(walk.log(), [""; 0]);
        let why = walk.friends.report.waiting.get(&member("db", 0));
        let nowhere = matches!(why, Some(Reason::NoEligibleHost { .. }));
        assert!(nowhere, "{why:?}");
        walk.cordon(false);
        walk.settle();
        assert_eq!(walk.log(), ["+db-0"]);
        assert_ne!(walk.uid(0), before);
        assert_eq!(walk.claims(), [0]);
    });
}

#[test]
fn t03_a_lost_predecessor_comes_back_while_its_successor_is_unready() {
    every_policy(2, |walk| {
        walk.friends.unready.insert(member("db", 1));
        walk.friends.agents();
        walk.friends.lose(&member("db", 0));
        walk.settle();
        assert_eq!(walk.log(), ["+db-0"]);
    });
}

/// A host that is lost frees nothing, and its members come back as they were (the counterpart of a
/// pod that stays terminating).
#[test]
fn a_lost_host_keeps_its_member_and_the_others_serve_on() {
    every_policy(3, |walk| {
        let before = walk.epoch(1);
        walk.friends.contact(&host_name(2), false);
        walk.settle();
        walk.friends.contact(&host_name(2), true);
        walk.settle();
        assert_eq!(walk.log(), [""; 0]);
        assert_eq!(walk.epoch(1), before);
    });
}

#[test]
fn i07_a_member_that_is_held_while_it_stops_holds_up_a_partitioned_update() {
    every_policy(4, |walk| {
        walk.strategy(UpdateKind::RollingUpdate, 1);
        walk.friends.lingering.insert(member("db", 3));
        walk.update(1);
        walk.settle();
        assert_eq!(walk.log(), ["-db-3"]);
        walk.friends.lingering.clear();
        walk.settle();
        assert_eq!(walk.updated(), [1, 2, 3]);
    });
}
