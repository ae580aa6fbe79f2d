//! Moves: an operator wants a member on another host. It is stopped like one whose host is drained
//! ([`super::evict`]) and assigned where it is to go ([`super::assign`]); what is done here is about the
//! data that goes along, and about moves that cannot come to an end.
//!
//! While data is copied nobody has a grant of the member, and its claims keep their old volumes: so a
//! move that ends early, for whatever reason, needs nothing undone. The new volumes become the claims'
//! in one step, after the agents proved all of them the same.

use crate::{
    ids::{ClaimKey, HostName, MemberId, ObjectKey, Ordinal, SetKey},
    plan::{Step, assign, draft::Draft, step::NewPlace},
    spec::Placement,
    state::{Claim, Copying, GoesWith, Move, MovedIn, Set, State, Volume, VolumeState},
    time::Timestamp,
    volume::{copy, provision},
    waiting::{Moving, Reason},
};

/// The host that a member which is to move would go to now.
///
/// # Errors
/// Why none takes it.
pub fn target(state: &State, id: &MemberId, now: Timestamp) -> Result<HostName, Reason> {
    let draft = Draft::new(state, now);
    let set = draft.state.sets.get(&id.set);
    let asked = set.and_then(|set| set.moves.get(&id.ordinal));
    let Some(asked) = asked else {
        return Err(Reason::NoEligibleHost { hosts: Vec::new() });
    };
    assign::other_host(&draft, id, &asked.from)
}

/// Gives up what cannot come to an end any more.
pub(super) fn end(draft: &mut Draft, key: &SetKey) {
    if draft.mismatch().is_some() {
        return;
    }
    let Some(set) = draft.set(key) else {
        return;
    };
    let moves = set.moves.iter();
    let over = moves.filter(|(ordinal, asked)| is_over(&draft.state, key, set, **ordinal, asked));
    let over: Vec<Ordinal> = over.map(|(ordinal, _)| *ordinal).collect();
    for ordinal in over {
        let set = key.clone();
        let member = MemberId { set, ordinal };
        draft.push(Step::EndMove { member });
    }
}

fn is_over(state: &State, key: &SetKey, set: &Set, ordinal: Ordinal, asked: &Move) -> bool {
    let id = MemberId {
        set: key.clone(),
        ordinal,
    };
    let lost = |host: &HostName| {
        let host = state.hosts.get(host);
        host.is_none_or(|host| host.record.directives.dead.is_some())
    };
    let unwanted = !set.is_declared(ordinal) || set.spec.placement == Placement::PerHost;
    let data_lost = lost(&asked.from) && !state.local_claims(&id, &asked.from).is_empty();
    let nowhere = asked.to.as_ref().is_some_and(lost);
    let copying = asked.copying.as_ref();
    asked.given_up.is_some()
        || unwanted
        || data_lost
        || nowhere
        || copying.is_some_and(|copying| !is_sound(state, copying))
}

/// Whether every claim is there and keeps its volume until the new one is complete.
fn is_sound(state: &State, copying: &Copying) -> bool {
    copying.volumes.iter().all(|(key, to)| {
        let claim = state.claims.get(key);
        claim.is_some_and(|claim| stays(claim) && departs(state, claim, to))
    })
}

fn stays(claim: &Claim) -> bool {
    match claim.goes_with {
        Some(GoesWith::Member { .. } | GoesWith::Asked) => false,
        Some(GoesWith::Set { .. }) | None => true,
    }
}

/// Whether the volume of a claim is there, and its data on its way to another one that is there too.
fn departs(state: &State, claim: &Claim, to: &ObjectKey) -> bool {
    let live = |volume: &&Volume| volume.state == VolumeState::Live;
    let from = state.volume_of(claim).filter(live);
    let moved_out = from.and_then(|from| from.moved_out.as_ref());
    moved_out.is_some_and(|moved_out| moved_out.to == *to)
        && state.volumes.get(to).filter(live).is_some()
}

