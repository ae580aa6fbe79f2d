//! From a gRPC status to an error of the command line: one exhaustive table.
//!
//! Two kinds of detail are understood: `BadRequest` names the field of each mistake, and
//! `PreconditionFailure` with type `DISRUPTION` lists what would stop, shrink or be replaced.

use std::error::Error as _;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{error::CliError, exit::Exit};

/// The type of a precondition violation that a confirmation would lift.
const DISRUPTION: &str = "DISRUPTION";

/// The type of a precondition violation that the typed name would lift.
const CONFIRMATION: &str = "CONFIRMATION";

/// What would stop, shrink, be replaced or deleted, if the status asks for a confirmation.
pub(crate) fn disruptions(status: &Status) -> Option<Vec<String>> {
    if status.code() != Code::FailedPrecondition {
        return None;
    }
    let failure = status.get_details_precondition_failure()?;
    let lines: Vec<String> = failure
        .violations
        .into_iter()
        .filter(|violation| violation.r#type.eq_ignore_ascii_case(DISRUPTION))
        .map(|violation| violation.description)
        .collect();
    (!lines.is_empty()).then_some(lines)
}

/// Whether nothing but the typed name is missing.
pub(crate) fn asks_for_name(status: &Status) -> bool {
    let failure = status.get_details_precondition_failure();
    failure.is_some_and(|failure| {
        let mut violations = failure.violations.iter();
        violations.any(|violation| violation.r#type == CONFIRMATION)
    })
}

/// The error for a status that answered an attempt at `doing`.
pub(crate) fn from_status(doing: &str, status: &Status) -> CliError {
    if lost(status) {
        return CliError::Unreachable {
            peer: format!("the other end, to {doing}"),
            source: match berth_pki::problem::explain(status) {
                Some(why) => why.into(),
                None => Box::new(status.clone()),
            },
            hint: "it went away or never was there; check that it runs, then try again".to_owned(),
        };
    }
    let (exit, hint) = table(status.code());
    let mistakes = mistakes(status);
    let (message, lines) = if mistakes.is_empty() {
        (status.message().to_owned(), conditions(status))
    } else {
        (count(mistakes.len()), mistakes)
    };
    CliError::Answer {
        doing: doing.to_owned(),
        message,
        lines,
        exit,
        hint: hint.to_owned(),
    }
}

/// Whether the connection failed, rather than the call.
pub(crate) fn lost(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable => true,
        // tonic reports a connection that broke in the middle of an answer with these codes and
        // the transport's error as their source.
        Code::Unknown | Code::Internal | Code::Cancelled => status.source().is_some(),
        Code::Ok
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => false,
    }
}

fn table(code: Code) -> (Exit, &'static str) {
    match code {
        Code::InvalidArgument => (
            Exit::Refused,
            "nothing was stored; correct what the lines name and try again",
        ),
        Code::AlreadyExists | Code::FailedPrecondition => (
            Exit::Refused,
            "nothing was changed; the message says what stands against it",
        ),
        Code::NotFound => (
            Exit::NotFound,
            "`berth get KIND -A` lists what there is, in every namespace",
        ),
        Code::PermissionDenied | Code::Unauthenticated => {
            (Exit::Failure, "run it as root on the coordinator's machine")
        }
        Code::Unimplemented => (
            Exit::Failure,
            "the other end is of another version; compare `berth version` with its own",
        ),
        Code::Aborted | Code::ResourceExhausted => (Exit::Failure, "try again"),
        Code::OutOfRange => (
            Exit::Failure,
            "the history does not reach back so far; start again without a position",
        ),
        Code::Unavailable | Code::DeadlineExceeded => {
            (Exit::Unreachable, "check that it runs, then try again")
        }
        Code::Ok | Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss => {
            (Exit::Failure, "the log of the other end says more")
        }
    }
}

/// How many reasons there are, for the line above them.
pub(crate) fn count(reasons: usize) -> String {
    match reasons {
        1 => "refused for this reason:".to_owned(),
        n => format!("refused for these {n} reasons:"),
    }
}

/// One line per mistake. The description is complete where the text had a file; else the field
/// stands before it.
fn mistakes(status: &Status) -> Vec<String> {
    let violations = status
        .get_details_bad_request()
        .map(|bad| bad.field_violations)
        .unwrap_or_default();
    let line = |one: tonic_types::FieldViolation| {
        if one.field.is_empty() || one.description.contains(&one.field) {
            one.description
        } else {
            format!("{}: {}", one.field, one.description)
        }
    };
    violations.into_iter().map(line).collect()
}

/// What else stands against it, as far as the message does not say so already.
fn conditions(status: &Status) -> Vec<String> {
    let failure = status.get_details_precondition_failure();
    let violations = failure
        .map(|failure| failure.violations)
        .unwrap_or_default();
    let lines = violations.into_iter().map(|one| one.description);
    lines.filter(|line| line != status.message()).collect()
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn with(code: Code, details: ErrorDetails) -> Status {
        Status::with_error_details(code, "no", details)
    }

    #[test]
    fn only_disruptions_ask_for_a_confirmation() {
        let mut details = ErrorDetails::new();
        details.add_precondition_failure_violation("DISRUPTION", "StatefulSet/web", "web-1 stops");
        let status = with(Code::FailedPrecondition, details);
        assert_eq!(disruptions(&status).unwrap(), ["web-1 stops"]);

        let mut details = ErrorDetails::new();
        details.add_precondition_failure_violation("MEMBERSHIP", "StatefulSet/etcd", "static");
        assert_eq!(disruptions(&with(Code::FailedPrecondition, details)), None);
    }

    #[test]
    fn a_field_is_named_once() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("spec.replicas", "a.yaml:3:5: spec.replicas: too low");
        details.add_bad_request_violation("spec.user", "is missing");
        let error = from_status("apply", &with(Code::InvalidArgument, details));
        assert_eq!(
            error.lines(),
            [
                "a.yaml:3:5: spec.replicas: too low",
                "spec.user: is missing"
            ]
        );
        assert_eq!(error.exit(), Exit::Refused);
        assert_eq!(
            error.to_string(),
            "cannot apply: refused for these 2 reasons:"
        );
    }
}
