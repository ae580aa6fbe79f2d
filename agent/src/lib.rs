//! Berth's agent: members, volumes, keepers and names of one host.

pub mod dns;
pub mod host;
pub mod keeper;
