//! Whole plans against friendly agents: what upstream's tests of a StatefulSet ask for, and what
//! Berth asks beyond them.

mod delete;
mod depends;
mod disruptions;
mod founding;
mod lost;
mod moves;
mod operated;
mod orphan;
mod outlook;
mod places;
mod reload;
mod requires;
mod retention;
mod revisions;
mod rollout;
mod scale;
mod snapshots;
mod spread;
mod update;
mod volumes;
