//! Rules about binding: both ways, for good, and only to what fits.

use crate::{
    check::{Case, Verdict, standing::grant, volumes::uses},
    ids::{ClaimKey, MemberId, ObjectKey},
    plan::Step,
    spec::{AccessMode, LimitPolicy, PersistentVolume},
    state::{Claim, State, Volume, VolumeState},
    volume::{NfsSource, PoolKind, VolumeSource},
};

pub(super) fn bound_once(case: &Case<'_>) -> Verdict {
    let Step::BindClaim { key, name, volume } = case.step else {
        return Ok(());
    };
    let Some(claim) = case.state.claims.get(key) else {
        return Err(format!("claim {key} does not exist"));
    };
    if let Some(bound) = &claim.volume {
        return Err(format!("claim {key} has volume {} already", bound.name));
    }
    let named = volume.claim.as_ref();
    if !named.is_some_and(|bound| bound.key == *key && bound.uid == claim.uid) {
        return Err(format!("volume {} is not bound back to {key}", name.name));
    }
    let have = case.state.volumes.get(name);
    if have.is_some_and(|have| have.state != VolumeState::Live) {
        return Err(format!("volume {} is in the trash", name.name));
    }
    let other = have.and_then(|have| have.claim.as_ref());
    match other.filter(|other| other.uid != claim.uid) {
        Some(other) => Err(format!(
            "volume {} belongs to claim {}",
            name.name, other.key
        )),
        None => Ok(()),
    }
}

pub(super) fn bound_fits(case: &Case<'_>) -> Verdict {
    let Step::BindClaim { key, name, volume } = case.step else {
        return Ok(());
    };
    let Some(claim) = case.state.claims.get(key) else {
        return Ok(());
    };
    let size = volume.capacity >= claim.spec.storage();
    let asked = &claim.spec.volume_name;
    if !size {
        Err(format!("volume {} is too small for {key}", name.name))
    } else if !asked.is_empty() && asked != name.name.as_str() {
        Err(format!("claim {key} asks for volume {asked}"))
    } else if let Some(object) = case.state.persistent_volumes.get(name) {
        made_by_hand(object, key, claim, volume)
    } else if let Some(have) = case.state.volumes.get(name) {
        // Only a claim that names it takes over what a class made for another one.
        let own = have
            .claim
            .as_ref()
            .is_some_and(|bound| bound.uid == claim.uid);
        if (own || !asked.is_empty()) && have.source == volume.source {
            Ok(())
        } else {
            Err(format!("claim {key} did not ask for volume {}", name.name))
        }
    } else if volume.provisioned {
        held_to_its_size(case.state, name, volume)
    } else {
        Err(format!("volume {} does not exist", name.name))
    }
}

/// A class may ask for pools that hold volumes to their sizes.
fn held_to_its_size(state: &State, name: &ObjectKey, volume: &Volume) -> Verdict {
    let mut classes = state.storage_classes.values();
    let class = classes.find(|class| class.metadata.name == volume.class);
    let asked = class.is_some_and(|class| class.parameters.limits == LimitPolicy::Required);
    let VolumeSource::Local { host, pool, .. } = &volume.source else {
        return Ok(());
    };
    let host = state.hosts.get(host);
    let info = host.and_then(|host| host.record.pools.get(pool));
    let holds = info.is_some_and(|info| info.limits || info.kind == PoolKind::Image);
    if holds || !asked {
        return Ok(());
    }
    Err(format!(
        "volume {} is to be held to its size, and pool '{pool}' does not do that",
        name.name
    ))
}

fn made_by_hand(
    object: &PersistentVolume,
    key: &ClaimKey,
    claim: &Claim,
    volume: &Volume,
) -> Verdict {
    let spec = &object.spec;
    let name = &object.metadata.name;
    let path = match &volume.source {
        VolumeSource::Nfs(nfs) if nfs.sub_dir.is_none() => Some((&nfs.server, &nfs.path)),
        VolumeSource::Nfs(_) | VolumeSource::Local { .. } => None,
    };
    let meant = spec.claim_ref.as_ref().map(|named| {
        let uid = named.uid.is_empty() || named.uid == claim.uid.0;
        uid && named.key().as_ref() == Some(key)
    });
    let asked = !claim.spec.volume_name.is_empty();
    let class = claim.spec.storage_class_name.as_ref();
    let other_class = class.is_some_and(|class| *class != spec.storage_class_name);
    let selector = claim.spec.selector.as_ref();
    let selected = selector.is_none_or(|selector| selector.matches(&object.metadata.labels));
    let wrong = if path != spec.nfs.as_ref().map(|nfs| (&nfs.server, &nfs.path)) {
        "is somewhere else"
    } else if volume.provisioned || volume.capacity != spec.storage() {
        "is not as its operator made it"
    } else if meant == Some(false) {
        "is kept for another claim"
    } else if !offers(&spec.access_modes, &claim.spec.access_modes) {
        "does not offer the access modes"
    } else if other_class && (asked || meant.is_none()) {
        "is of another class"
    } else if !(selected || asked || meant.is_some()) {
        "lacks labels"
    } else {
        return Ok(());
    };
    Err(format!("volume {name}, for claim {key}, {wrong}"))
}

