//! What may be deleted. What holds members or data asks for its name to be typed.

use super::{
    Existing, dependencies::dependants, relations::users, volume_relations::users_of_class,
};
use crate::{
    ids::{MemberId, ObjectKey},
    manifest::{Origin, Violation},
    spec::{Kind, Object, StatefulSet},
};

/// What a deletion means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deletion {
    /// What stops, or is lost.
    pub disruptions: Vec<String>,
    /// What is allowed and yet seldom meant.
    pub warnings: Vec<String>,
}

/// Whether an object may be deleted, and what that means. Whether it exists is not asked here.
///
/// # Errors
/// Why it may not.
pub fn delete(
    existing: Existing<'_>,
    kind: Kind,
    key: &ObjectKey,
    typed_name: &str,
) -> Result<Deletion, Vec<Violation>> {
    let object = format!("{kind}/{}", key.name);
    let mut violations = Vec::new();
    let mut refuse = |field: &str, message: String| {
        violations.push(Origin::default().violation(Some(&object), field, &message));
    };
    let mut deletion = Deletion::default();
    if asks_for_name(kind) && typed_name != key.name.as_str() {
        refuse(
            "typedName",
            format!(
                "deleting a {kind} needs its name typed; give '{}'",
                key.name
            ),
        );
    }
    match kind {
        // Which of its members stop, and which claims go, is the plan's business.
        Kind::StatefulSet => {
            for other in dependants(existing.objects, key) {
                deletion.warnings.push(format!(
                    "set {other} depends on it: it runs on, and does not come up again without it"
                ));
            }
        }
        Kind::PersistentVolumeClaim => claim(existing, key, &mut deletion, &mut refuse),
        Kind::AddressPool => {
            for set in users_of_pool(existing, key) {
                refuse(
                    "metadata.name",
                    format!("members of {set} have its addresses; delete that set first"),
                );
            }
        }
        Kind::ConfigMap | Kind::Secret => {
            for set in users(existing.objects, kind, key) {
                deletion.warnings.push(format!(
                    "{set} uses it: members that start from now on wait for it"
                ));
            }
        }
        Kind::StorageClass => {
            for user in users_of_class(existing, key) {
                deletion.warnings.push(format!(
                    "{user} has the class: volumes that are there stay, new ones wait for it"
                ));
            }
        }
        Kind::PersistentVolume => volume(existing, key, &mut deletion, &mut refuse),
        Kind::VolumeSnapshot => deletion.disruptions.push(format!(
            "the data of snapshot {key} is removed for good; claims that were restored from it stay"
        )),
        Kind::Service => deletion
            .warnings
            .push(format!("the names of service {key} are gone at once")),
    }
    if violations.is_empty() {
        Ok(deletion)
    } else {
        Err(violations)
    }
}

/// A claim goes when no member uses it.
fn claim(
    existing: Existing<'_>,
    key: &ObjectKey,
    deletion: &mut Deletion,
    refuse: &mut dyn FnMut(&str, String),
) {
    deletion.disruptions.push(format!(
        "claim {key} is removed; its volume keeps the data until 'berth volume delete', or moves \
         it to the trash if its reclaim policy is Delete"
    ));
    for set in sharers(existing, key) {
        refuse(
            "metadata.name",
            format!("members of {set} share the claim; delete that set first"),
        );
    }
    if let Some(member) = user_of_claim(existing, key) {
        refuse(
            "metadata.name",
            format!("member {member} uses the claim; scale or delete its set first"),
        );
    }
}

/// A volume goes when no claim has it, or had it last.
fn volume(
    existing: Existing<'_>,
    key: &ObjectKey,
    deletion: &mut Deletion,
    refuse: &mut dyn FnMut(&str, String),
) {
    deletion.disruptions.push(format!(
        "the record of volume '{}' is removed; its data stays where it is",
        key.name
    ));
    if let Some(claim) = existing.bound.get(key) {
        refuse(
            "metadata.name",
            format!(
                "claim {claim} has the volume, or had it last; delete the claim if it is still \
                 there, then run 'berth volume release {}'",
                key.name
            ),
        );
    }
}

fn asks_for_name(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::StatefulSet
            | Kind::PersistentVolumeClaim
            | Kind::PersistentVolume
            | Kind::VolumeSnapshot
    )
}

fn sets<'a>(existing: Existing<'a>) -> impl Iterator<Item = (&'a ObjectKey, &'a StatefulSet)> {
    existing.objects.iter().filter_map(|((_, key), object)| {
        if let Object::StatefulSet(set) = object {
            Some((key, set))
        } else {
            None
        }
    })
}

fn user_of_claim(existing: Existing<'_>, claim: &ObjectKey) -> Option<MemberId> {
    sets(existing).find_map(|(key, set)| {
        let names: Vec<&str> = set
            .spec
            .volume_claim_templates
            .iter()
            .map(|template| template.metadata.name.as_str())
            .collect();
        set.spec.declared().find_map(|ordinal| {
            let member = MemberId {
                set: key.clone(),
                ordinal,
            };
            let uses = names
                .iter()
                .any(|name| member.claim(name).is_ok_and(|its| its == *claim));
            uses.then_some(member)
        })
    })
}

/// The sets all of whose members use a claim.
fn sharers<'a>(existing: Existing<'a>, claim: &ObjectKey) -> Vec<&'a ObjectKey> {
    let uses = |set: &StatefulSet| {
        let mut volumes = set.spec.template.spec.volumes.iter();
        volumes.any(|one| one.persistent_volume_claim.claim_name == claim.name.as_str())
    };
    sets(existing)
        .filter(|(key, set)| key.namespace == claim.namespace && uses(set))
        .map(|(key, _)| key)
        .collect()
}

fn users_of_pool<'a>(existing: Existing<'a>, key: &ObjectKey) -> Vec<&'a ObjectKey> {
    let pool = existing.objects.get(&(Kind::AddressPool, key.clone()));
    let default = matches!(pool, Some(Object::AddressPool(pool)) if pool.spec.default);
    sets(existing)
        .filter(|(_, set)| match &set.spec.address_pool {
            Some(name) => name == key.name.as_str(),
            None => default,
        })
        .map(|(key, _)| key)
        .collect()
}
