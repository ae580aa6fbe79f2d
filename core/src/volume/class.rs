//! Which class a claim has, and what a class is.
//!
//! A class without an object is no class, with one exception: `local` is built in, so that the
//! first set on the first host has volumes before anybody has heard of classes.

use std::{borrow::Cow, cmp::Reverse};

use crate::{
    ids::ObjectKey,
    map::Map,
    spec::{
        LabelSelector, LimitPolicy, PersistentVolumeClaimSpec, StorageClass, storage::DEFAULT_CLASS,
    },
    state::State,
};

/// The name of the class that exists without an object: the pool `default` of the member's host,
/// kept when its claim is deleted, and it may grow. An object of that name takes its place.
pub const BUILT_IN: &str = "local";

/// The pool of a class that names none.
pub const DEFAULT_POOL: &str = "default";

/// The class objects, by name.
pub type Classes = Map<ObjectKey, StorageClass>;

/// The class of a name, if there is one.
pub fn named<'a>(state: &'a State, name: &str) -> Option<Cow<'a, StorageClass>> {
    named_of(&state.storage_classes, name)
}

/// The same of classes that are not stored yet.
pub(crate) fn named_of<'a>(classes: &'a Classes, name: &str) -> Option<Cow<'a, StorageClass>> {
    let key = ObjectKey::of_cluster(name).ok();
    let stored = key.and_then(|key| classes.get(&key));
    let stored = stored.map(Cow::Borrowed);
    stored.or_else(|| (name == BUILT_IN).then(|| Cow::Owned(built_in())))
}

/// The built-in class as operators see it among the others, unless one of its name is stored: with what
/// it leaves out written out, and as the default one where none is marked.
pub fn shown_built_in(stored: &Classes) -> Option<StorageClass> {
    if stored.keys().any(|key| key.name.as_str() == BUILT_IN) {
        return None;
    }
    let mut class = built_in();
    DEFAULT_POOL.clone_into(&mut class.parameters.pool);
    class.volume_binding_mode = Some(class.binding_mode());
    if !stored.values().any(StorageClass::is_default) {
        let notes = &mut class.metadata.annotations;
        notes.insert(DEFAULT_CLASS.to_owned(), "true".to_owned());
    }
    Some(class)
}

fn built_in() -> StorageClass {
    let mut class = StorageClass {
        allow_volume_expansion: true,
        ..StorageClass::default()
    };
    BUILT_IN.clone_into(&mut class.metadata.name);
    class
}

/// The name of the class that a claim has; empty for one that asks for a volume without a class.
///
/// A claim that names none has the class that is marked as the default one: of several the newest,
/// as in Kubernetes. Where none is marked it has the built-in one, unless it asks for certain
/// volumes, by name or by labels: no class can make those, so it means one without a class.
pub fn of_claim(state: &State, spec: &PersistentVolumeClaimSpec) -> String {
    wanted_of(&state.storage_classes, spec)
}

/// The same of classes that are not stored yet: one that has no time of creation is about to get it,
/// so it is the newest.
pub(crate) fn wanted_of(classes: &Classes, spec: &PersistentVolumeClaimSpec) -> String {
    if let Some(name) = &spec.storage_class_name {
        return name.clone();
    }
    let marked = classes.iter().filter(|(_, class)| class.is_default());
    let newest = marked.max_by_key(|(key, class)| {
        let made = class.metadata.creation_timestamp;
        (made.is_none(), made, Reverse(*key))
    });
    if let Some((key, _)) = newest {
        return key.name.to_string();
    }
    if asks_for_certain(spec) {
        String::new()
    } else {
        BUILT_IN.to_owned()
    }
}

/// Whether volumes of a class must be held to their sizes.
pub fn must_limit(state: &State, name: &str) -> bool {
    named(state, name).is_some_and(|class| class.parameters.limits == LimitPolicy::Required)
}

/// Whether a claim asks for a volume by name or by labels: then only one that is there will do.
pub fn asks_for_certain(spec: &PersistentVolumeClaimSpec) -> bool {
    // A selector that says nothing selects all.
    let by_label = spec.selector.as_ref();
    let by_label = by_label.is_some_and(|selector| *selector != LabelSelector::default());
    by_label || !spec.volume_name.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture::class, time::Timestamp};

    fn wanted(state: &State) -> String {
        of_claim(state, &PersistentVolumeClaimSpec::default())
    }

    fn mark(state: &mut State, name: &str, at: u64) {
        let class = class(state, name);
        let notes = &mut class.metadata.annotations;
        notes.insert(DEFAULT_CLASS.to_owned(), "true".to_owned());
        class.metadata.creation_timestamp = Some(Timestamp(at));
    }

    #[test]
    fn a_claim_without_a_class_has_the_newest_default_or_the_built_in_one() {
        let mut state = State::default();
        assert_eq!(wanted(&state), "local");
        assert!(named(&state, "local").unwrap().allow_volume_expansion);
        class(&mut state, "other");
        assert_eq!(wanted(&state), "local", "it is not marked");
        mark(&mut state, "b", 1);
        assert_eq!(wanted(&state), "b");
        mark(&mut state, "a", 2);
        assert_eq!(wanted(&state), "a", "the newest");
        mark(&mut state, "c", 2);
        assert_eq!(wanted(&state), "a", "of the same time the first name");
        let mut soon = state.clone();
        let unborn = &mut class(&mut soon, "c").metadata;
        unborn.creation_timestamp = None;
        assert_eq!(wanted(&soon), "c", "one that is about to be made");
        let none = PersistentVolumeClaimSpec {
            storage_class_name: Some(String::new()),
            ..PersistentVolumeClaimSpec::default()
        };
        assert_eq!(of_claim(&state, &none), "");
    }

    #[test]
    fn an_object_takes_the_place_of_the_built_in_class() {
        let mut state = State::default();
        assert!(named(&state, "nfs").is_none());
        class(&mut state, "local").allow_volume_expansion = false;
        assert!(!named(&state, "local").unwrap().allow_volume_expansion);
    }

    #[test]
    fn the_built_in_class_is_shown_as_what_it_is() {
        let mut state = State::default();
        let shown = |state: &State| shown_built_in(&state.storage_classes);
        let alone = shown(&state).unwrap();
        assert!(alone.is_default() && alone.allow_volume_expansion);
        assert_eq!(alone.parameters.pool, "default");
        mark(&mut state, "b", 1);
        assert!(!shown(&state).unwrap().is_default());
        class(&mut state, "local");
        assert_eq!(shown(&state), None, "an object has its place");
    }

    #[test]
    fn a_claim_for_certain_volumes_has_no_class_by_itself() {
        let mut state = State::default();
        let named = PersistentVolumeClaimSpec {
            volume_name: "pv-1".to_owned(),
            ..PersistentVolumeClaimSpec::default()
        };
        assert_eq!(of_claim(&state, &named), "");
        mark(&mut state, "b", 1);
        assert_eq!(of_claim(&state, &named), "b", "as in Kubernetes");
    }
}
