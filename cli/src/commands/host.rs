//! `berth host`, and `berth get hosts`.

use berth_proto::v1;

use super::{Context, drain, label, lost};
use crate::{
    args::{Format, HostCommand},
    error::CliError,
    exit::Exit,
    output::{self, age, format, tables, view::HostView},
    refusal,
};

/// Where a host's name is found.
const LISTED: &str = "`berth host list` shows them all";

/// An error of a verb on a host, with where its name is found if there is no such host.
pub(super) fn listed(error: CliError) -> CliError {
    if error.exit() == Exit::NotFound {
        error.hinting(LISTED)
    } else {
        error
    }
}

/// Shows the hosts, or changes one.
pub(crate) async fn run(context: &Context, command: HostCommand) -> Result<(), CliError> {
    match command {
        HostCommand::List(args) => show(context, None, args.output).await,
        HostCommand::Cordon(args) => cordon(context, args.host, true).await,
        HostCommand::Uncordon(args) => cordon(context, args.host, false).await,
        HostCommand::Drain(args) => drain::run(context, args).await,
        HostCommand::Label(args) => label::run(context, args).await,
        HostCommand::ConfirmDead(args) => lost::confirm_dead(context, args).await,
        // It needs no coordinator, and is done before one is asked.
        HostCommand::Dns(_) => Ok(()),
        HostCommand::Remove(args) => lost::remove(context, args).await,
    }
}

async fn cordon(context: &Context, host: String, unschedulable: bool) -> Result<(), CliError> {
    let request = v1::SetUnschedulableRequest {
        host: host.clone(),
        unschedulable,
    };
    let verb = if unschedulable { "cordon" } else { "uncordon" };
    let answer = context.coordinator.hosts().set_unschedulable(request).await;
    let refused = |status: tonic::Status| {
        let doing = format!("{verb} host/{host}");
        listed(refusal::from_status(&doing, &status))
    };
    let answer = answer.map_err(refused)?.into_inner();
    let already = if answer.changed { "" } else { " already" };
    output::data(&format!("host/{host} {verb}ed{already}"))?;
    if unschedulable && !answer.members.is_empty() {
        let members = answer.members.join(", ");
        output::note(&format!(
            "still there: {members}; `berth member restart` moves those without a local volume"
        ));
    }
    Ok(())
}

/// Shows all hosts, or one.
pub(crate) async fn show(
    context: &Context,
    name: Option<&str>,
    output: Format,
) -> Result<(), CliError> {
    let hosts = match name {
        Some(name) => vec![one(context, name).await?],
        None => list(context).await?,
    };
    if matches!(output, Format::Json | Format::Yaml) {
        let mut views: Vec<HostView> = hosts.into_iter().map(Into::into).collect();
        let text = if name.is_some() {
            format::structured(output, &views.pop())?
        } else {
            format::structured(output, &views)?
        };
        return output::data(&text.unwrap_or_default());
    }
    if hosts.is_empty() {
        output::note("no hosts; one appears when its agent connects for the first time");
        return Ok(());
    }
    output::data(&tables::hosts(&hosts, output == Format::Wide, age::now()))
}

/// All hosts.
pub(crate) async fn list(context: &Context) -> Result<Vec<v1::HostStatus>, CliError> {
    let answer = context
        .coordinator
        .hosts()
        .list(v1::ListHostsRequest {})
        .await;
    answer
        .map(|response| response.into_inner().hosts)
        .map_err(|status| refusal::from_status("list hosts", &status))
}

/// One host.
pub(crate) async fn one(context: &Context, name: &str) -> Result<v1::HostStatus, CliError> {
    let found = list(context)
        .await?
        .into_iter()
        .find(|host| host.name == name);
    found.ok_or_else(|| CliError::NotFound {
        what: format!("host {name}"),
        hint: LISTED.to_owned(),
    })
}
