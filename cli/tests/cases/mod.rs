//! One file per group of commands: what each prints, and how it ends.

mod asking;
mod changes;
mod exec;
mod hosts;
mod local;
mod lost;
mod reads;
mod rollouts;
mod usage;
mod volumes;
mod waits;
