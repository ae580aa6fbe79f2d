//! Whole plans against friendly agents: what upstream's tests of a StatefulSet ask for, and what
//! Berth asks beyond them.

mod delete;
mod depends;
mod founding;
mod orphan;
mod places;
mod retention;
mod scale;
mod update;
mod volumes;
