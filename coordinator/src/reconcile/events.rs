//! Steps in words: as events for people, and as the lines of `plan`.

use berth_core::{
    ids::{ClaimKey, MemberId, SetKey},
    plan::{Step, Subject},
    spec::Kind,
    state::{GoesWith, State, Turn},
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
    let (name, subject) = named(step);
    Line {
        step: name,
        subject,
        text: text(step),
    }
}

fn named(step: &Step) -> (&'static str, String) {
    match step {
        Step::CreateClaim { key, .. } => ("CreateClaim", key.to_string()),
        Step::AdoptClaim { key, .. } => ("AdoptClaim", key.to_string()),
        Step::BindClaim { key, .. } => ("BindClaim", key.to_string()),
        Step::PinSnapshot { key, .. } => ("PinSnapshot", key.to_string()),
        Step::TakeSnapshot { snapshot, .. } => ("TakeSnapshot", snapshot.of.to_string()),
        Step::GrowClaim { key, .. } => ("GrowClaim", key.to_string()),
        Step::FillClaim { key, .. } => ("FillClaim", key.to_string()),
        Step::TieClaim { key, .. } => ("TieClaim", key.to_string()),
        Step::DropClaim { key, .. } => ("DropClaim", key.to_string()),
        Step::PurgeVolume { name } => ("PurgeVolume", name.name.to_string()),
        Step::Refound { set, .. } => ("Refound", set.to_string()),
        Step::TakeAddress { member, .. } => ("TakeAddress", member.to_string()),
        Step::TakeHost { member, .. } => ("TakeHost", member.to_string()),
        Step::LeaveHost { member } => ("LeaveHost", member.to_string()),
        Step::Assign { member, .. } => ("Assign", member.to_string()),
        Step::Found { set, .. } => ("Found", set.to_string()),
        Step::Carry { member, .. } => ("Carry", member.to_string()),
        Step::Start { member, .. } => ("Start", member.to_string()),
        Step::PassGate { member, .. } => ("PassGate", member.to_string()),
        Step::Stop { member, .. } => ("Stop", member.to_string()),
        Step::Release { member, .. } => ("Release", member.to_string()),
        Step::RemoveSet { set, .. } => ("RemoveSet", set.to_string()),
        Step::Reload { member, .. } => ("Reload", member.to_string()),
        Step::DropRevision { set, .. } => ("DropRevision", set.to_string()),
        Step::Rollout { set, .. } => ("Rollout", set.to_string()),
        Step::ForgetFounding { set } => ("ForgetFounding", set.to_string()),
        Step::BeginMove { member, .. } => ("BeginMove", member.to_string()),
        Step::CompleteMove { member, .. } => ("CompleteMove", member.to_string()),
        Step::EndMove { member } => ("EndMove", member.to_string()),
        Step::PublishZone { .. } => ("PublishZone", "zone".to_owned()),
    }
}

