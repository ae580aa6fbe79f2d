//! The world: its clock, what is still to happen, and the log of what happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    ids::{HostName, MemberId, SetKey},
    sim::{
        coordinator::Coordinator,
        host::SimHost,
        net::{Happening, StreamId},
        rng::Rng,
        storage::Storage,
        tally::Tally,
        truth::{Truth, Violation},
    },
    time::Timestamp,
};

/// When every world begins.
const BEGIN: Timestamp = Timestamp(1_000_000);
/// More than this happens in no world that comes to rest: it follows from itself.
const RUNAWAY: u64 = 1_000_000;
/// So many lines of the log are kept with a violation.
const TAIL: usize = 60;

/// A cluster.
#[derive(Debug)]
pub struct World {
    pub(super) now: Timestamp,
    pub(super) rng: Rng,
    /// Whether delays vary and steps may fail.
    pub(super) rough: bool,
    pub(super) coordinator: Coordinator,
    pub(super) hosts: BTreeMap<HostName, SimHost>,
    /// The streams that are whole.
    pub(super) wires: BTreeMap<HostName, StreamId>,
    /// The last stream that was opened.
    pub(super) streams: StreamId,
    /// When the last message of a direction arrives; those after it come later.
    pub(super) last_arrival: BTreeMap<(HostName, bool), Timestamp>,
    /// Members whose application is not ready, whatever else holds.
    pub(super) broken: BTreeSet<MemberId>,
    /// Sets whose members are ready only while more than half of them run.
    pub(super) quorums: BTreeSet<SetKey>,
    /// What lies on pools and servers.
    pub(super) storage: Storage,
    pub(super) truth: Truth,
    pub(super) tally: Tally,
    /// Whether the next founder that passes its gate is cut off and dies at that moment.
    pub(super) ambush: bool,
    /// How often, in a hundred, it is looked at whether everything was woken that had to be.
    pub(super) wakes_checked: u64,
    /// What happened, a line each.
    pub log: Vec<String>,
    queue: BTreeMap<(Timestamp, u64), Happening>,
    scheduled: u64,
    pub(super) scheduled_uid: u64,
}

impl World {
    /// A world without hosts. A rough one has random delays and failures; in a smooth one
    /// everything takes as long as it always does.
    pub fn new(seed: u64, rough: bool) -> Self {
        Self {
            now: BEGIN,
            rng: Rng::new(seed),
            rough,
            coordinator: Coordinator::new(),
            hosts: BTreeMap::new(),
            wires: BTreeMap::new(),
            streams: 0,
            last_arrival: BTreeMap::new(),
            broken: BTreeSet::new(),
            quorums: BTreeSet::new(),
            storage: Storage::default(),
            truth: Truth::default(),
            tally: Tally::default(),
            ambush: false,
            wakes_checked: 100,
            log: Vec::new(),
            queue: BTreeMap::new(),
            scheduled: 0,
            scheduled_uid: 0,
        }
    }

    /// Seconds since the beginning.
    pub fn seconds(&self) -> String {
        let millis = self.now.0.saturating_sub(BEGIN.0);
        format!("{}.{:03}", millis / 1000, millis % 1000)
    }

    /// Writes a line into the log.
    pub(super) fn say(&mut self, who: &str, what: &str) {
        self.log
            .push(format!("{:>8}  {who:<7} {what}", self.seconds()));
    }

    pub(super) fn schedule_at(&mut self, at: Timestamp, happening: Happening) {
        self.scheduled += 1;
        let at = at.max(self.now);
        self.queue.insert((at, self.scheduled), happening);
    }

    pub(super) fn schedule(&mut self, after: Duration, happening: Happening) {
        self.schedule_at(self.now.plus(after), happening);
    }

    /// How long something takes: always the same in a smooth world, between two bounds in a rough
    /// one. In milliseconds.
    pub(super) fn delay(&mut self, smooth: u64, from: u64, to: u64) -> Duration {
        if self.rough {
            self.rng.millis(from, to)
        } else {
            Duration::from_millis(smooth)
        }
    }

