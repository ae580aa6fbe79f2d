//! The data of members that move, from the stream of the host that sends it to that of the host that
//! receives it. Each part is taken from the one when the other has room for it: nothing is kept here.

use std::time::Duration;

use berth_core::{
    access::Rights,
    ids::{HostName, MemberId, ObjectKey},
    volume::{transfer::sending, work::VolumeWork},
};
use berth_proto::v1::{TransferPart, TransferWish, transfer_part::Part};
use futures_util::{StreamExt as _, stream};
use tokio::{sync::oneshot, time::timeout};
use tonic::{Status, Streaming};

use super::{Streamed, status::ServiceError};
use crate::{
    context::Context,
    sessions::{Arriving, Progress, Transfer},
    volume_work,
};

/// How long the host that has the data may take to open its stream.
const ARRIVAL: Duration = Duration::from_secs(15);

/// Takes an agent's stream, whichever end it is.
pub(super) async fn open(
    context: &Context,
    rights: &Rights,
    mut parts: Streaming<TransferPart>,
) -> Result<Streamed<TransferPart>, Status> {
    let first = parts.message().await?.and_then(|first| first.part);
    match first {
        Some(Part::Wish(wish)) => receive(context, rights, wish).await,
        Some(Part::Ticket(ticket)) => send(context, rights, &ticket, parts),
        Some(Part::Head(_) | Part::Data(_) | Part::End(_)) | None => Err(Status::invalid_argument(
            "the first part is a wish or a ticket",
        )),
    }
}

/// Who is to send what, for whom.
struct Asked {
    volume: ObjectKey,
    member: MemberId,
    host: HostName,
    work: VolumeWork,
}

/// What a wish asks for, if its host was given that work and it is still to be done.
fn asked(context: &Context, rights: &Rights, wish: &TransferWish) -> Option<Asked> {
    let host: HostName = wish.host.parse().ok()?;
    rights.speak_for(&host).then_some(())?;
    let volume: ObjectKey = wish.volume.parse().ok()?;
    let view = context.view.read();
    let record = view.state.volumes.get(&volume)?;
    let own = record.source.host() == Some(&host);
    let current = volume_work::number(&view, &volume, record) == wish.id;
    let given = context.sessions.works_on(&host, &volume, wish.id);
    (own && current && given).then_some(())?;
    let claim = &record.claim.as_ref()?.key;
    let member = view.state.claims.get(claim)?.member.clone()?;
    let (host, work) = sending(&view.state, &volume)?;
    Some(Asked {
        volume,
        member,
        host,
        work,
    })
}

async fn receive(
    context: &Context,
    rights: &Rights,
    wish: TransferWish,
) -> Result<Streamed<TransferPart>, Status> {
    let asked = asked(context, rights, &wish);
    let asked = asked.ok_or_else(|| Status::not_found("this data is not asked for any more"))?;
    let Asked {
        volume,
        member,
        host,
        work,
    } = asked;
    let transfer = context.sessions.transfer(&host, (&volume, &member), work);
    let transfer = transfer.map_err(ServiceError::Convert)?;
    let mut transfer = transfer.map_err(ServiceError::from)?;
    let arrival = timeout(ARRIVAL, transfer.arrival()).await;
    let arrival = arrival.map_err(|_| Status::unavailable(format!("{host} does not answer")))?;
    let arrival = arrival.map_err(ServiceError::from)?;
    let relay = Relay {
        context: context.clone(),
        transfer,
        arrival,
        progress: Progress::default(),
    };
    let parts = stream::unfold(relay, |mut relay| async {
        let part = relay.next().await.transpose()?;
        Some((part, relay))
    });
    let parts = parts.take_until(context.shutdown.clone().cancelled_owned());
    Ok(Box::pin(parts))
}

/// What goes from one host to the other. Dropped, the sender learns that nobody listens.
struct Relay {
    context: Context,
    transfer: Transfer,
    arrival: Arriving,
    progress: Progress,
}

impl Relay {
    async fn next(&mut self) -> Result<Option<TransferPart>, Status> {
        let part = self.arrival.parts.message().await?;
        match part.as_ref().and_then(|part| part.part.as_ref()) {
            Some(Part::Head(head)) => self.progress.total = head.bytes,
            Some(Part::Data(data)) => {
                let sent = u64::try_from(data.len()).unwrap_or(u64::MAX);
                self.progress.copied = self.progress.copied.saturating_add(sent);
            }
            Some(Part::Wish(_) | Part::Ticket(_) | Part::End(_)) | None => return Ok(part),
        }
        // An archive is a little longer than the files in it.
        let copied = self.progress.copied.min(self.progress.total);
        let told = Progress {
            copied,
            ..self.progress
        };
        if self.transfer.progress(told) {
            self.context.trigger.fire();
        }
        Ok(part)
    }
}

/// The stream of a host that sends: it is answered with nothing, until nobody listens any more.
fn send(
    context: &Context,
    rights: &Rights,
    ticket: &str,
    parts: Streaming<TransferPart>,
) -> Result<Streamed<TransferPart>, Status> {
    let (listener, mut listens) = oneshot::channel();
    if !context
        .sessions
        .sender_arrived(ticket, rights, Arriving { parts, listener })
    {
        return Err(Status::not_found("nobody waits for this data any more"));
    }
    let over = stream::once(async move {
        // Nothing is ever said: it is dropped.
        drop((&mut listens).await);
    });
    let nothing = over.filter_map(|()| async { None });
    let nothing = nothing.take_until(context.shutdown.clone().cancelled_owned());
    Ok(Box::pin(nothing))
}
