//! Berth's agent: members, volumes, keepers and names of one host.

mod clock;
pub mod config;
pub mod dns;
pub mod host;
pub mod keeper;
pub mod ledger;
mod probe;
pub mod reconcile;
