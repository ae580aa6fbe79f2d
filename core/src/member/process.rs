//! One process of a member, as the member's machine knows it: by what its keeper tells.

use crate::{ids::ProcessName, notify::Said, waiting::Reason};

/// How one process of a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessState {
    /// Its name.
    pub name: ProcessName,
    /// Whether it is an init process.
    pub init: bool,
    /// Its process id on the host, while it runs.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u32,
    /// How it last ended, if it did.
    pub last_exit: Option<String>,
    /// Why its last start failed, if it did.
    pub failure: Option<Reason>,
    /// Whether what is done beside its start is at work: it has no process id here until then.
    pub post_start: bool,
    /// What this start of it has said.
    pub said: Said,
    /// What of its `resources` is not enforced, each with why.
    pub unenforced: Vec<String>,
    /// Whether it is to be restarted, its grace period is over, and it is never killed.
    pub spared: bool,
}

impl ProcessState {
    /// One that was not started yet.
    pub fn new(name: ProcessName, init: bool) -> Self {
        Self {
            name,
            init,
            pid: None,
            restarts: 0,
            last_exit: None,
            failure: None,
            post_start: false,
            said: Said::default(),
            unenforced: Vec::new(),
            spared: false,
        }
    }
}

/// What became of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessChange {
    /// It was executed.
    Started {
        /// Its process id.
        pid: u32,
        /// How often it was started again before.
        restarts: u32,
        /// What of its `resources` is not enforced, each with why.
        unenforced: Vec<String>,
    },
    /// It is to be restarted, its grace period is over, and it is never killed.
    Spared,
    /// It could not be executed, or what is done beside its start failed; it is tried again.
    StartFailed(Reason),
    /// It was executed, and what is done beside its start has begun.
    PostStart,
    /// It said something.
    Said(Said),
    /// It ended; the keeper starts it again unless it stops.
    Exited {
        /// How, such as `exited with 1`.
        exit: String,
        /// Whether it exited with 0.
        success: bool,
    },
}
