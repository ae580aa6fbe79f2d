//! AdminService: the history of the store, and copies of it.

use berth_core::{
    history::{Past, accept},
    ids::{HistoryId, HostName},
    state::State,
    store::{Batch, RecordKind},
};
use berth_proto::{
    convert::status::millis,
    v1::{
        AcceptRestoreRequest, BackupChunk, BackupRequest, MismatchedHost, StoreHistory,
        StoreHistoryRequest, admin_service_server::AdminService,
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
