//! What befalls hosts: agents crash, power and links fail, processes and keepers die. What stands still is
//! in [`super::freeze`], what hangs or is fenced in [`super::fence`].

use std::time::Duration;

use crate::{
    bug::{self, Bug},
    ids::{HostName, MemberId},
    member::ProcessChange,
    sim::{net::Happening, world::World},
};

impl World {
    /// The agent's process dies; what it keeps lives on.
    pub fn crash_agent(&mut self, name: &HostName, back_after: Duration) {
        let awake = self.hosts.get_mut(name).filter(|host| !host.sleeps());
        let Some(host) = awake else {
            return;
        };
        if host.agent.take().is_none() {
            return;
        }
        host.frozen = None;
        self.say("fault", &format!("the agent of {name} crashes"));
        self.tally.fault("agent crash");
        self.break_stream(name);
        self.schedule(back_after, Happening::AgentStarts(name.clone()));
    }

    /// The host loses power: agent, keepers and processes are gone.
    pub fn crash_host(&mut self, name: &HostName, back_after: Duration) {
        if self.switch_off(name) {
            self.say("fault", &format!("{name} loses power"));
            self.tally.fault("power loss");
            self.break_stream(name);
            self.schedule(back_after, Happening::HostStarts(name.clone()));
        }
    }

    /// Nothing runs on a host any more, and what was in its memory is gone; whether it was up.
    pub(super) fn switch_off(&mut self, name: &HostName) -> bool {
        let Some(host) = self.hosts.get_mut(name).filter(|host| host.up) else {
            return false;
        };
        host.up = false;
        host.agent = None;
        host.frozen = None;
        host.keepers.clear();
        host.dirty.clear();
        if bug::on(Bug::LedgerAfterAck)
            && let Some(ledger) = host.unwritten.take()
        {
            host.ledger = ledger;
        }
        true
    }

    /// The network to a host is cut for a while.
    pub fn cut_link(&mut self, name: &HostName, heals_after: Duration) {
        if let Some(host) = self.hosts.get_mut(name) {
            host.linked = false;
            self.say("fault", &format!("{name} is cut off"));
            self.tally.fault("link cut");
            self.break_stream(name);
            self.schedule(heals_after, Happening::LinkHeals(name.clone()));
        }
    }

    /// Nothing that is sent one way arrives for a while; then all of it does, in order.
    pub fn stall_link(&mut self, name: &HostName, down: bool, lasts: Duration) {
        let until = self.now.plus(lasts);
        let last = self.last_arrival.entry((name.clone(), down)).or_default();
        *last = until.max(*last);
        let way = if down { "to" } else { "from" };
        self.say("fault", &format!("nothing arrives {way} {name}"));
        self.tally.fault("link stalls");
    }

    /// The next write of a host's ledger fails, after it reached the disk or before: the agent ends,
    /// and has acknowledged nothing of it.
    pub fn fail_sync(&mut self, name: &HostName, written: bool) {
        if let Some(host) = self.hosts.get_mut(name) {
            host.sync_fails = Some(written);
        }
    }

    /// All that is cut off is reachable, and every write of a ledger holds.
    pub(super) fn repair_links(&mut self) {
        for name in self.hosts.keys().cloned().collect::<Vec<_>>() {
            self.heal_link(&name);
            if let Some(host) = self.hosts.get_mut(&name) {
                host.sync_fails = None;
            }
        }
    }

    pub(super) fn heal_link(&mut self, name: &HostName) {
        let healed = self.hosts.get_mut(name).filter(|host| !host.linked);
        if let Some(host) = healed {
            host.linked = true;
            self.say("fault", &format!("{name} is reachable again"));
        }
    }

    /// The user that some sets require goes from a host, or is there again.
    pub fn lack(&mut self, name: &HostName, lacking: bool) {
        if let Some(host) = self.hosts.get_mut(name) {
            host.lacking = lacking;
            self.tally.fault("user missing");
            self.say("fault", &format!("{name} lacks a user: {lacking}"));
        }
    }

    /// A member's process dies; its keeper starts it again.
    pub fn kill_process(&mut self, id: &MemberId) {
        let Some((name, run)) = self.keeper_awake(id) else {
            return;
        };
        let keeper = self
            .hosts
            .get_mut(&name)
            .and_then(|h| h.keepers.get_mut(id));
        let Some(keeper) = keeper.filter(|keeper| keeper.alive && !keeper.stopping) else {
            return;
        };
        keeper.alive = false;
        self.say("fault", &format!("the process of {id} dies"));
        self.tally.fault("process death");
        let exit = "was killed by SIGKILL".to_owned();
        self.tell_process(
            &name,
            id,
            &run,
            ProcessChange::Exited {
                exit,
                success: false,
            },
        );
        let after = self.delay(100, 1, 3000);
        let run = Box::new((id.clone(), run));
        self.schedule(after, Happening::ProcessStarts { host: name, run });
    }

    /// A member's keeper dies, and every process with it.
    pub fn kill_keeper(&mut self, id: &MemberId) {
        if let Some((name, run)) = self.keeper_awake(id) {
            self.say("fault", &format!("the keeper of {id} dies"));
            self.tally.fault("keeper death");
            self.keeper_ends(&name, id, &run);
        }
    }
}
