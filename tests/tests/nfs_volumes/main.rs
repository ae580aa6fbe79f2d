//! Volumes on a real server and on file systems that this machine's kernel has not. One program, and so one
//! guest: what an emulated machine does for the first time takes it longest.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod bed;
mod guards;
mod limits;
mod placed;
