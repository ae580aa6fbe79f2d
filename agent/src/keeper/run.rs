//! The keeper's loop: waits for signals, connections, output and deadlines, tells the machine, and
//! does what it returns.

use std::{
    collections::VecDeque,
    fs::File,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use berth_core::{
    ids::{MemberId, RunId},
    keeper::{Event, Exit, Jitter, KeeperMachine, Slot},
    time::Timestamp,
    waiting::Reason,
};
use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    cgroup::Cgroup,
    clients::{ClientId, Clients},
    files::Files,
    jobs::{Asker, Job},
    journal::Journal,
    lease::Lease,
    logs::LogDir,
    mounts::Mounts,
    notify::NotifySocket,
    processes::{Process, slot_of},
    seen::SeenData,
    spawn::Spawner,
    unmount::Leaving,
};
use crate::host::{path_failed, step_failed};

/// Everything that a keeper has.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) machine: KeeperMachine,
    /// In the order of the machine's slots.
    pub(crate) processes: Vec<Process>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) clients: Clients,
    pub(crate) mounts: Mounts,
    pub(crate) logs: LogDir,
    pub(crate) files: Files,
    pub(crate) seen: SeenData,
    pub(crate) cgroup: Option<Cgroup>,
    pub(crate) spawner: Spawner,
    pub(crate) member: MemberId,
    pub(crate) run: RunId,
    pub(crate) signals: SignalFd,
    /// Becomes ready when a mount of this namespace changes.
    pub(crate) mount_events: File,
    pub(crate) lease: Option<Lease>,
    pub(crate) started: Instant,
    /// While the launch is under way: the first start that failed.
    pub(crate) launching: Option<Reason>,
    pub(crate) leaving: Leaving,
    pub(crate) finished: bool,
    /// Held until the end.
    pub(crate) _lock: File,
}

/// What the loop was woken by.
#[derive(Debug, Clone, Copy)]
enum Source {
    Signals,
    Lease,
    Mounts,
    Listener,
    Client(ClientId),
    Log(usize),
    Journal,
    Said(usize),
    Job(usize),
}

/// The signals that the loop handles; they are blocked, so that they only come this way.
pub(crate) fn signals() -> Result<SignalFd, Reason> {
    let failed = |e: Errno| step_failed("listen to signals", e.desc());
    let mut set = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT] {
        set.add(signal);
    }
    set.thread_block().map_err(failed)?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)
}

/// The file whose readiness tells of changed mounts.
pub(crate) fn mount_events() -> Result<File, Reason> {
    File::open("/proc/self/mountinfo").map_err(|e| step_failed("open /proc/self/mountinfo", e))
}

impl Keeper {
    /// Starts the first init process or, without one, every process.
    ///
    /// # Errors
    /// The first start that failed, unless something runs that the keeper's end must not kill: then
    /// what failed is tried again beside it.
    pub(crate) fn begin(&mut self) -> Result<(), Reason> {
        self.feed(Event::Begin);
        let spared = |p: &Process| p.rendered.never_kill && p.child.is_some();
        let spares = !self.finished && self.processes.iter().any(spared);
        let failed = self.launching.take().filter(|_| !spares);
        failed.map_or(Ok(()), Err)
    }

    /// The loop. Returns the keeper's exit code.
    pub(crate) fn run(&mut self) -> i32 {
        while !self.finished {
            match self.wait() {
                Ok(sources) => self.handle_all(sources),
                Err(rustix::io::Errno::INTR) => {}
                // Not to be expected; ending kills the member, and its agent starts it again.
                Err(_) => return 1,
            }
            self.expire();
        }
        // As far as it goes: a journal that hangs does not keep a member that has ended.
        self.flush_journal();
        0
    }

    fn flush_journal(&mut self) {
        if let Some(journal) = &mut self.logs.journal {
            journal.flush();
        }
    }

