//! `berth scale`: the number of members of a set.

use berth_proto::v1;

use super::{Context, confirm, wait};
use crate::{
    args::{Condition, ScaleArgs},
    error::CliError,
    output, refusal, target,
};

/// Scales.
pub(crate) async fn run(context: &Context, args: ScaleArgs) -> Result<(), CliError> {
    let name = target::parse_set(&args.set, args.name.as_deref())?;
    let request = v1::ScaleRequest {
        namespace: context.namespace.clone(),
        name: name.clone(),
        replicas: args.replicas,
        confirmed: args.yes,
    };
    let response = send(context, request).await?;
    output::data(&format!(
        "StatefulSet/{name} scaled from {} to {}",
        response.previous_replicas, args.replicas
    ))?;
    if args.wait.wait {
        let sets = [(context.namespace.clone(), name)];
        let condition = Condition::Replicas(args.replicas);
        wait::all(context, &sets, condition, args.wait.timeout.as_ref()).await?;
    }
    Ok(())
}

async fn send(
    context: &Context,
    mut request: v1::ScaleRequest,
) -> Result<v1::ScaleResponse, CliError> {
    let mut sets = context.coordinator.sets();
    let doing = format!("scale StatefulSet/{}", request.name);
    let status = match sets.scale(request.clone()).await {
        Ok(response) => return Ok(response.into_inner()),
        Err(status) => status,
    };
    confirm::disruptions(&doing, &status, &context.namespace, "this stops members").await?;
    request.confirmed = true;
    let answer = sets.scale(request).await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(|status| refusal::from_status(&doing, &status))
}
