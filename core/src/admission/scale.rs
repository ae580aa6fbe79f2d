//! How many members: the one field that two may write, a manifest and `berth scale`; and the one
//! that may not change at all where the application would not learn of it.

use super::{Existing, Options, Outcome};
use crate::{
    ids::{ObjectKey, SetKey},
    manifest::{Origin, Violation},
    spec::{Kind, Membership, Object, Placement, StatefulSet, validate},
};

/// Marks a set whose number of members was last set by `scale`; kept by admission among the
/// annotations.
pub const SCALED: &str = "berth/scaled";

const FIELD: &str = "spec.replicas";

/// A set that is created takes its number from the manifest, unless it was founded before.
pub(super) fn adopt(
    existing: Existing<'_>,
    key: &SetKey,
    object: &mut Object,
    refuse: &mut dyn FnMut(&str, &str),
) {
    let Object::StatefulSet(set) = object else {
        return;
    };
    if set.spec.placement == Placement::PerHost {
        return;
    }
    let wanted = *set.spec.replicas.get_or_insert(1);
    let founders = existing.founders.get(key).copied().unwrap_or(0);
    if founders > 0 && i64::from(founders) != wanted && is_static(set) {
        refuse(
            FIELD,
            &format!(
                "the set was founded with {founders} members before and its volumes are still \
                 there; give {founders}, or delete its claims first"
            ),
        );
    }
}

/// The number of a set that is there already: the manifest's, if it gives one and nobody else has
/// set another.
pub(super) fn merge(
    existing: Existing<'_>,
    current: &Object,
    object: &mut Object,
    options: Options,
    refuse: &mut dyn FnMut(&str, &str),
) {
    let (Object::StatefulSet(current), Object::StatefulSet(set)) = (current, object) else {
        return;
    };
    if set.spec.placement == Placement::PerHost {
        return;
    }
    let now = current.spec.replicas();
    let mark = current.metadata.annotations.get(SCALED);
    let given = set.spec.replicas;
    if current.spec.ordinals != set.spec.ordinals
        && let Some(why) = fixed(existing, current, set)
    {
        refuse("spec.ordinals", &why);
    }
    let wanted = set.spec.replicas.get_or_insert_with(|| i64::from(now));
    if *wanted == i64::from(now) {
        // Who leaves the number out does not claim it; who gives the same one does.
        if let (Some(mark), None) = (mark, given) {
            set.metadata
                .annotations
                .insert(SCALED.to_owned(), mark.clone());
        }
        return;
    }
    if mark.is_some() && !options.take_replicas {
        refuse(
            FIELD,
            &format!(
                "the set was scaled to {now} with 'berth scale', the manifest says {wanted}; write \
                 {now}, leave replicas out, or apply with --take replicas"
            ),
        );
    }
    if let Some(message) = fixed(existing, current, set) {
        refuse(FIELD, &message);
    }
}

/// Sets the number of members of a set, as `berth scale` does: the set to store.
///
/// # Errors
/// Why it is not allowed.
pub fn scale(
    existing: Existing<'_>,
    key: &ObjectKey,
    replicas: u32,
) -> Result<super::Change, Vec<Violation>> {
    let id = (Kind::StatefulSet, key.clone());
    let name = format!("{}/{}", Kind::StatefulSet, key.name);
    let violation =
        |field: &str, message: &str| vec![Origin::default().violation(Some(&name), field, message)];
    let Some(current @ Object::StatefulSet(before)) = existing.objects.get(&id) else {
        let message = format!("there is no set '{key}'; see 'berth get sts'");
        return Err(violation("metadata.name", &message));
    };
    if super::is_orphaned(current) {
        return Err(violation("metadata.name", super::ORPHANED_REFUSED));
    }
    let mut set = before.clone();
    if set.spec.placement == Placement::PerHost {
        let message = "the set has one member on each host that its nodeSelector admits; label \
                       hosts with 'berth host label' instead";
        return Err(violation(FIELD, message));
    }
    set.spec.replicas = Some(i64::from(replicas));
    if before.spec.replicas() != replicas {
        if before.metadata.deletion_timestamp.is_some() {
            let message = "the set is being deleted; apply it again when it is gone";
            return Err(violation("metadata.name", message));
        }
        if let Some(message) = fixed(existing, before, &set) {
            return Err(violation(FIELD, &message));
        }
        let mark = replicas.to_string();
        set.metadata.annotations.insert(SCALED.to_owned(), mark);
    }
    let mut object = Object::StatefulSet(set);
    let broken: Vec<Violation> = validate::validate(&object)
        .iter()
        .flat_map(|problem| violation(&problem.field, &problem.message))
        .collect();
    if !broken.is_empty() {
        return Err(broken);
    }
    super::defaults::carry(current, &mut object);
    let outcome = if *current == object {
        Outcome::Unchanged
    } else {
        Outcome::Configured
    };
    Ok(super::Change {
        kind: Kind::StatefulSet,
        key: key.clone(),
        outcome,
        object,
    })
}

fn is_static(set: &StatefulSet) -> bool {
    set.spec.membership() == Membership::Static
}

/// Why the number of members of a set may not change; `None` if it may.
fn fixed(existing: Existing<'_>, before: &StatefulSet, after: &StatefulSet) -> Option<String> {
    // Whoever writes Dynamic takes it upon himself to tell the application.
    if after.spec.membership == Some(Membership::Dynamic) {
        return None;
    }
    if !is_static(before) && !is_static(after) {
        return None;
    }
    let now = before.spec.replicas();
    let key = before.metadata.key().ok()?;
    if now == 0 && existing.founders.get(&key).is_none_or(|n| *n == 0) {
        return None;
    }
    let why = if before.spec.membership.is_some() {
        "its membership is Static"
    } else {
        "its template uses 'founding', so its members are those that founded it"
    };
    Some(format!(
        "its members cannot change: {why}, and the application would not learn of the change; keep \
         the {now} there are, or set membership: Dynamic and tell the application yourself"
    ))
}
