//! Words about hosts and members that are lost: `berth host confirm-dead`, `berth host remove` and
//! `berth member force`. Each asks for a name, because nothing else stands behind it.

use berth_proto::v1;
use tonic::{Response, Status};

use super::{Context, confirm, host::listed};
use crate::{
    args::{ForceArgs, LostHostArgs},
    error::CliError,
    output, refusal, target,
};

/// Sends a request with what was typed so far, and again with the name if only that is missing.
async fn named<R>(
    doing: &str,
    (subject, name): (String, &str),
    typed: Option<String>,
    send: impl AsyncFn(String) -> Result<Response<R>, Status>,
) -> Result<R, CliError> {
    let status = match send(typed.unwrap_or_default()).await {
        Ok(answer) => return Ok(answer.into_inner()),
        Err(status) => status,
    };
    confirm::name_after_refusal(doing, &status, (subject, name.to_owned())).await?;
    let answer = send(name.to_owned()).await;
    let answer = answer.map_err(|status| refusal::from_status(doing, &status))?;
    Ok(answer.into_inner())
}

/// Says that a host is dead.
pub(super) async fn confirm_dead(context: &Context, args: LostHostArgs) -> Result<(), CliError> {
    let host = args.host;
    let send = async |typed_name| {
        let request = v1::ConfirmHostDeadRequest {
            host: host.clone(),
            typed_name,
        };
        context.coordinator.hosts().confirm_dead(request).await
    };
    let doing = format!("confirm host/{host} dead");
    let subject = format!("that host/{host} is dead and stays so");
    let answer = named(&doing, (subject, &host), args.yes_i_mean, send).await;
    let answer = answer.map_err(listed)?;
    let already = if answer.changed { "" } else { " already" };
    output::data(&format!("host/{host} confirmed dead{already}"))?;
    if !answer.members.is_empty() {
        let members = answer.members.join(", ");
        output::note(&format!(
            "placed anew where their data lets them: {members}; `berth status` shows who waits"
        ));
    }
    Ok(())
}

/// Forgets a host.
pub(super) async fn remove(context: &Context, args: LostHostArgs) -> Result<(), CliError> {
    let host = args.host;
    let send = async |typed_name| {
        let request = v1::RemoveHostRequest {
            host: host.clone(),
            typed_name,
        };
        context.coordinator.hosts().remove(request).await
    };
    let doing = format!("remove host/{host}");
    let subject = format!("that host/{host} is to be forgotten");
    let answer = named(&doing, (subject, &host), args.yes_i_mean, send).await;
    let answer = answer.map_err(listed)?;
    output::data(&format!("host/{host} removed"))?;
    if !answer.volumes.is_empty() {
        let volumes = answer.volumes.join(", ");
        output::note(&format!("forgotten with it: {volumes}"));
    }
    Ok(())
}

/// Has a member placed anew although nothing proves it gone.
pub(super) async fn force(context: &Context, args: ForceArgs) -> Result<(), CliError> {
    let member = target::parse_member(&args.member)?;
    let full = format!("{}/{member}", context.namespace);
    let send = async |typed_name| {
        let request = v1::ForceMemberRequest {
            namespace: context.namespace.clone(),
            member: member.clone(),
            typed_name,
        };
        context.coordinator.members().force(request).await
    };
    let doing = format!("force member/{member}");
    let subject = format!("that {full} does not run");
    named(&doing, (subject, &full), args.yes_i_mean, send).await?;
    output::data(&format!("member/{member} is to be placed anew"))?;
    output::note("`berth status` shows where; the old one is stopped if its host comes back");
    Ok(())
}
