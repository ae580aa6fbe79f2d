//! Binding: which volume each claim gets, and when.
//!
//! A volume that is there, and a directory on a server, is bound as soon as it may be; a volume in
//! a pool when its member is started, because until then the member may still go to another host.

use std::collections::BTreeSet;

use crate::{
    ids::{ClaimKey, HostName, MemberId, ObjectKey},
    plan::{Parked, Scope, Step, Subject, claims::room::nowhere, draft::Draft, parked::holds_set},
    spec::{BindingMode, DataSource, Provisioner},
    state::{Claim, State, Volume},
    time::Timestamp,
    volume::{
        access::shared_claims,
        binding, class, copy,
        provision::{self, Wanted},
    },
    waiting::{HostRefusal, Reason, Refusal, VolumeMisfit, VolumeRefusal},
};

/// As many volumes are named in a reason; with more nobody reads it.
const NAMED: usize = 20;

/// What becomes of a claim without a volume.
#[derive(Debug)]
pub(super) enum Choice {
    /// It gets this volume.
    Bind(ObjectKey, Box<Volume>),
    /// It gets a new one in a pool, when the host is known.
    Local,
    /// Its class waits for a member.
    Later,
}

/// Decides what a claim gets.
///
/// # Errors
/// Why it gets nothing.
pub(super) fn choose(
    state: &State,
    key: &ClaimKey,
    claim: &Claim,
    consumer: Option<&MemberId>,
    now: Timestamp,
) -> Result<Choice, Reason> {
    let class_name = class::of_claim(state, &claim.spec);
    let class = class::named(state, &class_name);
    let waits = consumer.is_none()
        && class.as_ref().map(|class| class.binding_mode())
            == Some(BindingMode::WaitForFirstConsumer);
    if let (Some(asked), Some(class)) = (&claim.spec.data_source, &class) {
        if consumer.is_none() {
            return Ok(Choice::Later);
        }
        let wanted = Wanted { key, claim, class };
        return copied(state, wanted, asked, consumer, now);
    }
    let none = match binding::find(state, key, claim, &class_name) {
        Ok(found) if waits && !found.certain => return Ok(Choice::Later),
        Ok(found) => {
            let volume = binding::bound(state, &found.name, key, claim, now);
            let volume = volume.ok_or_else(|| no_match(key, Vec::new()))?;
            if volume.source.host().is_some() && consumer.is_none() {
                // Whoever uses it has to be on its host: it is bound when that is so.
                return Ok(Choice::Later);
            }
            if is_elsewhere(state, consumer, &volume) {
                return Err(no_match(key, Vec::new()));
            }
            return Ok(Choice::Bind(found.name, Box::new(volume)));
        }
        Err(none) => none,
    };
    let Some(class) = class else {
        let mut made = state.persistent_volumes.values();
        let known = made.any(|volume| volume.spec.storage_class_name == class_name);
        return Err(if class_name.is_empty() || known {
            no_match(key, none.volumes)
        } else {
            let (claim, class) = (key.clone(), class_name);
            Reason::ClassMissing { claim, class }
        });
    };
    let wanted = Wanted {
        key,
        claim,
        class: &class,
    };
    if none.kept || class::asks_for_certain(&claim.spec) || !wanted.is_made() {
        return Err(no_match(key, none.volumes));
    }
    if waits {
        return match nowhere(state, claim, &class) {
            Some(hosts) => Err(Reason::NoEligibleHost { hosts }),
            None => Ok(Choice::Later),
        };
    }
    // Its id is not made by the plan if the claim was not.
    let name = provision::name(claim).ok_or_else(|| no_match(key, Vec::new()))?;
    match class.provisioner {
        Provisioner::Local => Ok(Choice::Local),
        Provisioner::Nfs | Provisioner::NoProvisioner => {
            let volume = provision::nfs(state, wanted, claim.member.as_ref(), now)?;
            Ok(Choice::Bind(name, Box::new(volume)))
        }
    }
}

/// A new volume beside the data that it begins with, in the same pool.
fn copied(
    state: &State,
    wanted: Wanted<'_>,
    asked: &DataSource,
    consumer: Option<&MemberId>,
    now: Timestamp,
) -> Result<Choice, Reason> {
    let Wanted { key, claim, class } = wanted;
    let pool = match class.provisioner {
        Provisioner::Local => Some(provision::pool(class)),
        Provisioner::Nfs | Provisioner::NoProvisioner => None,
    };
    let found = copy::beginning(state, key, &claim.spec, asked, pool)?;
    let name = provision::name(claim).ok_or_else(|| no_match(key, Vec::new()))?;
    let host = found.source.host().cloned();
    let host = host.ok_or_else(|| no_match(key, Vec::new()))?;
    let mut volume = provision::local(state, wanted, &host, now);
    volume.origin = Some(found.origin);
    if is_elsewhere(state, consumer, &volume) {
        let because = Refusal::VolumeElsewhere {
            claim: key.clone(),
            host: host.clone(),
        };
        let hosts = vec![HostRefusal { host, because }];
        return Err(Reason::NoEligibleHost { hosts });
    }
    Ok(Choice::Bind(name, Box::new(volume)))
}

/// Whether the consumer has another host than the volume.
fn is_elsewhere(state: &State, consumer: Option<&MemberId>, volume: &Volume) -> bool {
    let assigned = consumer.and_then(|id| state.sets.get(&id.set)?.members.get(&id.ordinal));
    let host = volume.source.host();
    assigned.is_some_and(|member| host.is_some_and(|host| *host != member.host))
}

