//! What the tests that span crates share: a cluster of real processes on this machine, hosts in
//! network namespaces, and waits for a level with a deadline.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "this crate is test code: a failed expectation is a failed test"
)]

pub mod attack;
pub mod bench;
pub mod cluster;
pub mod dev;
pub mod etcd;
pub mod faults;
pub mod guest;
pub mod hosts;
pub mod limit;
pub mod machine;
pub mod netns;
pub mod nfs;
pub mod page;
pub mod pulse;
pub mod sources;
pub mod systemd;
pub mod wait;
