//! AdminService: the history of the store, and copies of it.

use berth_core::{
    audit::{Line, Wanted},
    error::chain,
    history::{Past, accept},
    ids::{HistoryId, HostName},
    state::State,
    store::{Batch, RecordKind},
    time::Timestamp,
};
use berth_proto::{
    convert::status::millis,
    v1::{
        AcceptRestoreRequest, AuditedCall, AuditedField, BackupChunk, BackupRequest,
        ListAuditRequest, ListAuditResponse, MismatchedHost, StoreHistory, StoreHistoryRequest,
        admin_service_server::AdminService,
    },
};
use tonic::{Request, Response, Status};

use super::{Streamed, status::ServiceError};
use crate::{
    context::Context,
    notes::{self, WARNING},
    state::{claims::write_as_known, keys::host_key, records::history_changes},
    store::{RecordError, backup},
};

/// Calls of the audit log that are shown if nobody says how many, and the most of them: a line has at most
/// a few kilobytes.
const CALLS: usize = 200;
const MOST_CALLS: usize = 1000;

/// The service.
#[derive(Debug)]
pub(super) struct Admin(pub(super) Context);

fn shown(state: &State) -> StoreHistory {
    let Past {
        restored,
        mismatched,
        awaited,
        ..
    } = &state.past;
    let mismatched = mismatched.iter().map(|(host, mismatch)| MismatchedHost {
        host: host.to_string(),
        why: mismatch.why.clone(),
        term: mismatch.term.0,
        since_ms: millis(Some(mismatch.since)),
    });
    StoreHistory {
        history: state.history.0.clone(),
        term: state.term.0,
        latched: state.past.is_latched(),
        restored_ms: millis(*restored),
        mismatched: mismatched.collect(),
        awaited: awaited.iter().map(ToString::to_string).collect(),
    }
}

/// What goes on as it is not wanted if the wrong store is accepted.
fn disruptions(state: &State) -> Vec<String> {
    let past = &state.past;
    let mismatched = past.mismatched.iter().map(|(host, mismatch)| {
        let why = &mismatch.why;
        format!("host {host} follows this store from now on ({why})")
    });
    let restored = past
        .restored
        .map(|_| "what was decided since the backup is forgotten".to_owned());
    let starts = "nothing is started before every host was heard of; members that this store does \
                  not know are stopped then, their data stays";
    mismatched
        .chain(restored)
        .chain([starts.to_owned()])
        .collect()
}

impl Admin {
    async fn accept(&self, confirmed: bool) -> Result<StoreHistory, ServiceError> {
        let context = &self.0;
        loop {
            let history = HistoryId(uuid::Uuid::now_v7().to_string());
            let (batch, after) = {
                let view = context.view.read();
                let after = accept(&view.state, history).map_err(|why| ServiceError::Refused {
                    rule: "NOTHING_TO_ACCEPT",
                    subject: "history".to_owned(),
                    message: why.to_string(),
                })?;
                if !confirmed {
                    let disruptions = disruptions(&view.state);
                    return Err(ServiceError::Unconfirmed { disruptions });
                }
                let mut batch = Batch::default();
                history_changes(&view, &after, &mut batch)?;
                for (name, host) in &after.hosts {
                    let before = view.state.hosts.get(name).map(|host| &host.record);
                    if before != Some(&host.record) {
                        let key = host_key(RecordKind::Host, name).map_err(RecordError::from)?;
                        write_as_known(&view, key, &host.record, &mut batch)?;
                    }
                }
                let text = format!("history {} begins in term {}", after.history, after.term);
                let note = notes::cluster(context.clock.now(), WARNING, "RestoreAccepted", text);
                batch.notes.push(note);
                (batch, after)
            };
            if context.commit(batch).await?.is_some() {
                // Each agent learns of the new history with its next hello.
                let why = "the history of the store was accepted; connect again";
                context.sessions.end_all(why);
                self.lose_contact();
                return Ok(shown(&after));
            }
        }
    }
}

impl Admin {
    /// What was said on streams that are ended does not count any more.
    fn lose_contact(&self) {
        let now = self.0.clock.now();
        let mut view = self.0.view.write();
        let names: Vec<HostName> = view.state.hosts.keys().cloned().collect();
        for host in names {
            let renewed = self.0.sessions.renewed(&host);
            if let Some(contact) = view.contact(&host) {
                contact.forget(renewed, now);
            }
        }
        drop(view);
        self.0.trigger.fire();
    }
}

/// A call of the log for the wire.
fn audited(line: Line) -> AuditedCall {
    let Line {
        seq, time, entry, ..
    } = line;
    let about = entry.about.into_iter();
    AuditedCall {
        sequence: seq,
        time_ms: millis(time.parse().ok()),
        who: entry.who,
        role: entry.role,
        from: entry.from,
        method: entry.method,
        about: about
            .map(|(name, values)| AuditedField { name, values })
            .collect(),
        result: entry.result.unwrap_or_default(),
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn history(
        &self,
        _request: Request<StoreHistoryRequest>,
    ) -> Result<Response<StoreHistory>, Status> {
        Ok(Response::new(shown(&self.0.view.read().state)))
    }

    async fn accept_restore(
        &self,
        request: Request<AcceptRestoreRequest>,
    ) -> Result<Response<StoreHistory>, Status> {
        let accepted = self.accept(request.into_inner().confirmed).await?;
        Ok(Response::new(accepted))
    }

    async fn list_audit(
        &self,
        request: Request<ListAuditRequest>,
    ) -> Result<Response<ListAuditResponse>, Status> {
        let request = request.into_inner();
        let limit = match usize::try_from(request.limit).unwrap_or(usize::MAX) {
            0 => CALLS,
            limit => limit.min(MOST_CALLS),
        };
        let wanted = Wanted {
            since: Timestamp(request.since_ms.try_into().unwrap_or_default()),
            who: request.who,
            method: request.method,
            limit,
        };
        let log = self.0.audit.clone();
        let listed = tokio::task::spawn_blocking(move || log.list(wanted)).await;
        let listed = listed.map_err(|_| Status::internal("the audit log was not read"))?;
        let lines = listed.map_err(|error| Status::internal(chain(&error)))?;
        let calls = lines.into_iter().map(audited).collect();
        Ok(Response::new(ListAuditResponse { calls }))
    }

    type BackupStream = Streamed<BackupChunk>;

    async fn backup(
        &self,
        _request: Request<BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        let now = self.0.clock.now();
        let chunks = backup::chunks(&self.0.store, now).map_err(ServiceError::from)?;
        let stream = tokio_stream::iter(chunks.map(|data| Ok(BackupChunk { data })));
        Ok(Response::new(Box::pin(stream)))
    }
}
