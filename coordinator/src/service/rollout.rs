//! The verbs of a rollout: what they write is made by core ([`berth_core::admission::rollout`]) and
//! applied as any manifest is.

use std::{collections::BTreeMap, sync::Arc};

use berth_core::{
    admission::{
        Admission, Options,
        rollout::{self, Undo, UndoError},
    },
    ids::{MemberId, SetKey, TemplateHash},
    manifest::ParsedObject,
    order::ConfigData,
    spec::{Kind, Object, Sealed, StatefulSet},
    state::{Revision, Set},
};
use berth_proto::{
    convert::{object::to_wire, status},
    v1::{
        HistoryRequest, HistoryResponse, PlanResponse, RevisionConfig, RolloutPauseRequest,
        RolloutResponse, RolloutRestartRequest, SetRevision, UndoRequest,
    },
};

use super::{
    apply::{Want, applied, store},
    plan::preview,
    sets::{key, not_found, refuse_orphaned},
    status::ServiceError,
};
use crate::{
    context::Context,
    notes::{self, NORMAL},
    state::View,
    store::RecordError,
};

/// A set as the operator wrote it, and what was decided of it.
fn set<'a>(view: &'a View, key: &SetKey) -> Result<(&'a StatefulSet, &'a Set), ServiceError> {
    let object = view.objects.get(&(Kind::StatefulSet, key.clone()));
    let Some(Object::StatefulSet(object)) = object else {
        return Err(not_found(key));
    };
    let set = view.state.sets.get(key);
    Ok((object, set.ok_or_else(|| not_found(key))?))
}

/// The same for a verb that changes it: of an orphaned set nothing is decided, so nothing that was
/// asked of it may go off when it is applied again.
fn changeable<'a>(
    view: &'a View,
    key: &SetKey,
) -> Result<(&'a StatefulSet, &'a Set), ServiceError> {
    let (object, set) = set(view, key)?;
    refuse_orphaned(key, set)?;
    Ok((object, set))
}

/// The revisions of a set, oldest first.
pub(super) fn history(
    context: &Context,
    request: HistoryRequest,
) -> Result<HistoryResponse, ServiceError> {
    let key = key(&request.namespace, &request.name)?;
    let view = context.view.read();
    let (_, set) = set(&view, &key)?;
    let mut all: Vec<(&TemplateHash, &Revision)> = set.revisions.iter().collect();
    all.sort_by_key(|(_, revision)| revision.number);
    let wanted = request.revision;
    if wanted != 0 {
        all.retain(|(_, revision)| revision.number == wanted);
        if all.is_empty() {
            return Err(refused(&key, &UndoError::NoSuch { number: wanted }));
        }
    }
    let mut revisions = Vec::new();
    for (hash, revision) in all {
        let mut shown = shown(&key, set, hash, revision);
        if wanted != 0 {
            let template = serde_json::to_value(revision.template.as_ref());
            let template = template.map_err(RecordError::from)?;
            shown.template = Some(to_wire(template)?);
            shown.config = config(&revision.config);
        }
        revisions.push(shown);
    }
    Ok(HistoryResponse { revisions })
}

fn shown(key: &SetKey, set: &Set, hash: &TemplateHash, revision: &Revision) -> SetRevision {
    let members = set.members.iter().filter(|(_, m)| m.revision == *hash);
    let name = |ordinal| {
        let set = key.clone();
        MemberId { set, ordinal }.name()
    };
    SetRevision {
        number: revision.number,
        hash: hash.to_string(),
        created_ms: status::millis(Some(revision.created_at)),
        change_cause: revision.change_cause.clone().unwrap_or_default(),
        newest: *hash == set.revision,
        members: members.map(|(ordinal, _)| name(*ordinal)).collect(),
        template: None,
        config: Vec::new(),
    }
}

/// The config of a revision; of secrets only how long they are.
fn config(data: &Arc<ConfigData>) -> Vec<RevisionConfig> {
    let maps = data.config_maps.iter().map(|(name, object)| {
        let texts = object.iter().map(|(k, v)| (k.clone(), v.clone()));
        (Kind::ConfigMap, name, texts.collect::<BTreeMap<_, _>>())
    });
    let size = |value: &Sealed| format!("{} bytes", value.expose().len());
    let secrets = data.secrets.iter().map(|(name, object)| {
        let sizes = object.iter().map(|(k, v)| (k.clone(), size(v)));
        (Kind::Secret, name, sizes.collect())
    });
    maps.chain(secrets)
        .map(|(kind, name, data)| RevisionConfig {
            kind: kind.to_string(),
            name: name.clone(),
            data: data.into_iter().collect(),
        })
        .collect()
}

