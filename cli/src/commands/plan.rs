//! `berth plan`: what `apply` would do.

use berth_proto::v1;

use super::Context;
use crate::{
    args::{PlanArgs, Take},
    error::CliError,
    exit::Exit,
    output::{self, view::PlanView},
    refusal, sources,
};

/// Shows the plan; whether anything would change is in the exit code.
pub(crate) async fn run(context: &Context, args: PlanArgs) -> Result<Exit, CliError> {
    let request = v1::PlanRequest {
        sources: sources::read(&args.files.files)?,
        objects: Vec::new(),
        take_replicas: args.take.contains(&Take::Replicas),
        take_paused: args.take.contains(&Take::Paused),
        default_namespace: context.namespace.clone(),
    };
    let answer = context.coordinator.objects().plan(request).await;
    let plan = answer
        .map_err(|status| refusal::from_status("plan", &status))?
        .into_inner();
    for text in &plan.warnings {
        output::warning(text);
    }
    let exit = if plan.changes {
        Exit::Changes
    } else {
        Exit::Success
    };
    let text = output::plan::text(&plan, &context.namespace);
    match output::format::structured(args.format.output, &PlanView::from(plan))? {
        Some(structured) => output::data(&structured)?,
        None => output::data(&text)?,
    }
    Ok(exit)
}
