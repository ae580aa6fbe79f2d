//! Programs that operators run in members: the agent is told over its stream, and opens another one
//! for each. The two ends meet here by a ticket; what goes between them is bounded at every step, so
//! that a slow reader holds back the program and fills nothing.

use std::collections::BTreeMap;

use berth_core::{access::Rights, ids::HostName};
use berth_proto::v1::{
    ExecCommand, ExecInput, ExecOrder, ExecOutput, coordinator_message::Message,
};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tonic::Streaming;
use uuid::Uuid;

use super::Sessions;

/// Why a program cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExecError {
    /// The host's agent has no stream.
    #[error(
        "{host} is out of contact, so nothing can be run there; wait for it, or work on the host itself"
    )]
    NoContact {
        /// The host.
        host: HostName,
    },
    /// The agent's stream ended before the program was there.
    #[error("the stream of the host ended before the program was there; run it again")]
    StreamLost,
}

/// The agent's end of a program.
#[derive(Debug)]
pub struct ExecEnds {
    /// What the program says.
    pub output: Streaming<ExecOutput>,
    /// What it is told.
    pub input: mpsc::Sender<ExecInput>,
}

/// A program that an agent was told to run. Dropped, nobody waits for it any more.
#[derive(Debug)]
pub struct ExecTicket {
    sessions: Sessions,
    ticket: String,
    arrival: oneshot::Receiver<ExecEnds>,
}

impl ExecTicket {
    /// Waits for the agent.
    ///
    /// # Errors
    /// If it will not come any more.
    pub async fn arrival(&mut self) -> Result<ExecEnds, ExecError> {
        (&mut self.arrival).await.map_err(|_| ExecError::StreamLost)
    }
}

impl Drop for ExecTicket {
    fn drop(&mut self) {
        self.sessions.registry().programs.remove(&self.ticket);
    }
}

/// Takes out who waits for a ticket, if it was given to a host that these rights are of.
pub(super) fn arrived<T>(
    waiting: &mut BTreeMap<String, (HostName, T)>,
    ticket: &str,
    rights: &Rights,
) -> Option<T> {
    let (host, _) = waiting.get(ticket)?;
    let theirs = rights.speak_for(host).then(|| waiting.remove(ticket));
    theirs.flatten().map(|(_, waits)| waits)
}

impl Sessions {
    /// Tells a host's agent to run a program.
    ///
    /// # Errors
    /// If the host is out of contact.
    pub fn exec(&self, host: &HostName, command: ExecCommand) -> Result<ExecTicket, ExecError> {
        let ticket = Uuid::now_v7().to_string();
        let (arrives, arrival) = oneshot::channel();
        let stream = {
            let mut registry = self.registry();
            let slot = registry.slots.get(host);
            let slot = slot.ok_or_else(|| ExecError::NoContact { host: host.clone() })?;
            let stream = slot.stream;
            registry
                .programs
                .insert(ticket.clone(), (host.clone(), arrives));
            stream
        };
        let order = ExecOrder {
            ticket: ticket.clone(),
            command: Some(command),
        };
        self.update(host, stream, vec![Message::ExecOrder(order)], |_| ());
        Ok(ExecTicket {
            sessions: self.clone(),
            ticket,
            arrival,
        })
    }

    /// An agent's stream for a program; false if nobody waits for it from there.
    pub fn exec_arrived(&self, ticket: &str, rights: &Rights, ends: ExecEnds) -> bool {
        let waits = arrived(&mut self.registry().programs, ticket, rights);
        waits.is_some_and(|waits| waits.send(ends).is_ok())
    }
}
