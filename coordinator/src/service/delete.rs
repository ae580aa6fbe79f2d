//! Deleting. A set is marked and stops in order, the loop removes it; everything else goes at once.

use berth_core::{
    admission::{self, Deletion, ORPHANED},
    ids::ObjectKey,
    plan::disruptions,
    spec::{Kind, Object},
    state::State,
    store::{Batch, Key},
    time::Timestamp,
};
use berth_proto::v1::{DeleteRequest, DeleteResponse};

use super::{
    apply::Known, objects::named, render, snapshots, status::ServiceError, usage, volume_changes,
};
use crate::{
    context::Context,
    notes::{self, NORMAL},
    state::{
        View,
        records::{put, revise},
    },
};

/// Deletes an object, or says what that would do.
pub(super) async fn delete(
    context: &Context,
    request: DeleteRequest,
) -> Result<DeleteResponse, ServiceError> {
    let (kind, object) = named(request.r#ref)?;
    loop {
        let wanted = Wanted {
            kind,
            object: &object,
            typed: if request.dry_run {
                object.name.as_str()
            } else {
                &request.typed_name
            },
            orphan: request.orphan,
        };
        let (batch, deletion) = prepare(context, &wanted)?;
        let revision = if request.dry_run {
            Some(0)
        } else {
            // Something may have changed in between, and what stands against it, too.
            context.commit(batch).await?
        };
        if let Some(revision) = revision {
            let Deletion {
                disruptions,
                warnings,
            } = deletion;
            return Ok(DeleteResponse {
                revision,
                disruptions,
                warnings,
            });
        }
    }
}

/// What is to be deleted.
struct Wanted<'a> {
    kind: Kind,
    object: &'a ObjectKey,
    typed: &'a str,
    /// A set goes without its members.
    orphan: bool,
}

fn prepare(context: &Context, wanted: &Wanted<'_>) -> Result<(Batch, Deletion), ServiceError> {
    let Wanted {
        kind,
        object,
        typed,
        orphan,
    } = *wanted;
    let now = context.clock.now();
    let view = context.view.read();
    let key = Key::new(render::record_kind(kind), object.clone());
    let mut batch = Batch::default();
    if kind == Kind::PersistentVolume {
        volume_changes::forget(&view, object, &mut batch)?;
    }
    if view.revision_of(&key).is_none() {
        return Err(ServiceError::NotFound {
            what: format!("{kind} {object}"),
        });
    }
    if orphan && kind != Kind::StatefulSet {
        return Err(ServiceError::Refused {
            rule: "ORPHAN",
            subject: format!("{kind}/{}", object.name),
            message: format!("a {kind} has no members to leave behind; delete it without orphan"),
        });
    }
    let mut deletion = may_delete(&view, kind, object, typed)?;
    batch.preconditions.insert(key.clone(), view.as_known(&key));
    let text = match kind {
        Kind::StatefulSet => {
            let Some((set, text)) = of_set(&view, wanted, now)? else {
                return Ok((Batch::default(), Deletion::default()));
            };
            put(&mut batch, key, &set)?;
            if !orphan {
                deletion.disruptions = ending(&view.state, object, now);
            }
            text.to_owned()
        }
        Kind::PersistentVolumeClaim => {
            check_unused(&view.state, object)?;
            let text = volume_changes::unclaim(&view, object, now, &mut batch)?;
            batch.deletes.insert(key);
            text
        }
        Kind::PersistentVolume => {
            batch.deletes.insert(key);
            "it was deleted; its data stays where it is".to_owned()
        }
        Kind::VolumeSnapshot => {
            snapshots::discard(&view, object, &mut batch)?;
            batch.deletes.insert(key);
            "it was deleted; its data is removed".to_owned()
        }
        Kind::Service | Kind::ConfigMap | Kind::Secret | Kind::AddressPool | Kind::StorageClass => {
            batch.deletes.insert(key);
            "it was deleted".to_owned()
        }
    };
    if matches!(kind, Kind::ConfigMap | Kind::Secret) {
        revise_without(&view, kind, object, now, &mut batch)?;
    }
    let reason = if kind == Kind::StatefulSet {
        "Deleting"
    } else {
        "Deleted"
    };
    let note = notes::object(now, kind, object, NORMAL, reason, text);
    batch.notes.push(note);
    Ok((batch, deletion))
}

