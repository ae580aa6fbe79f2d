//! What it costs to decide: on one changed set among few others and among many, and on one large set.
//! Core alone, without a store or an agent: each agent does at once what it is to do. Times are CPU
//! time of the thread that decides, so that what else the machine does is not taken for a plan's work.

use anyhow::Context as _;
use berth_core::ids::{MemberId, Ordinal, SetKey};

use super::{
    Figure, Goal, Value,
    model::{Cluster, ROUNDS},
    samples::Samples,
};

/// Hosts of the cluster.
const HOSTS: u32 = 40;
/// How many sets there are beside the one that changes.
const FEW: u32 = 10;
/// The same, for the figures that stand beside few.
const MANY: [u32; 2] = [1_000, 10_000];
/// Updates of each cluster that are measured in one go, and how often.
const UPDATES: u32 = 20;
const TURNS: u32 = 5;
/// Changes of the large set that are measured.
const CHANGES: u32 = 50;
/// How much more a plan may cost among many sets than among few.
const RATIO: f64 = 1.2;
/// Members of the large set.
const LARGE: u32 = 1_000;
/// How long a plan of the large set may take, in milliseconds.
const LARGE_MS: f64 = 5.0;

/// The figures.
///
/// # Errors
/// If a set does not come to rest.
pub fn run() -> anyhow::Result<Vec<Figure>> {
    let (few, many) = updates()?;
    let ratios = MANY.iter().zip(many).map(|(others, times)| {
        Figure::new(
            format!("update of 1 set, {others} others, per plan"),
            Value::Times(times),
            (format!("{FEW} others"), Value::Times(few.clone())),
        )
        .goal(Goal::RatioAtMost(RATIO))
    });
    let (report, change) = large()?;
    let large = [
        (format!("first plan of a set of {LARGE}"), first()?),
        (format!("1 report of a set of {LARGE}, plan"), report),
        (format!("new template for a set of {LARGE}, plan"), change),
    ];
    let large = large.map(|(name, times)| {
        let nothing = Value::Missing("see the goal".to_owned());
        Figure::new(name, Value::Times(times), ("nothing", nothing)).goal(Goal::AtMost(LARGE_MS))
    });
    Ok(ratios.chain(large).collect())
}

/// The times of the plans that updates of single sets take, among few others and among many. The
/// clusters take turns, so that what else the machine does meanwhile slows all of them alike.
fn updates() -> anyhow::Result<(Samples, Vec<Samples>)> {
    let mut few = Updates::among(FEW)?;
    let many = MANY.iter().map(|others| Updates::among(*others));
    let mut many = many.collect::<anyhow::Result<Vec<_>>>()?;
    for _ in 0..TURNS {
        few.turn()?;
        for one in &mut many {
            one.turn()?;
        }
    }
    let many = many.into_iter().map(|one| one.samples);
    Ok((few.samples, many.collect()))
}

/// A cluster whose sets are updated one after the other.
struct Updates {
    cluster: Cluster,
    sets: u32,
    done: u32,
    samples: Samples,
}

impl Updates {
    fn among(others: u32) -> anyhow::Result<Self> {
        let sets = others + 1;
        let mut cluster = Cluster::new(HOSTS)?;
        for n in 0..sets {
            cluster.put(&name(n)?, 3, 0);
        }
        cluster.settle()?;
        Ok(Self {
            cluster,
            sets,
            done: 0,
            samples: Samples::default(),
        })
    }

    fn turn(&mut self) -> anyhow::Result<()> {
        for _ in 0..UPDATES {
            let set = name(self.done * 97 % self.sets)?;
            self.done += 1;
            self.cluster.put(&set, 3, self.done);
            self.update(&set);
        }
        Ok(())
    }

    fn update(&mut self, set: &SetKey) {
        let cluster = &mut self.cluster;
        for _ in 0..ROUNDS {
            let (time, idle) = cluster.decide();
            self.samples.push(time);
            cluster.agents(std::slice::from_ref(set));
            if idle && cluster.decide().1 {
                return;
            }
        }
    }
}

/// The times of the plan that places all members of a large set that is new.
fn first() -> anyhow::Result<Samples> {
    let mut samples = Samples::default();
    for _ in 0..TURNS {
        let mut cluster = Cluster::new(HOSTS)?;
        cluster.put(&name(0)?, LARGE, 0);
        samples.push(cluster.decide().0);
    }
    Ok(samples)
}

/// The times of plans for the large set: when one of its members reports, and when its template
/// changes.
fn large() -> anyhow::Result<(Samples, Samples)> {
    let mut cluster = Cluster::new(HOSTS)?;
    let set = name(0)?;
    cluster.put(&set, LARGE, 0);
    cluster.settle()?;
    let mut reports = Samples::default();
    for n in 0..CHANGES {
        let member = MemberId {
            set: set.clone(),
            ordinal: Ordinal(n * 7 % LARGE),
        };
        cluster.report(&member, false);
        reports.push(cluster.decide().0);
        cluster.report(&member, true);
        reports.push(cluster.decide().0);
    }
    let mut changes = Samples::default();
    for n in 0..CHANGES {
        let before = cluster.state.clone();
        cluster.put(&set, LARGE, n + 1);
        changes.push(cluster.decide().0);
        cluster.state = before;
        // It goes back, and is at rest again.
        cluster.decide();
    }
    Ok((reports, changes))
}

fn name(n: u32) -> anyhow::Result<SetKey> {
    format!("default/s{n}").parse().context("a name")
}