/// Lets a member whose data is being copied have the new volumes, if they are all complete.
///
/// # Errors
/// They are not.
pub(super) fn complete(draft: &mut Draft, id: &MemberId) -> Result<(), Reason> {
    let set = draft.state.sets.get(&id.set);
    let asked = set.and_then(|set| set.moves.get(&id.ordinal));
    let Some((asked, copying)) = asked.and_then(|asked| Some((asked, asked.copying.as_ref()?)))
    else {
        return Ok(());
    };
    let mut volumes = copying.volumes.values();
    let missing = volumes.find(|name| {
        let volume = draft.state.volumes.get(name);
        let moved_in = volume.and_then(|volume| volume.moved_in.as_ref());
        !moved_in.is_some_and(|moved_in| moved_in.complete)
    });
    if let Some(missing) = missing {
        let to = draft.state.volumes.get(missing);
        let to = to.and_then(|volume| volume.source.host()).cloned();
        let from = asked.from.clone();
        return Err(under_way(from.clone(), to.unwrap_or(from)));
    }
    let (member, epoch) = (id.clone(), copying.epoch);
    draft.push(Step::CompleteMove { member, epoch });
    Ok(())
}

/// How far the copying is, its agents tell; the coordinator fills that in.
fn under_way(from: HostName, to: HostName) -> Reason {
    Reason::MemberMoving(Moving {
        from,
        to,
        copied: 0,
        total: 0,
        error: None,
    })
}

/// Begins to copy what a member would leave behind that is about to be assigned to a host.
///
/// # Errors
/// It has begun, or cannot yet: it is not assigned now.
pub(super) fn begin(draft: &mut Draft, id: &MemberId, host: &HostName) -> Result<(), Reason> {
    let state = &draft.state;
    let Some(set) = state.sets.get(&id.set) else {
        return Ok(());
    };
    let left: Vec<(&ClaimKey, &Claim, &Volume)> = state
        .claims_of_member(id)
        .filter_map(|(key, claim)| Some((key, claim, state.volume_of(claim)?)))
        .filter(|(_, _, volume)| state.is_left_behind(id, volume))
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    let epoch = assign::epoch(draft, set, id.ordinal);
    let mut volumes = Vec::new();
    for (key, claim, volume) in left {
        copy::usable(state, key, claim)?;
        let new = Beside {
            key,
            claim,
            volume,
            host,
        };
        volumes.extend(new.place(epoch, draft.now));
    }
    let from = set.moves.get(&id.ordinal).map(|asked| asked.from.clone());
    let from = from.unwrap_or_else(|| host.clone());
    let gone = state.hosts.get(&from).map(|host| host.contact.connected) != Some(true);
    if gone {
        return Err(Reason::HostUnknown { host: from });
    }
    let member = id.clone();
    draft.push(Step::BeginMove {
        member,
        epoch,
        volumes,
    });
    Err(under_way(from, host.clone()))
}

/// A claim whose data goes to a host.
struct Beside<'a> {
    key: &'a ClaimKey,
    claim: &'a Claim,
    volume: &'a Volume,
    host: &'a HostName,
}

impl Beside<'_> {
    fn place(&self, epoch: crate::ids::Epoch, now: Timestamp) -> Option<NewPlace> {
        let pool = self.volume.source.pool()?;
        let source = provision::moved_source(self.key, pool, self.host, epoch);
        let volume = Volume {
            source,
            capacity: self.claim.wanted_capacity(self.volume),
            moved_in: Some(MovedIn {
                from: self.claim.volume.clone()?,
                epoch,
                complete: false,
                started: false,
            }),
            moved_out: None,
            deletions: 0,
            created_at: now,
            ..self.volume.clone()
        };
        Some(NewPlace {
            claim: self.key.clone(),
            name: provision::moved_name(self.claim, epoch)?,
            volume,
        })
    }
}
