//! `berth get`: objects, members and hosts as tables, JSON or YAML.

use berth_core::spec::Kind;
use berth_proto::{convert::structs::to_value, v1};
use serde_json::Value;

use super::{Context, host};
use crate::{
    args::{Format, GetArgs},
    error::CliError,
    exit::Exit,
    output::{self, age, format, objects, status, view::MemberView},
    refusal,
    target::{self, TargetKind},
};

/// Shows what there is.
pub(crate) async fn run(context: &Context, args: GetArgs) -> Result<(), CliError> {
    let target = target::parse(&args.kind, args.name.as_deref())?;
    let all = args.all.all_namespaces && target.name.is_none();
    let name = target.name.as_deref();
    let output = args.format.output;
    match target.kind {
        TargetKind::Object(kind) => {
            let secrets = args.show_secrets;
            objects(context, kind, name, output, all, secrets).await
        }
        TargetKind::Member => members(context, name, output, all).await,
        TargetKind::Host => host::show(context, name, output).await,
    }
}

async fn objects(
    context: &Context,
    kind: Kind,
    name: Option<&str>,
    output: Format,
    all: bool,
    secrets: bool,
) -> Result<(), CliError> {
    let found = match name {
        Some(name) => vec![one(context, kind, name, secrets).await?],
        None => list(context, kind, &context.scope(all), secrets).await?,
    };
    if matches!(output, Format::Json | Format::Yaml) {
        let value = match (name, found) {
            (Some(_), mut one) => one.pop().unwrap_or_default(),
            (None, many) => format::list(many),
        };
        let text = format::structured(output, &value)?.unwrap_or_default();
        return output::data(&text);
    }
    if found.is_empty() {
        return none(context, &kind.plural(), all || kind.is_cluster_scoped());
    }
    let how = objects::Context {
        wide: output == Format::Wide,
        with_namespace: all,
        now: age::now(),
        statuses: statuses(context, kind, &context.scope(all)).await?,
    };
    output::data(&objects::table(kind, &found, &how))
}

/// One object as JSON.
pub(crate) async fn one(
    context: &Context,
    kind: Kind,
    name: &str,
    show_secrets: bool,
) -> Result<Value, CliError> {
    let request = v1::GetRequest {
        r#ref: Some(v1::ObjectRef {
            kind: kind.as_str().to_owned(),
            namespace: context.namespace.clone(),
            name: name.to_owned(),
        }),
        show_secrets,
    };
    let object = context
        .coordinator
        .objects()
        .get(request)
        .await
        .map_err(|status| refusal::from_status(&format!("get {kind}/{name}"), &status))?
        .into_inner();
    Ok(to_value(object.manifest.unwrap_or_default()))
}

/// The same, or nothing if there is none. That it could not be read is not that it is gone.
pub(crate) async fn find(
    context: &Context,
    kind: Kind,
    name: &str,
) -> Result<Option<Value>, CliError> {
    match one(context, kind, name, false).await {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.exit() == Exit::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn list(
    context: &Context,
    kind: Kind,
    namespace: &str,
    show_secrets: bool,
) -> Result<Vec<Value>, CliError> {
    let request = v1::ListRequest {
        kind: kind.as_str().to_owned(),
        namespace: namespace.to_owned(),
        show_secrets,
    };
    let answer = context.coordinator.objects().list(request).await;
    let response = answer
        .map_err(|status| refusal::from_status(&format!("list {}", kind.plural()), &status))?
        .into_inner();
    let manifests = response.objects.into_iter().filter_map(|one| one.manifest);
    Ok(manifests.map(to_value).collect())
}

/// The status of each set, where sets are asked for.
async fn statuses(
    context: &Context,
    kind: Kind,
    namespace: &str,
) -> Result<objects::Statuses, CliError> {
    if kind != Kind::StatefulSet {
        return Ok(objects::Statuses::new());
    }
    let request = v1::ListSetStatusRequest {
        namespace: namespace.to_owned(),
    };
    let answer = context.coordinator.sets().list_status(request).await;
    let response = answer
        .map_err(|status| refusal::from_status("read the status of the sets", &status))?
        .into_inner();
    let keyed = response.sets.into_iter().map(|set| {
        let key = (set.namespace.clone(), set.name.clone());
        (key, set)
    });
    Ok(keyed.collect())
}

async fn members(
    context: &Context,
    name: Option<&str>,
    output: Format,
    all: bool,
) -> Result<(), CliError> {
    let mut found = all_members(context, &context.scope(all)).await?;
    if let Some(name) = name {
        found.retain(|member| member.name == name);
        if found.is_empty() {
            return Err(no_member(context, name));
        }
    }
    if matches!(output, Format::Json | Format::Yaml) {
        let mut views = found.into_iter().map(MemberView::from);
        let text = match (name, views.next()) {
            (Some(_), Some(view)) => format::structured(output, &view)?,
            (_, first) => {
                format::structured(output, &first.into_iter().chain(views).collect::<Vec<_>>())?
            }
        };
        return output::data(&text.unwrap_or_default());
    }
    if found.is_empty() {
        return none(context, "members", all);
    }
    let wide = output == Format::Wide;
    output::data(&status::members(&found, wide, all, age::now()))
}

/// All members in a namespace, or everywhere.
pub(crate) async fn all_members(
    context: &Context,
    namespace: &str,
) -> Result<Vec<v1::MemberStatus>, CliError> {
    let request = v1::ListMembersRequest {
        namespace: namespace.to_owned(),
        set: String::new(),
    };
    let answer = context.coordinator.members().list(request).await;
    answer
        .map(|response| response.into_inner().members)
        .map_err(|status| refusal::from_status("list members", &status))
}

/// The error for a member that is not there.
pub(crate) fn no_member(context: &Context, name: &str) -> CliError {
    CliError::NotFound {
        what: format!("member {name} in namespace {}", context.namespace),
        hint: "`berth get members -A` lists them all".to_owned(),
    }
}

fn none(context: &Context, what: &str, all: bool) -> Result<(), CliError> {
    if all {
        output::note(&format!("no {what}"));
    } else {
        output::note(&format!("no {what} in namespace {}", context.namespace));
    }
    Ok(())
}
