//! What may change of classes, volumes and claims, and of the claim templates of a set. Data hangs
//! on all of them: what is refused here would otherwise be a promise that no host can keep.

use super::Existing;
use crate::{
    ids::{ClaimKey, MemberId, ObjectKey},
    manifest::ParsedObject,
    quantity,
    spec::{
        BindingMode, ClaimTemplate, Object, PersistentVolume, PersistentVolumeClaim,
        PersistentVolumeClaimSpec, Provisioner, StatefulSet, StorageClass,
    },
    volume::{
        class,
        provision::{self, Places},
    },
};

/// Collects what is refused: field and message.
type Refuse<'a> = &'a mut dyn FnMut(&str, &str);

/// The classes that will be there, and what else decides whether a volume may grow.
pub(super) struct Classes<'a> {
    after: class::Classes,
    existing: Existing<'a>,
}

impl<'a> Classes<'a> {
    /// Those that are stored, and those that are applied now.
    pub(super) fn new(existing: Existing<'a>, new: &'a [ParsedObject]) -> Self {
        let stored = existing.objects.iter();
        let stored = stored.filter_map(|((_, key), object)| Some((key, storage_class(object)?)));
        let mut after: class::Classes = stored.map(|(k, c)| (k.clone(), c.clone())).collect();
        for parsed in new {
            let Some(class) = storage_class(&parsed.object) else {
                continue;
            };
            let before = after.insert(parsed.key.clone(), class.clone());
            let made = before.and_then(|before| before.metadata.creation_timestamp);
            if let Some(class) = after.get_mut(&parsed.key) {
                class.metadata.creation_timestamp = made;
            }
        }
        Self { after, existing }
    }

    /// Whether the volume that a claim gets is made in a pool of its member's host.
    pub(super) fn is_local(&self, claim: &PersistentVolumeClaimSpec) -> bool {
        let name = class::wanted_of(&self.after, claim);
        let class = class::named_of(&self.after, &name);
        class.is_some_and(|class| class.provisioner == Provisioner::Local)
    }

    /// What is there already.
    pub(super) fn existing(&self) -> Existing<'a> {
        self.existing
    }

    /// Why a claim's volume cannot grow; `None` if it can.
    fn cannot_grow(&self, claim: &PersistentVolumeClaimSpec) -> Option<String> {
        let name = class::wanted_of(&self.after, claim);
        let by_hand = || {
            "a volume that was made by hand does not grow; make a larger one, and a claim to it"
                .to_owned()
        };
        match class::named_of(&self.after, &name) {
            Some(class) if class.provisioner == Provisioner::NoProvisioner => Some(by_hand()),
            Some(class) if !class.allow_volume_expansion => Some(format!(
                "class '{name}' does not let volumes grow; set allowVolumeExpansion: true there, \
                 or leave the size"
            )),
            Some(_) => None,
            None if name.is_empty() => Some(by_hand()),
            None => Some(format!(
                "class '{name}' does not exist, and nothing else lets volumes grow; apply it with \
                 allowVolumeExpansion: true, or leave the size"
            )),
        }
    }

    /// The volume of a claim, if it was made by hand.
    fn bound_by_hand(&self, claim: &ClaimKey) -> Option<&ObjectKey> {
        let bound = self.existing.bound.iter();
        let mut volumes = bound.filter(|(_, one)| *one == claim).map(|(key, _)| key);
        volumes.find(|key| {
            let id = (crate::spec::Kind::PersistentVolume, (*key).clone());
            self.existing.objects.contains_key(&id)
        })
    }

    fn is_bound(&self, claim: &ClaimKey) -> bool {
        self.existing.bound.values().any(|one| one == claim)
    }

    /// How much of what a template asks for its claims hold that do not hold all of it yet: the
    /// largest of them. `None` if nothing of it is open.
    fn fulfilled(&self, set: &ObjectKey, before: &StatefulSet, at: usize) -> Option<u64> {
        let template = before.spec.volume_claim_templates.get(at)?;
        let asked = template.spec.storage();
        let claims = before.spec.declared().filter_map(|ordinal| {
            let set = set.clone();
            let id = MemberId { set, ordinal };
            let claim = id.claim(&template.metadata.name).ok()?;
            self.existing.held.get(&claim).copied()
        });
        claims.filter(|held| *held < asked).max()
    }

    /// Checks a size against the one before, of which so much is `fulfilled`, if not all of it: down
    /// to that a request may be taken back, which upstream calls the recovery of a failed expansion.
    fn size(
        &self,
        field: &str,
        (before, fulfilled): (&PersistentVolumeClaimSpec, Option<u64>),
        after: &PersistentVolumeClaimSpec,
        refuse: Refuse<'_>,
    ) {
        let (old, new) = (before.storage(), after.storage());
        let least = fulfilled.unwrap_or(old).min(old);
        if new < least {
            let text = before.resources.requests.get("storage");
            let text = text.cloned().filter(|_| least == old);
            let text = text.unwrap_or_else(|| quantity::exact(least));
            refuse(
                field,
                &format!("a volume never becomes smaller; give {text} or more"),
            );
        } else if new > old
            && let Some(message) = self.cannot_grow(after)
        {
            refuse(field, &message);
        }
    }
}

