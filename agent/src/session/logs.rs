//! Logs that the coordinator asked for: each is a task of its own, ended by its end, by a cancel,
//! or with the session.

use std::collections::BTreeMap;

use berth_core::ids::{IdError, MemberId, ProcessName};
use berth_proto::v1::{AgentMessage, LogData, LogRequest, agent_message::Message};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::stream::send;
use crate::{
    host::Host,
    ledger::LedgerStore,
    logs::{self, LogQuery},
};

/// Chunks that wait to be sent; a slow reader holds the file back, not the agent.
const CHUNKS: usize = 4;

/// The logs that are being sent.
pub(super) struct Tails {
    out: mpsc::Sender<AgentMessage>,
    open: BTreeMap<u64, DropGuard>,
}

impl Tails {
    pub(super) fn new(out: mpsc::Sender<AgentMessage>) -> Self {
        Self {
            out,
            open: BTreeMap::new(),
        }
    }

    pub(super) fn end(&mut self, id: u64) {
        self.open.remove(&id);
    }

    /// Sends a log, and at its end a message without data that says so.
    pub(super) fn begin<H: Host>(&mut self, host: &H, ledger: &LedgerStore, request: LogRequest) {
        let stop = CancellationToken::new();
        self.open.insert(request.id, stop.clone().drop_guard());
        let target = parse(&request).map(|(member, process)| {
            let process = process.or_else(|| first_process(ledger, &member));
            (host.log_dir(&member), process)
        });
        let (out, id) = (self.out.clone(), request.id);
        let query = LogQuery {
            follow: request.follow,
            previous: request.previous,
            tail_lines: request.tail_lines,
        };
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            let error = match target {
                Ok((dir, Some(process))) => {
                    let (chunks, queue) = mpsc::channel(CHUNKS);
                    let reading = async {
                        let result = logs::read(&dir, &process, query, &chunks).await;
                        drop(chunks);
                        result
                    };
                    let (result, ()) = tokio::join!(reading, forward(id, queue, &out));
                    result.err().map(|error| error.to_string())
                }
                Ok((_, None)) => Some("there is no such member on this host".to_owned()),
                Err(error) => Some(error.to_string()),
            };
            let last = LogData {
                id,
                data: Vec::new(),
                end: true,
                error: error.unwrap_or_default(),
            };
            // A session that ended needs no last word.
            drop(send(&out, Message::LogData(last)).await);
        }));
    }
}

async fn forward(id: u64, mut chunks: mpsc::Receiver<Vec<u8>>, out: &mpsc::Sender<AgentMessage>) {
    while let Some(data) = chunks.recv().await {
        let message = LogData {
            id,
            data,
            end: false,
            error: String::new(),
        };
        if send(out, Message::LogData(message)).await.is_err() {
            return;
        }
    }
}

fn parse(request: &LogRequest) -> Result<(MemberId, Option<ProcessName>), IdError> {
    let process = match request.process.as_str() {
        "" => None,
        name => Some(name.parse()?),
    };
    Ok((request.member.parse()?, process))
}

/// The first process of a member's template.
pub(crate) fn first_process(ledger: &LedgerStore, member: &MemberId) -> Option<ProcessName> {
    let ledger = ledger.read();
    let order = ledger
        .members
        .get(member)
        .or_else(|| ledger.leaving.get(member))?;
    order.template.processes.first()?.name.parse().ok()
}
