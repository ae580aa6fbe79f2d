//! What the agent and a keeper hold in memory.

use anyhow::Context as _;

use super::{
    Figure, Goal, Value,
    bed::Bed,
    process::{self, Memory},
};
use crate::machine;

/// The figures.
///
/// # Errors
/// If a process is not found.
pub async fn run(bed: &mut Bed) -> anyhow::Result<Vec<Figure>> {
    let host = "host-1";
    let agent = bed.dev.daemon("berth-agent", host);
    let idle = memory(agent)?;
    let name = "memory";
    let marks = bed.start_set(name, 30, "Parallel").await?;
    let busy = memory(agent)?;
    let payload = bed.marks.payload();
    let words = [&*payload.to_string_lossy(), &marks[0].name];
    let found = machine::processes_with(&words);
    let keeper = found.first().and_then(|pid| machine::parent_of(*pid));
    let keeper = memory(keeper.context("the keeper of a payload")?)?;
    let smallest = memory(*found.first().context("a payload")?)?;
    bed.remove_set(name).await?;
    Ok([
        pair("agent, idle", idle, ("with 10 members", busy), 12 * 1024),
        pair("keeper", keeper, ("the payload", smallest), 2 * 1024),
    ]
    .into_iter()
    .flatten()
    .collect())
}

/// All its memory, with the goal, and what of it no other process shares.
fn pair(name: &str, ours: Memory, beside: (&str, Memory), most: u32) -> [Figure; 2] {
    let (word, theirs) = beside;
    let resident = (word, Value::Kib(theirs.resident));
    let own = (word, Value::Kib(theirs.own));
    [
        Figure::new(
            format!("{name}: memory"),
            Value::Kib(ours.resident),
            resident,
        )
        .goal(Goal::AtMost(f64::from(most))),
        Figure::new(
            format!("{name}: without shared pages"),
            Value::Kib(ours.own),
            own,
        ),
    ]
}

fn memory(pid: u32) -> anyhow::Result<Memory> {
    process::memory(pid).with_context(|| format!("process {pid} is gone"))
}
