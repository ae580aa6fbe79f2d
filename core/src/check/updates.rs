//! Rules about updates: who may be taken down and why, how many at a time, and which revision
//! comes after. In the checker's own words and arithmetic.

use std::time::Duration;

use crate::{
    check::{
        Case, Verdict,
        standing::{available, grant, heard, id, is_wanted, leaves_host, serves, wanted},
    },
    ids::{MemberId, Ordinal, TemplateHash},
    plan::Step,
    spec::{Amount, ConfigUpdate, GatePolicy, OnChange, Placement, UpdateKind},
    state::{Member, Ordered, RolloutPhase, Set, State, Turn},
    template::missing_config,
};

/// The revision that members are brought to.
pub(super) fn goal(set: &Set) -> &TemplateHash {
    let rollout = &set.rollout;
    let refused = rollout.phase == RolloutPhase::TakenBack && rollout.update == set.revision;
    if refused { origin(set) } else { &set.revision }
}

/// The revision that the set comes from.
fn origin(set: &Set) -> &TemplateHash {
    let known = &set.rollout.current;
    if *known == TemplateHash::default() {
        &set.revision
    } else {
        known
    }
}

/// Whether nobody is updated now.
pub(super) fn halted(set: &Set) -> bool {
    let rollout = &set.rollout;
    let stalled = rollout.phase == RolloutPhase::Stalled && rollout.update == set.revision;
    stalled || set.spec.is_paused()
}

/// Whether the partition keeps an ordinal as it is.
pub(super) fn kept(set: &Set, ordinal: Ordinal) -> bool {
    let strategy = set.spec.update_strategy.as_ref();
    let rolling = strategy
        .filter(|strategy| strategy.kind == UpdateKind::RollingUpdate)
        .and_then(|strategy| strategy.rolling_update.as_ref());
    let ordinals = &set.spec.ordinals;
    let below = if set.spec.placement == Placement::PerHost {
        let lower = set.own_hosts.range(..ordinal);
        lower.filter(|(_, own)| own.selected).count()
    } else {
        let numbers = ordinals.start..ordinal.0;
        numbers.filter(|n| !ordinals.reserved.contains(n)).count()
    };
    let below = u32::try_from(below).unwrap_or(u32::MAX);
    rolling.is_some_and(|rolling| below < rolling.partition)
}

pub(super) fn kind(set: &Set) -> UpdateKind {
    let strategy = set.spec.update_strategy.as_ref();
    strategy.map_or(UpdateKind::RollingUpdate, |strategy| strategy.kind)
}

/// Whether an operator wants the member down, or started anew.
fn asked(case: &Case<'_>, set: &Set, member: &Member, id: &MemberId) -> bool {
    let host = case.state.hosts.get(&member.host);
    let drained = host.is_some_and(|host| host.record.directives.draining.is_some());
    drained
        || set.offline.contains_key(&id.ordinal)
        || leaves_host(set, id.ordinal)
        || member.restart_asked.is_some()
}

/// Whether a rollout brings the member to another revision.
fn updated(set: &Set, member: &Member, id: &MemberId) -> bool {
    member.revision != *goal(set)
        && kind(set) != UpdateKind::OnDelete
        && !halted(set)
        && !kept(set, id.ordinal)
}

fn leaves(set: &Set, ordinal: Ordinal) -> bool {
    !is_wanted(set, ordinal)
}

/// Whether a member is stopped because all of another revision are.
fn recreated(set: &Set, revision: &TemplateHash) -> bool {
    kind(set) == UpdateKind::Recreate && revision != goal(set)
}

pub(super) fn stop_cause(case: &Case<'_>) -> Verdict {
    let Step::Stop { member: id, .. } = case.step else {
        return Ok(());
    };
    let Some((set, member)) = grant(case.state, id) else {
        return Ok(());
    };
    if leaves(set, id.ordinal) || asked(case, set, member, id) || updated(set, member, id) {
        Ok(())
    } else {
        Err(format!("{id} is wanted as it is"))
    }
}

pub(super) fn floor(case: &Case<'_>) -> Verdict {
    let Step::Stop { member, .. } = case.step else {
        return delivery_floor(case);
    };
    let Some((set, granted)) = grant(case.state, member) else {
        return Ok(());
    };
    if set.deleting.is_some() || recreated(set, &granted.revision) {
        return Ok(());
    }
    let leaves = leaves(set, member.ordinal);
    let serves = serves(case.state, member);
    let needed = if leaves {
        least(set).filter(|_| available(case.state, member, case.now))
    } else {
        // Of two reasons to go, one is enough.
        let asked = asked(case, set, granted, member).then(|| to_stay(set, true));
        let updated = updated(set, granted, member).then(|| to_stay(set, false));
        asked.into_iter().chain(updated).min().filter(|_| serves)
    };
    let Some(needed) = needed else {
        return Ok(());
    };
    enough(case, member, leaves, needed)
}

