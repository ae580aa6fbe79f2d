//! One process: fork into its cgroup, become the user, exec. The child reports through a pipe that
//! exec closes, so that a start is known to have worked, or which step of it failed.
//!
//! What may hang, on storage that does not answer, is done by the child: it can be killed, and is at
//! its deadline. Nobody waits for its end; the loop takes it like any other orphan.

use std::{
    ffi::CString,
    fs::File,
    io::{ErrorKind, Read, Write},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use berth_core::{rendered::RenderedProcess, spec::Sealed, waiting::Reason};
use nix::{
    errno::Errno,
    fcntl::{OFlag, readlinkat},
    sys::signal::{Signal, kill},
    unistd::{Pid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, execve, pipe2, setsid},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    cgroup::{Leaf, fork_into},
    privileges::{Privileges, StepError, at},
    sys,
};
use crate::host::step_failed;

/// What every child needs.
#[derive(Debug)]
pub(crate) struct Spawner {
    /// The host's `/proc`: in it, a process sees its process id on the host.
    pub(crate) host_proc: OwnedFd,
    /// `/dev/null`
    pub(crate) null: File,
    /// Whether the keeper is protected from the kernel's OOM killer; its children are not to be.
    pub(crate) protected: bool,
}

/// A program to execute.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    /// The process that it is, or whose user, environment and directory it gets.
    pub(crate) process: &'a RenderedProcess,
    /// Its privileges.
    pub(crate) privileges: &'a Privileges,
    /// Program and arguments.
    pub(crate) argv: &'a [String],
    /// What its environment has beside the process's own.
    pub(crate) more_env: &'a [(&'static str, Sealed)],
    /// Its stdin, stdout and stderr.
    pub(crate) streams: Streams,
    /// The cgroup that it begins in.
    pub(crate) cgroup: Option<Leaf>,
}

/// What a program reads and writes.
#[derive(Debug)]
pub(crate) struct Streams {
    /// Its stdin; `/dev/null` without one.
    pub(crate) input: Option<OwnedFd>,
    /// Its stdout.
    pub(crate) output: OwnedFd,
    /// Its stderr; as its stdout without one.
    pub(crate) error: Option<OwnedFd>,
    /// Whether they are a terminal, which is to be its own.
    pub(crate) terminal: bool,
}

impl From<OwnedFd> for Streams {
    fn from(output: OwnedFd) -> Self {
        Self {
            input: None,
            output,
            error: None,
            terminal: false,
        }
    }
}

/// A child, by its process id here and on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Child {
    /// In the member's PID namespace.
    pub(crate) pid: Pid,
    /// On the host.
    pub(crate) host_pid: u32,
}

/// The step of a child that says that the program cannot be executed.
const EXECUTE: &str = "execute";
/// The step before it.
const ENTER: &str = "enter workingDir";
/// How long a child may take to execute its program: a slow server has answered by then. The
/// keeper does nothing else meanwhile.
const TO_EXECUTE: Duration = Duration::from_secs(10);

impl Spawner {
    /// Executes a program. The child leads a session of its own.
    ///
    /// # Errors
    /// `CommandMissing`, `StepFailed`.
    pub(crate) fn spawn(&self, program: Program<'_>) -> Result<Child, Reason> {
        let process = program.process;
        let starting = || format!("start {}", process.name);
        let cstring = |text: &str| {
            CString::new(text).map_err(|_| step_failed(starting(), "a text contains a NUL byte"))
        };
        let argv: Vec<_> = program
            .argv
            .iter()
            .map(|arg| cstring(arg))
            .collect::<Result<_, _>>()?;
        let own = process.env.iter().map(|(key, value)| (key.as_str(), value));
        let more = program.more_env.iter().map(|(key, value)| (*key, value));
        let env = own
            .filter(|(key, _)| !program.more_env.iter().any(|(more, _)| more == key))
            .chain(more)
            .map(|(key, value)| cstring(&format!("{key}={}", value.expose())));
        let env: Vec<_> = env.collect::<Result<_, _>>()?;
        let (ours, theirs) =
            pipe2(OFlag::O_CLOEXEC).map_err(|e| step_failed(starting(), e.desc()))?;
        let pid = fork_into(program.cgroup.as_ref(), || {
            let mut report = File::from(theirs.try_clone().unwrap_or_else(|_| sys::exit_now(126)));
            let Err((step, errno)) = self.child(&program, &argv, &env, &mut report);
            drop(report.write_all(format!("E{} {step}\n", errno as i32).as_bytes()));
            126
        });
        let pid = pid.map_err(|e| step_failed(format!("{}: fork", starting()), e.desc()))?;
        drop(theirs);
        let (report, ended) = listen(ours, Instant::now() + TO_EXECUTE);
        if !ended {
            let _ = kill(pid, Signal::SIGKILL);
            let step = begun(&report);
            let error = format!(
                "no answer in {} s; is its storage there?",
                TO_EXECUTE.as_secs()
            );
            return Err(step_failed(
                format!("start {}: {step}", process.name),
                error,
            ));
        }
        match parse(&report) {
            Report::Executed { host_pid } => Ok(Child { pid, host_pid }),
            Report::Failed { step, errno } => {
                end(pid);
                Err(self.explain(&program, &step, errno))
            }
            Report::Died => {
                end(pid);
                Err(step_failed(starting(), "the child died before exec"))
            }
        }
    }

