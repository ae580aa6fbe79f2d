//! The keeper: a small process per member, PID 1 of the member's PID namespace, so
//! that its death kills every descendant. It is this binary, re-executed before anything else is
//! initialised, and it lives on when the agent dies.
//!
//! Map: [`wire`] is what agent and keeper say to each other, [`spec`] what the agent hands over at
//! launch. `launch` sets up namespaces, in them `mounts`; `run` is the event loop, which asks
//! `berth_core::keeper` what to do and does it with `spawn` (processes), `jobs` (programs run on
//! request), `attach` (those that somebody watches) and `hooks` (those around starts and stops),
//! `notify` (what processes say), `files`, `secrets` (where their secret texts are), `logs`, `journal` and `clients`;
//! `lease` holds the end of a lease, and `guard` holds it when the loop cannot: the only thread beside the
//! loop; `trigger` and [`watchdog`] reboot the host. What a process may is in
//! `privileges`, what it may use in `cgroup`, `limits` and `hierarchy`. No tokio.

mod attach;
mod beneath;
mod cgroup;
mod clients;
mod effects;
mod files;
mod guard;
mod hierarchy;
mod hooks;
mod jobs;
mod journal;
mod launch;
mod lease;
mod limits;
mod logs;
mod mounts;
mod notify;
mod privileges;
mod processes;
mod record;
mod run;
mod secrets;
mod seen;
mod spawn;
pub mod spec;
pub(crate) mod sys;
mod trigger;
mod unmount;
mod update;
mod volumes;
pub(crate) mod watchdog;
pub mod wire;

pub(crate) use beneath::Beneath;
pub(crate) use cgroup::scope_name;
pub(crate) use hierarchy::{host_controllers, remove as remove_cgroup};
pub(crate) use mounts::open_path;
pub(crate) use record::{RECORD, SOCKET, lock, start_time};
pub(crate) use seen::{DATA, DATA_SEEN, OWNER};
pub(crate) use trigger::Trigger;

/// The first argument of a keeper; the second is the member, for `ps`.
pub const ARGUMENT: &str = "keeper";

/// Becomes a keeper, and never returns, if this process was started as one. Must be the first call
/// in `main`, before any thread exists.
pub fn main_if_keeper() {
    if std::env::args_os().nth(1).is_some_and(|a| a == ARGUMENT) {
        sys::exit_now(launch::main());
    }
}
