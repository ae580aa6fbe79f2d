//! Storage: pools, images and NFS shares, how they are mounted, and the guards of promise I4.
//!
//! Nothing of this is ever mounted in the host's own mount namespace: a helper ([`helper`]) looks
//! and prepares through mounts that are attached nowhere, and a keeper mounts in its own namespace
//! what it was told in a [`Place`]. When the process ends, its mounts do.

mod copy;
pub(crate) mod dir;
mod fence;
mod freeze;
mod grow;
mod guard;
pub mod helper;
pub(crate) mod image;
mod limits;
pub(crate) mod loops;
pub(crate) mod mount;
pub(crate) mod nfs;
mod notes;
pub(crate) mod owner;
pub(crate) mod place;
pub(crate) mod pool;
pub(crate) mod prepare;
mod quota;
mod remove;
mod transfer;
mod weigh;
pub(crate) mod work;

pub use place::{Place, PoolPlace};
pub use pool::Pool;
