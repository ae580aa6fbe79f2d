//! A coordinator with its real services and streams, and agents without hosts.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod agent;
mod common;
mod exec;
mod failover;
mod grpc;
mod killed;
mod leaving;
mod lost;
mod members;
mod objects;
mod pools;
mod restore;
mod rollouts;
mod tutorial;
mod updates;
mod verbs;
mod volumes;