/// The same for config that starts a process of a member anew: it is an update.
fn delivery_floor(case: &Case<'_>) -> Verdict {
    let Step::Reload {
        member, revision, ..
    } = case.step
    else {
        return Ok(());
    };
    match grant(case.state, member) {
        Some((set, granted)) if recreated(set, &granted.revision) => Ok(()),
        Some((set, _)) if asks_for_restart(set, revision) && serves(case.state, member) => {
            enough(case, member, false, to_stay(set, false))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether so many members are available beside one that is taken down; those that leave count too
/// if it is one of them.
fn enough(case: &Case<'_>, member: &MemberId, leaves: bool, needed: u64) -> Verdict {
    let Some((set, _)) = grant(case.state, member) else {
        return Ok(());
    };
    let others = set
        .members
        .keys()
        .filter(|other| **other != member.ordinal && (leaves || is_wanted(set, **other)));
    let others = others.filter(|other| {
        let other = id(&member.set, **other);
        available(case.state, &other, case.now) && !starts_anew(case.state, &other)
    });
    let have = others.count();
    if u64::try_from(have).is_ok_and(|have| have >= needed) {
        Ok(())
    } else {
        Err(format!(
            "{member} is taken down while {have} others are available, not {needed}"
        ))
    }
}

/// Whether config is on its way to a member that starts a process of it anew.
fn starts_anew(state: &State, id: &MemberId) -> bool {
    let Some((set, member)) = grant(state, id) else {
        return false;
    };
    let has = heard(state, id).and_then(|seen| seen.report.revision.as_ref());
    set.spec.config_update == ConfigUpdate::Reload
        && has != Some(&member.revision)
        && asks_for_restart(set, &member.revision)
}

/// Whether a file that config fills has its process started anew when it changes.
fn asks_for_restart(set: &Set, revision: &TemplateHash) -> bool {
    let Some(revision) = set.revisions.get(revision) else {
        return false;
    };
    let mut files = revision
        .template
        .spec
        .processes
        .iter()
        .flat_map(|p| &p.files);
    files.any(|file| {
        file.on_change == OnChange::Restart && (file.config_map.is_some() || file.secret.is_some())
    })
}

/// How many members the set is to have.
fn size(set: &Set) -> u64 {
    u64::try_from(wanted(set).len()).unwrap_or(u64::MAX)
}

/// How many others must be available when a wanted member is taken down.
fn to_stay(set: &Set, asked: bool) -> u64 {
    let size = size(set);
    let needed = match (asked, least(set)) {
        (true, Some(least)) => least,
        (true, None) => size.saturating_sub(1),
        (false, least) => size
            .saturating_sub(most_updated(set))
            .max(least.unwrap_or_default()),
    };
    if size < 3 {
        needed.min(size.saturating_sub(1))
    } else {
        needed
    }
}

/// How many an update may have unavailable.
fn most_updated(set: &Set) -> u64 {
    let size = size(set);
    let rolling = set.spec.update_strategy.as_ref();
    let rolling = rolling.and_then(|strategy| strategy.rolling_update.as_ref());
    let most = match rolling.and_then(|rolling| rolling.max_unavailable.as_ref()) {
        Some(Amount::Number(number)) => u64::from(*number),
        Some(Amount::Percent(percent)) => size * u64::from(*percent) / 100,
        Some(Amount::Quorum | Amount::Unknown(_)) | None => 1,
    };
    most.max(1)
}

/// How many the disruption budget wants available, if the set has one.
fn least(set: &Set) -> Option<u64> {
    let budget = set.spec.disruption_budget.as_ref()?;
    let size = size(set);
    if let Some(amount) = &budget.min_available {
        return Some(match amount {
            Amount::Number(number) => size.min(u64::from(*number)),
            Amount::Percent(percent) => (size * u64::from(*percent)).div_ceil(100),
            Amount::Quorum => size.min(size / 2 + 1),
            Amount::Unknown(_) => size,
        });
    }
    let most = match &budget.max_unavailable {
        Some(Amount::Number(number)) => u64::from(*number),
        Some(Amount::Percent(percent)) => size * u64::from(*percent) / 100,
        Some(Amount::Quorum | Amount::Unknown(_)) | None => 1,
    };
    Some(size.saturating_sub(most.max(1)))
}

pub(super) fn broken_alone(case: &Case<'_>) -> Verdict {
    let Step::Stop { member, .. } = case.step else {
        return Ok(());
    };
    let Some((set, granted)) = grant(case.state, member) else {
        return Ok(());
    };
    let serves = serves(case.state, member);
    if serves || leaves(set, member.ordinal) || recreated(set, &granted.revision) {
        return Ok(());
    }
    let lanes = if set.spec.pod_management_policy == GatePolicy::Parallel {
        most_updated(set)
    } else {
        1
    };
    let stopping = set.members.iter().filter(|(ordinal, other)| {
        let host = case.state.hosts.get(&other.host);
        is_wanted(set, **ordinal)
            && other.ordered == Ordered::Stop
            && host.is_some_and(|host| host.contact.connected)
    });
    let stopping = stopping.count();
    if u64::try_from(stopping).is_ok_and(|stopping| stopping < lanes) {
        Ok(())
    } else {
        Err(format!("{member} is replaced while {stopping} others are"))
    }
}

fn incomplete(set: &Set, revision: &TemplateHash) -> bool {
    let revision = set.revisions.get(revision);
    revision.is_some_and(|one| missing_config(&one.template.spec, &one.config).is_some())
}

pub(super) fn partition(case: &Case<'_>) -> Verdict {
    let Step::Assign {
        member, revision, ..
    } = case.step
    else {
        return Ok(());
    };
    let Some(set) = case.state.sets.get(&member.set) else {
        return Ok(());
    };
    let stays = kept(set, member.ordinal) || halted(set);
    // A member born with what lacks a config object would never start.
    let right = match (incomplete(set, origin(set)), incomplete(set, goal(set))) {
        (true, false) => goal(set),
        (false, true) => origin(set),
        (true, true) | (false, false) if stays => origin(set),
        (true, true) | (false, false) => goal(set),
    };
    if revision == right {
        Ok(())
    } else {
        Err(format!(
            "{member} is born with revision {revision}, not {right}"
        ))
    }
}

pub(super) fn recreate_alone(case: &Case<'_>) -> Verdict {
    let Step::Start { member, .. } = case.step else {
        return Ok(());
    };
    let Some((set, granted)) = grant(case.state, member) else {
        return Ok(());
    };
    if kind(set) != UpdateKind::Recreate || granted.revision != *goal(set) {
        return Ok(());
    }
    let mut members = set.members.iter();
    let old = members
        .find(|(_, other)| other.ordered != Ordered::Nothing && other.revision != granted.revision);
    match old {
        Some((old, _)) => Err(format!(
            "{member} starts while ordinal {old} has another revision"
        )),
        None => Ok(()),
    }
}

pub(super) fn rollout_proven(case: &Case<'_>) -> Verdict {
    let Step::Rollout { set: key, turn } = case.step else {
        return Ok(());
    };
    let Some(set) = case.state.sets.get(key) else {
        return Err(format!("{key} does not exist"));
    };
    let rollout = &set.rollout;
    let forward = goal(set) != origin(set);
    let right = match turn {
        Turn::Begins { revision, from, .. } => {
            let new = rollout.update != set.revision || rollout.current.0.is_empty();
            let last = set.revisions.get(&rollout.current);
            let startable = last.is_none_or(|last| last.missing(&key.namespace).is_none());
            let from_here = match (rollout.current.0.is_empty(), startable) {
                (true, _) => true,
                (false, true) => rollout.current == *from,
                (false, false) => from == revision,
            };
            new && *revision == set.revision && from_here
        }
        Turn::Goes { .. } => rollout.phase == RolloutPhase::Resting && !set.spec.is_paused(),
        Turn::Betters { progress } => {
            let before = rollout.progress;
            progress.of != before.of || progress.lacking < before.lacking
        }
        Turn::Rests => rollout.phase != RolloutPhase::TakenBack,
        Turn::Stalls => {
            let limit = Duration::from_secs(set.spec.progress_deadline_seconds().into());
            rollout.phase == RolloutPhase::Going
                && forward
                && case.now.since(rollout.progress.at) >= limit
        }
        Turn::IsTakenBack => {
            rollout.phase == RolloutPhase::Stalled && set.spec.auto_rollback && forward
        }
        Turn::Completes { revision } => {
            let all = wanted(set).into_iter().all(|ordinal| {
                let member = id(key, ordinal);
                has(set, &member, revision) && serves(case.state, &member)
            });
            let others = set.members.keys().any(|ordinal| !is_wanted(set, *ordinal));
            revision == goal(set) && all && !others
        }
    };
    if right {
        Ok(())
    } else {
        Err(format!("the rollout of {key} is not so far: {}", case.step))
    }
}

fn has(set: &Set, member: &MemberId, revision: &TemplateHash) -> bool {
    let granted = set.members.get(&member.ordinal);
    granted.is_some_and(|granted| granted.revision == *revision)
}