    fn explain(&self, program: &Program<'_>, step: &str, errno: Errno) -> Reason {
        let process = program.process;
        if step == EXECUTE {
            return Reason::CommandMissing {
                process: process.name.clone(),
                path: program.argv.first().cloned().unwrap_or_default(),
                error: errno.desc().to_owned(),
            };
        }
        let error = program.privileges.explain(step, errno);
        step_failed(format!("start {}: {step}", process.name), error)
    }

    /// Runs in the child; returns only if it fails.
    fn child(
        &self,
        program: &Program<'_>,
        argv: &[CString],
        env: &[CString],
        report: &mut File,
    ) -> Result<std::convert::Infallible, StepError> {
        setsid().map_err(at("begin a session"))?;
        let own = readlinkat(&self.host_proc, "self").map_err(at("read /proc"))?;
        drop(report.write_all(format!("P{}\n", own.to_string_lossy()).as_bytes()));
        self.connect(&program.streams)
            .map_err(at("redirect output"))?;
        if self.protected {
            let adj = Path::new("/proc/self/oom_score_adj");
            write_file(adj, "0").map_err(at("reset oom_score_adj"))?;
        }
        program.privileges.apply()?;
        sys::default_signals();
        // As the user: it sees what the user may see. It may hang, and so may the next step.
        drop(writeln!(report, "B{ENTER}"));
        chdir(program.process.working_dir.as_str()).map_err(at(ENTER))?;
        let path = argv
            .first()
            .ok_or_else(|| (EXECUTE.into(), Errno::ENOENT))?;
        drop(writeln!(report, "B{EXECUTE}"));
        execve(path, argv, env).map_err(at(EXECUTE))
    }

    /// In the child of a program: its streams, and its terminal, take their places.
    fn connect(&self, streams: &Streams) -> Result<(), Errno> {
        self.redirect(&streams.output)?;
        if let Some(input) = &streams.input {
            dup2_stdin(input)?;
        }
        if let Some(error) = &streams.error {
            dup2_stderr(error)?;
        }
        if streams.terminal {
            let taken = rustix::process::ioctl_tiocsctty(&streams.output);
            taken.map_err(|e| Errno::from_raw(e.raw_os_error()))?;
        }
        Ok(())
    }

    /// `/dev/null` in, `output` out.
    pub(crate) fn redirect(&self, output: &impl AsFd) -> Result<(), Errno> {
        dup2_stdin(&self.null)?;
        dup2_stdout(output)?;
        dup2_stderr(output)
    }
}

fn write_file(path: &Path, text: &str) -> Result<(), Errno> {
    let os = |e: std::io::Error| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    std::fs::write(path, text).map_err(os)
}

/// Reads a child's report until the child has executed its program or ended, and whether it has by
/// the deadline.
fn listen(pipe: OwnedFd, deadline: Instant) -> (String, bool) {
    let mut pipe = File::from(pipe);
    let mut report = Vec::new();
    let mut buffer = [0; 256];
    let ended = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        let mut fds = [PollFd::new(&pipe, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => break false,
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            // What came so far tells of a failure, or reads as a child that died.
            Err(_) => break true,
        }
        match pipe.read(&mut buffer) {
            Ok(length @ 1..) => report.extend(buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => break true,
        }
    };
    (String::from_utf8_lossy(&report).into_owned(), ended)
}

/// The step that a child has begun and not ended.
fn begun(report: &str) -> &str {
    let mut steps = report.lines().rev();
    steps
        .find_map(|line| line.strip_prefix('B'))
        .unwrap_or("take on its privileges")
}

/// Ends a child that is not known to have become its program. It may have, and the keeper would wait
/// for it for ever.
fn end(pid: Pid) {
    // Nothing is to be done if it is gone already.
    let _ = kill(pid, Signal::SIGKILL);
    let _ = nix::sys::wait::waitpid(pid, None);
}

#[derive(Debug, PartialEq, Eq)]
enum Report {
    Executed { host_pid: u32 },
    Failed { step: String, errno: Errno },
    Died,
}

fn parse(report: &str) -> Report {
    let mut host_pid = None;
    for line in report.lines() {
        if let Some(pid) = line.strip_prefix('P') {
            host_pid = pid.parse().ok();
        }
        if let Some((errno, step)) = line.strip_prefix('E').and_then(|rest| rest.split_once(' ')) {
            return Report::Failed {
                step: step.to_owned(),
                errno: errno.parse().map_or(Errno::EIO, Errno::from_raw),
            };
        }
    }
    host_pid.map_or(Report::Died, |host_pid| Report::Executed { host_pid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_execution_failure_and_death_apart() {
        assert_eq!(parse("P42\n"), Report::Executed { host_pid: 42 });
        let failed = Report::Failed {
            step: "set the user".to_owned(),
            errno: Errno::EPERM,
        };
        assert_eq!(parse("P42\nE1 set the user\n"), failed);
        assert_eq!(parse(""), Report::Died);
    }

    #[test]
    fn a_child_that_hangs_is_not_waited_for_beyond_its_deadline_and_tells_its_step() {
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let mut child = File::from(theirs);
        child.write_all(b"P42\nBenter workingDir\n").unwrap();
        let (report, ended) = listen(ours.try_clone().unwrap(), Instant::now());
        // At its deadline it still takes what is there.
        let (rest, _) = listen(ours.try_clone().unwrap(), Instant::now());
        assert!(!ended);
        assert_eq!(begun(&format!("{report}{rest}")), "enter workingDir");
        drop(child);
        assert_eq!(listen(ours, Instant::now()), (String::new(), true));
        assert_eq!(begun("P42\n"), "take on its privileges");
        let executed = parse("P42\nBenter workingDir\nBexecute\n");
        assert_eq!(executed, Report::Executed { host_pid: 42 });
    }
}
