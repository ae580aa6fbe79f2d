//! What is taken from callers: how long a call may take ([`Deadline`]), and how many one caller may make
//! ([`Quota`]). Layers around all services; no handler knows of them. The numbers are the operator's
//! ([`crate::limits`]), which calls are free of them is in the table of methods.

mod deadline;
mod quota;

pub(super) use deadline::Deadline;
pub(super) use quota::Quota;
