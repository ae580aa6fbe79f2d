//! Log requests: each has a number on its agent's stream, and chunks come back under it.

use std::collections::BTreeMap;

use berth_core::ids::HostName;
use berth_proto::v1::{LogCancel, LogData, LogRequest, coordinator_message::Message};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

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
    /// The agent's stream ended before the log did.
    #[error("the stream of the host ended before the log did; ask again")]
    StreamLost,
}

#[derive(Debug, Default)]
pub(super) struct LogRoutes {
    next: u64,
    open: BTreeMap<u64, Route>,
}

/// The way to one reader. The end has a channel of its own, so that it arrives although the chunks
/// leave no room; dropped without a word, the stream was lost.
#[derive(Debug)]
struct Route {
    chunks: mpsc::Sender<Vec<u8>>,
    end: oneshot::Sender<Result<(), LogError>>,
}

/// The chunks of one request. Dropping it tells the agent to stop.
#[derive(Debug)]
pub struct LogChunks {
    sessions: Sessions,
    host: HostName,
    stream: u64,
    id: u64,
    chunks: mpsc::Receiver<Vec<u8>>,
    end: Option<oneshot::Receiver<Result<(), LogError>>>,
}

impl LogChunks {
    /// The next chunk; `None` after the last.
    ///
    /// # Errors
    /// Why there are no more.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, LogError>> {
        if let Some(chunk) = self.chunks.recv().await {
            return Some(Ok(chunk));
        }
        let end = self.end.take()?.await;
        end.unwrap_or(Err(LogError::StreamLost)).err().map(Err)
    }
}

impl Drop for LogChunks {
    fn drop(&mut self) {
        let open = {
            let mut registry = self.sessions.registry();
            let slot = registry.slot(&self.host, self.stream);
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
        let (tell_end, end) = oneshot::channel();
        let route = Route {
            chunks: send,
            end: tell_end,
        };
        let (stream, id) = {
            let mut registry = self.registry();
            let slot = registry.slots.get_mut(host);
            let slot = slot.ok_or_else(|| LogError::NoContact { host: host.clone() })?;
            let id = slot.logs.next;
            slot.logs.next += 1;
            slot.logs.open.insert(id, route);
            (slot.stream, id)
        };
        request.id = id;
        self.update(host, stream, vec![Message::LogRequest(request)], |_| ());
        Ok(LogChunks {
            sessions: self.clone(),
            host: host.clone(),
            stream,
            id,
            chunks,
            end: Some(end),
        })
    }

    /// Hands a chunk to who asked for it.
    pub(super) fn log_data(&self, host: &HostName, stream: u64, data: LogData) {
        let id = data.id;
        let too_slow = {
            let mut registry = self.registry();
            let slot = registry.slot(host, stream);
            slot.is_some_and(|slot| slot.logs.take(data) == Err(LogError::TooSlow))
        };
        if too_slow {
            let cancel = Message::LogCancel(LogCancel { id });
            self.update(host, stream, vec![cancel], |_| ());
        }
    }
}

impl LogRoutes {
    /// Hands a chunk on, and the end if this is it; how it ended for the reader, if it failed.
    fn take(&mut self, data: LogData) -> Result<(), LogError> {
        let Some(route) = self.open.get(&data.id) else {
            return Ok(());
        };
        let slow = !data.data.is_empty() && route.chunks.try_send(data.data).is_err();
        let end = match (slow, data.error.is_empty()) {
            (true, _) => Err(LogError::TooSlow),
            (false, false) => Err(LogError::Agent(data.error)),
            (false, true) if data.end => Ok(()),
            (false, true) => return Ok(()),
        };
        if let Some(route) = self.open.remove(&data.id) {
            // The reader may have gone.
            route.end.send(end.clone()).ok();
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(routes: &mut LogRoutes) -> LogChunks {
        let (send, chunks) = mpsc::channel(2);
        let (tell_end, end) = oneshot::channel();
        let route = Route {
            chunks: send,
            end: tell_end,
        };
        routes.open.insert(7, route);
        LogChunks {
            sessions: Sessions::default(),
            host: "host-1".parse().unwrap(),
            stream: 0,
            id: 7,
            chunks,
            end: Some(end),
        }
    }

    fn chunk(end: bool) -> LogData {
        LogData {
            id: 7,
            data: b"line\n".to_vec(),
            end,
            error: String::new(),
        }
    }

    async fn read(mut chunks: LogChunks) -> (usize, Option<LogError>) {
        let mut count = 0;
        loop {
            match chunks.next().await {
                Some(Ok(_)) => count += 1,
                Some(Err(error)) => return (count, Some(error)),
                None => return (count, None),
            }
        }
    }

    #[tokio::test]
    async fn a_reader_that_is_too_slow_is_told_so_after_what_fitted() {
        let mut routes = LogRoutes::default();
        let chunks = route(&mut routes);
        assert_eq!(routes.take(chunk(false)), Ok(()));
        assert_eq!(routes.take(chunk(false)), Ok(()));
        assert_eq!(routes.take(chunk(true)), Err(LogError::TooSlow));
        assert_eq!(read(chunks).await, (2, Some(LogError::TooSlow)));
    }

    #[tokio::test]
    async fn a_log_ends_cleanly_only_with_its_end() {
        let mut routes = LogRoutes::default();
        let chunks = route(&mut routes);
        assert_eq!(routes.take(chunk(true)), Ok(()));
        assert_eq!(read(chunks).await, (1, None));
        let chunks = route(&mut routes);
        assert_eq!(routes.take(chunk(false)), Ok(()));
        drop(routes);
        assert_eq!(read(chunks).await, (1, Some(LogError::StreamLost)));
    }
}
