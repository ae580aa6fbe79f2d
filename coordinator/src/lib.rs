//! Berth's coordinator: store, reconcile loop, agents' sessions, services.

pub mod state;
pub mod store;
