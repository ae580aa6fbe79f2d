//! `berth member`: verbs on single members.

use berth_proto::v1;

use super::{Context, confirm};
use crate::{args::RestartArgs, error::CliError, output, refusal, target};

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
