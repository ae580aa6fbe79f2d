//! Rules about epochs: the fencing tokens.

use crate::{
    check::{
        Case, Verdict,
        standing::{grant, heard, is_wanted},
        volumes::{needed, writable},
    },
    ids::{Epoch, HostName, MemberId},
    plan::{Step, step::Proof},
    report::Phase,
    state::{Contact, Fenced, Member, Ordered, State},
    time::Timestamp,
};

pub(super) fn one_epoch(case: &Case<'_>) -> Verdict {
    let (id, own) = if let Step::Assign { member, .. } = case.step {
        match grant(case.state, member) {
            Some((_, had)) => return Err(format!("{member} has epoch {} still", had.epoch)),
            None => (member, None),
        }
    } else if let Step::Start { member, epoch } = case.step {
        let host = grant(case.state, member).map(|(_, granted)| &granted.host);
        (member, host.map(|host| (host, *epoch)))
    } else {
        return Ok(());
    };
    // Whatever the records say: an agent that tells of another epoch may be running it.
    let index = case.state.index();
    let reported_on = index.reported_on.of(id);
    let hosts = reported_on.filter_map(|name| case.state.hosts.get_key_value(name));
    for (name, host) in hosts.filter(|(_, host)| host.contact.connected) {
        if let Some(seen) = host.contact.members.get(id)
            && seen.report.phase != Phase::Stopped
            && own != Some((name, seen.report.epoch))
        {
            let epoch = seen.report.epoch;
            return Err(format!(
                "{id} would run, and {name} has epoch {epoch} of it"
            ));
        }
    }
    Ok(())
}

pub(super) fn epoch_grows(case: &Case<'_>) -> Verdict {
    let (Step::Assign {
        member: id, epoch, ..
    }
    | Step::BeginMove {
        member: id, epoch, ..
    }) = case.step
    else {
        return Ok(());
    };
    let highest = known_epochs(case.state, id).into_iter().max();
    match highest.filter(|highest| highest >= epoch) {
        Some(highest) => Err(format!("{id} gets epoch {epoch} after {highest}")),
        None => Ok(()),
    }
}

/// Every epoch of a member that is on record or was ever reported, in contact or not.
fn known_epochs(state: &State, id: &MemberId) -> Vec<Epoch> {
    let set = state.sets.get(&id.set);
    let last = set.and_then(|set| set.last_grants.get(&id.ordinal));
    let index = state.index();
    let hosts = index.reported_on.of(id);
    let hosts = hosts.filter_map(|name| state.hosts.get(name));
    let reported = hosts.filter_map(|host| host.contact.members.get(id));
    let reported = reported.map(|seen| seen.report.epoch);
    reported.chain(last.map(|grant| grant.epoch)).collect()
}

pub(super) fn release_proven(case: &Case<'_>) -> Verdict {
    let Step::Release {
        member: id, proof, ..
    } = case.step
    else {
        return Ok(());
    };
    let Some((_, member)) = grant(case.state, id) else {
        return Ok(());
    };
    let contact = case.state.hosts.get(&member.host).map(|host| &host.contact);
    // What was said before the newest order was answered proves nothing about that order.
    let answered = contact.filter(|contact| contact.connected && contact.settled);
    let proven = match proof {
        Proof::NeverOrdered => member.ordered == Ordered::Nothing,
        Proof::ReportedStopped => {
            member.ordered == Ordered::Stop
                && answered.is_some()
                && heard(case.state, id).is_some_and(|seen| seen.report.phase == Phase::Stopped)
        }
        Proof::ConfirmedDead => {
            let host = case.state.hosts.get(&member.host);
            let dead = host.and_then(|host| host.record.directives.dead.as_ref());
            dead.is_some_and(|dead| !dead.returned && silent_since(contact, dead.since))
        }
        Proof::Forced => member
            .forced
            .is_some_and(|said| silent_since(contact, said)),
        Proof::ReportedAbsent => answered.is_some_and(|contact| !contact.members.contains_key(id)),
        Proof::LeaseOver => lease_over(case, id, member),
        // A host that is in contact again is not off.
        Proof::Fenced => {
            let off = |contact: &Contact| contact.fenced == Some(Fenced::Off);
            member.lease.is_some() && contact.is_some_and(|c| !c.connected && off(c))
        }
    };
    if proven {
        Ok(())
    } else {
        Err(format!("{id} is not proven gone by {proof:?}"))
    }
}

/// Whether a host is out of contact, and no stream of its agent began or ended after that time.
fn silent_since(contact: Option<&Contact>, since: Timestamp) -> bool {
    contact.is_some_and(|contact| {
        let last = contact.heard.unwrap_or_default();
        !contact.connected && last <= since
    })
}

