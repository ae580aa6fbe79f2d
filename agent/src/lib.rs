//! Berth's agent: members, volumes, keepers and names of one host.
//!
//! Map: [`session`] brings orders and zones from the coordinator, [`ledger`] keeps them,
//! [`reconcile`] has the members follow them through [`host`], [`dns`] serves the names, [`logs`]
//! reads what the [`keeper`]s write, [`local`] answers `berth local`. [`run`] is the whole.

mod agent;
mod clock;
pub mod config;
pub mod dns;
pub mod host;
pub mod identity;
pub mod keeper;
pub mod ledger;
pub mod local;
pub mod logs;
mod metrics;
pub mod privileges;
mod probe;
pub mod reconcile;
pub mod session;
pub mod trusted;

pub use agent::{RunError, run};