fn refused(key: &SetKey, error: &UndoError) -> ServiceError {
    if let UndoError::NoSuch { number } = error {
        let what = format!("revision {number} of StatefulSet {key}");
        return ServiceError::NotFound { what };
    }
    ServiceError::Refused {
        rule: "REVISION",
        subject: format!("StatefulSet/{}", key.name),
        message: error.to_string(),
    }
}

/// Takes a set back to an older revision.
pub(super) async fn undo(
    context: &Context,
    request: UndoRequest,
) -> Result<RolloutResponse, ServiceError> {
    let key = key(&request.namespace, &request.name)?;
    let to = Some(request.to_revision).filter(|number| *number != 0);
    let find = |view: &View| {
        let (object, set) = changeable(view, &key)?;
        rollout::undo(&view.objects, object, &key, set, to).map_err(|e| refused(&key, &e))
    };
    let number = match find(&context.view.read())? {
        Undo::Skipped { number } => {
            return Ok(RolloutResponse {
                to_revision: number,
                skipped: true,
                ..RolloutResponse::default()
            });
        }
        Undo::Objects { number, .. } => number,
    };
    let want = |view: &View| {
        let objects = match find(view)? {
            Undo::Objects { objects, .. } => objects,
            // Somebody else did the same in between.
            Undo::Skipped { .. } => Vec::new(),
        };
        let told = format!("goes back to revision {number}");
        Ok(wanted(context, &key, objects, "RolledBack", told))
    };
    let mut response = respond(context, request.dry_run, request.confirmed, want).await?;
    response.to_revision = number;
    Ok(response)
}

/// Has every member of a set replaced by one like it.
pub(super) async fn restart(
    context: &Context,
    request: RolloutRestartRequest,
) -> Result<RolloutResponse, ServiceError> {
    let key = key(&request.namespace, &request.name)?;
    let want = |view: &View| {
        let (object, _) = changeable(view, &key)?;
        let stamped = rollout::restart(object, &key, context.clock.now());
        let told = "the restart of its members was asked for".to_owned();
        Ok(wanted(context, &key, vec![stamped], "Restarting", told))
    };
    respond(context, request.dry_run, request.confirmed, want).await
}

/// Holds updates back, or lets them go on.
pub(super) async fn pause(
    context: &Context,
    request: RolloutPauseRequest,
) -> Result<RolloutResponse, ServiceError> {
    let key = key(&request.namespace, &request.name)?;
    let (reason, told) = if request.paused {
        ("Paused", "its updates are held back")
    } else {
        ("Resumed", "its updates go on")
    };
    let want = |view: &View| {
        let (object, _) = changeable(view, &key)?;
        let objects = vec![rollout::pause(object, &key, request.paused)];
        let mut want = wanted(context, &key, objects, reason, told.to_owned());
        want.resumes = (!request.paused).then(|| key.clone());
        Ok(want)
    };
    respond(context, request.dry_run, request.confirmed, want).await
}

fn wanted(
    context: &Context,
    key: &SetKey,
    objects: Vec<ParsedObject>,
    reason: &'static str,
    text: String,
) -> Want {
    let now = context.clock.now();
    Want {
        objects,
        options: Options {
            by_verb: true,
            ..Options::default()
        },
        told: Some(notes::object(
            now,
            Kind::StatefulSet,
            key,
            NORMAL,
            reason,
            text,
        )),
        resumes: None,
    }
}

/// Does it, or says what it would do.
async fn respond(
    context: &Context,
    dry_run: bool,
    confirmed: bool,
    want: impl Fn(&View) -> Result<Want, ServiceError>,
) -> Result<RolloutResponse, ServiceError> {
    if dry_run {
        let plan = preview(context, true, want).await?;
        return Ok(RolloutResponse {
            plan: Some(plan),
            ..RolloutResponse::default()
        });
    }
    let (admission, revision) = store(context, confirmed, want).await?;
    let Admission { changes, warnings } = admission;
    Ok(RolloutResponse {
        plan: Some(PlanResponse {
            objects: applied(&changes),
            warnings,
            ..PlanResponse::default()
        }),
        revision,
        ..RolloutResponse::default()
    })
}