    /// Whether something fails that can.
    pub(super) fn fails(&mut self, percent: u64) -> bool {
        self.rough && self.rng.chance(percent)
    }

    /// Lets time pass; what is due happens.
    ///
    /// # Errors
    /// The first promise that is broken.
    pub fn run(&mut self, duration: Duration) -> Result<(), Violation> {
        let end = self.now.plus(duration);
        while let Some(((at, _), _)) = self.queue.first_key_value() {
            if *at > end {
                break;
            }
            let Some(((at, _), happening)) = self.queue.pop_first() else {
                break;
            };
            self.now = at;
            self.tally.events += 1;
            self.happen(happening);
            self.check()?;
        }
        self.now = end;
        Ok(())
    }

    /// Runs until nobody waits for anything, or the time is over; whether it came to rest.
    ///
    /// # Errors
    /// The first promise that is broken.
    pub fn settle(&mut self, at_most: Duration) -> Result<bool, Violation> {
        let end = self.now.plus(at_most);
        let runaway = self.tally.events + RUNAWAY;
        while self.now < end && self.tally.events < runaway {
            self.run(Duration::from_millis(100))?;
            if self.at_rest() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn check(&mut self) -> Result<(), Violation> {
        let broken = self.truth.broken.take().or_else(|| self.broken_promise());
        match broken {
            None => Ok(()),
            Some((promise, detail)) => {
                let from = self.log.len().saturating_sub(TAIL);
                Err(Violation {
                    promise,
                    detail,
                    at: self.seconds(),
                    log: self.log.get(from..).unwrap_or_default().to_vec(),
                })
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        let Some(happening) = self.put_off(happening) else {
            return;
        };
        match happening {
            Happening::Down {
                host,
                stream,
                message,
            } => {
                if self.whole(&host, stream) {
                    self.agent_hears(&host, stream, *message);
                }
            }
            Happening::Up {
                host,
                stream,
                message,
            } => {
                if self.whole(&host, stream) {
                    self.coordinator_hears(&host, stream, *message);
                }
            }
            Happening::Read {
                host,
                stream,
                message,
            } => self.agent_hears(&host, stream, *message),
            Happening::Thaws { host, freeze } => self.thaws(&host, freeze),
            Happening::FallsSilent {
                host,
                freeze,
                stream,
            } => self.falls_silent(&host, freeze, stream),
            Happening::Unjams { host, run } => self.unjams(&host, &run.0, &run.1),
            Happening::WritesBack {
                host,
                boot,
                member,
                epoch,
            } => self.writes_back(&host, boot, &member, epoch),
            Happening::FenceActs { host, what } => self.fence_acts(&host, what),
            Happening::FenceEnds { host, fence } => self.fence_ends(&host, &fence),
            Happening::CoordinatorNotices { host, stream } => self.contact_lost(&host, stream),
            Happening::AgentNotices { host, stream } => self.stream_lost(&host, stream),
            Happening::Connect(host) => self.connect(&host),
            Happening::CoordinatorStarts => self.start_coordinator(),
            Happening::CoordinatorWakes => self.reconcile(),
            Happening::HostStarts(host) => self.start_host(&host),
            Happening::AgentStarts(host) => self.start_agent(&host),
            Happening::Agent { host, life, work } => self.agent_works(&host, life, work),
            Happening::KeeperEnds { host, run } => self.keeper_ends(&host, &run.0, &run.1),
            Happening::LeaseDue { host, run } => self.lease_due(&host, &run.0, &run.1),
            Happening::ProcessStarts { host, run } => self.process_starts(&host, &run.0, &run.1),
            Happening::Work {
                host,
                answers,
                work,
            } => self.do_work(&host, answers, &work),
            Happening::WorkGivenUp { host, stream, work } => {
                self.work_given_up(&host, stream, &work);
            }
            Happening::LinkHeals(host) => self.heal_link(&host),
            Happening::BackByNow { host, life } => self.is_back(&host, life),
        }
    }
}