fn storage_class(object: &Object) -> Option<&StorageClass> {
    match object {
        Object::StorageClass(class) => Some(class),
        Object::StatefulSet(_)
        | Object::Service(_)
        | Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::AddressPool(_)
        | Object::PersistentVolume(_)
        | Object::PersistentVolumeClaim(_)
        | Object::VolumeSnapshot(_) => None,
    }
}

/// Takes over what a manifest leaves out and the coordinator, or an earlier manifest, filled in.
pub(super) fn merge(classes: &Classes<'_>, key: &ObjectKey, current: &Object, object: &mut Object) {
    let (Object::PersistentVolumeClaim(before), Object::PersistentVolumeClaim(after)) =
        (current, object)
    else {
        return;
    };
    let (old, new) = (&before.spec, &mut after.spec);
    if new.storage_class_name.is_none() {
        new.storage_class_name.clone_from(&old.storage_class_name);
    }
    if new.volume_name.is_empty() && classes.is_bound(key) {
        new.volume_name.clone_from(&old.volume_name);
    }
}

/// A claim: it may ask for more, and for a certain volume while it has none.
pub(super) fn claim(
    classes: &Classes<'_>,
    key: &ClaimKey,
    before: &PersistentVolumeClaim,
    after: &PersistentVolumeClaim,
    refuse: Refuse<'_>,
) {
    let (old, new) = (&before.spec, &after.spec);
    if old.volume_name != new.volume_name {
        if classes.is_bound(key) {
            refuse(
                "spec.volumeName",
                "the claim has a volume already; leave it as it is",
            );
        } else if !old.volume_name.is_empty() {
            refuse(
                "spec.volumeName",
                &format!(
                    "the claim asks for volume '{}' already; keep it, or delete the claim and \
                     apply it again",
                    old.volume_name
                ),
            );
        }
    }
    let field = "spec.resources.requests.storage";
    match classes.bound_by_hand(key) {
        Some(volume) if new.storage() > old.storage() => refuse(
            field,
            &format!(
                "volume '{}' of the claim was made by hand and does not grow; leave the size",
                volume.name
            ),
        ),
        Some(_) | None => {
            let held = classes.existing.held.get(key).copied();
            classes.size(field, (old, held), new, refuse);
        }
    }
    if !same_but_size(old, new) {
        refuse(
            "spec",
            "a claim cannot change after it was made, only its size and an open volumeName can; \
             delete it and apply it again",
        );
    }
}

/// Whether two claims differ in size and volume at most.
fn same_but_size(a: &PersistentVolumeClaimSpec, b: &PersistentVolumeClaimSpec) -> bool {
    let mut a = a.clone();
    a.resources.clone_from(&b.resources);
    a.volume_name.clone_from(&b.volume_name);
    a == *b
}

