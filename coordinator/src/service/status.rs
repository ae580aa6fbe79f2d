//! Errors to gRPC: one table, exhaustive, and the only place that makes a status of an error.
//!
//! Details carry what a program needs: `BadRequest` names the field of each mistake (the
//! description is the full text, with file, line and column where the text had any);
//! `PreconditionFailure` says what stands against a request, by type: `DISRUPTION` would be lifted
//! by a confirmation, the others would not.

use berth_core::{
    error::chain,
    manifest::Violation,
    store::{CommitError, HistoryGap},
};
use berth_proto::convert::ConvertError;
use thiserror::Error;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt as _};

use crate::{
    sessions::{ExecError, HelloError, HostError, LogError},
    store::{RecordError, StoreError, WatchEnd},
};

/// A confirmation lifts it.
pub const DISRUPTION: &str = "DISRUPTION";

/// Bytes of violations that one status carries: clients limit the size of what they take as a
/// status, and nobody reads a thousand mistakes at once.
const DETAILS: usize = 128 << 10;

/// Why a request is not granted.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// There is no such thing.
    #[error("{what} does not exist; 'berth get' lists what there is")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// The request itself is wrong.
    #[error("{}", headline(.0))]
    Invalid(Vec<Violation>),
    /// The request cannot be read.
    #[error("the request cannot be read: {0}")]
    Convert(ConvertError),
    /// It stops, shrinks, replaces or deletes something, and nobody confirmed that.
    #[error("this needs a confirmation: {}", .disruptions.join("; "))]
    Unconfirmed {
        /// What it disrupts.
        disruptions: Vec<String>,
    },
    /// A rule forbids it.
    #[error("{message}")]
    Refused {
        /// The rule, in upper case.
        rule: &'static str,
        /// What the request is about.
        subject: String,
        /// What stands against it, and what to do.
        message: String,
    },
    /// It is not for whoever asks.
    #[error("{0}")]
    Denied(String),
    /// The history does not reach back so far.
    #[error(transparent)]
    Gap(#[from] HistoryGap),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A program in a member.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

impl From<HostError> for ServiceError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Record(error) => Self::Record(error),
            HostError::Store(error) => Self::Store(error),
        }
    }
}

impl From<ConvertError> for ServiceError {
    fn from(error: ConvertError) -> Self {
        Self::Convert(error)
    }
}

