//! The values that a template takes from config objects, and which of them are missing.
//!
//! Only the keys that a template uses are taken: a member is told nothing that it does not need,
//! and a change of another key concerns nobody.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{ConfigRef, config_refs};
use crate::{
    order::ConfigData,
    spec::{ConfigMap, Kind, MemberSpec, Sealed, Secret},
};

/// Where config objects are looked up, within one namespace.
pub trait ConfigSource {
    /// A ConfigMap by its name.
    fn config_map(&self, name: &str) -> Option<&ConfigMap>;
    /// A Secret by its name.
    fn secret(&self, name: &str) -> Option<&Secret>;
}

/// The values that a template uses, as far as there are any. An object that is there without the
/// key is in it without the key.
pub fn used_config(spec: &MemberSpec, source: &impl ConfigSource) -> ConfigData {
    let mut data = ConfigData::default();
    for ConfigRef {
        kind, name, key, ..
    } in config_refs(spec)
    {
        if kind == Kind::Secret {
            if let Some(secret) = source.secret(&name) {
                let object = data.secrets.entry(name).or_default();
                object.extend(take(&decoded(secret), key.as_deref()));
            }
        } else if let Some(map) = source.config_map(&name) {
            let object = data.config_maps.entry(name).or_default();
            object.extend(take(&map.data, key.as_deref()));
        }
    }
    data
}

/// One key of an object, or all of them.
fn take<V: Clone>(object: &BTreeMap<String, V>, key: Option<&str>) -> BTreeMap<String, V> {
    match key {
        None => object.clone(),
        Some(key) => object
            .get_key_value(key)
            .map(|(key, value)| (key.clone(), value.clone()))
            .into_iter()
            .collect(),
    }
}

/// A secret's values as text. What is not base64 of UTF-8 is left out: whoever uses that key is
/// told that it is missing, instead of running with a damaged value.
fn decoded(secret: &Secret) -> BTreeMap<String, Sealed> {
    let data = secret.data.iter().filter_map(|(key, value)| {
        let bytes = STANDARD.decode(value.expose()).ok()?;
        Some((key.clone(), Sealed::new(String::from_utf8(bytes).ok()?)))
    });
    let plain = secret.string_data.clone();
    data.chain(plain).collect()
}

/// What a template needs and its config does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingConfig {
    /// `ConfigMap` or `Secret`.
    pub kind: Kind,
    /// The object's name.
    pub name: String,
    /// The key in it, if the object is there without the key.
    pub entry: Option<String>,
}

/// The first object or key that a template needs and that its config does not have.
pub fn missing_config(spec: &MemberSpec, config: &ConfigData) -> Option<MissingConfig> {
    let needed = config_refs(spec).into_iter().filter(|r| !r.optional);
    needed.into_iter().find_map(|reference| {
        let ConfigRef {
            kind, name, key, ..
        } = reference;
        let keys: Option<BTreeSet<&String>> = if kind == Kind::Secret {
            config.secrets.get(&name).map(|o| o.keys().collect())
        } else {
            config.config_maps.get(&name).map(|o| o.keys().collect())
        };
        let entry = match keys {
            None => None,
            Some(keys) => Some(key.filter(|key| !keys.contains(key))?),
        };
        Some(MissingConfig { kind, name, entry })
    })
}
