//! The helper: a process of this program that touches storage and goes, so that what hangs can be
//! killed and holds up nobody. One request on its input, lines of JSON on its output.
//!
//! Signals have their default actions: a program that handles SIGTERM could not be ended by it
//! while its server is away.

use std::{io::Write, os::fd::OwnedFd, path::PathBuf, process::Stdio};

use berth_core::{
    ids::Epoch,
    prerequisite::{Fact, Prerequisite},
    volume::{PoolInfo, PoolKind, Usage, VolumeHealth, transfer::Weight},
    waiting::Reason,
};
use rustix::{
    fs::{CWD, Mode, OFlags, fstatvfs, openat},
    io::Errno,
    process::{Signal, getppid, set_parent_process_death_signal},
};
use serde::{Deserialize, Serialize};

use super::{
    pool::{self, PoolPlace, bytes},
    prepare::{PrepareRequest, prepare},
    transfer,
    work::{self, WorkRequest},
};
use crate::{
    host::{
        PreparedVolume,
        linux::{Seed, look_here, seed_here},
        path_failed, step_failed,
    },
    keeper::sys,
};

/// The first argument of a helper.
pub const ARGUMENT: &str = "volume-helper";

/// What a helper is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum HelperRequest {
    /// Make volumes ready for a start.
    Prepare(Box<PrepareRequest>),
    /// Trash, restore or grow a volume.
    Work(Box<WorkRequest>),
    /// Say what a volume holds whose data goes elsewhere, and mark it as such.
    Weigh {
        /// The volume.
        request: Box<WorkRequest>,
        /// The move's epoch.
        epoch: Epoch,
    },
    /// Write the data of a volume to the output.
    Send(Box<WorkRequest>),
    /// Make a volume of what follows this request on the input.
    Receive {
        /// The volume.
        request: Box<WorkRequest>,
        /// What comes.
        weight: Weight,
        /// The move's epoch.
        epoch: Epoch,
        /// How large the volume is to be.
        bytes: u64,
    },
    /// Copy what a configuration directory begins with.
    Seed(Seed),
    /// Look for something that a set requires of the host.
    Require(Prerequisite),
    /// Look at a pool.
    Pool {
        /// The pool.
        place: PoolPlace,
        /// How it keeps volumes.
        kind: PoolKind,
    },
    /// Look at a mounted volume.
    Look {
        /// A descriptor of a keeper, by its path in `/proc`.
        path: PathBuf,
        /// Whether others write to the same file system.
        shared: bool,
    },
}

/// A line of a helper.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum HelperLine {
    /// It works on this volume now.
    At {
        /// Its name.
        volume: String,
    },
    /// A volume is ready.
    Prepared(Box<PreparedVolume>),
    /// What was found of something that is required.
    Fact(Fact),
    /// What a pool is.
    Pool(PoolInfo),
    /// What a volume holds.
    Weight(Weight),
    /// How a volume is.
    Health(VolumeHealth),
    /// It cannot be done.
    Failed(Reason),
    /// Everything is done.
    Done,
}

/// Becomes a helper, and never returns, if this process was started as one. Must be called in
/// `main` before any thread exists.
pub fn main_if_helper() {
    if std::env::args_os().nth(1).is_some_and(|a| a == ARGUMENT) {
        sys::close_from(3);
        sys::default_signals();
        end_with_parent();
        let _ = rustix::thread::set_name(c"berth-volumes");
        let request = read();
        if let Ok(HelperRequest::Send(request)) = &request {
            let sent = transfer::send(request, Stdio::inherit());
            sys::exit_now(i32::from(sent.map_err(|e| complain(&e.reason)).is_err()));
        }
        let last = match request.and_then(work) {
            Ok(()) => HelperLine::Done,
            Err(reason) => HelperLine::Failed(reason),
        };
        say(&last);
        sys::exit_now(0);
    }
}

