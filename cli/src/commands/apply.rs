//! `berth apply`: stores manifests. What would disrupt members is shown and asked about first; the
//! coordinator refuses it until it is confirmed, so no other client can skip the question.

use berth_core::spec::Kind;
use berth_proto::v1;

use super::{Context, confirm, wait};
use crate::{
    args::{ApplyArgs, Condition, Take},
    error::CliError,
    output, refusal, sources,
};

const HINT: &str = "look at it with `berth plan -f`, and confirm with --yes";

/// Applies.
pub(crate) async fn run(context: &Context, args: ApplyArgs) -> Result<(), CliError> {
    let request = v1::ApplyRequest {
        sources: sources::read(&args.files.files)?,
        objects: Vec::new(),
        confirmed: args.yes,
        take_replicas: args.take.contains(&Take::Replicas),
        take_paused: args.take.contains(&Take::Paused),
        default_namespace: context.namespace.clone(),
    };
    let response = send(context, request).await?;
    told(context, &response)?;
    if args.wait.wait {
        let sets = sets(response.objects);
        wait::all(
            context,
            &sets,
            Condition::RolledOut,
            args.wait.timeout.as_ref(),
        )
        .await?;
    }
    Ok(())
}

/// Stores objects that stop nothing, and says what came of each.
///
/// # Errors
/// What the coordinator says.
pub(crate) async fn store(context: &Context, sources: Vec<v1::Source>) -> Result<(), CliError> {
    let request = v1::ApplyRequest {
        sources,
        default_namespace: context.namespace.clone(),
        ..v1::ApplyRequest::default()
    };
    let response = send(context, request).await?;
    told(context, &response)
}

fn told(context: &Context, response: &v1::ApplyResponse) -> Result<(), CliError> {
    for text in &response.warnings {
        output::warning(text);
    }
    for object in &response.objects {
        output::data(&output::tables::applied(object, &context.namespace))?;
    }
    Ok(())
}

async fn send(
    context: &Context,
    mut request: v1::ApplyRequest,
) -> Result<v1::ApplyResponse, CliError> {
    let mut objects = context.coordinator.objects();
    let status = match objects.apply(request.clone()).await {
        Ok(response) => return Ok(response.into_inner()),
        Err(status) => status,
    };
    let Some(disruptions) = refusal::disruptions(&status) else {
        return Err(refusal::from_status("apply", &status));
    };
    show_plan(context, &request, disruptions).await;
    confirm::go_on("this stops, shrinks, replaces or deletes something", HINT).await?;
    request.confirmed = true;
    let answer = objects.apply(request).await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(|status| refusal::from_status("apply", &status))
}

/// Shows the whole plan, or at least what it disrupts.
async fn show_plan(context: &Context, request: &v1::ApplyRequest, disruptions: Vec<String>) {
    let plan = context
        .coordinator
        .objects()
        .plan(v1::PlanRequest {
            sources: request.sources.clone(),
            objects: request.objects.clone(),
            take_replicas: request.take_replicas,
            take_paused: request.take_paused,
            default_namespace: request.default_namespace.clone(),
        })
        .await;
    let mut plan = plan.map(tonic::Response::into_inner).unwrap_or_default();
    if plan.disruptions.is_empty() {
        plan.disruptions = disruptions;
    }
    output::note(output::plan::text(&plan, &context.namespace).trim_end());
}

fn sets(objects: Vec<v1::AppliedObject>) -> Vec<(String, String)> {
    objects
        .into_iter()
        .filter_map(|object| object.r#ref)
        .filter(|reference| reference.kind == Kind::StatefulSet.as_str())
        .map(|reference| (reference.namespace, reference.name))
        .collect()
}