    /// Milliseconds since the keeper's start.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(0).plus(self.started.elapsed())
    }

    /// Tells the machine, and does what it returns, until nothing is left to do.
    pub(crate) fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let jitter = Jitter::new(self.started.elapsed().subsec_nanos());
            for effect in self.machine.step(self.now(), jitter, event) {
                events.extend(self.perform(effect));
            }
        }
    }

    fn wait(&self) -> rustix::io::Result<Vec<Source>> {
        let mut sources = vec![Source::Signals, Source::Mounts, Source::Listener];
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.mount_events.as_fd(), PollFlags::PRI),
            PollFd::from_borrowed_fd(self.clients.listener(), PollFlags::IN),
        ];
        if let Some(timer) = self.lease_timer() {
            fds.push(PollFd::from_borrowed_fd(timer, PollFlags::IN));
            sources.push(Source::Lease);
        }
        for (id, fd, writes) in self.clients.polled() {
            let flags = PollFlags::IN;
            let flags = if writes {
                flags | PollFlags::OUT
            } else {
                flags
            };
            fds.push(PollFd::from_borrowed_fd(fd, flags));
            sources.push(Source::Client(id));
        }
        let logs = self.processes.iter().map(|process| process.log.pipe());
        let logs = logs.enumerate().map(|(n, fd)| (Source::Log(n), fd));
        let said = self.processes.iter().enumerate();
        let said = said.map(|(n, p)| (Source::Said(n), p.notify.as_ref().map(NotifySocket::fd)));
        let jobs = self.jobs.iter().map(Job::pipe);
        let jobs = jobs.enumerate().map(|(n, fd)| (Source::Job(n), fd));
        for (source, fd) in logs.chain(said).chain(jobs) {
            if let Some(fd) = fd {
                fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
                sources.push(source);
            }
        }
        let journal = self.logs.journal.as_ref();
        if let Some(socket) = journal.and_then(Journal::wants_room) {
            fds.push(PollFd::from_borrowed_fd(socket, PollFlags::OUT));
            sources.push(Source::Journal);
        }
        let timeout = self.timeout();
        poll(&mut fds, timeout.as_ref())?;
        let ready = fds.iter().zip(sources);
        let ready = ready.filter(|(fd, _)| !fd.revents().is_empty());
        // Children first: an exit then finds its last output still in the pipe, and takes it.
        Ok(ready.map(|(_, source)| source).collect())
    }

    fn timeout(&self) -> Option<Timespec> {
        let machine = self.machine.deadline().map(|at| at.since(self.now()));
        let now = Instant::now();
        let running = self.jobs.iter().filter(|job| !job.timed_out());
        let jobs = running.map(|job| job.deadline.saturating_duration_since(now));
        let own = self.seen.due().into_iter().chain(self.mounts.due());
        let own = own.chain(self.leaving.due());
        let own = own.map(|at| at.saturating_duration_since(now));
        let wait = machine.into_iter().chain(jobs).chain(own).min()?;
        // The machine counts whole milliseconds: never wake before one.
        Timespec::try_from(wait + Duration::from_micros(500)).ok()
    }

    /// Nothing is done any more once all is stopped and unmounted.
    fn handle_all(&mut self, sources: Vec<Source>) {
        for source in sources {
            if self.finished {
                return;
            }
            self.handle(source);
        }
    }

    fn handle(&mut self, source: Source) {
        match source {
            Source::Signals => self.handle_signals(),
            Source::Lease => self.keep_lease(),
            Source::Mounts => self.restore_mounts(),
            Source::Listener => self.greet(),
            Source::Client(id) => {
                self.clients.flush(id);
                for request in self.clients.read(id) {
                    self.answer(id, request);
                }
            }
            Source::Log(index) => {
                if let Some(process) = self.processes.get_mut(index) {
                    process.log.drain(&mut self.logs);
                }
            }
            Source::Journal => self.flush_journal(),
            Source::Said(index) => self.hear(index),
            Source::Job(index) => {
                if let Some(job) = self.jobs.get_mut(index) {
                    job.drain();
                }
            }
        }
    }

    fn restore_mounts(&mut self) {
        if let Err(reason) = self.check_volumes() {
            self.complain(&reason);
            return;
        }
        if let Err(reason) = self.mounts.restore() {
            self.complain(&reason);
        }
    }

    /// Ends the run if a volume is not where it should be: nothing may go on, or begin anew, in the
    /// directory beneath. The agent starts the member again, on new mounts.
    ///
    /// # Errors
    /// `StepFailed`.
    pub(crate) fn check_volumes(&mut self) -> Result<(), Reason> {
        let Some(place) = self.mounts.lost_volume() else {
            return Ok(());
        };
        let error = "its mount was taken away on the host; the member is started again";
        let reason = path_failed("look at the volume at", place, error);
        self.finished = true;
        Err(reason)
    }

    fn handle_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let number = i32::try_from(info.ssi_signo).ok();
            match number.and_then(|n| Signal::try_from(n).ok()) {
                Some(Signal::SIGCHLD) => self.reap(),
                // From the host: within the namespace PID 1 gets none that it does not handle.
                Some(_) => self.feed(Event::Stop(None)),
                None => {}
            }
        }
    }

    /// Takes every child that has ended, orphans of the member included.
    pub(crate) fn reap(&mut self) {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => self.ended(pid, Exit::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    self.ended(pid, Exit::Signal(signal as i32));
                }
                Err(Errno::ECHILD) => {
                    self.feed(Event::Empty);
                    return;
                }
                Err(Errno::EINTR) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn ended(&mut self, pid: Pid, exit: Exit) {
        let is_its = |job: &Job| job.pid == pid && job.ended.is_none();
        if let Some(index) = self.jobs.iter().position(is_its) {
            if let Some(job) = self.jobs.get_mut(index)
                && matches!(job.asker, Asker::Attached(_, None))
            {
                job.ended = Some(exit);
                return;
            }
            let job = self.jobs.swap_remove(index);
            self.job_ended(job, exit);
            return;
        }
        if self.seen.looked(pid, exit) {
            return;
        }
        let Some(slot) = slot_of(&self.processes, pid) else {
            return;
        };
        let mut exit = exit;
        if let Some(process) = self.processes.get_mut(slot.0) {
            process.child = None;
            process.log.end_run(&mut self.logs);
            let cgroup = self.cgroup.as_ref();
            let killed = exit == Exit::Signal(Signal::SIGKILL as i32);
            if killed && cgroup.is_some_and(|c| c.oom_killed(&process.rendered.name)) {
                exit = Exit::OomKilled;
            }
        }
        self.seen.look();
        self.feed(Event::Exited(slot, exit));
    }

    fn expire(&mut self) {
        let now = Instant::now();
        for job in &mut self.jobs {
            job.expire(now);
        }
        self.end_attached();
        if self.seen.due().is_some_and(|at| at <= now) {
            self.seen.look();
        }
        if self.mounts.due().is_some_and(|at| at <= now) {
            self.restore_mounts();
        }
        if self.machine.deadline().is_some_and(|at| at <= self.now()) {
            self.feed(Event::Tick);
        }
        // Without any child, no signal tells that none is left.
        if self.machine.stopping() && !self.finished {
            self.reap();
        }
        if !self.finished && self.leaving.due().is_some_and(|at| at <= now) {
            self.free_the_dead();
        }
    }

    /// The process of a slot. The machine knows no slot that the table does not have.
    pub(crate) fn process(&mut self, slot: Slot) -> Option<&mut Process> {
        self.processes.get_mut(slot.0)
    }
}
