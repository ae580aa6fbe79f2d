//! Asks before something is disrupted or deleted. Without a person to ask, nothing is done.

use berth_proto::v1;
use tonic::{Response, Status};

use super::Context;
use crate::{error::CliError, output, refusal};

/// Asks whether to go on. What would happen has been shown before.
///
/// # Errors
/// `NeedsConfirmation` if nobody can be asked, or the answer is not yes.
pub(crate) async fn go_on(message: &str, hint: &str) -> Result<(), CliError> {
    let refusal = || CliError::NeedsConfirmation {
        message: message.to_owned(),
        hint: hint.to_owned(),
    };
    if !output::is_interactive() {
        return Err(refusal());
    }
    let answer = output::ask("Go on? [y/N] ".to_owned()).await?;
    match answer.as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("y" | "yes") => Ok(()),
        _ => Err(refusal()),
    }
}

/// Sends a request. If it is refused only because nobody confirmed it, shows what would happen, asks
/// whether to go on, and sends it again, confirmed. `yes` confirms it beforehand.
///
/// # Errors
/// What the coordinator says; or `NeedsConfirmation`.
pub(crate) async fn or_ask<R>(
    context: &Context,
    doing: &str,
    message: &str,
    yes: bool,
    send: impl AsyncFn(bool) -> Result<Response<R>, Status>,
) -> Result<R, CliError> {
    let status = match send(yes).await {
        Ok(response) => return Ok(response.into_inner()),
        Err(status) => status,
    };
    let Some(disruptions) = refusal::disruptions(&status) else {
        return Err(refusal::from_status(doing, &status));
    };
    show(context, disruptions);
    go_on(message, "confirm with --yes").await?;
    let answer = send(true).await;
    answer
        .map(Response::into_inner)
        .map_err(|status| refusal::from_status(doing, &status))
}

/// Shows what something disrupts.
pub(crate) fn show(context: &Context, disruptions: Vec<String>) {
    let plan = v1::PlanResponse {
        disruptions,
        ..v1::PlanResponse::default()
    };
    output::note(output::plan::text(&plan, &context.namespace).trim_end());
}

/// After a refusal that only asks for a name to be typed: asks for it. Any other refusal stays one.
///
/// # Errors
/// The refusal; or `NeedsConfirmation`.
pub(crate) async fn after_refusal(
    doing: &str,
    status: &Status,
    (subject, name): (String, String),
) -> Result<(), CliError> {
    if !refusal::asks_for_name(status) {
        return Err(refusal::from_status(doing, status));
    }
    typed_names(&[(subject, name)]).await
}

/// As [`after_refusal`], of what an operator says instead of what is deleted.
///
/// # Errors
/// The refusal; or `NeedsConfirmation`.
pub(crate) async fn name_after_refusal(
    doing: &str,
    status: &Status,
    (claim, name): (String, String),
) -> Result<(), CliError> {
    if !refusal::asks_for_name(status) {
        return Err(refusal::from_status(doing, status));
    }
    let refusal = |message: String| CliError::NeedsConfirmation {
        message,
        hint: format!("confirm with --yes-i-mean {name}"),
    };
    if !output::is_interactive() {
        return Err(refusal(format!("nobody says {claim}")));
    }
    let answer = output::ask(format!("Type {name} to say {claim}: ")).await?;
    if answer.as_deref() == Some(&name) {
        Ok(())
    } else {
        Err(refusal(format!("that does not say {claim}")))
    }
}

/// Asks for the names of what is to be deleted, given as what it is called and its name.
///
/// # Errors
/// `NeedsConfirmation` with all of them if nobody can be asked, or if another name is given.
pub(crate) async fn typed_names(things: &[(String, String)]) -> Result<(), CliError> {
    if things.is_empty() {
        return Ok(());
    }
    let refusal = |message: String| {
        let flags = things
            .iter()
            .map(|(_, name)| format!("--yes-i-mean {name}"));
        CliError::NeedsConfirmation {
            message,
            hint: format!("confirm with {}", flags.collect::<Vec<_>>().join(" ")),
        }
    };
    if !output::is_interactive() {
        let subjects: Vec<&str> = things.iter().map(|(subject, _)| subject.as_str()).collect();
        return Err(refusal(format!("{} would be deleted", subjects.join(", "))));
    }
    for (subject, name) in things {
        let answer = output::ask(format!("Type its name to delete {subject}: ")).await?;
        if answer.as_deref() != Some(name) {
            return Err(refusal(format!("that is not the name of {subject}")));
        }
    }
    Ok(())
}