/// What ends with a set.
fn ending(state: &State, object: &ObjectKey, now: Timestamp) -> Vec<String> {
    let mut after = state.clone();
    if let Some(set) = after.sets.get_mut(object) {
        set.deleting = Some(now);
    }
    disruptions(state, &after, now)
}

/// Members keep the config of their revision; what is wanted now lacks it, and says so.
fn revise_without(
    view: &View,
    kind: Kind,
    object: &ObjectKey,
    now: Timestamp,
    batch: &mut Batch,
) -> Result<(), ServiceError> {
    let mut after = view.state.clone();
    if kind == Kind::ConfigMap {
        after.config_maps.remove(object);
    } else {
        after.secrets.remove(object);
    }
    revise(view, &mut after, now, batch)?;
    Ok(())
}

/// The set as it is stored from now on, and what is told of it; `None` if it is so already.
fn of_set(
    view: &View,
    wanted: &Wanted<'_>,
    now: Timestamp,
) -> Result<Option<(Object, &'static str)>, ServiceError> {
    if wanted.orphan {
        let text = "it was deleted without its members: they run on as they are";
        return Ok(left(view, wanted.object, now)?.map(|set| (set, text)));
    }
    let text = "its deletion was asked for; its members stop in order";
    Ok(marked(view, wanted.object, now).map(|set| (set, text)))
}

/// The set with the mark of its deletion; `None` if it has it already.
pub(crate) fn marked(view: &View, object: &ObjectKey, now: Timestamp) -> Option<Object> {
    let mut set = view
        .objects
        .get(&(Kind::StatefulSet, object.clone()))?
        .clone();
    let meta = set.meta_mut();
    if meta.deletion_timestamp.is_some() {
        return None;
    }
    meta.deletion_timestamp = Some(now);
    meta.annotations.remove(ORPHANED);
    Some(set)
}

/// The set with the mark that it was deleted without its members; `None` if it has it already.
fn left(view: &View, object: &ObjectKey, now: Timestamp) -> Result<Option<Object>, ServiceError> {
    let stored = view.objects.get(&(Kind::StatefulSet, object.clone()));
    let Some(mut set) = stored.cloned() else {
        return Ok(None);
    };
    let meta = set.meta_mut();
    if meta.annotations.contains_key(ORPHANED) {
        return Ok(None);
    }
    if meta.deletion_timestamp.is_some() {
        return Err(ServiceError::Refused {
            rule: "DELETING",
            subject: format!("{}/{}", Kind::StatefulSet, object.name),
            message: format!(
                "set {object} is being deleted with its members already; wait until it is gone"
            ),
        });
    }
    meta.annotations
        .insert(ORPHANED.to_owned(), now.to_string());
    Ok(Some(set))
}

fn may_delete(
    view: &View,
    kind: Kind,
    object: &ObjectKey,
    typed: &str,
) -> Result<Deletion, ServiceError> {
    let known = Known::of(view);
    let existing = known.existing(view);
    let violations = match admission::delete(existing, kind, object, typed) {
        Ok(deletion) => return Ok(deletion),
        Err(violations) => violations,
    };
    let lines: Vec<&str> = violations.iter().map(|one| one.message.as_str()).collect();
    Err(ServiceError::Refused {
        rule: "DELETION",
        subject: format!("{kind}/{}", object.name),
        message: lines.join("; "),
    })
}

/// Admission knows what sets declare; a member that is on its way out still has its claim, and so
/// have those that share one.
fn check_unused(state: &State, key: &ObjectKey) -> Result<(), ServiceError> {
    let Some(user) = usage::users(state, key).into_iter().next() else {
        return Ok(());
    };
    let member = user.member;
    Err(ServiceError::Refused {
        rule: "IN_USE",
        subject: format!("PersistentVolumeClaim/{}", key.name),
        message: format!("{key} is used by {member}; scale the set below it, or delete the set"),
    })
}
