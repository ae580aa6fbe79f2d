//! A plan into commits. Steps are taken in order, as many as one commit may have; where a plan is
//! cut, what is committed so far is a plan of its own, because every step holds on the state that
//! the steps before it made.
//!
//! The order of a host that a step starts, stops or releases something on is recorded in the same
//! commit as the step.

use std::collections::{BTreeMap, BTreeSet};

use berth_core::{
    ids::{ClaimKey, HostName, ObjectKey, SetKey},
    plan::Step,
    state::State,
    store::{Batch, MAX_BYTES, MAX_PRECONDITIONS, MAX_WRITES},
    time::Timestamp,
    volume::access,
};

use super::{Links, events, orders};
use crate::{
    state::{
        View,
        keys::zone_key,
        records::{changes, claim_changes, pin_changes, put, snapshot_changes},
    },
    store::RecordError,
};

/// The most steps that are tried in one commit. Several steps may be about one record, but hardly so
/// many; and to try a long plan as a whole for each of its commits costs the square of its length.
const STEPS: usize = 4 * MAX_WRITES;

/// The first part of a plan, as a commit.
#[derive(Debug)]
pub(super) struct Piece {
    /// How many steps it has.
    pub(super) steps: usize,
    /// The sets that they are about.
    pub(super) sets: BTreeSet<SetKey>,
    /// What to commit.
    pub(super) batch: Batch,
    /// What to send then.
    pub(super) sends: Vec<orders::Send>,
    /// The state whose zone is to be sent then.
    pub(super) zone: Option<State>,
}

/// Cuts the next commit off the rest of a plan: the longest part that fits, found by halving. At
/// least one step is taken, whether it fits or not.
pub(super) fn next(
    view: &View,
    links: &Links,
    steps: &[Step],
    now: Timestamp,
) -> Result<Piece, RecordError> {
    let mut count = steps.len().min(STEPS);
    loop {
        let piece = piece(view, links, &steps[..count], now)?;
        let batch = &piece.batch;
        let fits = batch.writes() <= MAX_WRITES
            && batch.preconditions.len() <= MAX_PRECONDITIONS
            && batch.bytes() <= MAX_BYTES;
        if fits || count <= 1 {
            return Ok(piece);
        }
        count = count.div_ceil(2);
    }
}

fn piece(view: &View, links: &Links, steps: &[Step], now: Timestamp) -> Result<Piece, RecordError> {
    let mut after = view.state.clone();
    let mut batch = Batch::default();
    let mut sets = BTreeSet::new();
    let mut hosts = BTreeSet::new();
    let mut claims = BTreeSet::new();
    let mut volumes = BTreeSet::new();
    let mut snapshots = BTreeSet::new();
    let mut pinned = BTreeMap::new();
    for step in steps {
        claims.extend(claim_of(step).cloned());
        volumes.extend(volume_of(step).cloned());
        let (moved, places) = moved(&after, step);
        claims.extend(moved);
        volumes.extend(places);
        if let Step::TakeSnapshot { name, .. } = step {
            snapshots.insert(name);
        }
        if let Step::PinSnapshot { key, claim, .. } = step {
            pinned.insert(key, claim);
        }
        batch.notes.extend(events::event(&after, step, now));
        sets.extend(step.set(&after));
        hosts.extend(hosts_of(&after, step));
        after.apply(step, now);
    }
    for set in &sets {
        changes(view, &after, set, &mut batch)?;
    }
    claim_changes(view, &after, &claims, volumes, &mut batch)?;
    pin_changes(view, &after, &pinned, &mut batch)?;
    snapshot_changes(view, &after, &snapshots, &mut batch)?;
    let zone = publish(view, &after, &mut batch)?;
    let mut sends = Vec::new();
    for (host, link) in orders::synced(links) {
        if hosts.contains(host) {
            sends.extend(orders::next(view, &after, host, link, &mut batch)?);
        }
    }
    Ok(Piece {
        steps: steps.len(),
        sets,
        batch,
        sends,
        zone,
    })
}