/// Whether the lease of a grant is over on every clock, on a host that keeps its word, and nothing
/// that was written under it can arrive any more.
fn lease_over(case: &Case<'_>, id: &MemberId, member: &Member) -> bool {
    let (Some(terms), Some(host)) = (member.lease, case.state.hosts.get(&member.host)) else {
        return false;
    };
    let from = case.state.term_began.0;
    let from = host.contact.renewed.map_or(from, |at| at.0.max(from));
    // The slowest clock on the host and the fastest one here: 0.98 (t - K) >= 1.02 L.
    let waited = case.now.0.saturating_sub(from);
    let waited = waited.saturating_sub(terms.kill_ms);
    let over = waited.saturating_mul(98) >= terms.length_ms.saturating_mul(102);
    let set = case.state.sets.get(&id.set);
    let used = set.map(|set| needed(set, id, &member.revision));
    let writes = used.unwrap_or_default().iter().any(|key| {
        let claim = case.state.claims.get(key).filter(|claim| writable(claim));
        let volume = claim.and_then(|claim| case.state.volumes.get(claim.volume.as_ref()?));
        volume.is_some_and(|volume| volume.source.host().is_none())
    });
    over && !host.contact.connected
        && terms.self_fences
        && host.record.self_fences
        && (!writes || host.contact.fenced.is_some())
}

pub(super) fn current_grant(case: &Case<'_>) -> Verdict {
    let (Step::Start { member: id, epoch }
    | Step::Carry {
        member: id, epoch, ..
    }
    | Step::PassGate { member: id, epoch }
    | Step::Stop { member: id, epoch }
    | Step::Release {
        member: id, epoch, ..
    }
    | Step::Reload {
        member: id, epoch, ..
    }) = case.step
    else {
        return Ok(());
    };
    match grant(case.state, id).map(|(_, member)| member.epoch) {
        Some(have) if have == *epoch => Ok(()),
        Some(have) => Err(format!("{id} has epoch {have}, the step is about {epoch}")),
        None => Err(format!("{id} has no epoch, the step is about {epoch}")),
    }
}

pub(super) fn ordered_once(case: &Case<'_>) -> Verdict {
    let (id, needed) = if let Step::Start { member, .. } = case.step {
        (member, Ordered::Nothing)
    } else if let Step::Stop { member, .. } = case.step {
        (member, Ordered::Run)
    } else {
        return Ok(());
    };
    let ordered = grant(case.state, id).map(|(_, member)| member.ordered);
    match ordered.filter(|ordered| *ordered != needed) {
        Some(ordered) => Err(format!("{id} was ordered {ordered:?}, not {needed:?}")),
        None => Ok(()),
    }
}

pub(super) fn history_known(case: &Case<'_>) -> Verdict {
    let past = &case.state.past;
    let known = past.restored.is_none() && past.mismatched.is_empty() && past.awaited.is_empty();
    if known {
        return Ok(());
    }
    let hosts = past.mismatched.keys().chain(&past.awaited);
    let unknown = hosts.map(HostName::as_str).next().map_or_else(
        || "what was decided since the backup is not known".to_owned(),
        |host| format!("what {host} has is not known"),
    );
    let replaces = |id: &MemberId| {
        let set = case.state.sets.get(&id.set);
        set.is_some_and(|set| is_wanted(set, id.ordinal))
    };
    let would = match case.step {
        Step::Assign { member: id, .. } | Step::Start { member: id, .. } => {
            format!("{id} would start")
        }
        Step::Release {
            member: id,
            proof: Proof::LeaseOver | Proof::Fenced,
            ..
        } => format!("{id} would be given up"),
        Step::Stop { member: id, .. } if replaces(id) => format!("{id} would be replaced"),
        Step::AdoptClaim { key, .. } | Step::BindClaim { key, .. } => {
            format!("claim {key} would be given a volume")
        }
        Step::DropClaim { key, .. } => format!("claim {key} would be deleted"),
        Step::PurgeVolume { name } => format!("volume {} would be removed", name.name),
        Step::TakeSnapshot { snapshot, .. } => format!("snapshot {} would be taken", snapshot.of),
        Step::PinSnapshot { key, .. } => format!("snapshot {key} would mean the claim of now"),
        Step::BeginMove { member: id, .. }
        | Step::CompleteMove { member: id, .. }
        | Step::EndMove { member: id } => format!("the data of {id} would change its place"),
        Step::CreateClaim { .. }
        | Step::GrowClaim { .. }
        | Step::TieClaim { .. }
        | Step::Refound { .. }
        | Step::FillClaim { .. }
        | Step::TakeAddress { .. }
        | Step::TakeHost { .. }
        | Step::LeaveHost { .. }
        | Step::Carry { .. }
        | Step::Found { .. }
        | Step::PassGate { .. }
        | Step::Stop { .. }
        | Step::Release { .. }
        | Step::RemoveSet { .. }
        | Step::Reload { .. }
        | Step::DropRevision { .. }
        | Step::Rollout { .. }
        | Step::ForgetFounding { .. }
        | Step::PublishZone { .. } => return Ok(()),
    };
    Err(format!("{would}, and {unknown}"))
}

pub(super) fn wanted(case: &Case<'_>) -> Verdict {
    let (Step::Assign { member: id, .. } | Step::Start { member: id, .. }) = case.step else {
        return Ok(());
    };
    let set = case.state.sets.get(&id.set);
    let wanted = set.is_some_and(|set| is_wanted(set, id.ordinal));
    if wanted {
        Ok(())
    } else {
        Err(format!("{id} is not wanted"))
    }
}
