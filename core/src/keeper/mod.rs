//! What a keeper decides: when a process is started again, in which order a member is stopped, and
//! when everything is killed. Pure: the keeper process only carries out what is returned.
//!
//! Map: [`machine`] is the member's life, event by event; [`backoff`] is how long a start waits;
//! [`cgroup`] is what a process may use; [`deadline`] is the end of its lease;
//! [`logs`] is which log file is renamed to what; [`signal`] is names and numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

pub mod backoff;
pub mod cgroup;
pub mod deadline;
pub mod logs;
pub mod machine;
pub mod signal;

pub use backoff::{Backoff, BackoffLimits, Jitter};
pub use deadline::{Act, Deadline, LeasedRun};
pub use machine::{
    Effect, Event, KeeperMachine, MemberPlan, ProcessPlan, RestartPlan, Role, Slot, SlotView,
};
pub use signal::{signal_name, signal_number};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// A signal killed it, by number.
    Signal(i32),
    /// The kernel killed it, with its children, for want of memory.
    OomKilled,
}

impl Exit {
    /// Whether it exited with 0.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with {code}"),
            Self::Signal(number) => match signal_name(*number) {
                Some(name) => write!(f, "was killed by {name}"),
                None => write!(f, "was killed by signal {number}"),
            },
            Self::OomKilled => f.write_str("was OOMKilled: its memory ran out"),
        }
    }
}
