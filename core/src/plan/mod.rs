//! The plan: what to do next, as a value. [`plan`] is synchronous, total and deterministic; it
//! reads nothing but its arguments.

pub mod report;
pub mod step;

pub use report::Report;
pub use step::{Plan, Step};
