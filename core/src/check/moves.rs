//! Rules about members that move: data changes its place only as a whole, because an operator asked for
//! it, and while nobody can write to it.

use crate::{
    check::{
        Case, Verdict,
        binding::neighbour,
        standing::{grant, is_wanted},
    },
    ids::{ClaimKey, HostName, MemberId, ObjectKey},
    plan::{Step, step::NewPlace},
    spec::Placement,
    state::{Claim, Copying, GoesWith, Move, State, Volume, VolumeState},
};

/// What an operator asked for of a member.
fn asked<'a>(state: &'a State, id: &MemberId) -> Option<&'a Move> {
    state.sets.get(&id.set)?.moves.get(&id.ordinal)
}

fn copying<'a>(state: &'a State, id: &MemberId) -> Option<&'a Copying> {
    asked(state, id)?.copying.as_ref()
}

/// The claims of a member whose data is on a host.
fn left_on<'a>(state: &'a State, id: &MemberId, host: &HostName) -> Vec<&'a ClaimKey> {
    let claims = state.claims.iter();
    let here = claims.filter(|(_, claim)| {
        let volume = claim.volume.as_ref();
        let volume = volume.and_then(|name| state.volumes.get(name));
        claim.member.as_ref() == Some(id) && volume.and_then(|v| v.source.host()) == Some(host)
    });
    here.map(|(key, _)| key).collect()
}

pub(super) fn move_asked(case: &Case<'_>) -> Verdict {
    let Step::BeginMove {
        member: id,
        volumes,
        ..
    } = case.step
    else {
        return Ok(());
    };
    let state = case.state;
    let Some(asked) = asked(state, id) else {
        return Err(format!("nobody asked for {id} to move"));
    };
    let set = state.sets.get(&id.set);
    let claims: Vec<&ClaimKey> = volumes.iter().map(|new| &new.claim).collect();
    let hosts = volumes.iter().map(|new| new.volume.source.host());
    let stays = |to: Option<&HostName>| {
        let host = to.and_then(|to| state.hosts.get(to));
        let open = host
            .is_some_and(|host| host.contact.connected && host.record.directives.dead.is_none());
        !open || to == Some(&asked.from) || asked.to.is_some() && to != asked.to.as_ref()
    };
    let wrong = if asked.given_up.is_some() {
        "that was given up"
    } else if asked.copying.is_some() {
        "its data is being copied already"
    } else if !set.is_some_and(|set| is_wanted(set, id.ordinal)) {
        "it is not wanted"
    } else if grant(state, id).is_some() {
        "somebody may run on its data"
    } else if claims != left_on(state, id, &asked.from) || claims.is_empty() {
        "not all of its data goes with it"
    } else if hosts.clone().any(stays) {
        "not to the host that it is to go to"
    } else {
        return Ok(());
    };
    Err(format!("{id} moves, and {wrong}"))
}

pub(super) fn move_beside(case: &Case<'_>) -> Verdict {
    let Step::BeginMove { epoch, volumes, .. } = case.step else {
        return Ok(());
    };
    for new in volumes {
        let NewPlace {
            claim: key,
            name,
            volume,
        } = new;
        let Some(claim) = case.state.claims.get(key) else {
            return Err(format!("claim {key} does not exist"));
        };
        let from = claim.volume.as_ref();
        let old = from.and_then(|name| case.state.volumes.get(name));
        let moved_in = volume.moved_in.as_ref();
        let of = moved_in.is_some_and(|moved_in| {
            Some(&moved_in.from) == from && moved_in.epoch == *epoch && !moved_in.started
        });
        let own = volume.claim.as_ref().map(|bound| &bound.uid) == Some(&claim.uid);
        let wrong = if case.state.volumes.contains_key(name) {
            "is there already"
        } else if !own || !old.is_some_and(|old| whole(old, claim)) {
            "is not for the data of its claim"
        } else if !of || old.is_some_and(|old| !volume.owners.starts_with(&old.owners)) {
            "does not say where its data comes from"
        } else if moved_in.is_some_and(|moved_in| moved_in.complete) {
            "is complete before anything is copied"
        } else if volume.capacity < old.map_or(0, |old| old.capacity) || is_elsewhere(old, volume) {
            "is not like the one that it is to replace"
        } else if let Some(other) = neighbour(case.state, name, volume) {
            return Err(format!("volume {name} would lie where {other} does"));
        } else {
            continue;
        };
        return Err(format!("volume {name}, for claim {key}, {wrong}"));
    }
    Ok(())
}

