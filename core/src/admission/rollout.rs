//! The verbs of a rollout as objects to apply: each writes what an operator could write too, so it
//! is admitted, planned and confirmed as any other change.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use thiserror::Error;

use super::Objects;
use crate::{
    ids::{Namespace, ObjectKey},
    manifest::{Origin, ParsedObject},
    order::ConfigData,
    spec::{ConfigMap, Kind, Object, ObjectMeta, Sealed, Secret, StatefulSet},
    state::{CHANGE_CAUSES, Revision, Set},
    template::{ConfigRef, config_refs},
    time::Timestamp,
};

/// The annotation of a template that only says when its members were to be restarted; upstream's,
/// so that whoever reads a manifest knows it.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// What going back to an older revision means.
#[derive(Debug, Clone)]
pub enum Undo {
    /// The newest revision is that one already.
    Skipped {
        /// Its number.
        number: u64,
    },
    /// These are to be applied.
    Objects {
        /// The number of the revision, as it was before.
        number: u64,
        /// The set, and the config objects that have other values now.
        objects: Vec<ParsedObject>,
    },
}

/// Why a set cannot go back.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UndoError {
    /// There is only the newest revision.
    #[error("there is no older revision to go back to; apply the manifest that you want")]
    OnlyOne,
    /// The set has no such revision.
    #[error("there is no revision {number}; 'berth rollout history' lists those that there are")]
    NoSuch {
        /// What was asked for.
        number: u64,
    },
    /// An object that the template may use was not there then.
    #[error(
        "{kind} '{name}' did not exist in revision {number}, and it does now; delete it first, or \
         go back to another revision"
    )]
    NotThere {
        /// The revision.
        number: u64,
        /// `ConfigMap` or `Secret`.
        kind: Kind,
        /// Its name.
        name: String,
    },
}

/// What takes a set back to a revision: to the one of this number, or else to the one before the
/// newest. Its template comes back, and the keys that it uses as they were then; other keys of
/// those objects stay as they are.
///
/// # Errors
/// Why it cannot go back.
pub fn undo(
    objects: &Objects,
    current: &StatefulSet,
    key: &ObjectKey,
    set: &Set,
    to: Option<u64>,
) -> Result<Undo, UndoError> {
    let newest = set.revisions.get(&set.revision).map_or(0, |r| r.number);
    let mut older = set.revisions.values().filter(|r| r.number != newest);
    let revision = match to {
        Some(number) if number == newest => return Ok(Undo::Skipped { number }),
        Some(number) => older.find(|r| r.number == number),
        None => older.max_by_key(|r| r.number),
    };
    let revision = revision.ok_or(match to {
        Some(number) => UndoError::NoSuch { number },
        None => UndoError::OnlyOne,
    })?;
    let mut all = configs(objects, &key.namespace, revision)?;
    let mut wanted = current.clone();
    wanted.spec.template = revision.template.as_ref().clone();
    explain(&mut wanted.metadata.annotations, revision);
    all.push(parsed(key, set_object(wanted)));
    Ok(Undo::Objects {
        number: revision.number,
        objects: all,
    })
}

/// What was said of the revision is said of it again.
fn explain(annotations: &mut BTreeMap<String, String>, revision: &Revision) {
    for name in CHANGE_CAUSES {
        annotations.remove(name);
    }
    let cause = CHANGE_CAUSES.first().zip(revision.change_cause.as_ref());
    annotations.extend(cause.map(|(name, cause)| ((*name).to_owned(), cause.clone())));
}

/// The set with its template stamped, so that every member is replaced by one like it.
pub fn restart(current: &StatefulSet, key: &ObjectKey, now: Timestamp) -> ParsedObject {
    let mut wanted = current.clone();
    let annotations = &mut wanted.spec.template.metadata.annotations;
    annotations.insert(RESTARTED_AT.to_owned(), now.to_string());
    parsed(key, set_object(wanted))
}

/// The set with its updates held back, or let go on.
pub fn pause(current: &StatefulSet, key: &ObjectKey, paused: bool) -> ParsedObject {
    let mut wanted = current.clone();
    wanted.spec.paused = Some(paused);
    parsed(key, set_object(wanted))
}

/// A set that leaves its number of members to whoever has the say in it.
fn set_object(mut set: StatefulSet) -> Object {
    set.spec.replicas = None;
    Object::StatefulSet(set)
}

fn parsed(key: &ObjectKey, object: Object) -> ParsedObject {
    ParsedObject {
        object,
        key: key.clone(),
        origin: Origin::default(),
    }
}

