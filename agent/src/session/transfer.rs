//! The data of members that move: each volume on a connection of its own to the coordinator, which joins
//! it with that of the other host. What the other host does not take holds the helper here back, and
//! nothing else.

use std::{pin::pin, sync::Arc};

use berth_core::{ids::HostName, volume::work::VolumeWork, waiting::Reason};
use berth_proto::{
    convert::work::{Numbered, Sending},
    transport::Remote,
    v1::{
        SendOrder, TransferEnd, TransferHead, TransferPart, TransferWish,
        agent_service_client::AgentServiceClient, transfer_part::Part,
    },
};
use futures_util::future::{Either, select};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::{
    host::{Host, VolumePart, step_failed},
    ledger::LedgerStore,
};

/// Parts that wait to be sent, or to be taken.
const QUEUE: usize = 4;

/// An end of a transfer.
pub(super) struct Ends<H> {
    pub(super) coordinator: Remote,
    pub(super) name: HostName,
    pub(super) host: Arc<H>,
    pub(super) ledger: LedgerStore,
}

impl<H: Host> Ends<H> {
    async fn open(
        &self,
        first: Part,
    ) -> Result<(mpsc::Sender<TransferPart>, Streaming<TransferPart>), Status> {
        let channel = self.coordinator.connect().await;
        let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
        let (out, queue) = mpsc::channel(QUEUE);
        say(&out, first).await;
        let mut client = AgentServiceClient::new(channel);
        let incoming = client.transfer(ReceiverStream::new(queue)).await?;
        Ok((out, incoming.into_inner()))
    }

    /// Makes a volume of what another host sends.
    pub(super) async fn receive(&self, work: Numbered<VolumeWork>) -> Result<(), Reason> {
        let Numbered { id, of: work } = work;
        let wish = TransferWish {
            host: self.name.to_string(),
            volume: work.volume.to_string(),
            id,
        };
        let refused = |status: Status| step_failed("ask for the data", status.message());
        // Held until all is there: its end would tell that nobody listens.
        let (_wish, incoming) = self.open(Part::Wish(wish)).await.map_err(refused)?;
        let (parts, taken) = mpsc::channel(QUEUE);
        let receiving = pin!(self.host.receive_volume(work, taken));
        let taking = pin!(take(incoming, parts));
        // The other host waits until this one has done with what it sent.
        match select(receiving, taking).await {
            Either::Left((received, _)) => received,
            Either::Right(((), receiving)) => receiving.await,
        }
    }

    /// Sends what another host asked for.
    pub(super) async fn send(self, order: SendOrder) {
        let Ok(Sending { ticket, work }) = order.try_into() else {
            tracing::error!("what is to be sent cannot be read");
            return;
        };
        let volume = work.volume.clone();
        let (out, mut listens) = match self.open(Part::Ticket(ticket)).await {
            Ok(ends) => ends,
            Err(status) => {
                tracing::warn!(%volume, %status, "data that is to be sent has no receiver");
                return;
            }
        };
        let (parts, taken) = mpsc::channel(QUEUE);
        let sending = async {
            let (sent, ()) = tokio::join!(self.read(work, parts), tell(taken, &out));
            sent
        };
        let sent = tokio::select! {
            sent = sending => sent,
            // Nothing is ever said on it.
            _ = listens.message() => {
                tracing::warn!(%volume, "nobody takes its data any more");
                return;
            }
        };
        let error = sent.err().map(|reason| reason.to_string());
        match &error {
            None => tracing::info!(%volume, "its data was sent"),
            Some(error) => tracing::warn!(%volume, error, "its data cannot be sent"),
        }
        let error = error.unwrap_or_default();
        say(&out, Part::End(TransferEnd { error })).await;
        // The last part is on its way; it is read before the stream is closed.
        drop(listens.message().await);
    }

    async fn read(&self, work: VolumeWork, parts: mpsc::Sender<VolumePart>) -> Result<(), Reason> {
        // A run of it may be about to begin.
        let user = self.ledger.read().user_of(&work.source);
        if let Some(member) = user {
            return Err(Reason::VolumeBusy {
                volume: work.volume.name.to_string(),
                by: format!("member {member}, which is to run"),
            });
        }
        self.host.send_volume(work, parts).await
    }
}

/// What comes from the other host, until that was all or nobody takes it any more.
async fn take(mut incoming: Streaming<TransferPart>, parts: mpsc::Sender<VolumePart>) {
    loop {
        let part = match incoming.message().await {
            Ok(Some(TransferPart { part: Some(part) })) => part,
            Ok(Some(TransferPart { part: None }) | None) => return,
            Err(status) => {
                let error = status.message().to_owned();
                drop(parts.send(VolumePart::Failed(error)).await);
                return;
            }
        };
        let last = matches!(part, Part::End(_));
        let part = match part {
            Part::Head(head) => match head.try_into() {
                Ok(weight) => VolumePart::Weight(weight),
                Err(error) => VolumePart::Failed(format!("what is sent cannot be read: {error}")),
            },
            Part::Data(data) => VolumePart::Data(data),
            Part::End(TransferEnd { error }) if error.is_empty() => VolumePart::End,
            Part::End(TransferEnd { error }) => VolumePart::Failed(error),
            Part::Wish(_) | Part::Ticket(_) => continue,
        };
        if parts.send(part).await.is_err() || last {
            return;
        }
    }
}

/// What goes to the other host; what became of it all is told after that.
async fn tell(mut parts: mpsc::Receiver<VolumePart>, out: &mpsc::Sender<TransferPart>) {
    while let Some(part) = parts.recv().await {
        let part = match part {
            VolumePart::Weight(weight) => match TransferHead::try_from(&weight) {
                Ok(head) => Part::Head(head),
                Err(error) => {
                    tracing::error!(%error, "what is sent cannot be told");
                    return;
                }
            },
            VolumePart::Data(data) => Part::Data(data),
            VolumePart::End | VolumePart::Failed(_) => return,
        };
        say(out, part).await;
    }
}

async fn say(out: &mpsc::Sender<TransferPart>, part: Part) {
    let part = Some(part);
    // A receiver that is gone is found out by its end.
    drop(out.send(TransferPart { part }).await);
}
