//! The revision of a template: a hash over what the operator wrote and the config it uses, before
//! any value is filled in. So a moved peer or a new address changes no revision, and restarts
//! nobody.

use std::collections::BTreeSet;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    ids::TemplateHash,
    order::ConfigData,
    spec::{Kind, MemberSpec, MemberTemplate, Override, Process, StatefulSetSpec},
};

/// Hex digits of a revision; short enough to be read, and 64 bits long.
const HEX_DIGITS: usize = 16;

/// A config object, or one key of it, that a template refers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigRef {
    /// `ConfigMap` or `Secret`.
    pub kind: Kind,
    /// The object's name.
    pub name: String,
    /// The key; `None` for the whole object.
    pub key: Option<String>,
    /// Whether a member starts without it.
    pub optional: bool,
}

/// Every config object that a member refers to.
pub fn config_refs(spec: &MemberSpec) -> BTreeSet<ConfigRef> {
    let mut found = BTreeSet::new();
    for process in spec.init_processes.iter().chain(&spec.processes) {
        of_process(&mut found, process);
    }
    found
}

/// Those that the environments of its processes refer to.
fn env_refs(spec: &MemberSpec) -> BTreeSet<ConfigRef> {
    let mut found = BTreeSet::new();
    for process in spec.init_processes.iter().chain(&spec.processes) {
        of_env(&mut found, process);
    }
    found
}

/// Whether two configs give the processes of a template the same environment, so that they differ
/// in files at most.
pub fn same_but_for_files(spec: &MemberSpec, one: &ConfigData, other: &ConfigData) -> bool {
    env_refs(spec).iter().all(|reference| {
        let (one, other) = (value(reference, one), value(reference, other));
        one == other
    })
}

/// What a reference finds, in its JSON form.
fn value(reference: &ConfigRef, config: &ConfigData) -> Vec<u8> {
    let ConfigRef {
        kind, name, key, ..
    } = reference;
    match (kind, key) {
        (Kind::Secret, Some(key)) => json(&config.secrets.get(name).and_then(|o| o.get(key))),
        (Kind::Secret, None) => json(&config.secrets.get(name)),
        (_, Some(key)) => json(&config.config_maps.get(name).and_then(|o| o.get(key))),
        (_, None) => json(&config.config_maps.get(name)),
    }
}

fn of_process(found: &mut BTreeSet<ConfigRef>, process: &Process) {
    of_env(found, process);
    for file in &process.files {
        for (kind, selector) in [
            (Kind::ConfigMap, &file.config_map),
            (Kind::Secret, &file.secret),
        ] {
            if let Some(s) = selector {
                add(found, kind, &s.name, Some(&s.key), s.optional);
            }
        }
    }
}

fn add(found: &mut BTreeSet<ConfigRef>, kind: Kind, name: &str, key: Option<&str>, optional: bool) {
    found.insert(ConfigRef {
        kind,
        name: name.to_owned(),
        key: key.map(ToOwned::to_owned),
        optional,
    });
}

fn of_env(found: &mut BTreeSet<ConfigRef>, process: &Process) {
    for source in process.env.iter().filter_map(|v| v.value_from.as_ref()) {
        for (kind, selector) in [
            (Kind::ConfigMap, &source.config_map_key_ref),
            (Kind::Secret, &source.secret_key_ref),
        ] {
            if let Some(s) = selector {
                add(found, kind, &s.name, Some(&s.key), s.optional);
            }
        }
    }
    for source in &process.env_from {
        for (kind, object) in [
            (Kind::ConfigMap, &source.config_map_ref),
            (Kind::Secret, &source.secret_ref),
        ] {
            if let Some(o) = object {
                add(found, kind, &o.name, None, o.optional);
            }
        }
    }
}

/// The revision of a template with the config it uses. Keys that it does not use do not count.
pub fn revision_hash(template: &MemberTemplate, config: &ConfigData) -> TemplateHash {
    hash_of(template, &[], config)
}

/// The revision of a set: of its template, with what differs for single ordinals.
pub fn set_revision(spec: &StatefulSetSpec, config: &ConfigData) -> TemplateHash {
    hash_of(&spec.template, &spec.overrides, config)
}

fn hash_of(template: &MemberTemplate, overrides: &[Override], config: &ConfigData) -> TemplateHash {
    let mut hash = Sha256::new();
    // A set without any has the revisions that it had before there were overrides.
    if !overrides.is_empty() {
        feed(&mut hash, &overrides);
    }
    feed(&mut hash, template);
    for reference in config_refs(&template.spec) {
        let ConfigRef {
            kind, name, key, ..
        } = &reference;
        feed(&mut hash, &(kind, name, key));
        feed_json(&mut hash, &value(&reference, config));
    }
    let mut hex = String::new();
    for byte in hash.finalize() {
        hex.push_str(&format!("{byte:02x}"));
    }
    hex.truncate(HEX_DIGITS);
    TemplateHash(hex)
}

/// Adds one value in its JSON form, which is the same for the same value, and a separator that
/// JSON never begins with.
fn feed(hash: &mut Sha256, value: &impl Serialize) {
    feed_json(hash, &json(value));
}

fn feed_json(hash: &mut Sha256, json: &[u8]) {
    hash.update(json);
    hash.update([0]);
}

/// The types here have text keys and no floats: they always have a JSON form.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::spec::{FileSource, KeySelector, VolumeMount};

    fn template() -> MemberTemplate {
        let mut template = MemberTemplate::default();
        template.spec.processes.push(Process {
            name: "main".to_owned(),
            files: vec![FileSource {
                path: "a".to_owned(),
                config_map: Some(KeySelector {
                    name: "conf".to_owned(),
                    key: "used".to_owned(),
                    optional: false,
                }),
                ..FileSource::default()
            }],
            ..Process::default()
        });
        template
    }

    fn config(used: &str, other: &str) -> ConfigData {
        let keys = [("used", used), ("other", other)];
        let object = keys.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        ConfigData {
            config_maps: BTreeMap::from([("conf".to_owned(), object)]),
            secrets: BTreeMap::new(),
        }
    }

    #[test]
    fn the_revision_follows_the_template_and_the_keys_it_uses() {
        let base = revision_hash(&template(), &config("1", "1"));
        assert_eq!(base.0.len(), HEX_DIGITS);
        assert_eq!(base, revision_hash(&template(), &config("1", "2")));
        assert_ne!(base, revision_hash(&template(), &config("2", "1")));
        let mut other = template();
        other.spec.processes[0].args.push("-v".to_owned());
        assert_ne!(base, revision_hash(&other, &config("1", "1")));
        let mut mounted = template();
        mounted.spec.processes[0].volume_mounts = vec![VolumeMount::default()];
        let whole = revision_hash(&mounted, &config("1", "1"));
        "a".clone_into(&mut mounted.spec.processes[0].volume_mounts[0].sub_path);
        let part = revision_hash(&mounted, &config("1", "1"));
        assert!(whole != base && part != whole);
        assert_ne!(base, revision_hash(&template(), &ConfigData::default()));
    }
}
