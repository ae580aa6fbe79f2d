//! The data of members that move: the host that receives it comes with its wish, the one that has it is
//! asked over its stream and comes with a ticket. The two meet here, as the two ends of a program do;
//! nothing is kept but how far each is.

use berth_core::{
    access::Rights,
    ids::{HostName, MemberId, ObjectKey},
    volume::work::VolumeWork,
};
use berth_proto::{
    convert::{ConvertError, work::Sending},
    v1::{SendOrder, TransferPart, coordinator_message::Message},
};
use tokio::sync::oneshot;
use tonic::Streaming;
use uuid::Uuid;

use super::{ExecError, Sessions, exec::arrived};

/// What is sent, and what the sender learns the end by: it is dropped when nobody listens any more.
#[derive(Debug)]
pub struct Arriving {
    /// What the host sends.
    pub parts: Streaming<TransferPart>,
    /// Ends the answer that the sender waits on.
    pub listener: oneshot::Sender<()>,
}

/// How far the data of a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// How much was sent, in bytes.
    pub copied: u64,
    /// How much there is, in bytes; 0 while that is not known.
    pub total: u64,
}

/// A transfer that goes on. Dropped, it is over, and nobody waits for its sender any more.
#[derive(Debug)]
pub struct Transfer {
    sessions: Sessions,
    ticket: String,
    volume: ObjectKey,
    arrival: oneshot::Receiver<Arriving>,
}

impl Transfer {
    /// Waits for the host that sends.
    ///
    /// # Errors
    /// If it will not come any more.
    pub async fn arrival(&mut self) -> Result<Arriving, ExecError> {
        (&mut self.arrival).await.map_err(|_| ExecError::StreamLost)
    }

    /// Notes how far it is; whether that is worth telling: a hundredth more than what was told last.
    pub fn progress(&self, now: Progress) -> bool {
        let mut registry = self.sessions.registry();
        let Some(known) = registry.transfers.get_mut(&self.volume) else {
            return false;
        };
        let hundredth = (now.total / 100).max(1);
        let news = known.1.total != now.total || now.copied >= known.1.copied + hundredth;
        if news {
            known.1 = now;
        }
        news
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        let mut registry = self.sessions.registry();
        registry.senders.remove(&self.ticket);
        registry.transfers.remove(&self.volume);
    }
}

impl Sessions {
    /// Whether a host was given a work and has not answered it.
    pub fn works_on(&self, host: &HostName, volume: &ObjectKey, id: u64) -> bool {
        let registry = self.registry();
        let link = registry.links.get(host);
        link.is_some_and(|link| link.work.get(volume) == Some(&id))
    }

    /// Asks a host to send what `volume` is to hold, for a member.
    ///
    /// # Errors
    /// If the host is out of contact, or the question cannot be written.
    pub fn transfer(
        &self,
        host: &HostName,
        (volume, member): (&ObjectKey, &MemberId),
        work: VolumeWork,
    ) -> Result<Result<Transfer, ExecError>, ConvertError> {
        let ticket = Uuid::now_v7().to_string();
        let order = SendOrder::try_from(Sending {
            ticket: ticket.clone(),
            work,
        })?;
        let (arrives, arrival) = oneshot::channel();
        let stream = {
            let mut registry = self.registry();
            let Some(slot) = registry.slots.get(host) else {
                return Ok(Err(ExecError::NoContact { host: host.clone() }));
            };
            let stream = slot.stream;
            registry
                .senders
                .insert(ticket.clone(), (host.clone(), arrives));
            let about = (member.clone(), Progress::default());
            registry.transfers.insert(volume.clone(), about);
            stream
        };
        self.update(host, stream, vec![Message::SendOrder(order)], |_| ());
        Ok(Ok(Transfer {
            sessions: self.clone(),
            ticket,
            volume: volume.clone(),
            arrival,
        }))
    }

    /// The stream of a host that sends; false if nobody waits for it from there.
    pub fn sender_arrived(&self, ticket: &str, rights: &Rights, arriving: Arriving) -> bool {
        let waits = arrived(&mut self.registry().senders, ticket, rights);
        waits.is_some_and(|waits| waits.send(arriving).is_ok())
    }

    /// How far the members are whose data is being sent. One with several volumes has several.
    pub fn transfers(&self) -> Vec<(MemberId, Progress)> {
        self.registry().transfers.values().cloned().collect()
    }
}
