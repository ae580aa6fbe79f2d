//! `berth member`: verbs on single members.

use berth_proto::v1;

use super::{Context, confirm, lost};
use crate::{
    args::{ConditionArgs, MemberCommand, MoveArgs, OfflineArgs, ReplaceArgs, RestartArgs},
    error::CliError,
    output, refusal, target,
};

/// What every verb asks that takes a member down.
const STOPS: &str = "this stops the member";

/// Does something to a member.
pub(crate) async fn run(context: &Context, command: MemberCommand) -> Result<(), CliError> {
    match command {
        MemberCommand::Restart(args) => restart(context, args).await,
        MemberCommand::Offline(args) => offline(context, args).await,
        MemberCommand::Online(args) => online(context, &args.member).await,
        MemberCommand::Condition(args) => condition(context, args).await,
        MemberCommand::Move(args) => relocate(context, args).await,
        MemberCommand::Replace(args) if !args.new_volume => elsewhere(context, args).await,
        MemberCommand::Replace(args) => replace(context, args).await,
        MemberCommand::Force(args) => lost::force(context, args).await,
    }
}

async fn offline(context: &Context, args: OfflineArgs) -> Result<(), CliError> {
    let member = target::parse_member(&args.member)?;
    let changed = set_offline(context, &member, Some(&args)).await?;
    let already = if changed { "" } else { " already" };
    output::data(&format!("member/{member} is to be offline{already}"))?;
    output::note("`berth status` shows when it is; `berth member online` takes it back");
    Ok(())
}

async fn online(context: &Context, member: &str) -> Result<(), CliError> {
    let member = target::parse_member(member)?;
    let changed = set_offline(context, &member, None).await?;
    let text = if changed {
        "may start again"
    } else {
        "was not offline"
    };
    output::data(&format!("member/{member} {text}"))
}

async fn set_offline(
    context: &Context,
    member: &str,
    offline: Option<&OfflineArgs>,
) -> Result<bool, CliError> {
    let word = if offline.is_some() {
        "offline"
    } else {
        "online"
    };
    let send = async |confirmed| {
        let request = v1::SetOfflineRequest {
            namespace: context.namespace.clone(),
            member: member.to_owned(),
            offline: offline.is_some(),
            reason: offline.map(|args| args.reason.clone()).unwrap_or_default(),
            confirmed,
        };
        context.coordinator.members().set_offline(request).await
    };
    let doing = format!("take member/{member} {word}");
    let yes = offline.is_some_and(|args| args.yes);
    let answer = confirm::or_ask(context, &doing, STOPS, yes, send).await?;
    Ok(answer.changed)
}

/// Has a member stopped, and placed and started anew.
async fn restart(context: &Context, args: RestartArgs) -> Result<(), CliError> {
    let member = target::parse_member(&args.member)?;
    let send = async |confirmed| {
        let request = v1::RestartMemberRequest {
            namespace: context.namespace.clone(),
            member: member.clone(),
            confirmed,
        };
        context.coordinator.members().restart(request).await
    };
    let doing = format!("restart member/{member}");
    confirm::or_ask(context, &doing, STOPS, args.yes, send).await?;
    output::data(&format!("member/{member} is to be restarted"))?;
    output::note("`berth status` shows when; `berth events` what happened");
    Ok(())
}

/// Sets a condition of a member.
async fn condition(context: &Context, args: ConditionArgs) -> Result<(), CliError> {
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

/// Has a member go to another host, or gives that up.
async fn relocate(context: &Context, args: MoveArgs) -> Result<(), CliError> {
    let member = target::parse_member(&args.member)?;
    let Some(host) = args.to else {
        let request = v1::CancelMoveRequest {
            namespace: context.namespace.clone(),
            member: member.clone(),
        };
        let answer = context.coordinator.members().cancel_move(request).await;
        let doing = format!("give up the move of member/{member}");
        answer.map_err(|status| refusal::from_status(&doing, &status))?;
        output::data(&format!("member/{member} is to go back to its data"))?;
        output::note("`berth status` shows when");
        return Ok(());
    };
    go(context, &member, &host, args.yes).await?;
    output::data(&format!("member/{member} is to go to {host}"))?;
    output::note(&format!(
        "`berth status` shows how far it is; `berth member move {member} --cancel` takes it back"
    ));
    Ok(())
}

/// Has a member that keeps its volumes placed on another host.
async fn elsewhere(context: &Context, args: ReplaceArgs) -> Result<(), CliError> {
    let member = target::parse_member(&args.member)?;
    go(context, &member, "", args.yes).await?;
    output::data(&format!("member/{member} is to start on another host"))?;
    output::note("`berth status` shows where; `berth member move --cancel` takes it back");
    Ok(())
}

async fn go(context: &Context, member: &str, host: &str, yes: bool) -> Result<(), CliError> {
    let send = async |confirmed| {
        let request = v1::MoveMemberRequest {
            namespace: context.namespace.clone(),
            member: member.to_owned(),
            host: host.to_owned(),
            confirmed,
        };
        context.coordinator.members().r#move(request).await
    };
    let doing = format!("move member/{member}");
    confirm::or_ask(context, &doing, STOPS, yes, send).await?;
    Ok(())
}

/// Has a member begin anew on fresh volumes.
async fn replace(context: &Context, args: ReplaceArgs) -> Result<(), CliError> {
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