fn headline(violations: &[Violation]) -> String {
    match violations {
        [] => "the request is invalid".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

impl From<ServiceError> for Status {
    fn from(error: ServiceError) -> Self {
        let text = error.to_string();
        match error {
            ServiceError::NotFound { .. } => Self::not_found(text),
            ServiceError::Denied(_) => Self::permission_denied(text),
            ServiceError::Invalid(violations) => invalid(text, &violations),
            ServiceError::Convert(error) => {
                let field = convert_field(&error);
                let details = ErrorDetails::with_bad_request_violation(field, chain(&error));
                Self::with_error_details(Code::InvalidArgument, text, details)
            }
            ServiceError::Unconfirmed { disruptions } => {
                let violation = |text: String| PreconditionViolation::new(DISRUPTION, "", text);
                let all: Vec<_> = disruptions.into_iter().map(violation).collect();
                let details = ErrorDetails::with_precondition_failure(all);
                Self::with_error_details(Code::FailedPrecondition, text, details)
            }
            ServiceError::Refused { rule, subject, .. } => {
                let details =
                    ErrorDetails::with_precondition_failure_violation(rule, subject, text.clone());
                Self::with_error_details(Code::FailedPrecondition, text, details)
            }
            ServiceError::Gap(gap) => gap_status(&gap),
            ServiceError::Store(error) => store_status(&error),
            ServiceError::Record(error) => Self::data_loss(chain(&error)),
            ServiceError::Log(error) => match error {
                LogError::NoContact { .. } => Self::failed_precondition(text),
                LogError::Agent(_) => Self::failed_precondition(text),
                LogError::StreamLost => Self::unavailable(text),
                LogError::TooSlow => Self::resource_exhausted(text),
            },
            ServiceError::Exec(error) => match error {
                ExecError::NoContact { .. } => Self::failed_precondition(text),
                ExecError::StreamLost => Self::unavailable(text),
            },
        }
    }
}

fn invalid(text: String, violations: &[Violation]) -> Status {
    let mut bytes = 0;
    let mut fields = Vec::new();
    for violation in violations {
        let description = violation.to_string();
        bytes += description.len() + violation.field.len();
        if bytes > DETAILS {
            break;
        }
        fields.push(FieldViolation::new(violation.field.clone(), description));
    }
    let details = ErrorDetails::with_bad_request(fields);
    Status::with_error_details(Code::InvalidArgument, text, details)
}

fn convert_field(error: &ConvertError) -> &'static str {
    match error {
        ConvertError::Missing { field }
        | ConvertError::Id { field, .. }
        | ConvertError::Address { field, .. }
        | ConvertError::Json { field, .. } => field,
        ConvertError::Chunk { .. } => "chunk",
        ConvertError::ZoneHash { .. } => "hash",
    }
}

fn gap_status(gap: &HistoryGap) -> Status {
    let metadata = [
        ("oldestRevision".to_owned(), gap.oldest.to_string()),
        ("currentRevision".to_owned(), gap.current.to_string()),
    ];
    let metadata: std::collections::HashMap<_, _> = metadata.into();
    let details = ErrorDetails::with_error_info("HISTORY_GAP", "berth", metadata);
    Status::with_error_details(Code::OutOfRange, gap.to_string(), details)
}

fn store_status(error: &StoreError) -> Status {
    let text = chain(error);
    match error {
        StoreError::Refused(refused) => match refused {
            CommitError::Conflict { .. } => Status::aborted(text),
            CommitError::TooMany { .. } | CommitError::TooLarge { .. } => {
                Status::invalid_argument(text)
            }
            CommitError::Contradiction { .. } => Status::internal(text),
        },
        StoreError::Closed => Status::unavailable(text),
        StoreError::Full { .. } => Status::resource_exhausted(text),
        StoreError::Open { .. }
        | StoreError::Unreadable { .. }
        | StoreError::Prepare { .. }
        | StoreError::Disk(_)
        | StoreError::Keys(_)
        | StoreError::Sealed { .. }
        | StoreError::Format { .. } => Status::internal(text),
        StoreError::Damaged | StoreError::Corrupt { .. } => Status::data_loss(text),
    }
}

/// The end of a watch.
pub fn watch_status(end: WatchEnd) -> Status {
    match end {
        WatchEnd::Gap(gap) => gap_status(&gap),
        WatchEnd::Store(error) => store_status(&error),
    }
}

/// Why a stream of an agent is not accepted.
pub fn hello_status(error: &HelloError) -> Status {
    let text = chain(error);
    match error {
        HelloError::None | HelloError::Form(_) => Status::invalid_argument(text),
        HelloError::NameTaken { .. } => Status::already_exists(text),
        HelloError::Access(_) => Status::unauthenticated(text),
        HelloError::OtherHost { .. } | HelloError::Address(_) => Status::permission_denied(text),
        HelloError::Mismatch(_) => Status::failed_precondition(text),
        HelloError::Overtaken => Status::aborted(text),
        HelloError::Record(HostError::Record(_)) => Status::data_loss(text),
        HelloError::Record(HostError::Store(error)) => store_status(error),
    }
}

#[cfg(test)]
mod tests {
    use berth_core::ids::Revision;

    use super::*;

    fn violation(field: &str) -> Violation {
        Violation {
            file: Some("etcd.yaml".to_owned()),
            line: Some(12),
            column: Some(5),
            object: Some("StatefulSet/etcd".to_owned()),
            field: field.to_owned(),
            message: "must be 0 or more".to_owned(),
        }
    }

    #[test]
    fn every_mistake_is_named_with_its_field_and_place() {
        let error = ServiceError::Invalid(vec![violation("spec.replicas"), violation("spec.x")]);
        let status = Status::from(error);
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        let fields = &details.bad_request().unwrap().field_violations;
        let names: Vec<_> = fields.iter().map(|field| field.field.as_str()).collect();
        assert_eq!(names, ["spec.replicas", "spec.x"]);
        assert_eq!(
            fields[0].description,
            "etcd.yaml:12:5: StatefulSet/etcd: spec.replicas: must be 0 or more"
        );
    }

    #[test]
    fn a_flood_of_mistakes_stays_within_what_clients_take() {
        let many = vec![violation("spec.replicas"); 100_000];
        let status = Status::from(ServiceError::Invalid(many));
        assert!(
            status.details().len() < 2 * DETAILS,
            "{}",
            status.details().len()
        );
        assert!(status.message().ends_with("(and 99999 more)"));
    }

    #[test]
    fn a_missing_confirmation_lists_what_it_is_about() {
        let disruptions = vec!["web-1 stops".to_owned()];
        let status = Status::from(ServiceError::Unconfirmed { disruptions });
        assert_eq!(status.code(), Code::FailedPrecondition);
        let failure = status.get_details_precondition_failure().unwrap();
        assert_eq!(failure.violations[0].r#type, DISRUPTION);
        assert_eq!(failure.violations[0].description, "web-1 stops");
    }

    #[test]
    fn a_gap_tells_where_to_go_on() {
        let gap = HistoryGap {
            asked: Revision(1),
            oldest: Revision(5),
            current: Revision(9),
        };
        let status = Status::from(ServiceError::Gap(gap));
        assert_eq!(status.code(), Code::OutOfRange);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.metadata["currentRevision"], "9");
    }
}
