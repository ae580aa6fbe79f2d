//! The match rules, each against a volume that fails it alone; and what upstream promises of them.

use super::*;
use crate::{
    fixture::{NOW, class, hand_made, key, quantity, static_volume, volume_key},
    spec::{LabelSelector, PersistentVolumeSpec},
    state::State,
};

const GIB: u64 = 1 << 30;

fn found(state: &State) -> Result<String, NoMatch> {
    let key = key("data");
    let claim = &state.claims[&key];
    let class = crate::volume::class::of_claim(state, &claim.spec);
    find(state, &key, claim, &class).map(|found| found.name.name.to_string())
}

fn misfit(state: &State) -> VolumeMisfit {
    let mut none = found(state).unwrap_err();
    assert_eq!(none.volumes.len(), 1, "{none:?}");
    none.volumes.remove(0).because
}

/// A claim for 5 bytes and a volume `pv` of 5 that fits.
fn pair() -> State {
    let mut state = State::default();
    static_volume(&mut state, "pv", 5);
    hand_made(&mut state, "data", 5);
    assert_eq!(found(&state).unwrap(), "pv");
    state
}

fn change(state: &mut State, change: impl FnOnce(&mut PersistentVolumeSpec)) {
    let volume = state.persistent_volumes.get_mut(&volume_key("pv")).unwrap();
    change(&mut volume.spec);
}

fn ask(state: &mut State) -> &mut crate::spec::PersistentVolumeClaimSpec {
    &mut state.claims.get_mut(&key("data")).unwrap().spec
}

fn reserve(state: &mut State, name: &str, uid: &str) {
    change(state, |spec| {
        spec.claim_ref = Some(ClaimRef {
            name: name.to_owned(),
            uid: uid.to_owned(),
            ..ClaimRef::default()
        });
    });
}

fn slot(value: &str) -> Option<LabelSelector> {
    let mut selector = LabelSelector::default();
    let labels = &mut selector.match_labels;
    labels.insert("slot".to_owned(), value.to_owned());
    Some(selector)
}

/// Binds a claim as the plan does.
fn bind(state: &mut State, claim: &str, volume: &str) {
    let (key, name) = (key(claim), volume_key(volume));
    let record = bound(state, &name, &key, &state.claims[&key], NOW).unwrap();
    state.volumes.insert(name.clone(), record);
    state.claims.get_mut(&key).unwrap().volume = Some(name);
}

#[test]
fn a_volume_that_is_too_small_does_not_fit() {
    let mut state = pair();
    change(&mut state, |spec| spec.capacity = quantity(4));
    assert_eq!(misfit(&state), VolumeMisfit::TooSmall { capacity: 4 });
    change(&mut state, |spec| spec.capacity.clear());
    assert_eq!(misfit(&state), VolumeMisfit::TooSmall { capacity: 0 });
}

#[test]
fn classes_are_equal_and_none_is_a_class_too() {
    let mut state = pair();
    let fast = || "fast".to_owned();
    change(&mut state, |spec| spec.storage_class_name = fast());
    assert_eq!(misfit(&state), VolumeMisfit::Class { class: fast() });
    ask(&mut state).storage_class_name = Some(fast());
    assert_eq!(found(&state).unwrap(), "pv");
    change(&mut state, |spec| spec.storage_class_name.clear());
    let class = String::new();
    assert_eq!(misfit(&state), VolumeMisfit::Class { class });
}

#[test]
fn a_claim_without_a_class_has_the_default_one() {
    let mut state = pair();
    ask(&mut state).storage_class_name = None;
    let marked = class(&mut state, "fast");
    let notes = &mut marked.metadata.annotations;
    let mark = crate::spec::storage::DEFAULT_CLASS.to_owned();
    notes.insert(mark, "true".to_owned());
    assert!(matches!(misfit(&state), VolumeMisfit::Class { .. }));
    change(&mut state, |spec| {
        spec.storage_class_name = "fast".to_owned()
    });
    assert_eq!(found(&state).unwrap(), "pv");
}

#[test]
fn all_modes_that_are_asked_for_are_offered() {
    let mut state = pair();
    ask(&mut state).access_modes.push(AccessMode::ReadWriteMany);
    assert_eq!(misfit(&state), VolumeMisfit::AccessModes);
    change(&mut state, |spec| {
        spec.access_modes = vec![
            AccessMode::ReadOnlyMany,
            AccessMode::ReadWriteMany,
            AccessMode::ReadWriteOnce,
        ];
    });
    assert_eq!(found(&state).unwrap(), "pv", "more does not hurt");
    ask(&mut state).access_modes = vec![AccessMode::ReadWriteOncePod];
    assert_eq!(misfit(&state), VolumeMisfit::AccessModes);
}

