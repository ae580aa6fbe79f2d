//! Applying: texts and objects in, one commit out, or every reason why not.

use std::collections::BTreeMap;

use berth_core::{
    access::Rights,
    admission::{Admission, Change, Existing, Options, Outcome, admit},
    ids::{ClaimKey, ObjectKey, SetKey},
    manifest::{self, ParsedObject, Source, Violation},
    plan::disruptions,
    plan::outlook::outlook,
    spec::{Kind, Object},
    state::State,
    store::{Batch, Key, Note, RecordKind},
    time::Timestamp,
};
use berth_proto::{
    convert::{object::to_reference, structs},
    v1::{self, AppliedObject, ApplyRequest, ApplyResponse, applied_object},
};

use super::{access, status::ServiceError};
use crate::{
    context::Context,
    notes::{self, NORMAL},
    state::{
        View, claims,
        records::{changes, revise},
    },
};

/// Stores objects, all or none.
pub(super) async fn apply(
    context: &Context,
    rights: &Rights,
    request: ApplyRequest,
) -> Result<ApplyResponse, ServiceError> {
    let options = Options {
        take_replicas: request.take_replicas,
        take_paused: request.take_paused,
        by_verb: false,
    };
    let objects = parse(request.sources, request.objects, &request.default_namespace)?;
    access::about_objects(rights, &objects)?;
    let want = |_: &View| {
        Ok(Want {
            objects: objects.clone(),
            options,
            told: None,
            resumes: None,
        })
    };
    let (admission, revision) = store(context, request.confirmed, want).await?;
    Ok(ApplyResponse {
        objects: applied(&admission.changes),
        revision,
        warnings: admission.warnings,
    })
}

/// What is to be applied, and the event that tells of it beside those of the objects.
pub(super) struct Want {
    pub(super) objects: Vec<ParsedObject>,
    pub(super) options: Options,
    pub(super) told: Option<Note>,
    /// The set whose rollout is to go on if it is stalled.
    pub(super) resumes: Option<SetKey>,
}

/// What is wanted, as it would be stored.
pub(super) struct Prepared {
    pub(super) admission: Admission,
    pub(super) batch: Batch,
    /// What it takes down.
    pub(super) disruptions: Vec<String>,
}

/// Makes of what is wanted what would be stored.
pub(super) fn prepare(view: &View, want: Want, now: Timestamp) -> Result<Prepared, ServiceError> {
    let admission = admitted(view, want.objects, want.options)?;
    let (mut batch, mut after) = to_batch(view, &admission.changes, now)?;
    if let Some(key) = &want.resumes {
        let set = after.sets.get_mut(key);
        if set.is_some_and(|set| set.rollout.resume(now)) {
            changes(view, &after, key, &mut batch)?;
        }
    }
    if !batch.is_empty() {
        batch.notes.extend(want.told);
    }
    let disruptions = disruptions(&view.state, &after, now);
    Ok(Prepared {
        admission,
        batch,
        disruptions,
    })
}

/// Stores what is wanted, made of what there is, once it is confirmed or disrupts nothing. With the
/// revision of the commit.
pub(super) async fn store(
    context: &Context,
    confirmed: bool,
    want: impl Fn(&View) -> Result<Want, ServiceError>,
) -> Result<(Admission, u64), ServiceError> {
    loop {
        let Prepared {
            admission,
            batch,
            disruptions,
        } = {
            let view = context.view.read();
            prepare(&view, want(&view)?, context.clock.now())?
        };
        if !disruptions.is_empty() && !confirmed {
            return Err(ServiceError::Unconfirmed { disruptions });
        }
        if let Some(revision) = context.commit(batch).await? {
            return Ok((admission, revision));
        }
    }
}

pub(super) fn parse(
    sources: Vec<v1::Source>,
    objects: Vec<prost_types::Struct>,
    namespace: &str,
) -> Result<Vec<ParsedObject>, ServiceError> {
    let namespace = if namespace.is_empty() {
        "default"
    } else {
        namespace
    };
    let mut parsed = Vec::new();
    let mut violations: Vec<Violation> = Vec::new();
    let mut take = |result: Result<Vec<ParsedObject>, Vec<Violation>>| match result {
        Ok(more) => parsed.extend(more),
        Err(more) => violations.extend(more),
    };
    // No text and no object at all is told by the parser, too.
    if !sources.is_empty() || objects.is_empty() {
        let source = |source: v1::Source| Source {
            file: source.file,
            text: source.text,
        };
        let sources: Vec<Source> = sources.into_iter().map(source).collect();
        take(manifest::parse(&sources, namespace));
    }
    for object in objects {
        let json = structs::to_value(object);
        take(manifest::from_json(&json, namespace).map(|one| vec![one]));
    }
    if violations.is_empty() {
        Ok(parsed)
    } else {
        Err(ServiceError::Invalid(violations))
    }
}

pub(super) fn admitted(
    view: &View,
    mut objects: Vec<ParsedObject>,
    options: Options,
) -> Result<Admission, ServiceError> {
    refuse_taken_names(view, &objects)?;
    for parsed in &mut objects {
        if let Object::PersistentVolumeClaim(claim) = &mut parsed.object {
            claims::complete(view, &parsed.key, claim);
        }
    }
    let known = Known::of(view);
    let outlook = outlook(&view.state, &objects);
    let admission = admit(known.existing(view), objects, options);
    let mut admission = match (admission, outlook.violations) {
        (Ok(admission), none) if none.is_empty() => admission,
        (Ok(_), violations) => return Err(ServiceError::Invalid(violations)),
        (Err(mut violations), more) => {
            violations.extend(more);
            return Err(ServiceError::Invalid(violations));
        }
    };
    admission.warnings.extend(outlook.warnings);
    Ok(admission)
}

