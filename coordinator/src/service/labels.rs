//! Labels of a host by the word of an operator.

use berth_core::{spec::validate::check_host_label, state::HostRecord};
use berth_proto::v1::LabelHostRequest;

use super::{hosts::Decision, status::ServiceError};
use crate::state::View;

/// Checks what is asked for by itself.
///
/// # Errors
/// A label that is none, or that is both set and taken away.
pub(super) fn check(request: &LabelHostRequest) -> Result<(), ServiceError> {
    let refuse = |message: String| ServiceError::Refused {
        rule: "LABEL",
        subject: format!("Host/{}", request.host),
        message,
    };
    for (key, value) in &request.set {
        check_host_label(key, Some(value)).map_err(refuse)?;
        if request.remove.contains(key) {
            return Err(refuse(format!(
                "label '{key}' is both set and taken away; do one of the two"
            )));
        }
    }
    for key in &request.remove {
        check_host_label(key, None).map_err(refuse)?;
    }
    Ok(())
}

/// The record of a host with other labels.
///
/// # Errors
/// Members would stop, and nobody confirmed that.
pub(super) fn decide(
    view: &View,
    known: &HostRecord,
    request: &LabelHostRequest,
) -> Result<Decision, ServiceError> {
    let mut record = known.clone();
    for (key, value) in &request.set {
        record.label(key, Some(value));
    }
    for key in &request.remove {
        record.label(key, None);
    }
    let leaving = view.state.left_by_labels(&record.name, &record.labels);
    let leaving: Vec<String> = leaving.iter().map(ToString::to_string).collect();
    if !leaving.is_empty() && !request.confirmed {
        let disruptions = leaving.iter().map(|member| {
            format!("{member} stops: its set has a member only on hosts with its labels")
        });
        return Err(ServiceError::Unconfirmed {
            disruptions: disruptions.collect(),
        });
    }
    let labels: Vec<String> = record
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    Ok(Decision {
        record,
        reason: "Labelled",
        text: format!("its labels are {}", labels.join(",")),
    })
}