/// The claim templates of a set: their size may grow, and go back as far as it is not fulfilled; their labels and annotations are free.
/// Whether they differ in nothing else.
pub(super) fn templates(
    classes: &Classes<'_>,
    key: &ObjectKey,
    before: &StatefulSet,
    after: &StatefulSet,
    refuse: Refuse<'_>,
) -> bool {
    let (old, new) = (
        &before.spec.volume_claim_templates,
        &after.spec.volume_claim_templates,
    );
    let pairs = || old.iter().zip(new);
    let same = |(old, new): (&ClaimTemplate, &ClaimTemplate)| {
        let same_class = old.spec.storage_class_name == new.spec.storage_class_name;
        old.metadata.name == new.metadata.name
            && same_class
            && old.spec.volume_name == new.spec.volume_name
            && same_but_size(&old.spec, &new.spec)
    };
    if old.len() != new.len() || !pairs().all(same) {
        return false;
    }
    for (i, (old, new)) in pairs().enumerate() {
        let field = format!("spec.volumeClaimTemplates[{i}].spec.resources.requests.storage");
        let fulfilled = classes.fulfilled(key, before, i);
        classes.size(&field, (&old.spec, fulfilled), &new.spec, refuse);
    }
    true
}

/// A class: its volumes were made as it says, so that only what is asked later may change.
pub(super) fn class(before: &StorageClass, after: &StorageClass, refuse: Refuse<'_>) {
    let pool = |class: &StorageClass| {
        let mut parameters = class.parameters.clone();
        if class.provisioner == Provisioner::Local {
            provision::pool(class).clone_into(&mut parameters.pool);
        }
        parameters
    };
    let mode = |class: &StorageClass| class.binding_mode() == BindingMode::Immediate;
    for (field, changed) in [
        ("provisioner", before.provisioner != after.provisioner),
        ("parameters", pool(before) != pool(after)),
        (
            "reclaimPolicy",
            before.reclaim_policy != after.reclaim_policy,
        ),
        ("volumeBindingMode", mode(before) != mode(after)),
        ("mountOptions", before.mount_options != after.mount_options),
    ] {
        if changed {
            refuse(
                field,
                &format!(
                    "{field} of a class cannot change, its volumes were made with it; only \
                     allowVolumeExpansion, labels and annotations can: make another class"
                ),
            );
        }
    }
}

/// A volume: while a claim has it, it stays what the claim got.
pub(super) fn volume(
    existing: Existing<'_>,
    key: &ObjectKey,
    before: &PersistentVolume,
    after: &PersistentVolume,
    refuse: Refuse<'_>,
) {
    let Some(claim) = existing.bound.get(key) else {
        return;
    };
    let (old, new) = (&before.spec, &after.spec);
    let same_source = match (old.nfs_source(), new.nfs_source()) {
        (Some(a), Some(b)) => a.places(&b) == Places::Same && a.read_only == b.read_only,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if !same_source {
        refuse(
            "spec.nfs",
            &format!(
                "claim {claim} has the volume, and its data is where it is; make another volume"
            ),
        );
    }
    if new.storage() < old.storage() {
        let text = old.capacity.get("storage").map_or("0", String::as_str);
        refuse(
            "spec.capacity.storage",
            &format!("claim {claim} has the volume; give {text} or more"),
        );
    }
    let gone = old.access_modes.iter();
    let gone = gone.filter(|mode| !new.access_modes.contains(mode));
    let gone: Vec<String> = gone.map(|mode| format!("{mode:?}")).collect();
    if !gone.is_empty() {
        refuse(
            "spec.accessModes",
            &format!(
                "claim {claim} has the volume and may use it as {}; keep it",
                gone.join(" and ")
            ),
        );
    }
    let wanted = new.claim_ref.as_ref();
    let names_it = wanted.is_some_and(|wanted| wanted.key().as_ref() == Some(claim));
    if old.claim_ref != new.claim_ref && !names_it {
        refuse(
            "spec.claimRef",
            &format!(
                "claim {claim} has the volume; leave claimRef, or free the volume with 'berth \
                 volume release' when the claim is gone"
            ),
        );
    }
}
