//! A whole cluster as one value: the coordinator's planner and checker, the agents' ledgers and
//! member machines, and a model of everything between and below them, driven by one clock and one
//! source of randomness.
//!
//! The simulated parts are the network (streams that delay, break and lose what was under way), the
//! store (what is committed survives, the rest does not), processes, volumes and time. The deciding
//! parts are the ones that run in production. After every event the promises are checked against
//! what is true in the world, not against what anybody believes ([`truth`]). A seed gives the same
//! history every time; [`script`] plays a written one.

mod agent;
mod coordinator;
mod faults;
mod fence;
mod freeze;
mod host;
mod lease;
mod leaving;
mod lost;
mod net;
pub mod operator;
pub mod random;
mod rng;
pub mod script;
mod storage;
mod tally;
pub mod truth;
mod work;
mod world;
mod writes;

pub use freeze::Freeze;
pub use rng::Rng;
pub use tally::Tally;
pub use truth::Violation;
pub use world::World;
