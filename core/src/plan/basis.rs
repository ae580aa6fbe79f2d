//! What a plan rests on that may have changed by the time it is carried out. A step that stops,
//! moves or frees something was decided on what hosts said and what operators want; if either is
//! another by then, it is decided again. Other steps take nothing away that is there: their records
//! are conditions of the commit, and that is enough.

use crate::{
    ids::SetKey,
    plan::Step,
    state::{Set, State},
};

/// Whether steps may not be carried out as they were planned. `planned` is the state that the plan was
/// decided on: what is compared here no step of it changes.
pub fn is_outdated(planned: &State, now: &State, steps: &[Step]) -> bool {
    if (&planned.history, planned.term, &planned.past) != (&now.history, now.term, &now.past) {
        return true;
    }
    let takes_away = steps.iter().filter(|step| takes_away(step));
    let mut sets = takes_away.filter_map(|step| step.set(planned));
    sets.any(|set| wants_differ(planned, now, &set) || hosts_differ(planned, now, &set))
}

fn takes_away(step: &Step) -> bool {
    match step {
        Step::Stop { .. }
        | Step::Release { .. }
        | Step::LeaveHost { .. }
        | Step::TieClaim { .. }
        | Step::DropClaim { .. }
        | Step::RemoveSet { .. }
        | Step::BeginMove { .. }
        | Step::CompleteMove { .. }
        | Step::EndMove { .. }
        | Step::Refound { .. } => true,
        Step::CreateClaim { .. }
        | Step::AdoptClaim { .. }
        | Step::BindClaim { .. }
        | Step::TakeSnapshot { .. }
        | Step::PinSnapshot { .. }
        | Step::GrowClaim { .. }
        // What is purged is in the trash, and its record is a condition.
        | Step::PurgeVolume { .. }
        | Step::FillClaim { .. }
        | Step::TakeAddress { .. }
        | Step::TakeHost { .. }
        | Step::Assign { .. }
        | Step::Found { .. }
        | Step::Carry { .. }
        | Step::Start { .. }
        | Step::PassGate { .. }
        | Step::DropRevision { .. }
        | Step::Reload { .. }
        | Step::Rollout { .. }
        | Step::ForgetFounding { .. }
        | Step::PublishZone { .. } => false,
    }
}

fn wants_differ(planned: &State, now: &State, set: &SetKey) -> bool {
    let wants = |set: &Set| {
        (
            set.uid.clone(),
            set.spec.clone(),
            set.deleting,
            set.orphaned,
            set.offline.clone(),
            set.moves.clone(),
        )
    };
    planned.sets.get(set).map(wants) != now.sets.get(set).map(wants)
}

/// Whether a host of one of the set's members said anything since, or is another one.
fn hosts_differ(planned: &State, now: &State, set: &SetKey) -> bool {
    let members = planned.sets.get(set).into_iter();
    let mut hosts = members.flat_map(|set| set.members.values().map(|member| &member.host));
    hosts.any(|name| {
        let (old, new) = (planned.hosts.get(name), now.hosts.get(name));
        let same = old.zip(new).is_some_and(|(old, new)| {
            let (was, is) = (&old.contact, &new.contact);
            (was.stream, was.report, was.connected) == (is.stream, is.report, is.connected)
                && old.record == new.record
        });
        !same && (old.is_some() || new.is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{self, NOW, host_name, key, member, put_set, run_all, spec},
        history::Mismatched,
        ids::{ReportNumber, Term},
    };

    /// A state with `db-0` and `db-1` that run, and the stop of the second.
    fn stop() -> (State, Vec<Step>) {
        let mut state = fixture::state(2);
        put_set(&mut state, "db", spec(2, false));
        put_set(&mut state, "web", spec(1, false));
        run_all(&mut state, "db");
        let id = member("db", 1);
        let epoch = state.sets[&id.set].members[&id.ordinal].epoch;
        let steps = vec![Step::Stop { member: id, epoch }];
        (state, steps)
    }

    #[test]
    fn a_step_that_takes_away_rests_on_what_hosts_said_and_operators_want() {
        let (planned, steps) = stop();
        assert!(!is_outdated(&planned, &planned.clone(), &steps));
        let changes: [fn(&mut State); 7] = [
            |s| s.hosts.get_mut(&host_name(1)).unwrap().contact.stream = 9,
            |s| s.hosts.get_mut(&host_name(2)).unwrap().contact.report = ReportNumber(7),
            |s| s.hosts.get_mut(&host_name(1)).unwrap().contact.connected = false,
            |s| put_set(s, "db", spec(1, false)),
            |s| s.sets.get_mut(&key("db")).unwrap().deleting = Some(NOW),
            |s| s.term = Term(9),
            |s| {
                let one = Mismatched::default();
                s.past.mismatched.insert(host_name(7), one);
            },
        ];
        for (nth, change) in changes.iter().enumerate() {
            let mut now = planned.clone();
            change(&mut now);
            assert!(is_outdated(&planned, &now, &steps), "change {nth}");
        }
    }

    #[test]
    fn what_others_say_and_what_the_steps_before_did_is_no_reason_to_plan_again() {
        let (planned, steps) = stop();
        let mut now = planned.clone();
        put_set(&mut now, "web", spec(3, false));
        assert!(!is_outdated(&planned, &now, &steps));
        let start = member("db", 0);
        let epoch = planned.sets[&start.set].members[&start.ordinal].epoch;
        let step = Step::Start {
            member: start,
            epoch,
        };
        let mut heard = planned.clone();
        heard.hosts.get_mut(&host_name(1)).unwrap().contact.stream = 9;
        assert!(!is_outdated(&planned, &heard, &[step]));
    }
}
