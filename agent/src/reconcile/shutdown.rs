//! A host that goes down: its members are stopped in order, and none is started, until it has booted
//! or the shutdown is taken back. Durable for the boot: an agent that is started anew goes on.

use berth_core::{
    ids::{BootId, MemberId},
    ledger::Record,
    member::Event,
    report::Phase,
    shutdown::{Leaving, turns},
};

use super::{Command, LocalError, Members, act::Actor, driver::Driver};
use crate::host::Host;

/// Whether the ledger says that this boot is being ended.
pub(super) fn is_under_way<H: Host>(actor: &Actor<H>) -> bool {
    actor.ledger.read().shutdown.as_ref() == Some(&actor.host.facts().boot)
}

impl<H: Host> Driver<H> {
    /// Takes in what the ledger says of a shutdown.
    pub(super) fn shutdown_changed(&mut self) {
        let now = is_under_way(&self.actor);
        if now == self.shutting_down {
            return;
        }
        self.shutting_down = now;
        match now {
            true => tracing::info!("the host goes down; its members are stopped in order"),
            false => tracing::info!("the host stays up; its members are started"),
        }
        let members: Vec<MemberId> = self.slots.keys().cloned().collect();
        for member in members {
            self.step(&member, Event::Barred(self.bar()));
            if !now {
                self.step(&member, Event::ShuttingDown(false));
            }
        }
        self.stop_in_turn();
    }

    /// While the host goes down, stops those whose turn it is.
    pub(super) fn stop_in_turn(&mut self) {
        if !self.shutting_down {
            return;
        }
        for member in self.turns() {
            let slot = self.slots.get(&member);
            if slot.is_some_and(|slot| !slot.machine.is_shutting_down()) {
                self.step(&member, Event::ShuttingDown(true));
            }
        }
    }

    fn turns(&self) -> Vec<MemberId> {
        let now = self.clock.now();
        let ledger = self.actor.ledger.read();
        let slots = self.slots.iter().map(|(member, slot)| {
            let phase = slot.machine.report(now).phase;
            let order = ledger.members.get(member);
            let depends_on = order.map_or(&[][..], |order| &order.depends_on);
            (member.clone(), Leaving { phase, depends_on })
        });
        turns(&slots.collect())
    }
}

impl Members {
    /// Stops all members in order, because the host goes down (`boot` is being ended), or lets them run
    /// again. Durable when this returns.
    ///
    /// # Errors
    /// If the ledger fails.
    pub async fn shut_down(&self, boot: Option<BootId>) -> Result<(), LocalError> {
        let one_at_a_time = std::sync::Arc::clone(&self.ordering).lock_owned().await;
        let record = Record::Shutdown { boot };
        Ok(self.write(record, Command::Shutdown, one_at_a_time).await?)
    }

    /// The members of which something is still here.
    ///
    /// # Errors
    /// If the agent is going down.
    pub async fn left(&self) -> Result<Vec<MemberId>, LocalError> {
        let changes = self.changes(None).await.ok_or(LocalError::Stopping)?;
        let members = changes.members.into_iter();
        let left = members.filter(|report| report.phase != Phase::Stopped);
        Ok(left.map(|report| report.member).collect())
    }
}
