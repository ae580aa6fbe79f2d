//! Steps in words: as events for people, and as the lines of `plan`.

use berth_core::{
    ids::SetKey,
    plan::{Step, step::Proof},
    spec::Kind,
    state::State,
    store::Note,
    time::Timestamp,
};

use crate::notes::{self, NORMAL, WARNING};

/// A step as a line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The step's name.
    pub step: &'static str,
    /// What it is about.
    pub subject: String,
    /// What it does.
    pub text: String,
}

/// Puts a step into words.
pub fn line(step: &Step) -> Line {
    let (name, subject, text) = match step {
        Step::CreateClaim { key, claim } => {
            let text = format!("makes claim {key} in pool '{}'", claim.pool);
            ("CreateClaim", key.to_string(), text)
        }
        Step::BindClaim { key, host } => {
            ("BindClaim", key.to_string(), format!("binds claim {key} to {host}"))
        }
        Step::FillClaim { key } => {
            ("FillClaim", key.to_string(), format!("marks claim {key} as filled"))
        }
        Step::TakeAddress { member, address } => {
            ("TakeAddress", member.to_string(), format!("gives {member} the address {address}"))
        }
        Step::Assign { member, epoch, host, address, .. } => {
            let text = format!("assigns {member} to {host} as epoch {epoch}, at {address}");
            ("Assign", member.to_string(), text)
        }
        Step::Found { set, founders } => {
            let names: Vec<&str> = founders.iter().map(|peer| peer.name.as_str()).collect();
            ("Found", set.to_string(), format!("{set} is founded by [{}]", names.join(", ")))
        }
        Step::Start { member, epoch } => {
            ("Start", member.to_string(), format!("starts {member} in epoch {epoch}"))
        }
        Step::PassGate { member, .. } => {
            ("PassGate", member.to_string(), format!("{member} passed its gate"))
        }
        Step::Stop { member, epoch } => {
            ("Stop", member.to_string(), format!("stops epoch {epoch} of {member}"))
        }
        Step::Release { member, epoch, proof } => {
            let text = format!("releases epoch {epoch} of {member}: {}", proved(proof));
            ("Release", member.to_string(), text)
        }
        Step::RemoveSet { set, .. } => ("RemoveSet", set.to_string(), format!("removes {set}")),
        Step::DropRevision { set, revision } => {
            let text = format!("drops revision {revision} of {set}");
            ("DropRevision", set.to_string(), text)
        }
        Step::ForgetFounding { set } => {
            ("ForgetFounding", set.to_string(), format!("forgets who founded {set}"))
        }
        Step::PublishZone { zone } => {
            let text = format!("publishes zone {}", zone.serial);
            ("PublishZone", "zone".to_owned(), text)
        }
    };
    Line {
        step: name,
        subject,
        text,
    }
}

fn proved(proof: &Proof) -> &'static str {
    match proof {
        Proof::NeverOrdered => "it was never ordered to run",
        Proof::ReportedStopped => "its agent reported it stopped",
        Proof::ReportedAbsent => "its agent has nothing of it",
    }
}

/// The event of a step, if people want to read of it.
pub(super) fn event(state: &State, step: &Step, now: Timestamp) -> Option<Note> {
    let (id, reason) = match step {
        Step::Assign { member, .. } => (member, "Assigned"),
        Step::Start { member, .. } => (member, "Starting"),
        Step::Stop { member, .. } => (member, "Stopping"),
        Step::Release { member, .. } => (member, "Released"),
        Step::Found { set, .. } => {
            let text = line(step).text;
            return Some(notes::object(now, Kind::StatefulSet, set, NORMAL, "Founded", text));
        }
        Step::RemoveSet { set, .. } => {
            let text = format!("{set} is gone; its claims stay");
            return Some(notes::object(now, Kind::StatefulSet, set, NORMAL, "Deleted", text));
        }
        Step::CreateClaim { .. }
        | Step::BindClaim { .. }
        | Step::FillClaim { .. }
        | Step::TakeAddress { .. }
        | Step::PassGate { .. }
        | Step::DropRevision { .. }
        | Step::ForgetFounding { .. }
        | Step::PublishZone { .. } => return None,
    };
    let text = match step {
        // A start names no host; the assignment does.
        Step::Start { .. } => {
            let set = state.sets.get(&id.set);
            let member = set.and_then(|set| set.members.get(&id.ordinal));
            let host = member.map_or_else(String::new, |member| format!(" on {}", member.host));
            format!("{}{host}", line(step).text)
        }
        Step::Assign { .. }
        | Step::Stop { .. }
        | Step::Release { .. }
        | Step::Found { .. }
        | Step::RemoveSet { .. }
        | Step::CreateClaim { .. }
        | Step::BindClaim { .. }
        | Step::FillClaim { .. }
        | Step::TakeAddress { .. }
        | Step::PassGate { .. }
        | Step::DropRevision { .. }
        | Step::ForgetFounding { .. }
        | Step::PublishZone { .. } => line(step).text,
    };
    Some(notes::member(now, id, NORMAL, reason, text))
}

/// The event of a refused plan.
pub(super) fn refused(set: &SetKey, rule: &str, now: Timestamp) -> Note {
    let text = format!("the plan of the set is refused ({rule}); nothing of it is done");
    notes::object(now, Kind::StatefulSet, set, WARNING, "PlanRefused", text)
}
