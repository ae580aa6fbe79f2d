//! Room: what claims without a volume will take of the pools of a host.

use std::collections::BTreeMap;

use crate::{
    ids::{ClaimKey, HostName, MemberId},
    plan::claims::bind::{Choice, choose},
    spec::{LimitPolicy, Provisioner, StorageClass},
    state::{Claim, Snapshot, State},
    time::Timestamp,
    volume::{PoolInfo, PoolKind, VolumeSource, access::shared_claims, class, provision},
    waiting::{HostRefusal, NoSpace, Reason, Refusal},
};

/// What a member needs of a pool of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plan) struct Demand {
    /// The pool.
    pub(in crate::plan) pool: String,
    /// For new volumes, in bytes; `None` if the volume is there already.
    pub(in crate::plan) bytes: Option<u64>,
    /// Whether new volumes must be held to their sizes there.
    pub(in crate::plan) limited: bool,
}

/// What a claim of a member needs of a pool, if it needs one.
///
/// # Errors
/// Its class does not exist.
fn demand(
    state: &State,
    key: &ClaimKey,
    claim: &Claim,
    id: &MemberId,
    now: Timestamp,
) -> Result<Option<Demand>, Reason> {
    if let Some(volume) = state.volume_of(claim) {
        // What a member that moves takes along is new there.
        let moves = claim.is_for(id) && state.is_left_behind(id, volume);
        let pool = volume.source.pool();
        return Ok(pool.map(|pool| Demand {
            pool: pool.to_owned(),
            bytes: moves.then(|| claim.wanted_capacity(volume)),
            limited: moves && class::must_limit(state, &volume.class),
        }));
    }
    if claim.volume.is_some() {
        return Ok(None);
    }
    match choose(state, key, claim, Some(id), now) {
        Ok(Choice::Local) => Ok(local_demand(state, claim)),
        Ok(Choice::Bind(_, volume)) => Ok(volume.source.pool().map(|pool| Demand {
            pool: pool.to_owned(),
            // A copy is made anew; the others are there.
            bytes: volume.copying().map(|_| volume.capacity),
            limited: volume.copying().is_some()
                && class::must_limit(state, &class::of_claim(state, &claim.spec)),
        })),
        Ok(Choice::Later) => Ok(None),
        Err(reason @ Reason::ClassMissing { .. }) => Err(reason),
        // It has a name and waits for its volume there.
        Err(_) => Ok(None),
    }
}

fn local_demand(state: &State, claim: &Claim) -> Option<Demand> {
    let class = class::named(state, &class::of_claim(state, &claim.spec))?;
    Some(Demand {
        pool: provision::pool(&class).to_owned(),
        bytes: Some(claim.spec.storage()),
        limited: class.parameters.limits == LimitPolicy::Required,
    })
}

/// What the claims of a member need together, by pool.
///
/// # Errors
/// The class of one does not exist.
pub(in crate::plan) fn demands<'a>(
    state: &State,
    claims: impl Iterator<Item = (&'a ClaimKey, &'a Claim)>,
    id: &MemberId,
    now: Timestamp,
) -> Result<Vec<Demand>, Reason> {
    let mut pools: BTreeMap<String, Demand> = BTreeMap::new();
    for (key, claim) in claims {
        let Some(demand) = demand(state, key, claim, id, now)? else {
            continue;
        };
        let sum = pools.entry(demand.pool.clone()).or_insert_with(|| Demand {
            pool: demand.pool,
            bytes: None,
            limited: false,
        });
        sum.limited |= demand.limited;
        if let Some(bytes) = demand.bytes {
            sum.bytes = Some(sum.bytes.unwrap_or_default().saturating_add(bytes));
        }
    }
    Ok(pools.into_values().collect())
}

/// Why a host's pools do not have what a member needs.
pub(in crate::plan) fn free(
    state: &State,
    id: Option<&MemberId>,
    host: &HostName,
    demands: &[Demand],
) -> Option<Refusal> {
    let record = &state.hosts.get(host)?.record;
    demands.iter().find_map(|demand| {
        let Demand {
            pool,
            bytes,
            limited,
        } = demand;
        let pool = pool.clone();
        let Some(info) = record.pools.get(&pool) else {
            return Some(Refusal::NoPool { pool });
        };
        // What is there already keeps its member, for nobody else has it.
        let wanted = (*bytes)?;
        if info.missing {
            return Some(Refusal::PoolNotThere { pool });
        }
        if *limited && !info.is_limited() {
            return Some(Refusal::NoLimits { pool });
        }
        if info.capacity == 0 {
            return None;
        }
        let free = if info.is_limited() {
            unpromised(state, id, host, &pool, info)
        } else {
            info.capacity
        };
        (wanted > free).then_some(Refusal::PoolFull { pool, wanted, free })
    })
}

