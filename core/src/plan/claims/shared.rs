//! Claims that several members use: `spec.template.spec.volumes`. The claim decides with its access
//! modes who may use it beside whom; two sets never share what a claim template made.

use crate::{
    ids::{ClaimKey, HostName, MemberId},
    plan::claims::{
        self,
        bind::{Choice, choose},
    },
    spec::{AccessMode, MemberTemplate},
    state::{Claim, Ordered, State},
    time::Timestamp,
    volume::access::{shared_claims, sharers},
    waiting::{HostRefusal, Reason, Refusal},
};

/// A claim that a member shares.
#[derive(Debug)]
pub(in crate::plan) struct Shared<'a> {
    /// Its name.
    pub(in crate::plan) key: ClaimKey,
    /// The claim.
    pub(in crate::plan) claim: &'a Claim,
    /// Whether all that use it must be on one host.
    one_host: bool,
}

/// The claims that a member shares, if they all exist and are nobody's own.
///
/// # Errors
/// One is missing, or is the own one of a member.
pub(in crate::plan) fn assignable<'a>(
    state: &'a State,
    id: &MemberId,
    template: &MemberTemplate,
    now: Timestamp,
) -> Result<Vec<Shared<'a>>, Reason> {
    let mut found = Vec::new();
    for (_, key) in shared_claims(id, template) {
        let Some(claim) = state.claims.get(&key) else {
            return Err(Reason::ClaimMissing { claim: key });
        };
        if let Some(owner) = &claim.member {
            return Err(Reason::VolumeInUse {
                claim: key,
                mode: claim.access(),
                by: owner.clone(),
            });
        }
        let one_host = match claim.access() {
            AccessMode::ReadWriteOnce => true,
            // A volume that is to be made in a pool will be on one host, whatever was asked for.
            AccessMode::ReadOnlyMany | AccessMode::ReadWriteMany | AccessMode::ReadWriteOncePod => {
                let choice = choose(state, &key, claim, Some(id), now);
                claim.volume.is_none() && matches!(choice, Ok(Choice::Local))
            }
        };
        found.push(Shared {
            key,
            claim,
            one_host,
        });
    }
    Ok(found)
}

/// Why a shared claim keeps a member off a host: others use it elsewhere, and only one host may.
pub(in crate::plan) fn elsewhere(
    state: &State,
    id: &MemberId,
    shared: &Shared<'_>,
    host: &HostName,
) -> Option<Refusal> {
    if !shared.one_host {
        return None;
    }
    let mut others = sharers(state, &shared.key);
    let (_, member) = others.find(|(other, member)| other != id && member.host != *host)?;
    Some(Refusal::ClaimElsewhere {
        claim: shared.key.clone(),
        host: member.host.clone(),
    })
}

/// Whether a claim may become the own one of a member: nobody else uses it.
///
/// # Errors
/// Who does.
pub(super) fn unshared(state: &State, key: &ClaimKey, claim: &Claim) -> Result<(), Reason> {
    match sharers(state, key).next() {
        Some((by, _)) => Err(Reason::VolumeInUse {
            claim: key.clone(),
            mode: claim.access(),
            by,
        }),
        None => Ok(()),
    }
}

/// Whether a member may be started on the claims that it shares.
///
/// # Errors
/// One is missing, without a volume, or in use as its access mode does not allow.
pub(in crate::plan) fn startable(
    state: &State,
    id: &MemberId,
    template: &MemberTemplate,
    host: &HostName,
    now: Timestamp,
) -> Result<(), Reason> {
    for shared in assignable(state, id, template, now)? {
        let Shared { key, claim, .. } = shared;
        let mode = claim.access();
        let clash = sharers(state, &key).find(|(other, member)| {
            let runs = other != id && member.ordered != Ordered::Nothing;
            runs && match mode {
                AccessMode::ReadWriteOncePod => true,
                AccessMode::ReadWriteOnce => member.host != *host,
                AccessMode::ReadOnlyMany | AccessMode::ReadWriteMany => false,
            }
        });
        if let Some((by, _)) = clash {
            let claim = key;
            return Err(Reason::VolumeInUse { claim, mode, by });
        }
        let bound = claim.volume.is_some();
        if !bound && choose(state, &key, claim, Some(id), now).is_err() {
            return Err(Reason::ClaimPending { claim: key });
        }
        if let Some(at) = claims::host(state, &key, claim).filter(|at| *at != host) {
            let because = Refusal::VolumeElsewhere {
                claim: key,
                host: at.clone(),
            };
            let host = host.clone();
            let hosts = vec![HostRefusal { host, because }];
            return Err(Reason::NoEligibleHost { hosts });
        }
    }
    Ok(())
}