#[test]
fn the_selector_decides_by_labels() {
    let mut state = pair();
    ask(&mut state).selector = slot("1");
    assert_eq!(misfit(&state), VolumeMisfit::Labels);
    let volume = state.persistent_volumes.get_mut(&volume_key("pv")).unwrap();
    let labels = &mut volume.metadata.labels;
    labels.insert("slot".to_owned(), "1".to_owned());
    labels.insert("more".to_owned(), "x".to_owned());
    assert_eq!(found(&state).unwrap(), "pv");
    ask(&mut state).selector = slot("2");
    assert_eq!(misfit(&state), VolumeMisfit::Labels);
    ask(&mut state).selector = Some(LabelSelector::default());
    assert_eq!(
        found(&state).unwrap(),
        "pv",
        "an empty selector selects all"
    );
}

#[test]
fn a_claim_that_names_its_volume_gets_that_one_or_none() {
    let mut state = pair();
    static_volume(&mut state, "other", 5);
    ask(&mut state).volume_name = "other".to_owned();
    ask(&mut state).selector = slot("1");
    assert_eq!(found(&state).unwrap(), "other", "labels are not asked for");
    state.persistent_volumes.remove(&volume_key("other"));
    assert_eq!(misfit(&state), VolumeMisfit::Name);
    ask(&mut state).volume_name = "pv".to_owned();
    change(&mut state, |spec| {
        spec.storage_class_name = "fast".to_owned()
    });
    assert!(matches!(misfit(&state), VolumeMisfit::Class { .. }));
}

#[test]
fn a_volume_that_names_the_claim_wins_over_a_better_one() {
    let mut state = pair();
    change(&mut state, |spec| spec.capacity = quantity(5 * GIB));
    static_volume(&mut state, "a", 5);
    assert_eq!(found(&state).unwrap(), "a");
    reserve(&mut state, "data", "");
    assert_eq!(found(&state).unwrap(), "pv");
    let uid = state.claims[&key("data")].uid.0.clone();
    reserve(&mut state, "data", &uid);
    assert_eq!(found(&state).unwrap(), "pv");
    ask(&mut state).selector = slot("1");
    change(&mut state, |spec| {
        spec.storage_class_name = "fast".to_owned()
    });
    assert_eq!(
        found(&state).unwrap(),
        "pv",
        "labels and class are not asked for"
    );
}

#[test]
fn a_volume_that_names_another_claim_is_kept_for_it() {
    let mut state = pair();
    reserve(&mut state, "other", "");
    let claim = key("other");
    assert_eq!(misfit(&state), VolumeMisfit::Reserved { claim });
    reserve(&mut state, "data", "uid-of-an-earlier-one");
    let claim = key("data");
    assert_eq!(misfit(&state), VolumeMisfit::Reserved { claim });
    change(&mut state, |spec| {
        let named = spec.claim_ref.as_mut().unwrap();
        named.uid.clear();
        named.namespace = "prod".to_owned();
    });
    assert!(matches!(misfit(&state), VolumeMisfit::Reserved { .. }));
}

#[test]
fn a_volume_that_names_the_claim_and_does_not_fit_is_told() {
    let mut state = pair();
    reserve(&mut state, "data", "");
    change(&mut state, |spec| spec.capacity = quantity(4));
    let none = found(&state).unwrap_err();
    assert!(none.kept, "no class may make another one");
    assert_eq!(misfit(&state), VolumeMisfit::TooSmall { capacity: 4 });
    change(&mut state, |spec| {
        spec.capacity = quantity(5);
        spec.access_modes = vec![AccessMode::ReadOnlyMany];
    });
    assert_eq!(misfit(&state), VolumeMisfit::AccessModes);
}

#[test]
fn the_smallest_that_fits_wins_then_the_first_name() {
    let mut state = pair();
    for (name, size) in [("c", 9), ("b", 6), ("a", 6), ("z", 4)] {
        static_volume(&mut state, name, size);
    }
    change(&mut state, |spec| spec.capacity = quantity(8));
    assert_eq!(found(&state).unwrap(), "a");
}

#[test]
fn a_bound_volume_is_taken_whole_until_it_is_released() {
    let mut state = pair();
    change(&mut state, |spec| spec.capacity = quantity(100 * GIB));
    hand_made(&mut state, "other", 5);
    bind(&mut state, "other", "pv");
    let claim = key("other");
    let released = false;
    let taken = VolumeMisfit::Bound { claim, released };
    assert_eq!(misfit(&state), taken);
    state.claims.remove(&key("other"));
    let claim = key("other");
    let released = true;
    let taken = VolumeMisfit::Bound { claim, released };
    assert_eq!(misfit(&state), taken, "a claim that is gone keeps it");
    hand_made(&mut state, "other", 5).uid = crate::ids::Uid("new".to_owned());
    assert_eq!(misfit(&state), taken, "and a new one of its name is not it");
    let record = state.volumes.get_mut(&volume_key("pv")).unwrap();
    record.claim = None;
    assert_eq!(found(&state).unwrap(), "pv");
}

