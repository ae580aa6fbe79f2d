//! `berth host drain`: asks for it, then waits until no member is left that is to leave.
//!
//! The watch of all members only says when to look; what is still on the host, and why, is read
//! from the coordinator each time.

use berth_core::waiting::Rule;
use berth_proto::v1;
use tonic::Status;

use super::{
    Context, confirm,
    host::listed,
    patience::{Link, Patience},
};
use crate::{
    args::DrainArgs,
    error::CliError,
    exit::Exit,
    output::{self, progress::Progress},
    watch::ended,
};

/// Drains a host.
pub(crate) async fn run(context: &Context, args: DrainArgs) -> Result<(), CliError> {
    let host = &args.host;
    let doing = format!("drain host/{host}");
    let send = async |confirmed| {
        let request = v1::DrainHostRequest {
            host: host.clone(),
            stop_pinned: args.stop_pinned,
            dry_run: args.dry_run,
            confirmed,
        };
        context.coordinator.hosts().drain(request).await
    };
    let answer = confirm::or_ask(context, &doing, "this stops members", args.yes, send).await;
    let answer = answer.map_err(listed)?;
    if args.dry_run {
        for member in &answer.members {
            output::data(&fate(member))?;
        }
        output::note("nothing was done");
        return Ok(());
    }
    let already = if answer.changed { "" } else { " already" };
    output::data(&format!("host/{host} draining{already}"))?;
    let ends = format!("`berth host uncordon {host}` ends it");
    let patience = Patience {
        limit: args.timeout.as_ref(),
        what: format!("the drain of host/{host}"),
        late: format!("it goes on; `berth status -A` says why members wait, {ends}"),
        stays: "only the waiting ended, the drain goes on",
        interrupted: ends,
    };
    let left = patience.wait(wait(context, host, args.stop_pinned)).await?;
    done(host, &left)
}

/// A line of a dry run.
fn fate(member: &v1::DrainedMember) -> String {
    let why = member.waiting.as_ref().map(|waiting| &waiting.message);
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("{} {}{why}", member.member, member.fate.to_lowercase())
}

/// What is left on the host once nothing of it is to leave any more.
async fn wait(
    context: &Context,
    host: &str,
    stop_pinned: bool,
) -> Result<Vec<v1::MemberStatus>, CliError> {
    let mut progress = Progress::default();
    let mut link = Link::default();
    let doing = format!("wait for the drain of host/{host}");
    loop {
        match attempt(context, host, stop_pinned, &mut progress, &mut link).await {
            Ok(left) => return Ok(left),
            Err(status) => link.again(&doing, &status).await?,
        }
    }
}

async fn attempt(
    context: &Context,
    host: &str,
    stop_pinned: bool,
    progress: &mut Progress,
    link: &mut Link,
) -> Result<Vec<v1::MemberStatus>, Status> {
    let everything = v1::WatchMembersRequest::default();
    let mut members = context.coordinator.members();
    let mut watch = members.watch(everything).await?.into_inner();
    while !ended(watch.message().await?)?.synced {}
    link.is_up();
    loop {
        let request = v1::ListMembersRequest::default();
        let all = members.list(request).await?.into_inner().members;
        let here: Vec<v1::MemberStatus> = all.into_iter().filter(|one| one.host == host).collect();
        for member in &here {
            if let Some(line) = progress.member(member) {
                output::note(&line);
            }
        }
        // What was pinned before this drain may be shown so until the coordinator has planned.
        let leaving = |one: &v1::MemberStatus| is_leaving(one) || stop_pinned && stays(one);
        if !here.iter().any(leaving) {
            return Ok(here.into_iter().filter(stays).collect());
        }
        ended(watch.message().await?)?;
    }
}

/// Whether a member waits by a rule.
fn waits_by(member: &v1::MemberStatus, rule: Rule) -> bool {
    let waiting = member.waiting.as_ref();
    waiting.is_some_and(|waiting| waiting.rule == rule.name())
}

/// Whether a member lives on the host by its data, and was not to be stopped.
fn stays(member: &v1::MemberStatus) -> bool {
    waits_by(member, Rule::DrainPinned)
}

/// Whether something of a member is still to leave the host.
fn is_leaving(member: &v1::MemberStatus) -> bool {
    let kept_down = waits_by(member, Rule::HostDrained) || waits_by(member, Rule::Offline);
    let is_down = kept_down && member.phase == "Assigned";
    !stays(member) && !is_down
}

fn done(host: &str, left: &[v1::MemberStatus]) -> Result<(), CliError> {
    if left.is_empty() {
        return output::data(&format!("host/{host} drained: no member runs there"));
    }
    let lines = left.iter().map(|member| {
        let why = member.waiting.as_ref().map(|waiting| &waiting.message);
        format!(
            "{}/{}: {}",
            member.namespace,
            member.name,
            why.map_or("", |why| why)
        )
    });
    Err(CliError::Answer {
        doing: format!("drain host/{host}"),
        message: "members that live there by their data stay".to_owned(),
        lines: lines.collect(),
        exit: Exit::Failure,
        hint: format!(
            "`berth host drain {host} --stop-pinned` stops them until `berth host uncordon {host}`"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(rule: Rule, phase: &str) -> v1::MemberStatus {
        v1::MemberStatus {
            phase: phase.to_owned(),
            waiting: Some(v1::Waiting {
                rule: rule.name().to_owned(),
                ..v1::Waiting::default()
            }),
            ..v1::MemberStatus::default()
        }
    }

    #[test]
    fn a_drain_waits_for_what_is_to_leave_and_for_nothing_else() {
        assert!(is_leaving(&member(Rule::DrainAsked, "Running")));
        assert!(is_leaving(&member(Rule::DrainNowhere, "Running")));
        assert!(is_leaving(&member(Rule::HostUnknown, "Unknown")));
        assert!(is_leaving(&member(Rule::StopNotConfirmed, "Stopping")));
        assert!(!is_leaving(&member(Rule::DrainPinned, "Running")));
        assert!(!is_leaving(&member(Rule::HostDrained, "Assigned")));
        assert!(
            done("h", &[]).is_ok() && done("h", &[member(Rule::DrainPinned, "Running")]).is_err()
        );
    }
}
