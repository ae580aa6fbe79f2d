//! Random events and failures: safe at every step, and once things succeed the goal is reached.

use proptest::prelude::*;

use super::*;
use crate::ids::Generation;

#[derive(Debug, Clone)]
enum Op {
    Run,
    Stop,
    NextEpoch,
    Remove,
    Held(bool),
    ShuttingDown(bool),
    Barred(bool),
    Restart,
    Finish { ok: bool, survives: bool },
    KeeperDies,
    Exit,
    StartAgain,
    Probed(bool),
    Pass(u16),
    Seen(VolumeHealth),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => Just(Op::Run),
        2 => Just(Op::Stop),
        1 => Just(Op::NextEpoch),
        1 => Just(Op::Remove),
        1 => any::<bool>().prop_map(Op::Held),
        1 => any::<bool>().prop_map(Op::ShuttingDown),
        1 => any::<bool>().prop_map(Op::Barred),
        1 => Just(Op::Restart),
        12 => (any::<bool>(), any::<bool>()).prop_map(|(ok, survives)| Op::Finish { ok, survives }),
        2 => Just(Op::KeeperDies),
        2 => Just(Op::Exit),
        2 => Just(Op::StartAgain),
        3 => any::<bool>().prop_map(Op::Probed),
        4 => any::<u16>().prop_map(Op::Pass),
        3 => health().prop_map(Op::Seen),
    ]
}

fn health() -> impl Strategy<Value = VolumeHealth> {
    let step = "look".to_owned();
    prop_oneof![
        Just(VolumeHealth::Fine(usage(5))),
        Just(VolumeHealth::Hung { step }),
        Just(VolumeHealth::Stale),
    ]
}

fn apply(world: &mut World, generation: &mut Generation, op: Op) {
    match op {
        Op::Run => world.step(Event::Order(wanted(generation.0, Desired::Run))),
        Op::Stop => world.step(Event::Order(wanted(generation.0, Desired::Stop))),
        Op::NextEpoch => {
            *generation = generation.next();
            world.step(Event::Order(wanted(generation.0, Desired::Run)));
        }
        Op::Remove => world.step(Event::Order(Standing::Removed)),
        Op::Held(held) => world.step(Event::Held(held)),
        Op::ShuttingDown(now) => world.step(Event::ShuttingDown(now)),
        Op::Barred(barred) => world.bar(barred),
        Op::Restart => world.step(Event::Restart),
        Op::Finish { ok, survives } => world.finish(ok, survives),
        Op::KeeperDies => world.keeper_dies(),
        Op::Exit => world.exit(),
        Op::StartAgain => world.start_again(),
        Op::Probed(true) => world.probed(&Outcome::Success),
        Op::Probed(false) => world.probed(&Outcome::Failure("no".to_owned())),
        Op::Seen(health) => world.seen(&health),
        Op::Pass(ms) => world.pass(Duration::from_millis(u64::from(ms))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever happens and fails: never two starts at a time, never a start onto remains, never one
    /// that is barred (all held by the world at every step); once things succeed, the goal is reached.
    #[test]
    fn safe_at_every_step_and_the_goal_is_reached(
        ops in prop::collection::vec(op(), 0..60),
        probed in any::<bool>(),
    ) {
        let probe = probed.then(Probe::default);
        let mut world = World::new(ProbeSpecs {
            startup: probe.clone(),
            readiness: probe.clone(),
            liveness: probe,
        });
        let mut generation = Generation(1);
        for op in ops {
            apply(&mut world, &mut generation, op);
        }
        world.step(Event::Held(false));
        world.step(Event::ShuttingDown(false));
        world.bar(false);
        world.step(Event::Order(wanted(generation.0, Desired::Run)));
        world.start_again();
        world.settle();
        prop_assert!(world.report().ready, "{:?}", world.machine);
        prop_assert_eq!(world.report().epoch, epoch(generation.0));
        world.step(Event::Order(wanted(generation.0, Desired::Stop)));
        world.settle();
        prop_assert_eq!(world.report().phase, Phase::Stopped);
        prop_assert!(world.keeper.is_none() && !world.left);
    }

    /// Each action fails at its n-th time over a whole start and stop; both still end right.
    #[test]
    fn any_single_failure_is_got_over(nth in 0_usize..12, survives in any::<bool>()) {
        let mut world = World::new(ProbeSpecs::default());
        let mut count = 0;
        for (desired, phase) in [(Desired::Run, Phase::Running), (Desired::Stop, Phase::Stopped)] {
            world.step(Event::Order(wanted(1, desired)));
            for _ in 0..100 {
                if world.report().phase == phase {
                    break;
                }
                if world.pending.is_some() {
                    count += 1;
                    world.finish(count != nth + 1, survives);
                } else {
                    world.now = world.machine.wake_at().unwrap();
                    world.step(Event::Tick);
                }
            }
            prop_assert_eq!(world.report().phase, phase);
        }
        prop_assert!(world.keeper.is_none() && !world.left);
    }
}
