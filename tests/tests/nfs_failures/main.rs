//! What goes wrong with volumes on a server, and whom it holds up. One program, and so one guest: what an
//! emulated machine does for the first time takes it longest.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod guards;
mod servers;
