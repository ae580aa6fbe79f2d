//! `berth member`: verbs on single members.

use berth_proto::v1;

use super::{Context, confirm};
use crate::{
    args::{ReplaceArgs, RestartArgs},
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

/// Has a member begin anew on fresh volumes.
pub(crate) async fn replace(context: &Context, args: ReplaceArgs) -> Result<(), CliError> {
    let member = target::parse_member(&args.member)?;
    let mut request = v1::ReplaceMemberRequest {
        namespace: context.namespace.clone(),
        member: member.clone(),
        typed_name: args.yes_i_mean.unwrap_or_default(),
    };
    let doing = format!("replace member/{member}");
    let mut members = context.coordinator.members();
    if let Err(status) = members.replace(request.clone()).await {
        let subject = format!("the data of member/{member}");
        confirm::after_refusal(&doing, &status, (subject, member.clone())).await?;
        request.typed_name.clone_from(&member);
        let answer = members.replace(request).await;
        answer.map_err(|status| refusal::from_status(&doing, &status))?;
    }
    output::data(&format!(
        "member/{member} is to begin anew on fresh volumes"
    ))?;
    output::note("`berth status` shows when; `berth volume list --trash` its old data");
    Ok(())
}