fn text(step: &Step) -> String {
    match step {
        Step::CreateClaim { key, .. } => format!("makes claim {key}"),
        Step::AdoptClaim { key, member, .. } => format!("gives claim {key} to {member}"),
        Step::BindClaim { key, name, volume } => format!(
            "binds claim {key} to volume {} at {}",
            name.name,
            volume.source.describe()
        ),
        Step::PinSnapshot { key, claim, .. } => {
            format!("lets snapshot {key} mean the claim {claim} that is there now")
        }
        Step::TakeSnapshot { snapshot, .. } => {
            format!("takes snapshot {} of claim {}", snapshot.of, snapshot.claim)
        }
        Step::GrowClaim { key, storage } => format!("lets claim {key} grow to {storage}"),
        Step::FillClaim { key, .. } => format!("marks claim {key} as filled"),
        Step::TieClaim { key, goes_with } => match goes_with {
            None => format!("keeps claim {key} whatever goes"),
            Some(GoesWith::Set { .. }) => format!("lets claim {key} go with its set"),
            Some(GoesWith::Member { .. }) => format!("lets claim {key} go with its member"),
            Some(GoesWith::Asked) => format!("lets claim {key} go"),
        },
        Step::DropClaim { key, .. } => format!("deletes claim {key}"),
        Step::PurgeVolume { name } => {
            format!(
                "removes the data of volume {} from the trash for good",
                name.name
            )
        }
        Step::Refound { set, .. } => format!("founds {set} anew"),
        Step::TakeAddress { member, address } => format!("gives {member} the address {address}"),
        Step::TakeHost { member, host } => format!("makes {member} the member of {host}"),
        Step::LeaveHost { member } => {
            format!("{member} is not wanted any more: its host has no label for it")
        }
        Step::Assign {
            member,
            epoch,
            host,
            address,
            ..
        } => format!("assigns {member} to {host} as epoch {epoch}, at {address}"),
        Step::Found { set, founders } if founders.is_empty() => format!("{set} counts as founded"),
        Step::Found { set, founders } => {
            let names: Vec<&str> = founders.iter().map(|peer| peer.name.as_str()).collect();
            format!("{set} is founded by {}", names.join(", "))
        }
        Step::Carry {
            member, revision, ..
        } => format!("{member} carries revision {revision}, which is the same for it"),
        Step::Start { member, epoch } => format!("starts {member} in epoch {epoch}"),
        Step::PassGate { member, .. } => format!("{member} passed its gate"),
        Step::Stop { member, epoch } => format!("stops epoch {epoch} of {member}"),
        Step::Release {
            member,
            epoch,
            proof,
        } => format!("releases epoch {epoch} of {member}: {proof}"),
        Step::RemoveSet { set, .. } => format!("removes {set}"),
        Step::Reload {
            member, revision, ..
        } => format!("delivers the config of revision {revision} to {member}, which runs on"),
        Step::DropRevision { set, revision } => format!("drops revision {revision} of {set}"),
        Step::Rollout { .. }
        | Step::BeginMove { .. }
        | Step::CompleteMove { .. }
        | Step::EndMove { .. } => step.to_string(),
        Step::ForgetFounding { set } => format!("forgets who founded {set}"),
        Step::PublishZone { zone } => format!("publishes zone {}", zone.serial),
    }
}

/// The event of a step, if people want to read of it.
pub(super) fn event(state: &State, step: &Step, now: Timestamp) -> Option<Note> {
    let (id, reason) = match step {
        Step::TakeHost { member, .. } => (member, "HostTaken"),
        Step::LeaveHost { member } => (member, "HostLeft"),
        Step::Assign { member, .. } => (member, "Assigned"),
        Step::Start { member, .. } => (member, "Starting"),
        Step::Stop { member, .. } => (member, "Stopping"),
        Step::Reload { member, .. } => (member, "Reloading"),
        Step::Release { member, .. } => (member, "Released"),
        Step::BeginMove { member, .. } => (member, "Copying"),
        Step::CompleteMove { member, .. } => (member, "Copied"),
        Step::EndMove { member } => (member, "MoveGivenUp"),
        Step::Found { set, .. } => {
            let text = line(step).text;
            return Some(notes::object(
                now,
                Kind::StatefulSet,
                set,
                NORMAL,
                "Founded",
                text,
            ));
        }
        Step::RemoveSet { set, .. } => {
            let text = format!("{set} is gone");
            return Some(notes::object(
                now,
                Kind::StatefulSet,
                set,
                NORMAL,
                "Deleted",
                text,
            ));
        }
        Step::Rollout { set, turn } => return rollout(now, set, turn, step),
        Step::Refound { set, .. } => {
            let text = "nothing is left of it, and it is founded anew".to_owned();
            let kind = Kind::StatefulSet;
            return Some(notes::object(now, kind, set, NORMAL, "Refounding", text));
        }
        Step::PurgeVolume { name } => {
            let text = "its time in the trash is over: its data is removed for good".to_owned();
            let kind = Kind::PersistentVolume;
            return Some(notes::object(now, kind, name, NORMAL, "Purging", text));
        }
        Step::DropClaim { key, .. } => return Some(dropped(state, now, key)),
        Step::AdoptClaim { key, .. } => return Some(claim(now, key, "Adopted", step)),
        Step::BindClaim { key, .. } => return Some(claim(now, key, "Bound", step)),
        Step::GrowClaim { key, .. } => return Some(claim(now, key, "Growing", step)),
        Step::TakeSnapshot { snapshot, .. } => {
            let (kind, text) = (Kind::VolumeSnapshot, line(step).text);
            let note = notes::object(now, kind, &snapshot.of, NORMAL, "Taking", text);
            return Some(note);
        }
        Step::CreateClaim { .. }
        | Step::FillClaim { .. }
        | Step::TieClaim { .. }
        | Step::PinSnapshot { .. }
        | Step::TakeAddress { .. }
        | Step::Carry { .. }
        | Step::PassGate { .. }
        | Step::DropRevision { .. }
        | Step::ForgetFounding { .. }
        | Step::PublishZone { .. } => return None,
    };
    Some(told(state, step, now, id, reason))
}