/// The config objects that must change for a revision's config to be what its template uses.
fn configs(
    objects: &Objects,
    namespace: &Namespace,
    revision: &Revision,
) -> Result<Vec<ParsedObject>, UndoError> {
    let mut changed: Vec<ParsedObject> = Vec::new();
    for reference in config_refs(&revision.template.spec) {
        // Validation refuses what is no object's name.
        let Ok(name) = reference.name.parse() else {
            continue;
        };
        let namespace = namespace.clone();
        let key = ObjectKey { namespace, name };
        let kind = reference.kind;
        let at = changed
            .iter()
            .position(|one| one.key == key && one.object.kind() == kind);
        let stored = objects.get(&(kind, key.clone()));
        let now = at.and_then(|at| changed.get(at)).map(|one| &one.object);
        let now = now.or(stored);
        let Some(object) = restored(&reference, &key, now, &revision.config) else {
            if now.is_none() {
                continue;
            }
            return Err(UndoError::NotThere {
                number: revision.number,
                kind,
                name: reference.name,
            });
        };
        if Some(&object) == now {
            continue;
        }
        match at.and_then(|at| changed.get_mut(at)) {
            Some(one) => one.object = object,
            None => changed.push(parsed(&key, object)),
        }
    }
    Ok(changed)
}

/// A config object with what a reference to it found then; `None` if it found no object.
fn restored(
    reference: &ConfigRef,
    key: &ObjectKey,
    now: Option<&Object>,
    config: &ConfigData,
) -> Option<Object> {
    let name = &reference.name;
    let metadata = || ObjectMeta {
        name: name.clone(),
        namespace: key.namespace.to_string(),
        ..ObjectMeta::default()
    };
    if reference.kind == Kind::Secret {
        let then = config.secrets.get(name)?;
        let mut secret = match now {
            Some(Object::Secret(secret)) => secret.clone(),
            Some(_) | None => Secret {
                metadata: metadata(),
                ..Secret::default()
            },
        };
        let encode = |value: &Sealed| Sealed::new(STANDARD.encode(value.expose()));
        let then = then.iter().map(|(key, value)| (key.clone(), encode(value)));
        put(&mut secret.data, reference.key.as_ref(), &then.collect());
        return Some(Object::Secret(secret));
    }
    let then = config.config_maps.get(name)?;
    let mut map = match now {
        Some(Object::ConfigMap(map)) => map.clone(),
        Some(_) | None => ConfigMap {
            metadata: metadata(),
            ..ConfigMap::default()
        },
    };
    put(&mut map.data, reference.key.as_ref(), then);
    Some(Object::ConfigMap(map))
}

