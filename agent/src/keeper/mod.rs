//! The keeper: a small single-threaded process per member, PID 1 of the member's PID namespace, so
//! that its death kills every descendant. It is this binary, re-executed before anything else is
//! initialised, and it lives on when the agent dies.
//!
//! Map: [`wire`] is what agent and keeper say to each other.

pub mod wire;

/// Becomes a keeper, and never returns, if this process was started as one. Must be the first call
/// in `main`, before any thread exists.
pub fn main_if_keeper() {}