/// The event of a step about a member.
fn told(state: &State, step: &Step, now: Timestamp, id: &MemberId, reason: &'static str) -> Note {
    let mut text = line(step).text;
    if let Step::EndMove { member } = step {
        let set = state.sets.get(&member.set);
        let asked = set.and_then(|set| set.moves.get(&member.ordinal));
        let why = asked.and_then(|asked| asked.given_up.as_deref());
        let why = why.unwrap_or("it cannot come to an end any more");
        let text = format!("{why}; it goes back to where its data is");
        return notes::member(now, id, WARNING, reason, text);
    }
    if let Step::Start { member, .. } = step {
        // A start names no host; the assignment does.
        let set = state.sets.get(&member.set);
        let assigned = set.and_then(|set| set.members.get(&member.ordinal));
        if let Some(assigned) = assigned {
            text = format!("{text} on {}", assigned.host);
        }
    }
    notes::member(now, id, NORMAL, reason, text)
}

/// What people want to know of a rollout.
fn rollout(now: Timestamp, set: &SetKey, turn: &Turn, step: &Step) -> Option<Note> {
    let (kind, reason) = match turn {
        Turn::Begins { revision, from, .. } if revision != from => (NORMAL, "RolloutBegins"),
        Turn::Stalls => (WARNING, "ProgressDeadlineExceeded"),
        Turn::IsTakenBack => (WARNING, "RolledBack"),
        Turn::Completes { .. } => (NORMAL, "RolloutComplete"),
        Turn::Begins { .. } | Turn::Goes { .. } | Turn::Betters { .. } | Turn::Rests => {
            return None;
        }
    };
    let text = step.to_string();
    Some(notes::object(
        now,
        Kind::StatefulSet,
        set,
        kind,
        reason,
        text,
    ))
}

/// A claim goes: with what, and where its data goes.
fn dropped(state: &State, now: Timestamp, key: &ClaimKey) -> Note {
    let claim = state.claims.get(key);
    let with = match claim.and_then(|claim| claim.goes_with.as_ref()) {
        Some(GoesWith::Set { .. }) => "its set is deleted, and whenDeleted is Delete",
        Some(GoesWith::Member { .. }) => "its member is gone, and whenScaled is Delete",
        Some(GoesWith::Asked) | None => "an operator asked for it, and nobody runs on it",
    };
    let volume = claim.and_then(|claim| claim.volume.as_ref());
    let back = volume.map_or_else(String::new, |volume| {
        format!("; berth volume undelete {} brings it back", volume.name)
    });
    let text = format!("it is deleted: {with}{back}");
    notes::object(
        now,
        Kind::PersistentVolumeClaim,
        key,
        NORMAL,
        "Deleted",
        text,
    )
}

fn claim(now: Timestamp, key: &ClaimKey, reason: &'static str, step: &Step) -> Note {
    let text = line(step).text;
    notes::object(now, Kind::PersistentVolumeClaim, key, NORMAL, reason, text)
}

/// The event of a refused plan.
pub(super) fn refused(about: &Subject, rule: &str, now: Timestamp) -> Note {
    let text = format!("what was planned for it is refused ({rule}); nothing of it is done");
    let (kind, key) = about.object();
    notes::object(now, kind, key, WARNING, "PlanRefused", text)
}
