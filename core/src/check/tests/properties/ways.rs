//! How the sets of random histories are updated, and the config that their members use: what may be
//! another thing with each spec.

use proptest::prelude::*;

use super::SETS;
use crate::{
    fixture::{friend::Friends, key},
    spec::{
        Amount, ConfigMap, ConfigUpdate, DisruptionBudget, OnChange, RollingUpdate,
        StatefulSetSpec, UpdateKind, UpdateStrategy,
    },
    state::RolloutPhase,
};

/// How a set is kept up to date.
#[derive(Debug, Clone, Default)]
pub(super) struct Way {
    pub(super) update: UpdateKind,
    pub(super) partition: u32,
    pub(super) max_unavailable: Option<Amount>,
    pub(super) min_available: Option<Amount>,
    pub(super) deadline: Option<u32>,
    pub(super) auto_rollback: bool,
    pub(super) paused: bool,
    pub(super) reload: bool,
    pub(super) start: u32,
}

fn update() -> impl Strategy<Value = UpdateKind> {
    prop_oneof![
        3 => Just(UpdateKind::RollingUpdate),
        1 => Just(UpdateKind::OnDelete),
        1 => Just(UpdateKind::Recreate),
    ]
}

fn amount() -> impl Strategy<Value = Amount> {
    prop_oneof![
        (1..4_u32).prop_map(Amount::Number),
        Just(Amount::Percent(50)),
    ]
}

fn least() -> impl Strategy<Value = Amount> {
    prop_oneof![amount(), Just(Amount::Quorum)]
}

pub(super) fn way() -> impl Strategy<Value = Way> {
    let amounts = (
        prop::option::of(amount()),
        prop::option::weighted(0.3, least()),
    );
    let flags = (
        any::<bool>(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.7),
    );
    let numbers = (
        prop_oneof![2 => Just(0_u32), 1 => 1..5_u32],
        prop::option::of(5..60_u32),
        prop_oneof![3 => Just(0_u32), 1 => 1..3_u32],
    );
    (update(), amounts, flags, numbers).prop_map(
        |(
            update,
            (max_unavailable, min_available),
            (auto_rollback, paused, reload),
            (partition, deadline, start),
        )| Way {
            update,
            partition,
            max_unavailable,
            min_available,
            deadline,
            auto_rollback,
            paused,
            reload,
            start,
        },
    )
}

impl Way {
    pub(super) fn write(&self, wanted: &mut StatefulSetSpec, may_shift: bool) {
        let rolling = self.update == UpdateKind::RollingUpdate;
        wanted.update_strategy = Some(UpdateStrategy {
            kind: self.update,
            rolling_update: rolling.then(|| RollingUpdate {
                partition: self.partition,
                max_unavailable: self.max_unavailable.clone(),
            }),
        });
        wanted.disruption_budget = self.min_available.clone().map(|least| DisruptionBudget {
            min_available: Some(least),
            max_unavailable: None,
        });
        wanted.progress_deadline_seconds = self.deadline;
        wanted.auto_rollback = self.auto_rollback;
        wanted.paused = Some(self.paused);
        if self.reload {
            wanted.config_update = ConfigUpdate::Reload;
        }
        if may_shift {
            wanted.ordinals.start = self.start;
        }
    }
}

/// The files of the config of a set: path, key, and what a change does.
pub(super) const FILES: [(&str, &str, OnChange); 2] = [
    ("signal", "signal", OnChange::Signal),
    ("restart", "restart", OnChange::Restart),
];

/// What the config of a set says, of which its members use three entries; `None` if it is gone.
pub(super) type Config = Option<[u8; 3]>;

pub(super) fn config() -> impl Strategy<Value = Config> {
    // Mostly nothing differs but the files.
    let texts = (0..20_u8, 0..2_u8, 0..2_u8).prop_map(|(env, one, other)| [env / 19, one, other]);
    prop::option::weighted(0.85, texts)
}

/// Gives a set another config.
pub(super) fn put_config(friends: &mut Friends, set: &str, config: Config) {
    let maps = &mut friends.state.config_maps;
    match config {
        None => drop(maps.remove(&key(set))),
        Some(texts) => {
            let mut map = ConfigMap::default();
            for (name, text) in ["env", "signal", "restart"].into_iter().zip(texts) {
                map.data.insert(name.to_owned(), text.to_string());
            }
            maps.insert(key(set), map);
        }
    }
    friends.state.revise(&key(set), friends.now);
}

/// What an operator does about sets that were held back, or whose rollout came to nothing: they get
/// a template that works.
pub(super) fn go_on(friends: &mut Friends) {
    for set in SETS {
        if !friends.state.config_maps.contains_key(&key(set)) {
            put_config(friends, set, Some([0; 3]));
        }
        let Some(stored) = friends.state.sets.get(&key(set)) else {
            continue;
        };
        let failed = match stored.rollout.phase {
            RolloutPhase::Resting | RolloutPhase::Going => false,
            RolloutPhase::Stalled | RolloutPhase::TakenBack => true,
        };
        let mut wanted = (*stored.spec).clone();
        wanted.paused = Some(false);
        wanted.disruption_budget = None;
        // One that is shorter than what members take to be available halts every rollout.
        wanted.progress_deadline_seconds = None;
        if failed {
            let process = &mut wanted.template.spec.processes[0];
            process.args.push("--mended".to_owned());
        }
        crate::fixture::put_set(&mut friends.state, set, wanted);
    }
}
