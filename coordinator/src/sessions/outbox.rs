//! What waits to be sent to one agent. An agent that reads slowly, or not at all, costs a bounded amount
//! of memory: what follows from the state is offered only while little waits, and then it is the
//! difference to what was sent last, however often that changed meanwhile. One that reads nothing for a
//! while loses its stream, and gets what it lacks on the next.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context as Poller, Poll},
    time::Duration,
};

use berth_proto::v1::CoordinatorMessage;
use prost::Message as _;
use tokio::{sync::mpsc, time::sleep};
use tokio_stream::Stream;
use tonic::Status;

use crate::context::Trigger;

/// Messages that may wait for an agent to read them.
const QUEUE: usize = 1_024;
/// Orders and zones are sent while less than this waits, in bytes: one that takes all of it and more
/// goes out alone.
const ROOM: usize = 64 << 10;
/// An agent that reads nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// What goes to an agent.
pub(super) type Outgoing = Result<CoordinatorMessage, Status>;

/// No more fits, or nobody is there to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

#[derive(Debug, Default)]
struct Waiting {
    /// What waits, in bytes.
    bytes: AtomicUsize,
    /// Counts what was read.
    read: AtomicU64,
    /// Whether something was not sent for want of room.
    behind: AtomicBool,
}

/// The sending end. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Outbox {
    send: mpsc::Sender<(Outgoing, usize)>,
    waiting: Arc<Waiting>,
}

/// The other end, which the agent's stream is made of.
#[derive(Debug)]
pub struct Outbound {
    receive: mpsc::Receiver<(Outgoing, usize)>,
    waiting: Arc<Waiting>,
    trigger: Trigger,
}

/// A way to one agent. The trigger is fired when there is room again for what was held back.
pub(super) fn outbox(trigger: Trigger) -> (Outbox, Outbound) {
    let (send, receive) = mpsc::channel(QUEUE);
    let waiting = Arc::new(Waiting::default());
    let outbox = Outbox {
        send,
        waiting: Arc::clone(&waiting),
    };
    let outbound = Outbound {
        receive,
        waiting,
        trigger,
    };
    (outbox, outbound)
}

impl Outbox {
    /// Sends a message, without waiting.
    ///
    /// # Errors
    /// If too many wait already, or the stream has ended.
    pub(super) fn push(&self, message: Outgoing) -> Result<(), Full> {
        let bytes = size(&message);
        self.waiting.bytes.fetch_add(bytes, Ordering::AcqRel);
        self.send.try_send((message, bytes)).map_err(|_| {
            self.waiting.bytes.fetch_sub(bytes, Ordering::AcqRel);
            Full
        })
    }

    /// Whether an order or a zone may be sent now. If not, the trigger is fired once it may.
    pub(super) fn has_room(&self) -> bool {
        let room = || self.waiting.bytes.load(Ordering::Acquire) < ROOM;
        if room() {
            return true;
        }
        self.waiting.behind.store(true, Ordering::Release);
        // It may have been read in between, by one who did not see that it is waited for.
        room()
    }

    /// Returns when the agent is gone, or reads nothing any more.
    pub(super) async fn gone(&self) {
        tokio::select! {
            () = self.send.closed() => {}
            () = self.stalled() => {}
        }
    }

    async fn stalled(&self) {
        let look = || {
            let waits = self.waiting.bytes.load(Ordering::Acquire) > 0;
            (waits, self.waiting.read.load(Ordering::Acquire))
        };
        let mut before = look();
        loop {
            sleep(PATIENCE).await;
            let now = look();
            if now.0 && now == before {
                return;
            }
            before = now;
        }
    }
}

fn size(message: &Outgoing) -> usize {
    // Nothing weighs nothing: a stream whose last word waits is not at rest.
    message.as_ref().map_or(1, |m| m.encoded_len().max(1))
}

impl Stream for Outbound {
    type Item = Outgoing;

    fn poll_next(mut self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Option<Outgoing>> {
        let polled = self.receive.poll_recv(poller);
        polled.map(|next| {
            let (message, bytes) = next?;
            let waiting = &self.waiting;
            waiting.read.fetch_add(1, Ordering::AcqRel);
            let left = waiting.bytes.fetch_sub(bytes, Ordering::AcqRel) - bytes;
            if left < ROOM && waiting.behind.swap(false, Ordering::AcqRel) {
                self.trigger.fire();
            }
            Some(message)
        })
    }
}

#[cfg(test)]
mod tests {
    use berth_proto::v1::{Order, RenewAck, coordinator_message::Message};
    use tokio::time::{advance, timeout};
    use tokio_stream::StreamExt as _;

    use super::*;

    fn message(message: Message) -> Outgoing {
        Ok(CoordinatorMessage {
            message: Some(message),
        })
    }

    fn order(bytes: usize) -> Outgoing {
        message(Message::Order(Order {
            upserts: vec![vec![7; bytes]],
            ..Order::default()
        }))
    }

    fn ack() -> Outgoing {
        message(Message::RenewAck(RenewAck {
            number: 1,
            running_only: false,
        }))
    }

    #[tokio::test]
    async fn what_does_not_fit_is_held_back_until_it_does() {
        let trigger = Trigger::default();
        let (outbox, mut outbound) = outbox(trigger.clone());
        let mut sent = 0;
        while outbox.has_room() {
            outbox.push(order(10 << 10)).unwrap();
            sent += 1;
        }
        assert!((6..=7).contains(&sent), "{sent}");
        // Small things that do not follow from the state still go out.
        outbox.push(ack()).unwrap();
        assert!(!outbox.has_room());
        outbound.next().await.unwrap().unwrap();
        timeout(PATIENCE, trigger.fired()).await.unwrap();
        assert!(outbox.has_room());
    }

    #[tokio::test]
    async fn one_that_is_larger_than_all_room_goes_out_alone() {
        let (outbox, mut outbound) = outbox(Trigger::default());
        assert!(outbox.has_room());
        outbox.push(order(10 * ROOM)).unwrap();
        assert!(!outbox.has_room());
        outbound.next().await.unwrap().unwrap();
        assert!(outbox.has_room());
    }

    #[tokio::test]
    async fn so_many_messages_and_no_more() {
        let (outbox, _outbound) = outbox(Trigger::default());
        for _ in 0..QUEUE {
            outbox.push(ack()).unwrap();
        }
        assert_eq!(outbox.push(ack()), Err(Full));
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_is_given_up_and_who_reads_slowly_is_not() {
        let (outbox, mut outbound) = outbox(Trigger::default());
        let gone =
            |outbox: Outbox| async move { timeout(4 * PATIENCE, outbox.gone()).await.is_ok() };
        assert!(!gone(outbox.clone()).await, "nothing waits");
        for _ in 0..20 {
            outbox.push(ack()).unwrap();
        }
        let slow = async {
            for _ in 0..12 {
                advance(PATIENCE / 2).await;
                outbound.next().await.unwrap().unwrap();
            }
        };
        let (given_up, ()) = tokio::join!(gone(outbox.clone()), slow);
        assert!(!given_up, "it reads");
        assert!(gone(outbox.clone()).await, "it does not any more");
        drop(outbound);
        assert!(gone(outbox).await);
    }
}
