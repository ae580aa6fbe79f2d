//! What the agent and a keeper hold in memory.

use anyhow::Context as _;

use super::{Figure, Goal, Value, bed::Bed, process};
use crate::machine;

/// The figures.
///
/// # Errors
/// If a process is not found.
pub async fn run(bed: &mut Bed) -> anyhow::Result<Vec<Figure>> {
    let host = "host-1";
    let agent = bed.dev.daemon("berth-agent", host);
    let idle = kib(agent)?;
    let name = "memory";
    let marks = bed.start_set(name, 30, "Parallel").await?;
    let busy = kib(agent)?;
    let payload = bed.marks.payload();
    let words = [&*payload.to_string_lossy(), &marks[0].name];
    let found = machine::processes_with(&words);
    let keeper = found.first().and_then(|pid| machine::parent_of(*pid));
    let keeper = kib(keeper.context("the keeper of a payload")?)?;
    let smallest = kib(*found.first().context("a payload")?)?;
    bed.remove_set(name).await?;
    Ok(vec![
        Figure::new("agent, memory, idle", idle, ("with 10 members", busy))
            .goal(Goal::AtMost(12.0 * 1024.0)),
        Figure::new("keeper, memory", keeper, ("the payload", smallest))
            .goal(Goal::AtMost(2.0 * 1024.0)),
    ])
}

fn kib(pid: u32) -> anyhow::Result<Value> {
    let kib = process::resident_kib(pid).with_context(|| format!("process {pid} is gone"))?;
    Ok(Value::Kib(kib))
}