/// What admission holds new objects against, beside the objects.
pub(crate) struct Known {
    founders: BTreeMap<SetKey, u32>,
    bound: BTreeMap<ObjectKey, ObjectKey>,
    held: BTreeMap<ClaimKey, u64>,
}

impl Known {
    /// What is known now.
    pub(crate) fn of(view: &View) -> Self {
        Self {
            founders: founders(view),
            bound: bound(view),
            held: held(view),
        }
    }

    /// All of it.
    pub(crate) fn existing<'a>(&'a self, view: &'a View) -> Existing<'a> {
        Existing {
            objects: &view.objects,
            founders: &self.founders,
            bound: &self.bound,
            held: &self.held,
            leases: view.state.leases,
        }
    }
}

/// A volume that a class made has its name for itself: an object of that name would hide it.
fn refuse_taken_names(view: &View, objects: &[ParsedObject]) -> Result<(), ServiceError> {
    let taken = objects.iter().filter(|one| {
        one.object.kind() == Kind::PersistentVolume
            && !view.state.persistent_volumes.contains_key(&one.key)
            && view.state.volumes.contains_key(&one.key)
    });
    let message = "a volume of that name was made by a class; give another name";
    let violations: Vec<Violation> = taken
        .map(|one| one.violation("metadata.name", message))
        .collect();
    if violations.is_empty() {
        Ok(())
    } else {
        Err(ServiceError::Invalid(violations))
    }
}

/// How many members founded each set.
fn founders(view: &View) -> BTreeMap<SetKey, u32> {
    let foundings = view.state.foundings.iter();
    foundings
        .map(|(set, founding)| {
            let count = u32::try_from(founding.founders.len()).unwrap_or(u32::MAX);
            (set.clone(), count)
        })
        .collect()
}

/// The claim that has each volume, or had it last.
fn bound(view: &View) -> BTreeMap<ObjectKey, ClaimKey> {
    let volumes = view.state.volumes.iter();
    volumes
        .filter_map(|(key, volume)| Some((key.clone(), volume.claim.as_ref()?.key.clone())))
        .collect()
}

/// How much the volume of each claim holds.
fn held(view: &View) -> BTreeMap<ClaimKey, u64> {
    let claims = view.state.claims.iter();
    let held = claims.filter_map(|(key, claim)| {
        let volume = view.state.volume_of(claim)?;
        Some((key.clone(), volume.capacity))
    });
    held.collect()
}

/// The records that changes of objects write: the objects, and the revisions of every set whose
/// template or config they touch. And the state after, as far as sets depend on objects.
pub(crate) fn to_batch(
    view: &View,
    changes: &[Change],
    now: Timestamp,
) -> Result<(Batch, State), ServiceError> {
    let mut batch = Batch::default();
    let mut after = view.state.clone();
    for change in changes
        .iter()
        .filter(|change| change.outcome != Outcome::Unchanged)
    {
        let mut object = change.object.clone();
        if change.outcome == Outcome::Created {
            let meta = object.meta_mut();
            meta.uid = uuid::Uuid::now_v7().to_string();
            meta.creation_timestamp = Some(now);
        }
        batch.notes.push(told(change, &object, now));
        if let Object::PersistentVolumeClaim(claim) = &object {
            claims::write(view, &change.key, claim, now, &mut batch)?;
            continue;
        }
        if let Object::StatefulSet(set) = &object {
            claims::lower(view, &change.key, set, &mut batch)?;
        }
        let key = Key::new(RecordKind::Object(change.kind), change.key.clone());
        claims::write_as_known(view, key, &object, &mut batch)?;
        take_in(&mut after, &change.key, object);
    }
    revise(view, &mut after, now, &mut batch)?;
    Ok((batch, after))
}

/// As far as revisions of sets depend on it.
fn take_in(state: &mut State, key: &ObjectKey, object: Object) {
    match object {
        Object::StatefulSet(set) => {
            crate::state::take_spec(state, key.clone(), set);
        }
        Object::ConfigMap(object) => {
            state.config_maps.insert(key.clone(), object);
        }
        Object::Secret(object) => {
            state.secrets.insert(key.clone(), object);
        }
        Object::Service(_)
        | Object::AddressPool(_)
        | Object::StorageClass(_)
        | Object::PersistentVolume(_)
        | Object::PersistentVolumeClaim(_)
        | Object::VolumeSnapshot(_) => {}
    }
}

fn told(change: &Change, object: &Object, now: Timestamp) -> Note {
    let reason = match change.outcome {
        Outcome::Created => "Created",
        Outcome::Configured => "Configured",
        Outcome::Unchanged => "Unchanged",
    };
    let text = format!("generation {} was applied", object.meta().generation);
    notes::object(now, change.kind, &change.key, NORMAL, reason, text)
}

pub(super) fn applied(changes: &[Change]) -> Vec<AppliedObject> {
    let wire = |outcome| match outcome {
        Outcome::Created => applied_object::Change::Created,
        Outcome::Configured => applied_object::Change::Configured,
        Outcome::Unchanged => applied_object::Change::Unchanged,
    };
    let changes = changes.iter();
    changes
        .map(|change| AppliedObject {
            r#ref: Some(to_reference(change.kind, &change.key)),
            change: wire(change.outcome).into(),
            fields: Vec::new(),
        })
        .collect()
}