/// Whether a volume that a class made is there, with its data, and a claim's.
fn whole(volume: &Volume, claim: &Claim) -> bool {
    let copied = volume.origin.as_ref().is_none_or(|origin| origin.copied);
    let own = volume.claim.as_ref().map(|bound| &bound.uid) == Some(&claim.uid);
    volume.state == VolumeState::Live && volume.provisioned && copied && own
}

/// Whether a new volume is in another pool than the old one, or not what it was made as.
fn is_elsewhere(old: Option<&Volume>, new: &Volume) -> bool {
    let kind = |volume: &Volume| {
        let pool = volume.source.pool().map(ToOwned::to_owned);
        (pool, volume.class.clone(), volume.provisioned)
    };
    new.state != VolumeState::Live || old.map(kind) != Some(kind(new))
}

pub(super) fn move_complete(case: &Case<'_>) -> Verdict {
    let Step::CompleteMove { member: id, epoch } = case.step else {
        return Ok(());
    };
    let copying = copying(case.state, id);
    let Some(copying) = copying.filter(|copying| copying.epoch == *epoch) else {
        return Err(format!("no data of {id} is copied under epoch {epoch}"));
    };
    for (key, to) in &copying.volumes {
        let claim = case.state.claims.get(key);
        let from = claim.and_then(|claim| claim.volume.as_ref());
        let new = case.state.volumes.get(to);
        let moved_in = new.and_then(|new| new.moved_in.as_ref());
        let there = moved_in.is_some_and(|moved_in| {
            moved_in.complete && moved_in.epoch == *epoch && Some(&moved_in.from) == from
        });
        if !there || new.map(|new| &new.state) != Some(&VolumeState::Live) {
            return Err(format!(
                "claim {key} goes to {to}, and its data is not there"
            ));
        }
    }
    Ok(())
}

/// While data is copied nobody may write to it, and what it is copied from stays.
pub(super) fn move_still(case: &Case<'_>) -> Verdict {
    if let Step::Assign { member: id, .. } = case.step
        && copying(case.state, id).is_some()
    {
        return Err(format!("{id} would run while its data is copied"));
    }
    if let Step::DropClaim { key, .. } = case.step {
        let claim = case.state.claims.get(key);
        let member = claim.and_then(|claim| claim.member.as_ref());
        let copying = member.and_then(|id| copying(case.state, id));
        if copying.is_some_and(|copying| copying.volumes.contains_key(key)) {
            return Err(format!("claim {key} is deleted while its data is copied"));
        }
    }
    if let Step::RemoveSet { set, .. } = case.step {
        let set = case.state.sets.get(set).into_iter();
        let mut moves = set.flat_map(|set| set.moves.iter());
        if let Some((ordinal, _)) = moves.find(|(_, asked)| asked.copying.is_some()) {
            return Err(format!("the data of ordinal {ordinal} is copied"));
        }
    }
    Ok(())
}

pub(super) fn move_ended(case: &Case<'_>) -> Verdict {
    let Step::EndMove { member: id } = case.step else {
        return Ok(());
    };
    let state = case.state;
    let Some(asked) = asked(state, id) else {
        return Err(format!("{id} is not being moved"));
    };
    let set = state.sets.get(&id.set);
    let wanted = set
        .is_some_and(|set| is_wanted(set, id.ordinal) && set.spec.placement != Placement::PerHost);
    let dead = |host: &HostName| {
        let host = state.hosts.get(host);
        host.is_none_or(|host| host.record.directives.dead.is_some())
    };
    let hosts = std::iter::once(&asked.from).chain(&asked.to);
    let unsound = asked.copying.as_ref().is_some_and(|copying| {
        let mut volumes = copying.volumes.iter();
        !volumes.all(|(key, to)| holds(state, key, to))
    });
    if asked.given_up.is_some() || !wanted || unsound || hosts.into_iter().any(dead) {
        Ok(())
    } else {
        Err(format!(
            "the move of {id} is given up, and nobody asked for that"
        ))
    }
}

/// Whether the data of a claim is there and may go to a volume.
fn holds(state: &State, key: &ClaimKey, to: &ObjectKey) -> bool {
    let live = |name: &ObjectKey| {
        let volume = state.volumes.get(name);
        volume.is_some_and(|volume| volume.state == VolumeState::Live)
    };
    let claim = state.claims.get(key).filter(|claim| {
        let goes = claim.goes_with.as_ref();
        goes.is_none_or(|goes| matches!(goes, GoesWith::Set { .. }))
    });
    let from = claim.and_then(|claim| claim.volume.as_ref());
    from.is_some_and(live) && from != Some(to) && live(to)
}
