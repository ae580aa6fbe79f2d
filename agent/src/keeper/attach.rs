//! Programs that somebody watches while they run: with their input, their output and perhaps a
//! terminal. The descriptors go to the agent, which copies what goes through them; the keeper sees
//! nothing of it. Such a program dies with the connection that asked for it, and with the member.

use std::{
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use berth_core::{ids::ProcessName, spec::Sealed, waiting::Reason};
use nix::{
    fcntl::{OFlag, open},
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::{Gid, Pid, Uid, fchown},
};
use rustix::{
    pipe::{PipeFlags, pipe_with},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use super::{
    cgroup,
    clients::ClientId,
    jobs::{Asker, Job},
    processes::{Process, kill_session},
    run::Keeper,
    spawn::{Program, Streams},
    wire::{AttachOrder, Attached, KeeperReply, TerminalOrder},
};
use crate::host::step_failed;

/// Nobody but its watcher ends it.
const NO_LIMIT: Duration = Duration::MAX;

/// The agent's ends of a program's streams, until the agent has taken them.
struct Ends {
    numbers: Attached,
    held: Vec<OwnedFd>,
}

impl Keeper {
    fn no_process(&self, name: &ProcessName) -> String {
        let there = self.processes.iter();
        let there: Vec<String> = there.map(|known| known.rendered.name.to_string()).collect();
        format!("there is no process {name}; it has {}", there.join(", "))
    }

    /// Begins a program for a connection.
    ///
    /// # Errors
    /// If there is no such process, the member stops, or the program cannot be executed.
    pub(crate) fn attach(
        &mut self,
        client: ClientId,
        order: &AttachOrder,
    ) -> Result<KeeperReply, Reason> {
        let failed = |why: &str| step_failed("run a program", why);
        if self.machine.stopping() || self.machine.killed() {
            return Err(failed("the member is stopping"));
        }
        if self.attached(client).is_some() {
            return Err(failed("this connection has one already"));
        }
        let slot = self.machine.slot(&order.process);
        let process = slot.and_then(|slot| self.processes.get(slot.0));
        let process = process.ok_or_else(|| failed(&self.no_process(&order.process)))?;
        let leaf = cgroup::beside(self.cgroup.as_ref(), &process.rendered.name)?;
        let made = match &order.terminal {
            Some(terminal) => on_terminal(process, terminal),
            None => on_pipes(order.stdin),
        };
        let (streams, ends) = made.map_err(|e| failed(&e.to_string()))?;
        let terminal = order.terminal.iter();
        let more_env: Vec<_> = terminal
            .map(|terminal| ("TERM", Sealed::new(terminal.term.clone())))
            .collect();
        let child = self.spawner.spawn(Program {
            process: &process.rendered,
            privileges: &process.privileges,
            argv: &order.argv,
            more_env: &more_env,
            streams,
            cgroup: leaf,
        })?;
        let asker = Asker::Attached(client, None);
        let mut job = Job::new(child.pid, asker, NO_LIMIT, None);
        job.held = ends.held;
        self.jobs.push(job);
        Ok(KeeperReply::Attached(ends.numbers))
    }

    /// The agent has the descriptors, and waits for the program's end.
    ///
    /// # Errors
    /// If the connection has no program.
    pub(crate) fn taken(&mut self, client: ClientId, id: u64) -> Result<(), Reason> {
        let job = self.attached(client);
        let job = job.ok_or_else(|| step_failed("wait for a program", "there is none"))?;
        job.held.clear();
        job.asker = Asker::Attached(client, Some(id));
        // It may have ended before anybody asked.
        let asker = job.asker;
        let mut jobs = self.jobs.iter();
        if let Some(index) = jobs.position(|job| job.asker == asker && job.ended.is_some())
            && let Some(exit) = self.jobs.get(index).and_then(|job| job.ended)
        {
            let job = self.jobs.swap_remove(index);
            self.job_ended(job, exit);
        }
        Ok(())
    }

    /// Sends a signal to the program of a connection.
    ///
    /// # Errors
    /// If it does not run, or there is no such signal.
    pub(crate) fn interrupt(&mut self, client: ClientId, signal: i32) -> Result<(), Reason> {
        let failed = |why: &str| step_failed("signal a program", why);
        let signal = Signal::try_from(signal).map_err(|e| failed(e.desc()))?;
        let job = self.attached(client).filter(|job| job.ended.is_none());
        let job = job.ok_or_else(|| failed("it does not run"))?;
        // It leads a group of its own.
        let group = Pid::from_raw(-job.pid.as_raw());
        kill(group, signal).map_err(|e| failed(e.desc()))
    }

    /// Kills the programs whose connections are gone, and all of them once the member stops.
    pub(crate) fn end_attached(&mut self) {
        let stopping = self.machine.stopping();
        for job in &mut self.jobs {
            let Asker::Attached(client, _) = job.asker else {
                continue;
            };
            let gone = !self.clients.has(client);
            if gone {
                job.asker = Asker::Nobody;
            }
            if gone {
                // Until then the agent takes them by their numbers, which must not become others'.
                job.held.clear();
            }
            if gone || stopping {
                kill_session(job.pid);
                job.kill();
            }
        }
        // One that had ended was kept for who asked for it.
        self.jobs
            .retain(|job| job.ended.is_none() || job.asker != Asker::Nobody);
    }

    fn attached(&mut self, client: ClientId) -> Option<&mut Job> {
        let is_its = |job: &&mut Job| matches!(job.asker, Asker::Attached(of, _) if of == client);
        self.jobs.iter_mut().find(is_its)
    }
}

fn on_pipes(stdin: bool) -> std::io::Result<(Streams, Ends)> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC);
    let input = stdin.then(pipe).transpose()?;
    let (output, out_end) = pipe()?;
    let (error, error_end) = pipe()?;
    let (theirs, ours) = input.map_or((None, None), |(read, write)| (Some(read), Some(write)));
    let numbers = Attached {
        input: ours.as_ref().map(AsRawFd::as_raw_fd),
        output: output.as_raw_fd(),
        error: Some(error.as_raw_fd()),
    };
    let streams = Streams {
        input: theirs,
        output: out_end,
        error: Some(error_end),
        terminal: false,
    };
    let held = ours.into_iter().chain([output, error]).collect();
    Ok((streams, Ends { numbers, held }))
}

fn on_terminal(process: &Process, order: &TerminalOrder) -> std::io::Result<(Streams, Ends)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let slave = open(name.as_c_str(), flags, Mode::empty())?;
    // So that it can open its terminal by name.
    let identity = &process.identity;
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    fchown(&slave, Some(uid), Some(gid))?;
    tcsetwinsize(
        &master,
        Winsize {
            ws_row: order.rows,
            ws_col: order.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )?;
    let numbers = Attached {
        input: None,
        output: master.as_raw_fd(),
        error: None,
    };
    let streams = Streams {
        input: Some(slave.try_clone()?),
        output: slave,
        error: None,
        terminal: true,
    };
    let held = vec![master];
    Ok((streams, Ends { numbers, held }))
}