fn offers(modes: &[AccessMode], asked: &[AccessMode]) -> bool {
    asked.iter().all(|mode| modes.contains(mode))
}

pub(super) fn data_alone(case: &Case<'_>) -> Verdict {
    let Step::BindClaim { key, name, volume } = case.step else {
        return Ok(());
    };
    match neighbour(case.state, name, volume) {
        Some(other) => Err(format!(
            "volume {} of claim {key} has data in common with volume {}",
            name.name, other.name
        )),
        None => Ok(()),
    }
}

/// A volume of another name that has a directory in common with this one, where one of them is not
/// for many hosts.
pub(super) fn neighbour<'a>(
    state: &'a State,
    name: &ObjectKey,
    volume: &Volume,
) -> Option<&'a ObjectKey> {
    let alone = |modes: &[AccessMode]| {
        let pod = modes.contains(&AccessMode::ReadWriteOncePod);
        let once = modes.contains(&AccessMode::ReadWriteOnce);
        pod || modes.is_empty() || once && !modes.contains(&AccessMode::ReadWriteMany)
    };
    let index = state.index();
    let near: Vec<&ObjectKey> = match &volume.source {
        VolumeSource::Nfs(_) => index.on_servers.of(&()).collect(),
        VolumeSource::Local { host, pool, dir } => {
            let place = (host.clone(), pool.clone(), dir.clone());
            index.at.of(&place).collect()
        }
    };
    let near = near.into_iter();
    let volumes = near.filter_map(|name| state.volumes.get_key_value(name));
    let mut volumes = volumes.filter(|(other, have)| {
        // One made by hand that nobody has is only a place; its data waits for whoever binds it.
        *other != name && (have.provisioned || have.claim.is_some()) && !is_moved_away(have)
    });
    let found = volumes.find(|(_, have)| {
        let single = alone(&volume.access_modes) || alone(&have.access_modes);
        single && in_common(&have.source, &volume.source)
    });
    found.map(|(other, _)| other)
}

/// Whether the data of a volume lies in the trash, so that its place is free.
fn is_moved_away(volume: &Volume) -> bool {
    match volume.state {
        VolumeState::Trashed { .. } | VolumeState::Purging => true,
        VolumeState::Live | VolumeState::Trashing | VolumeState::Restoring => false,
    }
}

fn in_common(a: &VolumeSource, b: &VolumeSource) -> bool {
    match (a, b) {
        (VolumeSource::Nfs(a), VolumeSource::Nfs(b)) => {
            let same = a.server.eq_ignore_ascii_case(&b.server);
            // The shorter path is the other one, or one around it.
            same && parts(a).zip(parts(b)).all(|(a, b)| a == b)
        }
        (VolumeSource::Local { .. }, VolumeSource::Local { .. }) => a == b,
        (VolumeSource::Local { .. }, VolumeSource::Nfs(_))
        | (VolumeSource::Nfs(_), VolumeSource::Local { .. }) => false,
    }
}

fn parts(nfs: &NfsSource) -> impl Iterator<Item = &str> {
    let path = nfs.path.split('/').filter(|part| !part.is_empty());
    path.chain(nfs.sub_dir.as_deref())
}

pub(super) fn bound_host(case: &Case<'_>) -> Verdict {
    let Step::BindClaim { key, volume, .. } = case.step else {
        return Ok(());
    };
    let Some(host) = volume.source.host() else {
        return Ok(());
    };
    let claim = case.state.claims.get(key);
    let owner = claim.and_then(|claim| claim.member.as_ref());
    let at = |id: &MemberId| grant(case.state, id).map(|(_, member)| &member.host);
    let here = match owner {
        Some(member) => at(member) == Some(host),
        // It is shared, and goes where the first of those is that use it.
        None => uses(case.state, key).iter().any(|id| at(id) == Some(host)),
    };
    if here {
        Ok(())
    } else {
        Err(format!("claim {key} goes to {host}, its member does not"))
    }
}