/// Why no host has room for the volume of a claim that no member uses yet; `None` if one has, if the
/// volume is not to be in a pool, or if no host is known.
pub(in crate::plan) fn nowhere(
    state: &State,
    claim: &Claim,
    class: &StorageClass,
) -> Option<Vec<HostRefusal>> {
    if class.provisioner != Provisioner::Local || claim.spec.data_source.is_some() {
        return None;
    }
    let demand = [Demand {
        pool: provision::pool(class).to_owned(),
        bytes: Some(claim.spec.storage()),
        limited: class.parameters.limits == LimitPolicy::Required,
    }];
    let hosts = state.hosts.keys();
    let refused = hosts.map(|host| {
        let because = free(state, None, host, &demand)?;
        let host = host.clone();
        Some(HostRefusal { host, because })
    });
    let refused = refused.collect::<Option<Vec<_>>>()?;
    (!refused.is_empty()).then_some(refused)
}

/// Whether the pool of a volume has room for a snapshot of it. One that shares its blocks takes them
/// for itself as they are written anew.
///
/// # Errors
/// It has not.
pub(in crate::plan) fn for_copy(state: &State, snapshot: &Snapshot) -> Result<(), Reason> {
    let VolumeSource::Local { host, pool, .. } = &snapshot.source else {
        return Ok(());
    };
    let known = state.hosts.get(host);
    let info = known.and_then(|known| known.record.pools.get(pool));
    let Some(info) = info.filter(|info| info.capacity > 0 && info.is_limited()) else {
        return Ok(());
    };
    let (wanted, free) = (snapshot.bytes, unpromised(state, None, host, pool, info));
    if wanted <= free {
        return Ok(());
    }
    Err(Reason::VolumeNoSpace(NoSpace {
        volume: format!("VolumeSnapshot/{}", snapshot.of.name),
        wanted,
        free,
    }))
}

/// What a new volume could have of a pool of a host, in bytes: where volumes are held to their sizes
/// what is not promised to others and is free on the disk, elsewhere what is free there.
pub fn pool_free(state: &State, host: &HostName, pool: &str) -> u64 {
    let known = state.hosts.get(host);
    let Some(info) = known.and_then(|known| known.record.pools.get(pool)) else {
        return 0;
    };
    if info.is_limited() {
        unpromised(state, None, host, pool, info)
    } else {
        info.available
    }
}

/// What nobody was promised of a pool, as far as it is on the disk: files of others may lie there.
fn unpromised(
    state: &State,
    id: Option<&MemberId>,
    host: &HostName,
    pool: &str,
    info: &PoolInfo,
) -> u64 {
    let coming = coming(state, id, host, pool);
    let promised = there(state, host, pool).saturating_add(coming);
    let on_disk = match info.kind {
        // What was written counts in both; what was not yet, nobody can tell from the disk.
        PoolKind::Directory => info.available,
        // Images take all of their size when they are made.
        PoolKind::Image => info.available.saturating_sub(coming),
    };
    info.capacity.saturating_sub(promised).min(on_disk)
}

/// Bytes of a pool that volumes and snapshots there have, or were promised: to members that are
/// assigned and not started, except the one that asks.
pub(super) fn promised(state: &State, id: Option<&MemberId>, host: &HostName, pool: &str) -> u64 {
    there(state, host, pool).saturating_add(coming(state, id, host, pool))
}

/// Bytes of the volumes and snapshots of a pool.
fn there(state: &State, host: &HostName, pool: &str) -> u64 {
    let place = (host.clone(), pool.to_owned());
    let there = state.index().used.get(&place).copied().unwrap_or_default();
    u64::try_from(there).unwrap_or(u64::MAX)
}

/// Bytes of a pool that members will have there which are assigned and not started, except the one
/// that asks.
fn coming(state: &State, id: Option<&MemberId>, host: &HostName, pool: &str) -> u64 {
    let mut coming: BTreeMap<&ClaimKey, u64> = BTreeMap::new();
    for (key, claim) in waiting_here(state, id, host) {
        let demand = local_demand(state, claim).filter(|demand| demand.pool == pool);
        if let Some(bytes) = demand.and_then(|demand| demand.bytes) {
            coming.insert(key, bytes);
        }
    }
    coming.into_values().fold(0, u64::saturating_add)
}

/// The claims without a volume of the members that are assigned to a host and not started.
fn waiting_here<'a>(
    state: &'a State,
    but: Option<&MemberId>,
    host: &HostName,
) -> Vec<(&'a ClaimKey, &'a Claim)> {
    let mut found = Vec::new();
    let index = state.index();
    for id in index.unstarted_on.of(host).filter(|id| Some(*id) != but) {
        let Some(set) = state.sets.get(&id.set) else {
            continue;
        };
        let templates = set.spec.volume_claim_templates.iter();
        let own = templates.filter_map(|t| id.claim(&t.metadata.name).ok());
        let member = set.members.get(&id.ordinal);
        let template = member.and_then(|member| set.template_of(&member.revision));
        let shared = template.into_iter();
        let shared = shared.flat_map(|t| shared_claims(id, t).map(|(_, key)| key));
        let claims = own
            .chain(shared)
            .filter_map(|key| state.claims.get_key_value(&key));
        found.extend(claims.filter(|(_, claim)| claim.volume.is_none()));
    }
    found
}