/// The reason, with the volumes that an operator can do something about first.
fn no_match(claim: &ClaimKey, mut volumes: Vec<VolumeRefusal>) -> Reason {
    let in_use = |refusal: &VolumeRefusal| {
        matches!(
            refusal.because,
            VolumeMisfit::Bound {
                released: false,
                ..
            }
        )
    };
    volumes.sort_by_key(in_use);
    volumes.truncate(NAMED);
    let claim = claim.clone();
    Reason::NoMatchingVolume { claim, volumes }
}

/// Binds what has waited for a volume: claims that were made by hand, and those of members that
/// have a host. Not what is parked.
pub(in crate::plan) fn waiting(draft: &mut Draft, parked: &Parked, scope: &Scope) {
    if draft.mismatch().is_some() {
        // The store may be an old one, and the volume another claim's by now.
        return;
    }
    let open = |key: &ClaimKey| {
        let claim = draft.state.claims.get(key);
        let open = claim.filter(|claim| claim.volume.is_none());
        open.is_some_and(|claim| match &claim.member {
            Some(id) => !holds_set(parked, &id.set) && is_assigned(&draft.state, id),
            None => !parked.contains_key(&Subject::Claim(key.clone())),
        })
    };
    let index = draft.state.index();
    let all = scope.claims(&draft.state, |claim| claim.volume.is_none());
    let all = all.into_iter().chain(index.unbound.of(&()).cloned());
    let keys: BTreeSet<ClaimKey> = all.filter(open).collect();
    for key in keys {
        let pending = settle(draft, &key);
        let claim = draft.state.claims.get(&key);
        let unbound = claim.filter(|claim| claim.volume.is_none());
        match unbound.map(|claim| claim.member.clone()) {
            // It gets a volume as soon as there is one, whatever its member waits for.
            Some(Some(id)) => draft.rests_on_others(&id.set),
            Some(None) => pending.err().into_iter().for_each(|reason| {
                draft.pending(key.clone(), reason);
            }),
            None => {}
        }
    }
}

fn is_assigned(state: &State, id: &MemberId) -> bool {
    let set = state.sets.get(&id.set);
    set.is_some_and(|set| set.members.contains_key(&id.ordinal))
}

/// Binds a claim, unless its volume is to be in a pool.
///
/// # Errors
/// Why it gets nothing.
fn settle(draft: &mut Draft, key: &ClaimKey) -> Result<(), Reason> {
    let Some(claim) = draft.state.claims.get(key) else {
        return Ok(());
    };
    let consumer = claim.member.as_ref();
    settle_for(draft, key, consumer.cloned().as_ref())
}

fn settle_for(
    draft: &mut Draft,
    key: &ClaimKey,
    consumer: Option<&MemberId>,
) -> Result<(), Reason> {
    let Some(claim) = draft.state.claims.get(key) else {
        return Ok(());
    };
    if claim.volume.is_some() {
        return Ok(());
    }
    match choose(&draft.state, key, claim, consumer, draft.now)? {
        Choice::Bind(name, volume) => {
            let key = key.clone();
            let volume = *volume;
            draft.push(Step::BindClaim { key, name, volume });
        }
        Choice::Local | Choice::Later if consumer.is_none() => {
            return Err(Reason::WaitForFirstConsumer { claim: key.clone() });
        }
        Choice::Local | Choice::Later => {}
    }
    Ok(())
}

/// Binds the claims of a member that was just assigned, as far as that does not need its host. What
/// cannot be bound waits.
pub(in crate::plan) fn early(draft: &mut Draft, id: &MemberId) {
    for key in own_keys(draft, id) {
        // The start says what is missing; until then a volume may turn up.
        drop(settle(draft, &key));
    }
}

/// Binds what a member needs before it starts, as far as that does not need its host.
///
/// # Errors
/// What cannot be bound.
pub(in crate::plan) fn at_start(draft: &mut Draft, id: &MemberId) -> Result<(), Reason> {
    for key in keys(draft, id) {
        settle_for(draft, &key, Some(id))?;
        if let Some(claim) = draft.state.claims.get(&key) {
            copy::usable(&draft.state, &key, claim)?;
        }
    }
    Ok(())
}

/// Makes the volumes of a member that are to be in a pool of its host.
pub(in crate::plan) fn local(draft: &mut Draft, id: &MemberId, host: &HostName) {
    for key in keys(draft, id) {
        let Some(claim) = draft.state.claims.get(&key) else {
            continue;
        };
        // A copy is bound when what it begins with is known, never as an empty volume.
        if claim.volume.is_some() || claim.spec.data_source.is_some() {
            continue;
        }
        let class_name = class::of_claim(&draft.state, &claim.spec);
        let Some(class) = class::named(&draft.state, &class_name) else {
            continue;
        };
        let wanted = Wanted {
            key: &key,
            claim,
            class: &class,
        };
        let volume = provision::local(&draft.state, wanted, host, draft.now);
        let Some(name) = provision::name(claim) else {
            continue;
        };
        draft.push(Step::BindClaim { key, name, volume });
    }
}

/// The claims of a member: its own and those that it shares.
fn keys(draft: &Draft, id: &MemberId) -> Vec<ClaimKey> {
    let mut keys = own_keys(draft, id);
    let set = draft.state.sets.get(&id.set);
    let template = set.and_then(|set| {
        let member = set.members.get(&id.ordinal)?;
        set.template_of(&member.revision)
    });
    let shared = template.into_iter();
    keys.extend(shared.flat_map(|template| shared_claims(id, template).map(|(_, key)| key)));
    keys
}

fn own_keys(draft: &Draft, id: &MemberId) -> Vec<ClaimKey> {
    let set = draft.state.sets.get(&id.set);
    let templates = set
        .into_iter()
        .flat_map(|set| &set.spec.volume_claim_templates);
    let keys = templates.filter_map(|template| id.claim(&template.metadata.name).ok());
    keys.collect()
}
