use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Change, Map};

/// What is done to a map: a key is put with a value, or removed.
type Act = (u16, Option<u8>);

fn acts(keys: u16, most: usize) -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec((0..keys, prop::option::weighted(0.6, any::<u8>())), 0..most)
}

fn play(map: &mut Map<u16, u8>, model: &mut BTreeMap<u16, u8>, acts: &[Act]) {
    for (key, value) in acts {
        match value {
            Some(value) => assert_eq!(map.insert(*key, *value), model.insert(*key, *value)),
            None => assert_eq!(map.remove(key), model.remove(key)),
        }
    }
}

fn differences(before: &BTreeMap<u16, u8>, after: &BTreeMap<u16, u8>) -> Vec<u16> {
    let mut keys: Vec<u16> = before.keys().chain(after.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| before.get(key) != after.get(key));
    keys
}

fn at(key: u16) -> Option<u8> {
    u8::try_from(key % 250).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn it_is_what_the_map_of_the_standard_library_is(
        first in acts(700, 1_500), second in acts(700, 40), from in 0_u16..700, to in 0_u16..700,
    ) {
        let (mut map, mut model) = (Map::new(), BTreeMap::new());
        play(&mut map, &mut model, &first);
        let (before, old) = (map.clone(), model.clone());
        play(&mut map, &mut model, &second);
        prop_assert_eq!(before.iter().collect::<Vec<_>>(), old.iter().collect::<Vec<_>>(), "a copy stays");
        prop_assert_eq!(map.len(), model.len());
        prop_assert!(map.iter().eq(model.iter()));
        prop_assert!(map.iter().rev().eq(model.iter().rev()));
        for key in 0..700 {
            prop_assert_eq!(map.get(&key), model.get(&key));
        }
        if from <= to {
            prop_assert!(map.range(from..to).eq(model.range(from..to)));
            prop_assert!(map.range(from..=to).eq(model.range(from..=to)));
        }
        prop_assert!(map.range(from..).eq(model.range(from..)));
        prop_assert_eq!(map.first_key_value(), model.first_key_value());
        let again: Map<u16, u8> = model.iter().map(|(key, value)| (*key, *value)).collect();
        prop_assert_eq!(&again, &map);
        // Whatever changed is told; what is told and did not change was put again.
        let mut told: Vec<u16> = Vec::new();
        for Change { key, before, after } in map.changes(&before) {
            prop_assert_eq!(before, old.get(key));
            prop_assert_eq!(after, model.get(key));
            prop_assert!(second.iter().any(|(touched, _)| touched == key));
            told.push(*key);
        }
        prop_assert!(told.is_sorted());
        let changed = differences(&old, &model);
        prop_assert!(changed.iter().all(|key| told.contains(key)), "{changed:?} of {told:?}");
    }
}

#[test]
fn both_ends_meet_in_the_middle() {
    let map: Map<u16, Option<u8>> = (0..200).map(|key| (key, at(key))).collect();
    let mut both = map.iter();
    let mut met = Vec::new();
    while let Some((key, _)) = both.next() {
        met.push(*key);
        met.extend(both.next_back().map(|(key, _)| *key));
    }
    met.sort_unstable();
    assert!(met.into_iter().eq(0..200));
}

#[test]
fn a_change_costs_no_more_in_a_large_map_than_its_path() {
    let map: Map<u16, Option<u8>> = (0..30_000).map(|key| (key, at(key))).collect();
    let mut after = map.clone();
    assert!(after.is_same(&map));
    *after.get_mut(&17_000).unwrap() = None;
    assert!(after.get_mut(&40_000).is_none());
    let changes: Vec<u16> = after.changes(&map).map(|change| *change.key).collect();
    assert_eq!(changes, [17_000]);
    assert_eq!(map[&17_000], at(17_000), "the other one is as it was");
    after.retain(|key, _| *key % 2 == 0);
    assert_eq!(after.len(), 15_000);
    for value in after.values_mut() {
        *value = None;
    }
    assert!(after.values().all(Option::is_none));
    assert_eq!(after.pop_first(), Some((0, None)));
    after.clear();
    assert!(after.is_empty() && after.first_key_value().is_none());
}
