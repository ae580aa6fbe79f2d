//! `berth rollout`: how a rollout gets on, the revisions of a set, and the way back.

use berth_proto::v1;

use super::{Context, confirm, wait};
use crate::{
    args::{
        ChangeArgs, Condition, HistoryArgs, RolloutCommand, RolloutStatusArgs, SetArgs, UndoArgs,
    },
    error::CliError,
    exit::Exit,
    output::{self, age, format, rollout as show, rollout::RevisionView},
    refusal, target,
};

/// What every verb asks that changes a rollout.
const RESTARTS: &str = "this restarts members";

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
    let set = answer.into_inner();
    let rollout = set.rollout.clone().unwrap_or_default();
    output::data(&rollout.message)?;
    if wait::is_given_up(&set) {
        return Err(wait::given_up(&set));
    }
    Ok(())
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
    let answer = answer.map_err(|status| listed(refusal::from_status(&doing, &status)))?;
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

/// An error of a verb on revisions, with where they are found if there is no such one.
fn listed(error: CliError) -> CliError {
    if error.exit() == Exit::NotFound {
        let hint = "`berth rollout history` lists the revisions of a set, `berth get sts` the sets";
        error.hinting(hint)
    } else {
        error
    }
}

async fn undo(context: &Context, args: UndoArgs) -> Result<(), CliError> {
    let name = name(&args.change.set)?;
    let send = async |confirmed| {
        let request = v1::UndoRequest {
            namespace: context.namespace.clone(),
            name: name.clone(),
            to_revision: args.to_revision,
            confirmed,
            dry_run: args.change.dry_run,
        };
        context.coordinator.sets().undo(request).await
    };
    let doing = format!("take StatefulSet/{name} back");
    let response = confirm::or_ask(context, &doing, RESTARTS, args.change.yes, send).await;
    let response = response.map_err(listed)?;
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
    let send = async |confirmed| {
        let request = v1::RolloutRestartRequest {
            namespace: context.namespace.clone(),
            name: name.clone(),
            confirmed,
            dry_run: args.dry_run,
        };
        context.coordinator.sets().rollout_restart(request).await
    };
    let doing = format!("restart StatefulSet/{name}");
    let response = confirm::or_ask(context, &doing, RESTARTS, args.yes, send).await?;
    told(context, args.dry_run, &response)?;
    if !args.dry_run {
        output::data(&format!("StatefulSet/{name} restarted"))?;
        output::note("`berth rollout status` waits for it");
    }
    Ok(())
}

async fn pause(context: &Context, args: ChangeArgs, paused: bool) -> Result<(), CliError> {
    let name = name(&args.set)?;
    let (verb, done) = if paused {
        ("pause", "paused")
    } else {
        ("resume", "resumed")
    };
    let send = async |confirmed| {
        let request = v1::RolloutPauseRequest {
            namespace: context.namespace.clone(),
            name: name.clone(),
            paused,
            dry_run: args.dry_run,
            confirmed,
        };
        context.coordinator.sets().rollout_pause(request).await
    };
    let doing = format!("{verb} StatefulSet/{name}");
    let response = confirm::or_ask(context, &doing, RESTARTS, args.yes, send).await?;
    told(context, args.dry_run, &response)?;
    if args.dry_run {
        return Ok(());
    }
    output::data(&format!("StatefulSet/{name} {done}"))
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
