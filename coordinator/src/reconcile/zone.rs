//! The published zone, ready to be sent: its records are those of the moment in which its head was
//! committed, whatever the agents reported since.

use berth_core::{
    state::ZoneHead,
    zone::{self, Zone},
};
use berth_proto::{convert, v1::coordinator_message::Message};

use super::orders::synced;
use crate::context::Context;

/// Keeps the published zone and knows who has it.
#[derive(Debug, Default)]
pub(super) struct ZoneKeeper {
    current: Option<(ZoneHead, Vec<Message>)>,
}

impl ZoneKeeper {
    /// Notes the zone whose head was committed.
    pub(super) fn published(&mut self, zone: Zone) {
        let head = ZoneHead {
            serial: zone.serial,
            hash: zone.hash(),
        };
        match convert::zone::chunks(&zone, &head.hash) {
            Ok(chunks) => {
                let messages = chunks.into_iter().map(Message::Zone).collect();
                self.current = Some((head, messages));
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the zone cannot be written");
            }
        }
    }

    /// Sends the zone to every synced agent that does not have it.
    pub(super) fn push(&mut self, context: &Context) {
        if self.current.is_none() {
            self.restore(context);
        }
        let Some((head, messages)) = &self.current else {
            return;
        };
        for (host, link) in synced(&context.sessions.links()) {
            if link.zone.as_ref() == Some(head) {
                continue;
            }
            // Where there is no room, the newest follows when there is.
            let _ = context
                .sessions
                .offer(host, link.stream, messages.clone(), |link| {
                    link.zone = Some(head.clone());
                });
        }
    }

    /// After a start nothing was published yet: the records follow from the state, if they still
    /// do. If not, the next plan publishes.
    fn restore(&mut self, context: &Context) {
        let (zone, head) = {
            let view = context.view.read();
            (zone::build(&view.state), view.state.zone.clone())
        };
        if zone.hash() == head.hash {
            self.published(zone);
        }
    }
}
