//! What the canned coordinator says of rollouts.

use berth_proto::{convert::structs::from_value, v1};
use serde_json::json;
use tonic::Status;

use super::{data::hours_ago, objects};

/// How far the rollout of `slow` is.
pub(crate) fn slow(ready: u32) -> v1::RolloutStatus {
    if ready == 2 {
        return v1::RolloutStatus {
            done: true,
            message: "rollout complete: 2 members at revision 3f2a".into(),
        };
    }
    v1::RolloutStatus {
        done: false,
        message: format!("waiting for {} members to be ready", 2 - ready),
    }
}

/// The revisions of `etcd`: two.
pub(crate) fn history(request: &v1::HistoryRequest) -> Result<v1::HistoryResponse, Status> {
    let mut first = v1::SetRevision {
        number: 1,
        hash: "0a1b".into(),
        created_ms: hours_ago(6),
        change_cause: "first".into(),
        members: vec!["etcd-0".into()],
        ..Default::default()
    };
    if request.revision == 1 {
        first.template = from_value(json!({ "spec": { "processes": [{ "name": "etcd" }] } }));
        first.config = vec![v1::RevisionConfig {
            kind: "Secret".into(),
            name: "login".into(),
            data: [("password".to_owned(), "12 bytes".to_owned())].into(),
        }];
        return Ok(v1::HistoryResponse {
            revisions: vec![first],
        });
    }
    if request.revision != 0 {
        return Err(Status::failed_precondition(
            "there is no revision 9; 'berth rollout history' lists those that there are",
        ));
    }
    let second = v1::SetRevision {
        number: 2,
        hash: "3f2a".into(),
        created_ms: hours_ago(1),
        newest: true,
        members: vec!["etcd-1".into(), "etcd-2".into()],
        ..Default::default()
    };
    Ok(v1::HistoryResponse {
        revisions: vec![first, second],
    })
}

pub(crate) fn undo(request: &v1::UndoRequest) -> Result<v1::RolloutResponse, Status> {
    if request.to_revision == 2 {
        return Ok(v1::RolloutResponse {
            to_revision: 2,
            skipped: true,
            ..Default::default()
        });
    }
    let response = change(request.confirmed, request.dry_run)?;
    Ok(v1::RolloutResponse {
        to_revision: 1,
        ..response
    })
}

/// A change that restarts members.
pub(crate) fn change(confirmed: bool, dry_run: bool) -> Result<v1::RolloutResponse, Status> {
    let disruption = "default/etcd: the template changes, etcd-2 to etcd-0 are restarted";
    if !confirmed && !dry_run {
        return Err(objects::unconfirmed("StatefulSet/etcd", disruption));
    }
    Ok(v1::RolloutResponse {
        plan: Some(v1::PlanResponse {
            disruptions: vec![disruption.into()],
            ..Default::default()
        }),
        ..Default::default()
    })
}
