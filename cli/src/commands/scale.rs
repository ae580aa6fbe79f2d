//! `berth scale`: the number of members of a set.

use berth_proto::v1;

use super::{Context, confirm, wait};
use crate::{
    args::{Condition, ScaleArgs},
    error::CliError,
    output, target,
};

/// Scales.
pub(crate) async fn run(context: &Context, args: ScaleArgs) -> Result<(), CliError> {
    let name = target::parse_set(&args.set, args.name.as_deref())?;
    let send = async |confirmed| {
        let request = v1::ScaleRequest {
            namespace: context.namespace.clone(),
            name: name.clone(),
            replicas: args.replicas,
            confirmed,
        };
        context.coordinator.sets().scale(request).await
    };
    let doing = format!("scale StatefulSet/{name}");
    let response = confirm::or_ask(context, &doing, "this stops members", args.yes, send).await?;
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
