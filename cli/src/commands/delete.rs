//! `berth delete`: marks objects for deletion. Sets and claims hold data and identity, so their
//! names must be typed, by a person or with `--yes-i-mean`.

use berth_core::{
    manifest::{self, Source, Violation},
    spec::Kind,
};
use berth_proto::{convert::object::to_reference, v1};

use super::{Context, confirm, wait};
use crate::{
    args::{Cascade, Condition, DeleteArgs},
    error::CliError,
    exit::Exit,
    output::{self, tables},
    refusal, sources,
    target::{self, TargetKind},
};

/// Deletes.
pub(crate) async fn run(context: &Context, args: DeleteArgs) -> Result<(), CliError> {
    let references = match &args.kind {
        Some(kind) => vec![named(context, kind, args.name.as_deref())?],
        None => in_files(context, &args)?,
    };
    let mut to_confirm = Vec::new();
    for reference in &references {
        let confirmed = !asks_for_name(reference) || args.yes_i_mean.contains(&reference.name);
        if confirmed && !args.dry_run {
            continue;
        }
        // What does not exist needs no confirmation; deleting it says so.
        if preview(context, reference, &args).await? && !confirmed {
            let subject = tables::subject(reference, &context.namespace);
            to_confirm.push((subject, reference.name.clone()));
        }
    }
    if args.dry_run {
        output::note("nothing was done");
        return Ok(());
    }
    confirm::typed_names(&to_confirm).await?;
    let mut missing = None;
    for reference in &references {
        match delete(context, reference, &args).await? {
            Outcome::Deleted => {}
            Outcome::Missing(error) => missing = Some(error),
        }
    }
    if let Some(error) = missing {
        return Err(error);
    }
    // Who run on are never gone.
    if args.wait.wait && args.cascade == Cascade::Foreground {
        let sets: Vec<_> = references
            .into_iter()
            .filter(|reference| reference.kind == Kind::StatefulSet.as_str())
            .map(|reference| (reference.namespace, reference.name))
            .collect();
        wait::all(
            context,
            &sets,
            Condition::Deleted,
            args.wait.timeout.as_ref(),
        )
        .await?;
    }
    Ok(())
}

/// Shows what a deletion would stop and lose; whether there is anything to delete.
async fn preview(
    context: &Context,
    reference: &v1::ObjectRef,
    args: &DeleteArgs,
) -> Result<bool, CliError> {
    let mut request = request(reference, args);
    request.dry_run = true;
    let subject = tables::subject(reference, &context.namespace);
    match context.coordinator.objects().delete(request).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            for text in &answer.warnings {
                output::warning(text);
            }
            if args.dry_run {
                output::data(&format!("{subject} would be deleted"))?;
            }
            if !answer.disruptions.is_empty() {
                confirm::show(context, answer.disruptions);
            }
            Ok(true)
        }
        Err(status) if status.code() == tonic::Code::NotFound && !args.dry_run => Ok(false),
        Err(status) => Err(refusal::from_status(&format!("delete {subject}"), &status)),
    }
}

fn request(reference: &v1::ObjectRef, args: &DeleteArgs) -> v1::DeleteRequest {
    let is_set = reference.kind == Kind::StatefulSet.as_str();
    v1::DeleteRequest {
        r#ref: Some(reference.clone()),
        typed_name: reference.name.clone(),
        orphan: is_set && args.cascade == Cascade::Orphan,
        dry_run: false,
    }
}

fn asks_for_name(reference: &v1::ObjectRef) -> bool {
    let kinds = [
        Kind::StatefulSet,
        Kind::PersistentVolumeClaim,
        Kind::PersistentVolume,
        Kind::VolumeSnapshot,
    ];
    kinds.iter().any(|kind| kind.as_str() == reference.kind)
}

fn named(context: &Context, kind: &str, name: Option<&str>) -> Result<v1::ObjectRef, CliError> {
    match target::parse_named(kind, name)? {
        (TargetKind::Object(kind), name) => Ok(v1::ObjectRef {
            kind: kind.as_str().to_owned(),
            namespace: context.namespace.clone(),
            name,
        }),
        (kind, name) => Err(CliError::Usage {
            message: format!("{kind}/{name} is no object that can be deleted"),
            hint: "members go with `berth scale` or with their set; a host goes when its agent \
                   is removed"
                .to_owned(),
        }),
    }
}

/// What the manifests name, in the reverse of the order in which it is stored: a set before the
/// pool and the configuration that it uses. They are read here: the coordinator would refuse a
/// manifest for what it says, and only the names matter.
fn in_files(context: &Context, args: &DeleteArgs) -> Result<Vec<v1::ObjectRef>, CliError> {
    let sources: Vec<Source> = sources::read(&args.files)?
        .into_iter()
        .map(|source| Source {
            file: source.file,
            text: source.text,
        })
        .collect();
    let mut objects = manifest::parse(&sources, &context.namespace).map_err(unreadable)?;
    objects.sort_by_key(|parsed| {
        let place = Kind::ALL
            .iter()
            .position(|kind| *kind == parsed.object.kind());
        std::cmp::Reverse(place)
    });
    let references = objects
        .iter()
        .map(|parsed| to_reference(parsed.object.kind(), &parsed.key));
    Ok(references.collect())
}

fn unreadable(violations: Vec<Violation>) -> CliError {
    CliError::Answer {
        doing: "read the manifests".to_owned(),
        message: refusal::count(violations.len()),
        lines: violations.iter().map(ToString::to_string).collect(),
        exit: Exit::Refused,
        hint: "nothing was deleted; correct them, or delete by KIND/NAME".to_owned(),
    }
}

enum Outcome {
    Deleted,
    /// It was not there, which holds back nothing else that the manifests name.
    Missing(CliError),
}

async fn delete(
    context: &Context,
    reference: &v1::ObjectRef,
    args: &DeleteArgs,
) -> Result<Outcome, CliError> {
    let one_of_many = args.kind.is_none();
    let subject = tables::subject(reference, &context.namespace);
    let request = request(reference, args);
    let orphan = request.orphan;
    match context.coordinator.objects().delete(request).await {
        Ok(_) => {
            output::data(&format!("{subject} deleted"))?;
            if orphan {
                output::note(
                    "its members run on as they are; `berth apply -f` of a set of the name takes \
                     them back",
                );
            }
            Ok(Outcome::Deleted)
        }
        Err(status) if one_of_many && status.code() == tonic::Code::NotFound => {
            output::note(&format!("{subject} does not exist"));
            let error = refusal::from_status(&format!("delete {subject}"), &status);
            Ok(Outcome::Missing(error))
        }
        Err(status) => Err(refusal::from_status(&format!("delete {subject}"), &status)),
    }
}
