//! What coordinator and agents say to each other, and the streams that carry it: in order, with
//! delay, and gone with everything under way when a stream breaks.

use crate::{
    history::Heard,
    ids::{Epoch, Generation, HostName, MemberId, ZoneSerial},
    order::OrderDelta,
    prerequisite::{Answer, Prerequisite},
    report::MemberReport,
    session::Served,
    sim::{fence::Fence, host::AgentWork, world::World},
    state::Fenced,
    volume::work::VolumeWork,
    zone::Zone,
};

/// One stream of one agent; numbered over the whole run.
pub(super) type StreamId = u64;

/// From the coordinator to an agent.
#[derive(Debug, Clone)]
pub(super) enum ToAgent {
    Welcome(Served),
    Order(OrderDelta),
    Zone(Box<Zone>),
    Questions(Vec<Prerequisite>),
    RenewAck { number: u64, running_only: bool },
}

/// From an agent to the coordinator.
#[derive(Debug, Clone)]
pub(super) enum ToCoordinator {
    Hello {
        heard: Box<Heard>,
        zone: ZoneSerial,
    },
    OrderAck {
        refused: bool,
    },
    ZoneAck(ZoneSerial),
    Renew {
        number: u64,
    },
    Answers(Vec<Answer>),
    Report {
        complete: bool,
        members: Vec<MemberReport>,
        forgotten: Vec<MemberId>,
        generation: Generation,
    },
}

/// Something that happens at its time.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    /// A message arrives, if its stream is still whole.
    Down {
        host: HostName,
        stream: StreamId,
        message: Box<ToAgent>,
    },
    /// The other way.
    Up {
        host: HostName,
        stream: StreamId,
        message: Box<ToCoordinator>,
    },
    /// An agent that was stopped reads what had arrived until then.
    Read {
        host: HostName,
        stream: StreamId,
        message: Box<ToAgent>,
    },
    /// The coordinator finds out that a stream is broken.
    CoordinatorNotices { host: HostName, stream: StreamId },
    /// The agent finds out.
    AgentNotices { host: HostName, stream: StreamId },
    /// An agent tries to open a stream.
    Connect(HostName),
    /// The coordinator starts.
    CoordinatorStarts,
    /// A deadline of the coordinator's report has come.
    CoordinatorWakes,
    /// A host is switched on.
    HostStarts(HostName),
    /// The agent of a host starts.
    AgentStarts(HostName),
    /// Something on a host that belongs to one life of its agent.
    Agent {
        host: HostName,
        life: u64,
        work: AgentWork,
    },
    /// A keeper and its processes are gone, if this run is still what it keeps.
    KeeperEnds {
        host: HostName,
        run: Box<(MemberId, crate::ids::RunId)>,
    },
    /// What stands still goes on, if this is what it waits for.
    Thaws { host: HostName, freeze: u64 },
    /// What stands still, if it still does, is not heard of any more on its stream.
    FallsSilent {
        host: HostName,
        freeze: u64,
        stream: StreamId,
    },
    /// The kernel can take the processes of a run apart again.
    Unjams {
        host: HostName,
        run: Box<(MemberId, crate::ids::RunId)>,
    },
    /// A host writes back what an epoch of a member left in its memory.
    WritesBack {
        host: HostName,
        boot: u64,
        member: MemberId,
        epoch: Epoch,
    },
    /// A fence command does what it is there for.
    FenceActs { host: HostName, what: Fenced },
    /// A fence command has ended.
    FenceEnds { host: HostName, fence: Fence },
    /// A keeper looks at the end of its lease, if this run is still what it keeps.
    LeaseDue {
        host: HostName,
        run: Box<(MemberId, crate::ids::RunId)>,
    },
    /// A process that ended is started again by its keeper.
    ProcessStarts {
        host: HostName,
        run: Box<(MemberId, crate::ids::RunId)>,
    },
    /// A host does a work on a volume, and tells the stream that brought it, if it still waits.
    Work {
        host: HostName,
        answers: Option<StreamId>,
        work: Box<VolumeWork>,
    },
    /// An agent gives up a work that hangs.
    WorkGivenUp {
        host: HostName,
        stream: StreamId,
        work: Box<VolumeWork>,
    },
    /// The network to a host works again.
    LinkHeals(HostName),
    /// An agent that started in this life has had time to bring its members back.
    BackByNow { host: HostName, life: u64 },
}

impl World {
    /// Sends a message down a stream. It arrives after everything sent before it.
    pub(super) fn send_down(&mut self, host: &HostName, stream: StreamId, message: ToAgent) {
        let at = self.arrival(host, true);
        let happening = Happening::Down {
            host: host.clone(),
            stream,
            message: Box::new(message),
        };
        self.schedule_at(at, happening);
    }

    /// Sends a message up a stream.
    pub(super) fn send_up(&mut self, host: &HostName, stream: StreamId, message: ToCoordinator) {
        let at = self.arrival(host, false);
        let happening = Happening::Up {
            host: host.clone(),
            stream,
            message: Box::new(message),
        };
        self.schedule_at(at, happening);
    }

    fn arrival(&mut self, host: &HostName, down: bool) -> crate::time::Timestamp {
        let delay = self.delay(5, 1, 40);
        let earliest = self.now.plus(delay);
        let last = self.last_arrival.entry((host.clone(), down)).or_default();
        *last = earliest.max(*last);
        *last
    }

    /// Whether a stream is whole: what arrives on another one never does.
    pub(super) fn whole(&self, host: &HostName, stream: StreamId) -> bool {
        self.wires.get(host) == Some(&stream)
    }

    /// Breaks the stream of a host, if it has one. Each end finds out later.
    pub(super) fn break_stream(&mut self, host: &HostName) {
        let Some(stream) = self.wires.remove(host) else {
            return;
        };
        let (agent, coordinator) = (self.delay(200, 1, 2000), self.delay(400, 1, 3000));
        let host = host.clone();
        let notices = Happening::AgentNotices {
            host: host.clone(),
            stream,
        };
        self.schedule(agent, notices);
        self.schedule(coordinator, Happening::CoordinatorNotices { host, stream });
    }
}
