//! Deleting. A set is marked and stops in order, the loop removes it; everything else goes at once.

use berth_core::{
    admission::{self, Existing},
    ids::ObjectKey,
    spec::{Kind, Object},
    state::{Claim, State},
    store::{Batch, CommitError, Key},
};
use berth_proto::v1::{DeleteRequest, DeleteResponse};

use super::{
    apply::{bound, founders},
    objects::named,
    render,
    status::ServiceError,
};
use crate::{
    context::Context,
    notes::{self, NORMAL},
    state::{View, records::put},
    store::StoreError,
};

/// Deletes an object.
pub(super) async fn delete(
    context: &Context,
    request: DeleteRequest,
) -> Result<DeleteResponse, ServiceError> {
    let (kind, object) = named(request.r#ref)?;
    loop {
        let batch = prepare(context, kind, &object, &request.typed_name)?;
        if batch.is_empty() {
            let revision = context.store.read().revision().0;
            return Ok(DeleteResponse { revision });
        }
        match context.store.commit(batch).await {
            Ok(commit) => {
                context.trigger.fire();
                return Ok(DeleteResponse {
                    revision: commit.revision.0,
                });
            }
            // Something changed in between; what stands against it may have, too.
            Err(StoreError::Refused(CommitError::Conflict { .. })) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn prepare(
    context: &Context,
    kind: Kind,
    object: &ObjectKey,
    typed: &str,
) -> Result<Batch, ServiceError> {
    let now = context.clock.now();
    let view = context.view.read();
    let key = Key::new(render::record_kind(kind), object.clone());
    if view.revision_of(&key).is_none() {
        return Err(ServiceError::NotFound {
            what: format!("{kind} {object}"),
        });
    }
    may_delete(&view, kind, object, typed)?;
    let mut batch = Batch::default();
    batch.preconditions.insert(key.clone(), view.as_known(&key));
    let text = match kind {
        Kind::StatefulSet => {
            let Some(set) = marked(&view, object, now) else {
                return Ok(Batch::default());
            };
            put(&mut batch, key, &set)?;
            "its deletion was asked for; its members stop in order, its claims stay"
        }
        Kind::PersistentVolumeClaim => {
            if let Some(claim) = view.state.claims.get(object) {
                check_unused(&view.state, object, claim)?;
            }
            batch.deletes.insert(key);
            "it was deleted; its data stays where it is"
        }
        Kind::Service
        | Kind::ConfigMap
        | Kind::Secret
        | Kind::AddressPool
        | Kind::StorageClass
        | Kind::PersistentVolume => {
            batch.deletes.insert(key);
            "it was deleted"
        }
    };
    let reason = if kind == Kind::StatefulSet {
        "Deleting"
    } else {
        "Deleted"
    };
    batch.notes.push(notes::object(
        now,
        kind,
        object,
        NORMAL,
        reason,
        text.to_owned(),
    ));
    Ok(batch)
}

/// The set with the mark of its deletion; `None` if it has it already.
pub(crate) fn marked(
    view: &View,
    object: &ObjectKey,
    now: berth_core::time::Timestamp,
) -> Option<Object> {
    let mut set = view
        .objects
        .get(&(Kind::StatefulSet, object.clone()))?
        .clone();
    let meta = set.meta_mut();
    if meta.deletion_timestamp.is_some() {
        return None;
    }
    meta.deletion_timestamp = Some(now);
    Some(set)
}

fn may_delete(
    view: &View,
    kind: Kind,
    object: &ObjectKey,
    typed: &str,
) -> Result<(), ServiceError> {
    let (founders, bound) = (founders(view), bound(view));
    let existing = Existing {
        objects: &view.objects,
        founders: &founders,
        bound: &bound,
    };
    let Err(violations) = admission::delete(existing, kind, object, typed) else {
        return Ok(());
    };
    let lines: Vec<&str> = violations.iter().map(|one| one.message.as_str()).collect();
    Err(ServiceError::Refused {
        rule: "DELETION",
        subject: format!("{kind}/{}", object.name),
        message: lines.join("; "),
    })
}

/// Admission knows what sets declare; a member that is on its way out still has its claim.
fn check_unused(state: &State, key: &ObjectKey, claim: &Claim) -> Result<(), ServiceError> {
    let Some(member) = &claim.member else {
        return Ok(());
    };
    let used = state.sets.get(&member.set).is_some_and(|set| {
        set.members.contains_key(&member.ordinal) || set.is_declared(member.ordinal)
    });
    if !used {
        return Ok(());
    }
    Err(ServiceError::Refused {
        rule: "IN_USE",
        subject: format!("PersistentVolumeClaim/{}", key.name),
        message: format!("{key} is used by {member}; scale the set below it, or delete the set"),
    })
}
