//! Whole plans against friendly agents: what upstream's tests of a StatefulSet ask for, and what
//! Berth asks beyond them.

mod delete;
mod founding;
mod places;
mod scale;
mod snapshots;
mod update;
mod volumes;