#[test]
fn a_volume_in_the_trash_is_nobodys() {
    let mut state = pair();
    bind(&mut state, "data", "pv");
    let claim = state.claims.get_mut(&key("data")).unwrap();
    claim.volume = None;
    assert_eq!(found(&state).unwrap(), "pv", "it comes back to its claim");
    for gone in [
        VolumeState::Trashing,
        VolumeState::Trashed { since: NOW },
        VolumeState::Restoring,
    ] {
        state.volumes.get_mut(&volume_key("pv")).unwrap().state = gone;
        assert_eq!(misfit(&state), VolumeMisfit::Deleted);
    }
}

#[test]
fn what_a_class_made_goes_only_to_who_asks_for_it_by_name() {
    let mut state = pair();
    bind(&mut state, "data", "pv");
    state.persistent_volumes.clear();
    let claim = state.claims.get_mut(&key("data")).unwrap();
    claim.volume = None;
    let record = state.volumes.get_mut(&volume_key("pv")).unwrap();
    record.provisioned = true;
    record.claim = None;
    assert_eq!(misfit(&state), VolumeMisfit::Labels);
    ask(&mut state).volume_name = "pv".to_owned();
    assert_eq!(found(&state).unwrap(), "pv");
}

#[test]
fn two_volumes_in_one_directory_are_not_bound_at_once() {
    let mut state = pair();
    static_volume(&mut state, "other", 5);
    hand_made(&mut state, "other", 5);
    bind(&mut state, "other", "other");
    let place = |state: &mut State, server: &str, path: &str| {
        change(state, |spec| {
            let nfs = spec.nfs.as_mut().unwrap();
            server.clone_into(&mut nfs.server);
            path.clone_into(&mut nfs.path);
        });
    };
    for path in ["/static/other", "/static/other/in/it", "/static", "/"] {
        place(&mut state, "NAS", path);
        let none = found(&state).unwrap_err();
        let overlaps = VolumeMisfit::Overlaps {
            volume: "other".to_owned(),
        };
        assert!(
            none.volumes.iter().any(|one| one.because == overlaps),
            "{path}"
        );
    }
    place(&mut state, "nas", "/static/others");
    assert_eq!(found(&state).unwrap(), "pv");
    place(&mut state, "nas2", "/static/other");
    assert_eq!(found(&state).unwrap(), "pv");
    // One server under two names, as it is known once a member was started on it.
    let record = state.volumes.get_mut(&volume_key("other")).unwrap();
    record.address = Some([10, 0, 0, 5].into());
    assert_eq!(found(&state).unwrap(), "pv", "its address is not known");
    for server in ["10.0.0.5", "nas2"] {
        place(&mut state, server, "/static/other/in/it");
        if server == "nas2" {
            let mut third = state.volumes[&volume_key("other")].clone();
            let VolumeSource::Nfs(nfs) = &mut third.source else {
                panic!("it is on a server");
            };
            (nfs.server, nfs.path) = (server.to_owned(), "/third".to_owned());
            state.volumes.insert(volume_key("third"), third);
        }
        assert!(found(&state).is_err(), "{server}");
    }
    state.volumes.remove(&volume_key("third"));
    place(&mut state, "nas", "/static/other");
    let many = vec![AccessMode::ReadWriteMany];
    change(&mut state, |spec| spec.access_modes = many.clone());
    ask(&mut state).access_modes = many.clone();
    assert!(found(&state).is_err(), "the other one expects to be alone");
    let record = state.volumes.get_mut(&volume_key("other")).unwrap();
    record.access_modes = many;
    assert_eq!(found(&state).unwrap(), "pv");
    change(&mut state, |spec| {
        spec.access_modes.push(AccessMode::ReadWriteOnce);
    });
    assert!(found(&state).is_err(), "it may be asked for by one alone");
}

#[test]
fn declared_data_is_for_the_first_claim() {
    let mut state = pair();
    change(&mut state, |spec| spec.adopt = Some(Adopt::Existing));
    let record = |state: &State| {
        let key = key("data");
        bound(state, &volume_key("pv"), &key, &state.claims[&key], NOW).unwrap()
    };
    assert!(record(&state).adopt);
    bind(&mut state, "data", "pv");
    let fill = crate::fixture::fill(key("data"));
    state.apply(&fill, NOW);
    let kept = state.volumes.get_mut(&volume_key("pv")).unwrap();
    kept.claim = None;
    assert!(!record(&state).adopt, "the operator has to say it again");
    assert!(
        bound(
            &state,
            &volume_key("none"),
            &key("data"),
            &state.claims[&key("data")],
            NOW
        )
        .is_none()
    );
}

#[test]
fn a_volume_is_mounted_with_the_version_that_its_options_say() {
    let mut state = pair();
    let version = |state: &State| {
        let object = &state.persistent_volumes[&volume_key("pv")];
        let Some(VolumeSource::Nfs(nfs)) = static_source(object) else {
            panic!("no source of nfs");
        };
        (nfs.version.to_string(), nfs.options.iter().count())
    };
    assert_eq!(version(&state), ("4.2".to_owned(), 0));
    change(&mut state, |spec| {
        spec.mount_options = vec!["hard".to_owned(), "nfsvers=3".to_owned()];
    });
    assert_eq!(version(&state), ("3".to_owned(), 1));
}