/// One key as it was then, or all of them.
fn put<V: Clone>(data: &mut BTreeMap<String, V>, key: Option<&String>, then: &BTreeMap<String, V>) {
    let Some(key) = key else {
        data.clone_from(then);
        return;
    };
    match then.get(key) {
        Some(value) => {
            data.insert(key.clone(), value.clone());
        }
        None => {
            data.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{NOW, key, put_set, spec, state},
        spec::{EnvFromSource, FileSource, KeySelector, process::ObjectReference},
        state::State,
        template::revision_hash,
    };

    /// A set whose file is a key of a secret, and whose environment is a whole map.
    fn wanted(level: &str) -> crate::spec::StatefulSetSpec {
        let mut wanted = spec(2, false);
        let process = &mut wanted.template.spec.processes[0];
        process.args.push(level.to_owned());
        process.files.push(FileSource {
            path: "password".to_owned(),
            secret: Some(KeySelector {
                name: "login".to_owned(),
                key: "password".to_owned(),
                optional: false,
            }),
            ..FileSource::default()
        });
        process.env_from.push(EnvFromSource {
            config_map_ref: Some(ObjectReference {
                name: "conf".to_owned(),
                optional: true,
            }),
            ..EnvFromSource::default()
        });
        wanted
    }

    fn config(state: &mut State, keys: &[(&str, &str)], password: &str) {
        let mut map = ConfigMap::default();
        for (key, value) in keys {
            map.data.insert((*key).to_owned(), (*value).to_owned());
        }
        state.config_maps.insert(key("conf"), map);
        let mut secret = Secret::default();
        for (key, value) in [("password", password), ("other", "o")] {
            let value = Sealed::new(STANDARD.encode(value));
            secret.data.insert(key.to_owned(), value);
        }
        state.secrets.insert(key("login"), secret);
    }

    fn objects(state: &State) -> Objects {
        let maps = state.config_maps.iter().map(|(key, map)| {
            let id = (Kind::ConfigMap, key.clone());
            (id, Object::ConfigMap(map.clone()))
        });
        let secrets = state.secrets.iter().map(|(key, secret)| {
            let id = (Kind::Secret, key.clone());
            (id, Object::Secret(secret.clone()))
        });
        maps.chain(secrets).collect()
    }

    fn current(state: &State) -> StatefulSet {
        StatefulSet {
            spec: (*state.sets[&key("db")].spec).clone(),
            ..StatefulSet::default()
        }
    }

    fn undo_to(state: &State, to: Option<u64>) -> Result<Undo, UndoError> {
        let db = key("db");
        undo(&objects(state), &current(state), &db, &state.sets[&db], to)
    }

    /// Takes in what an undo writes, as applying it would.
    fn take(state: &mut State, objects: Vec<ParsedObject>) {
        for one in objects {
            match one.object {
                Object::StatefulSet(set) => {
                    assert_eq!(set.spec.replicas, None);
                    let own = state.sets.get_mut(&key("db")).unwrap();
                    own.spec = std::sync::Arc::new(set.spec);
                }
                Object::ConfigMap(map) => {
                    state.config_maps.insert(one.key, map);
                }
                Object::Secret(secret) => {
                    state.secrets.insert(one.key, secret);
                }
                Object::Service(_)
                | Object::AddressPool(_)
                | Object::StorageClass(_)
                | Object::PersistentVolume(_)
                | Object::PersistentVolumeClaim(_)
                | Object::VolumeSnapshot(_) => panic!("{one:?}"),
            }
        }
        state.revise(&key("db"), NOW);
    }

    #[test]
    fn going_back_brings_back_the_template_and_the_config_and_no_more() {
        let mut state = state(2);
        config(&mut state, &[("a", "1"), ("gone", "1")], "first");
        put_set(&mut state, "db", wanted("one"));
        let first = state.sets[&key("db")].revision.clone();
        config(&mut state, &[("a", "2"), ("new", "2")], "second");
        put_set(&mut state, "db", wanted("two"));
        let secret = state.secrets.get_mut(&key("login")).unwrap();
        let newer = Sealed::new("bmV3ZXI=".to_owned());
        secret.data.insert("other".to_owned(), newer.clone());

        let Undo::Objects { number, objects } = undo_to(&state, None).unwrap() else {
            panic!("skipped");
        };
        assert_eq!((number, objects.len()), (1, 3));
        take(&mut state, objects);
        let map = &state.config_maps[&key("conf")].data;
        let keys: Vec<_> = map.keys().map(String::as_str).collect();
        assert_eq!(keys, ["a", "gone"], "the whole map is used");
        assert_eq!(state.secrets[&key("login")].data["other"], newer);
        let set = &state.sets[&key("db")];
        assert_eq!(set.revision, first);
        assert_eq!(set.revisions[&first].number, 3, "the newest again");
        let revision = &set.revisions[&first];
        assert_eq!(revision_hash(&revision.template, &revision.config), first);

        assert!(matches!(
            undo_to(&state, Some(3)),
            Ok(Undo::Skipped { number: 3 })
        ));
        let Undo::Objects { number, .. } = undo_to(&state, None).unwrap() else {
            panic!("skipped");
        };
        assert_eq!(number, 2, "and forward again");
    }

    #[test]
    fn what_cannot_be_gone_back_to_is_said() {
        let mut state = state(2);
        put_set(&mut state, "db", wanted("one"));
        let refused = |state: &State, to| undo_to(state, to).unwrap_err().to_string();
        assert!(refused(&state, None).starts_with("there is no older revision"));
        assert!(refused(&state, Some(7)).starts_with("there is no revision 7"));
        config(&mut state, &[], "first");
        state.revise(&key("db"), NOW);
        assert_eq!(
            refused(&state, Some(1)),
            "ConfigMap 'conf' did not exist in revision 1, and it does now; delete it first, or go \
             back to another revision"
        );
    }

    #[test]
    fn a_restart_stamps_the_template_alone() {
        let mut state = state(1);
        put_set(&mut state, "db", wanted("one"));
        let stamped = restart(&current(&state), &key("db"), Timestamp(1_795_000_000_000));
        let before = state.sets[&key("db")].revision.clone();
        take(&mut state, vec![stamped]);
        let set = &state.sets[&key("db")];
        assert_ne!(set.revision, before);
        let stamp = &set.spec.template.metadata.annotations[RESTARTED_AT];
        assert_eq!(stamp, "2026-11-18T11:06:40Z");
    }
}
