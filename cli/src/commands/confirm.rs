//! Asks before something is disrupted or deleted. Without a person to ask, nothing is done.

use crate::{error::CliError, output};

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

/// Asks for the name of what is to be deleted.
///
/// # Errors
/// `NeedsConfirmation` if nobody can be asked, or another name is given.
pub(crate) async fn typed_name(subject: &str, name: &str) -> Result<(), CliError> {
    let refusal = |message: String| CliError::NeedsConfirmation {
        message,
        hint: format!("confirm with --yes-i-mean {name}"),
    };
    if !output::is_interactive() {
        return Err(refusal(format!("{subject} would be deleted")));
    }
    let answer = output::ask(format!("Type its name to delete {subject}: ")).await?;
    if answer.as_deref() == Some(name) {
        Ok(())
    } else {
        Err(refusal(format!("that is not the name of {subject}")))
    }
}
