//! Berth's coordinator: store, reconcile loop, agents' sessions, services.

pub mod store;
