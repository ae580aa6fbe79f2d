//! Every command as its user sees it: the real program against a coordinator and an agent with
//! canned answers, over a unix socket. What it prints and its exit code are kept as snapshots.
#![expect(clippy::unwrap_used, reason = "helpers of a test fail the test")]

mod cases;
mod support;
