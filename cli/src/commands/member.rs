//! `berth member`: verbs on single members.

use berth_proto::v1;

use super::{Context, confirm};
use crate::{
    args::{ConditionArgs, RestartArgs},
    error::CliError,
    output, refusal, target,
};

/// Has a member stopped, and placed and started anew.
pub(crate) async fn restart(context: &Context, args: RestartArgs) -> Result<(), CliError> {
    let member = target::parse_member(&args.member)?;
    let mut request = v1::RestartMemberRequest {
        namespace: context.namespace.clone(),
        member: member.clone(),
        confirmed: args.yes,
    };
    let doing = format!("restart member/{member}");
    let mut members = context.coordinator.members();
    if let Err(status) = members.restart(request.clone()).await {
        let message = "this stops the member";
        confirm::disruptions(&doing, &status, &context.namespace, message).await?;
        request.confirmed = true;
        let answer = members.restart(request).await;
        answer.map_err(|status| refusal::from_status(&doing, &status))?;
    }
    output::data(&format!("member/{member} is to be restarted"))?;
    output::note("`berth status` shows when; `berth events` what happened");
    Ok(())
}

/// Sets a condition of a member.
pub(crate) async fn condition(context: &Context, args: ConditionArgs) -> Result<(), CliError> {
    let member = target::parse_member(&args.member)?;
    let (name, status) = args.condition;
    let request = v1::SetMemberConditionRequest {
        namespace: context.namespace.clone(),
        member: member.clone(),
        r#type: name.clone(),
        status,
        message: args.reason,
    };
    let doing = format!("set condition {name} of member/{member}");
    let answer = context.coordinator.members().set_condition(request).await;
    answer.map_err(|status| refusal::from_status(&doing, &status))?;
    let status = if status { "True" } else { "False" };
    output::data(&format!("member/{member}: {name} is {status}"))
}
