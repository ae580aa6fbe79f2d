//! A store whose history is in question, its backup, and words about what is lost.

use berth_core::{
    ids::{HistoryId, Revision, Term},
    store::backup::{Header, Writer},
    time::Timestamp,
};
use berth_proto::v1::{self, admin_service_server as admin};
use tokio_stream::iter;
use tonic::{Request, Response, Status};

use super::{data::hours_ago, objects, server::Streamed};

type Answer<T> = Result<Response<T>, Status>;

/// The service of the store.
pub(crate) struct Admin;

fn history() -> v1::StoreHistory {
    v1::StoreHistory {
        history: "one".into(),
        term: 4,
        latched: true,
        restored_ms: hours_ago(1),
        mismatched: vec![v1::MismatchedHost {
            host: "host-2".into(),
            why: "the agent has order 9, the store did not record it".into(),
            term: 6,
            since_ms: hours_ago(1),
        }],
        awaited: Vec::new(),
    }
}

#[tonic::async_trait]
impl admin::AdminService for Admin {
    async fn history(&self, _: Request<v1::StoreHistoryRequest>) -> Answer<v1::StoreHistory> {
        Ok(Response::new(history()))
    }

    async fn accept_restore(
        &self,
        request: Request<v1::AcceptRestoreRequest>,
    ) -> Answer<v1::StoreHistory> {
        if !request.into_inner().confirmed {
            let text = "host host-2 follows this store from now on";
            return Err(objects::unconfirmed("history", text));
        }
        Ok(Response::new(v1::StoreHistory {
            history: "two".into(),
            term: 7,
            awaited: vec!["host-1".into(), "host-2".into()],
            ..v1::StoreHistory::default()
        }))
    }

    async fn list_audit(
        &self,
        request: Request<v1::ListAuditRequest>,
    ) -> Answer<v1::ListAuditResponse> {
        let request = request.into_inner();
        let call =
            |sequence, who: &str, method: &str, (field, value): (&str, &str), result: &str| {
                v1::AuditedCall {
                    sequence,
                    time_ms: 1_795_000_000_000,
                    who: who.into(),
                    role: "operator".into(),
                    from: "192.0.2.7:51320".into(),
                    method: format!("berth.v1.{method}"),
                    about: vec![v1::AuditedField {
                        name: field.into(),
                        values: vec![value.into()],
                    }],
                    result: result.into(),
                }
            };
        let forged = "web\n\u{1b}[2Kroot\u{202e}";
        let calls = vec![
            call(41, "user ann", "SetService/Scale", ("name", "web"), "OK"),
            call(
                43,
                "user bob",
                "ObjectService/Delete",
                ("name", forged),
                "NOT_FOUND",
            ),
            call(
                45,
                "host host-1",
                "IdentityService/Renew",
                ("host", "host-1"),
                "",
            ),
        ];
        let calls = calls.into_iter().filter(|call| {
            request.since_ms <= call.time_ms
                && call.who.ends_with(&request.who)
                && call.method.contains(&request.method)
        });
        let calls = calls.collect();
        Ok(Response::new(v1::ListAuditResponse { calls }))
    }

    type BackupStream = Streamed<v1::BackupChunk>;

    async fn backup(&self, _: Request<v1::BackupRequest>) -> Answer<Self::BackupStream> {
        let header = Header {
            cluster: "c-1".into(),
            history: HistoryId("one".into()),
            opened: Term(4),
            revision: Revision(9),
            made: Timestamp(5),
            records: 0,
            sealed_with: Some("0a1b2c3d4e5f6071".into()),
        };
        let mut writer = Writer::default();
        let begin = writer.begin(&header).unwrap();
        let chunks = [begin, writer.end()].map(|data| Ok(v1::BackupChunk { data }));
        Ok(Response::new(Box::pin(iter(chunks))))
    }
}

/// The answer to a word about a host.
pub(crate) fn word(host: &str, typed: &str) -> Result<(), Status> {
    match host {
        "host-9" => Err(Status::not_found("host host-9 does not exist")),
        "host-1" => Err(Status::failed_precondition("host-1 is in contact")),
        host if typed == host => Ok(()),
        host => Err(objects::untyped(&format!("Host/{host}"))),
    }
}