/// What an agent asked for ends with it: one that hung, and goes on when its server is back, would
/// do what nobody asks for any more.
pub(crate) fn end_with_parent() {
    let mut args = std::env::args().skip(1);
    // A keeper does the same work, and outlives its agent.
    let own = args.next().filter(|arg| arg == ARGUMENT);
    let parent = own.and_then(|_| args.next());
    let Some(parent) = parent.and_then(|pid| pid.parse().ok()) else {
        return;
    };
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    // One that died before the signal was asked for has left this process to another.
    let now = getppid().map(|pid| pid.as_raw_pid());
    if now != Some(parent) {
        sys::exit_now(1);
    }
}

fn read() -> Result<HelperRequest, Reason> {
    let failed = |e: &dyn ToString| step_failed("read what a helper is to do", e.to_string());
    let mut text = Vec::new();
    let mut byte = [0];
    // Not one byte more: what follows is for another program.
    loop {
        match rustix::io::read(std::io::stdin(), &mut byte) {
            Ok(1) if byte != *b"\n" => text.extend(byte),
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    serde_json::from_slice(&text).map_err(|e| failed(&e))
}

/// Says why nothing more comes, where the output is for something else.
fn complain(reason: &Reason) {
    drop(writeln!(std::io::stderr(), "{reason}"));
}

/// An agent that went away meanwhile needs no answer.
fn say(line: &HelperLine) {
    if let Ok(mut text) = serde_json::to_vec(line) {
        text.push(b'\n');
        drop(std::io::stdout().write_all(&text));
        drop(std::io::stdout().flush());
    }
}

fn work(request: HelperRequest) -> Result<(), Reason> {
    match request {
        HelperRequest::Prepare(request) => {
            for task in &request.volumes {
                let volume = task.order.name.clone();
                say(&HelperLine::At { volume });
                let prepared = prepare(&request, task)?;
                say(&HelperLine::Prepared(Box::new(prepared)));
            }
        }
        HelperRequest::Work(request) => work::work(&request)?,
        HelperRequest::Weigh { request, epoch } => {
            let weight = transfer::weigh(&request, epoch).map_err(|refused| refused.reason)?;
            say(&HelperLine::Weight(weight));
        }
        HelperRequest::Receive {
            request,
            weight,
            epoch,
            bytes,
        } => {
            let received = transfer::receive(&request, &weight, (epoch, bytes), Stdio::inherit());
            received.map_err(|refused| refused.reason)?;
        }
        // Its output is for the data alone: it never comes here.
        HelperRequest::Send(_) => {}
        HelperRequest::Seed(seed) => seed_here(&seed)?,
        HelperRequest::Require(required) => {
            say(&HelperLine::Fact(look_here(&required)));
        }
        HelperRequest::Pool { place, kind } => {
            let info = pool::info(&place, kind).map_err(|refused| refused.reason)?;
            say(&HelperLine::Pool(info));
        }
        HelperRequest::Look { path, shared } => {
            let health = match look(&path, shared) {
                Ok(usage) => VolumeHealth::Fine(usage),
                Err(Errno::STALE) => VolumeHealth::Stale,
                // The keeper is gone meanwhile.
                Err(error @ (Errno::NOENT | Errno::SRCH)) => {
                    let error = std::io::Error::from(error);
                    return Err(path_failed("look at", &path, error));
                }
                // It answers, but not with the volume: an export that was taken back, a disk that
                // fails, a `soft` mount whose server is silent.
                Err(error) => VolumeHealth::Hung {
                    step: format!("see how full it is: {}", std::io::Error::from(error)),
                },
            };
            say(&HelperLine::Health(health));
        }
    }
    Ok(())
}

fn look(path: &std::path::Path, shared: bool) -> rustix::io::Result<Usage> {
    let dir: OwnedFd = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let space = fstatvfs(dir)?;
    Ok(Usage {
        capacity: bytes(&space, space.f_blocks),
        available: bytes(&space, space.f_bavail),
        shared,
    })
}
