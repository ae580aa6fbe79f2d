//! `berth rollout`: how a rollout gets on, the revisions of a set, and the way back.

use berth_proto::v1;

use super::{Context, confirm, wait};
use crate::{
    args::{
        ChangeArgs, Condition, HistoryArgs, PauseArgs, RolloutCommand, RolloutStatusArgs, SetArgs,
        UndoArgs,
    },
    error::CliError,
    output::{self, age, format, rollout as show, rollout::RevisionView},
    refusal, target,
};

/// Runs a verb.
pub(crate) async fn run(context: &Context, command: RolloutCommand) -> Result<(), CliError> {
    match command {
        RolloutCommand::Status(args) => status(context, args).await,
        RolloutCommand::History(args) => history(context, args).await,
        RolloutCommand::Undo(args) => undo(context, args).await,
        RolloutCommand::Restart(args) => restart(context, args).await,
        RolloutCommand::Pause(args) => pause(context, args, true).await,
        RolloutCommand::Resume(args) => pause(context, args, false).await,
    }
}

fn name(set: &SetArgs) -> Result<String, CliError> {
    target::parse_set(&set.set, set.name.as_deref())
}

async fn status(context: &Context, args: RolloutStatusArgs) -> Result<(), CliError> {
    let name = name(&args.set)?;
    if args.watch {
        let sets = [(context.namespace.clone(), name.clone())];
        wait::all(context, &sets, Condition::RolledOut, args.timeout.as_ref()).await?;
    }
    let doing = format!("read StatefulSet/{name}");
    let request = v1::SetStatusRequest {
        namespace: context.namespace.clone(),
        name,
    };
    let answer = context.coordinator.sets().status(request).await;
    let answer = answer.map_err(|status| refusal::from_status(&doing, &status))?;
    let rollout = answer.into_inner().rollout.unwrap_or_default();
    output::data(&rollout.message)
}

async fn history(context: &Context, args: HistoryArgs) -> Result<(), CliError> {
    let name = name(&args.set)?;
    let request = v1::HistoryRequest {
        namespace: context.namespace.clone(),
        name: name.clone(),
        revision: args.revision.unwrap_or(0),
    };
    let answer = context.coordinator.sets().history(request).await;
    let doing = format!("read the history of StatefulSet/{name}");
    let answer = answer.map_err(|status| refusal::from_status(&doing, &status))?;
    let revisions = answer.into_inner().revisions;
    let views: Vec<RevisionView> = revisions.iter().map(RevisionView::from).collect();
    let structured = match views.first() {
        Some(one) if args.revision.is_some() => format::structured(args.format.output, one)?,
        Some(_) | None => format::structured(args.format.output, &views)?,
    };
    match (structured, views.first()) {
        (Some(text), _) => output::data(&text),
        (None, Some(one)) if args.revision.is_some() => output::data(&format::yaml(one)?),
        (None, _) => output::data(&show::table(&revisions, age::now())),
    }
}

async fn undo(context: &Context, args: UndoArgs) -> Result<(), CliError> {
    let name = name(&args.change.set)?;
    let mut request = v1::UndoRequest {
        namespace: context.namespace.clone(),
        name: name.clone(),
        to_revision: args.to_revision,
        confirmed: args.change.yes,
        dry_run: args.change.dry_run,
    };
    let doing = format!("take StatefulSet/{name} back");
    let mut sets = context.coordinator.sets();
    let response = match sets.undo(request.clone()).await {
        Ok(response) => response.into_inner(),
        Err(status) => {
            ask(context, &doing, &status).await?;
            request.confirmed = true;
            let answer = sets.undo(request).await;
            let answer = answer.map_err(|status| refusal::from_status(&doing, &status));
            answer?.into_inner()
        }
    };
    let number = response.to_revision;
    if response.skipped {
        return output::data(&format!(
            "StatefulSet/{name} skipped rollback (it has revision {number} already)"
        ));
    }
    told(context, args.change.dry_run, &response)?;
    if !args.change.dry_run {
        let text = format!("StatefulSet/{name} rolled back to what was revision {number}");
        output::data(&text)?;
        output::note("`berth rollout status` waits for it");
    }
    Ok(())
}

async fn restart(context: &Context, args: ChangeArgs) -> Result<(), CliError> {
    let name = name(&args.set)?;
    let mut request = v1::RolloutRestartRequest {
        namespace: context.namespace.clone(),
        name: name.clone(),
        confirmed: args.yes,
        dry_run: args.dry_run,
    };
    let doing = format!("restart StatefulSet/{name}");
    let mut sets = context.coordinator.sets();
    let response = match sets.rollout_restart(request.clone()).await {
        Ok(response) => response.into_inner(),
        Err(status) => {
            ask(context, &doing, &status).await?;
            request.confirmed = true;
            let answer = sets.rollout_restart(request).await;
            let answer = answer.map_err(|status| refusal::from_status(&doing, &status));
            answer?.into_inner()
        }
    };
    told(context, args.dry_run, &response)?;
    if !args.dry_run {
        output::data(&format!("StatefulSet/{name} restarted"))?;
        output::note("`berth rollout status` waits for it");
    }
    Ok(())
}

async fn pause(context: &Context, args: PauseArgs, paused: bool) -> Result<(), CliError> {
    let name = name(&args.set)?;
    let (verb, done) = if paused {
        ("pause", "paused")
    } else {
        ("resume", "resumed")
    };
    let request = v1::RolloutPauseRequest {
        namespace: context.namespace.clone(),
        name: name.clone(),
        paused,
        dry_run: args.dry_run,
    };
    let answer = context.coordinator.sets().rollout_pause(request).await;
    let doing = format!("{verb} StatefulSet/{name}");
    let response = answer.map_err(|status| refusal::from_status(&doing, &status))?;
    told(context, args.dry_run, response.get_ref())?;
    if args.dry_run {
        return Ok(());
    }
    output::data(&format!("StatefulSet/{name} {done}"))
}

async fn ask(context: &Context, doing: &str, status: &tonic::Status) -> Result<(), CliError> {
    let message = "this restarts members";
    confirm::disruptions(doing, status, &context.namespace, message).await
}

/// Warnings; and what it would do, if that is all that was asked for.
fn told(context: &Context, dry_run: bool, response: &v1::RolloutResponse) -> Result<(), CliError> {
    let plan = response.plan.clone().unwrap_or_default();
    for text in &plan.warnings {
        output::warning(text);
    }
    if dry_run {
        return output::data(&output::plan::text(&plan, &context.namespace));
    }
    Ok(())
}
