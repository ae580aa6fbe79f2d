//! Pure types and decisions of Berth. No async, no I/O, no clock, no randomness, and no
//! `HashMap`: whatever is decided here is decided the same way twice.
//!
//! Map: [`ids`] and [`time`] name things; [`spec`] is what the operator writes; [`state`] is what
//! the coordinator knows; [`mod@plan`] decides and [`check`] refuses; [`order`] and [`report`] are
//! what coordinator and agent tell each other; [`volume`] is where data lies; [`zone`] is what names
//! resolve to; [`prerequisite`] is what hosts
//! must have; [`session`], [`lease`] and [`ledger`] say what is believed of that; [`shutdown`] is the end of a host's
//! day; [`member`], [`probe`] and [`keeper`] run one member on its host; [`waiting`] says why something does
//! not happen; [`access`] says who may do what, and who may join.

pub mod access;
pub mod admission;
pub mod audit;
pub mod bug;
pub mod check;
pub mod condition;
pub mod decide;
pub mod error;
#[cfg(test)]
pub(crate) mod fixture;
pub mod history;
pub mod ids;
pub mod keeper;
pub mod lease;
pub mod ledger;
pub mod machine;
pub mod manifest;
pub mod map;
pub mod member;
pub mod memo;
pub mod network;
pub mod notify;
pub mod order;
pub mod plan;
pub mod prerequisite;
pub mod probe;
pub mod promise;
pub mod quantity;
pub mod rendered;
pub mod report;
#[cfg(any(test, feature = "sim"))]
mod sample;
pub mod session;
pub mod shutdown;
#[cfg(feature = "sim")]
pub mod sim;
pub mod spec;
pub mod state;
pub mod store;
pub mod template;
pub mod time;
#[cfg(any(test, feature = "sim"))]
mod variant;
pub mod volume;
pub mod waiting;
pub mod zone;
