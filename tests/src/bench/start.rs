//! Starts in order of members that are ready at once: what Berth adds to each.

use super::{Figure, Goal, Value, bed::Bed, limits, samples::Samples};

/// Members of a set, and how often such a set is started.
const SIZES: [(u32, u32); 3] = [(1, 10), (10, 5), (100, 1)];
/// Starts that make up the limit.
const SPAWNS: usize = 200;

/// The figures.
///
/// # Errors
/// If a set does not start.
pub async fn run(bed: &mut Bed) -> anyhow::Result<Vec<Figure>> {
    let payload = bed.marks.payload();
    let limit = limits::durable_spawns(bed.marks.folder(), &payload, "exit", SPAWNS)?;
    let mut figures = Vec::new();
    for (members, rounds) in SIZES {
        let mut first = Samples::default();
        let mut each = Samples::default();
        for round in 0..rounds {
            let name = format!("start-{members}-{round}");
            let marks = bed.start_set(&name, members, "OrderedReady").await?;
            first.extend(marks.iter().take(1).map(|mark| mark.at).collect());
            let pairs = marks.windows(2);
            each.extend(pairs.map(|pair| pair[1].at - pair[0].at).collect());
            bed.remove_set(&name).await?;
        }
        let beside = || ("fdatasync and spawn", Value::Times(limit.clone()));
        let (name, times) = if members == 1 {
            ("Apply to main, one member".to_owned(), first)
        } else {
            (format!("ordered start, each of {members}"), each)
        };
        figures.push(Figure::new(name, Value::Times(times), beside()).goal(Goal::AtMost(5.0)));
    }
    Ok(figures)
}