fn publish(view: &View, after: &State, batch: &mut Batch) -> Result<Option<State>, RecordError> {
    if after.zone == view.state.zone {
        return Ok(None);
    }
    let key = zone_key()?;
    batch.preconditions.insert(key.clone(), view.as_known(&key));
    put(batch, key, &after.zone)?;
    Ok(Some(after.clone()))
}

/// The claim that a step changes.
fn claim_of(step: &Step) -> Option<&ClaimKey> {
    if let Step::CreateClaim { key, .. }
    | Step::AdoptClaim { key, .. }
    | Step::BindClaim { key, .. }
    | Step::GrowClaim { key, .. }
    | Step::TieClaim { key, .. }
    | Step::DropClaim { key, .. }
    | Step::FillClaim { key, .. } = step
    {
        Some(key)
    } else {
        None
    }
}

/// The volume that a step changes apart from a claim.
fn volume_of(step: &Step) -> Option<&ObjectKey> {
    if let Step::PurgeVolume { name } = step {
        Some(name)
    } else {
        None
    }
}

/// The claims and volumes that a step of a move changes, on the state before it.
fn moved(state: &State, step: &Step) -> (Vec<ClaimKey>, Vec<ObjectKey>) {
    let mut places: Vec<(&ClaimKey, &ObjectKey)> = Vec::new();
    if let Step::BeginMove { volumes, .. } = step {
        places.extend(volumes.iter().map(|new| (&new.claim, &new.name)));
    }
    if let Step::CompleteMove { member, .. } | Step::EndMove { member } = step {
        let set = state.sets.get(&member.set);
        let asked = set.and_then(|set| set.moves.get(&member.ordinal));
        let copying = asked.and_then(|asked| asked.copying.as_ref());
        places.extend(copying.into_iter().flat_map(|copying| &copying.volumes));
    }
    let old = places.iter().filter_map(|(claim, _)| {
        let claim = state.claims.get(*claim)?;
        claim.volume.clone()
    });
    let new = places.iter().map(|(_, name)| (*name).clone());
    let volumes = old.chain(new).collect();
    let claims = places.iter().map(|(claim, _)| (*claim).clone());
    (claims.collect(), volumes)
}

/// The hosts whose orders a step changes, before it takes effect.
fn hosts_of(state: &State, step: &Step) -> Vec<HostName> {
    match step {
        Step::Carry { member, .. }
        | Step::Start { member, .. }
        | Step::PassGate { member, .. }
        | Step::Stop { member, .. }
        | Step::Reload { member, .. }
        | Step::Release { member, .. } => {
            let set = state.sets.get(&member.set);
            let granted = set.and_then(|set| set.members.get(&member.ordinal));
            granted
                .map(|member| member.host.clone())
                .into_iter()
                .collect()
        }
        // A claim that members share is in the orders of all of them.
        Step::BindClaim { key, .. } | Step::GrowClaim { key, .. } | Step::FillClaim { key, .. } => {
            access::hosts_of(state, key)
        }
        Step::Assign { host, .. } => vec![host.clone()],
        Step::CreateClaim { .. }
        | Step::AdoptClaim { .. }
        | Step::TieClaim { .. }
        | Step::DropClaim { .. }
        | Step::PurgeVolume { .. }
        | Step::Refound { .. }
        | Step::PinSnapshot { .. }
        | Step::TakeSnapshot { .. }
        | Step::BeginMove { .. }
        | Step::CompleteMove { .. }
        | Step::EndMove { .. }
        | Step::TakeAddress { .. }
        | Step::TakeHost { .. }
        | Step::LeaveHost { .. }
        | Step::Found { .. }
        | Step::RemoveSet { .. }
        | Step::DropRevision { .. }
        | Step::Rollout { .. }
        | Step::ForgetFounding { .. }
        | Step::PublishZone { .. } => Vec::new(),
    }
}
