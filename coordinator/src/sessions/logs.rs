//! Log requests: each has a number on its agent's stream, and chunks come back under it.

use std::collections::BTreeMap;

use berth_core::ids::HostName;
use berth_proto::v1::{LogCancel, LogData, LogRequest, coordinator_message::Message};
use thiserror::Error;
use tokio::sync::mpsc;

use super::Sessions;

/// Chunks that may wait for a reader. One that is slower is cut off, so that it cannot hold up the
/// agent's reports.
const QUEUE: usize = 1_024;

/// Why there are no (more) log lines.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LogError {
    /// The host's agent has no stream.
    #[error("{host} is out of contact; ask there with 'berth local logs', or wait for it")]
    NoContact {
        /// The host.
        host: HostName,
    },
    /// The agent has none.
    #[error("{0}")]
    Agent(String),
    /// The reader did not keep up.
    #[error("the log was read too slowly; ask again, with fewer lines")]
    TooSlow,
}

#[derive(Debug, Default)]
pub(super) struct LogRoutes {
    next: u64,
    open: BTreeMap<u64, mpsc::Sender<Result<Vec<u8>, LogError>>>,
}

/// The chunks of one request. Dropping it tells the agent to stop.
#[derive(Debug)]
pub struct LogChunks {
    sessions: Sessions,
    host: HostName,
    stream: u64,
    id: u64,
    chunks: mpsc::Receiver<Result<Vec<u8>, LogError>>,
}

impl LogChunks {
    /// The next chunk; `None` after the last.
    ///
    /// # Errors
    /// Why there are no more.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, LogError>> {
        self.chunks.recv().await
    }
}

impl Drop for LogChunks {
    fn drop(&mut self) {
        let open = {
            let mut registry = self.sessions.registry();
            let slot = registry.slots.get_mut(&self.host);
            let slot = slot.filter(|slot| slot.link.stream == self.stream);
            slot.is_some_and(|slot| slot.logs.open.remove(&self.id).is_some())
        };
        if open {
            let cancel = Message::LogCancel(LogCancel { id: self.id });
            self.sessions
                .update(&self.host, self.stream, vec![cancel], |_| ());
        }
    }
}

impl Sessions {
    /// Asks a host's agent for a log. The request's number is filled in here.
    ///
    /// # Errors
    /// If the host is out of contact.
    pub fn logs(&self, host: &HostName, mut request: LogRequest) -> Result<LogChunks, LogError> {
        let (send, chunks) = mpsc::channel(QUEUE);
        let (stream, id) = {
            let mut registry = self.registry();
            let slot = registry.slots.get_mut(host);
            let slot = slot.ok_or_else(|| LogError::NoContact { host: host.clone() })?;
            let id = slot.logs.next;
            slot.logs.next += 1;
            slot.logs.open.insert(id, send);
            (slot.link.stream, id)
        };
        request.id = id;
        self.update(host, stream, vec![Message::LogRequest(request)], |_| ());
        Ok(LogChunks {
            sessions: self.clone(),
            host: host.clone(),
            stream,
            id,
            chunks,
        })
    }

    /// Hands a chunk to who asked for it.
    pub(super) fn log_data(&self, host: &HostName, stream: u64, data: LogData) {
        let mut registry = self.registry();
        let slot = registry.slots.get_mut(host);
        let Some(slot) = slot.filter(|slot| slot.link.stream == stream) else {
            return;
        };
        let Some(reader) = slot.logs.open.get(&data.id) else {
            return;
        };
        let mut done = data.end || !data.error.is_empty();
        if !data.data.is_empty() && reader.try_send(Ok(data.data)).is_err() {
            // What fits is read first; the last place is not kept free, so the reader may see an
            // end instead of this reason.
            reader.try_send(Err(LogError::TooSlow)).ok();
            done = true;
        }
        if !data.error.is_empty() {
            reader.try_send(Err(LogError::Agent(data.error))).ok();
        }
        if done {
            slot.logs.open.remove(&data.id);
        }
    }
}
