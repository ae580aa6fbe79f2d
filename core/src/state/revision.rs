//! Revisions of a set: every template it had, each with the config that it was hashed with.
//!
//! A member runs with the template and the config of its own revision, never with what the objects
//! say now: so one that is started again after a crash comes back as it was, whatever an operator
//! has changed since, and taking a set back brings back its config too.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Set, State};
use crate::{
    ids::{Namespace, ObjectKey, Ordinal, SetKey, TemplateHash},
    order::ConfigData,
    spec::{MemberTemplate, Override, overrides::effective},
    template::{missing_config, set_revision},
    time::Timestamp,
    waiting::{MissingConfig, Reason},
};

/// The annotations of a set that say why it was changed, the first that is there.
pub const CHANGE_CAUSES: [&str; 2] = ["kubernetes.io/change-cause", "berth/change-cause"];

/// One revision of a set. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// The newest has the highest; one that becomes the newest again gets a new number.
    pub number: u64,
    /// The unrendered template.
    pub template: Arc<MemberTemplate>,
    /// The keys of config objects that the template uses, as they were.
    pub config: Arc<ConfigData>,
    /// What differs for single ordinals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// When it was first made.
    pub created_at: Timestamp,
    /// What the operator said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_cause: Option<String>,
}

impl Revision {
    /// The template as it is for an ordinal.
    pub fn template_for(&self, ordinal: Ordinal) -> Cow<'_, MemberTemplate> {
        effective(&self.template, &self.overrides, ordinal)
    }

    /// Why no member can start with it: something that it needs was not there. What comes later
    /// makes another revision.
    pub fn missing(&self, namespace: &Namespace) -> Option<Reason> {
        let missing = missing_config(&self.template.spec, &self.config)?;
        // Validation refuses what is no object's name.
        let name = missing.name.parse().ok()?;
        let namespace = namespace.clone();
        Some(Reason::ConfigMissing(MissingConfig {
            kind: missing.kind.to_string(),
            key: ObjectKey { namespace, name },
            entry: missing.entry,
        }))
    }
}

impl Set {
    /// The template of a revision that the set still has.
    pub fn template_of(&self, revision: &TemplateHash) -> Option<&Arc<MemberTemplate>> {
        Some(&self.revisions.get(revision)?.template)
    }

    /// Whether two revisions are the same for an ordinal, as only revisions with overrides can be.
    pub fn is_same_for(&self, ordinal: Ordinal, one: &TemplateHash, other: &TemplateHash) -> bool {
        let revisions = (self.revisions.get(one), self.revisions.get(other));
        let (Some(one), Some(other)) = revisions else {
            return false;
        };
        let differ = !one.overrides.is_empty() || !other.overrides.is_empty();
        differ
            && one.config == other.config
            && one.template_for(ordinal) == other.template_for(ordinal)
    }

    /// What the operator says of the last change.
    fn change_cause(&self) -> Option<String> {
        let mut causes = CHANGE_CAUSES.iter();
        causes.find_map(|name| self.annotations.get(*name).cloned())
    }

    /// Makes what is wanted the newest revision: the template of its spec with this config. One
    /// that was there before is not made twice, it becomes the newest again. Says whether anything
    /// changed.
    pub fn revise(&mut self, config: ConfigData, now: Timestamp) -> bool {
        let hash = set_revision(&self.spec, &config);
        if hash == self.revision
            && let Some(newest) = self.revisions.get_mut(&hash)
        {
            // An object that is there by now, without the key, gives another reason to wait.
            let same = *newest.config == config;
            newest.config = Arc::new(config);
            return !same;
        }
        let last = self.revisions.values().map(|r| r.number).max();
        let number = last.unwrap_or(0).saturating_add(1);
        let change_cause = self.change_cause();
        let template = &self.spec.template;
        let revision = self
            .revisions
            .entry(hash.clone())
            .or_insert_with(|| Revision {
                template: Arc::new(template.clone()),
                config: Arc::new(config),
                overrides: self.spec.overrides.clone(),
                created_at: now,
                ..Revision::default()
            });
        revision.number = number;
        revision.change_cause = change_cause;
        self.revision = hash;
        true
    }
}

impl State {
    /// Makes what is wanted of a set, with its config objects as they are, the newest revision.
    /// Says whether anything changed.
    pub fn revise(&mut self, key: &SetKey, now: Timestamp) -> bool {
        let Some(set) = self.sets.get(key) else {
            return false;
        };
        let config = self.used_config(&key.namespace, &set.spec.template.spec);
        let set = self.sets.get_mut(key);
        set.is_some_and(|set| set.revise(config, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{NOW, key, put_set, spec, state},
        spec::{ConfigMap, FileSource, KeySelector, StatefulSetSpec},
    };

    /// A set whose file is the key `main` of `conf`.
    fn with_file() -> StatefulSetSpec {
        let mut spec = spec(1, false);
        let file = FileSource {
            path: "app.conf".to_owned(),
            config_map: Some(KeySelector {
                name: "conf".to_owned(),
                key: "main".to_owned(),
                optional: false,
            }),
            ..FileSource::default()
        };
        spec.template.spec.processes[0].files.push(file);
        spec
    }

    fn put_config(state: &mut State, main: &str, other: &str) -> bool {
        let mut map = ConfigMap::default();
        for (key, value) in [("main", main), ("other", other)] {
            map.data.insert(key.to_owned(), value.to_owned());
        }
        state.config_maps.insert(key("conf"), map);
        state.revise(&key("db"), NOW)
    }

    fn numbers(state: &State) -> Vec<(u64, String)> {
        let revisions = state.sets[&key("db")].revisions.values();
        let mut numbers: Vec<_> = revisions
            .map(|r| (r.number, r.config.config_maps["conf"]["main"].clone()))
            .collect();
        numbers.sort();
        numbers
    }

    #[test]
    fn a_revision_holds_what_it_uses_and_an_older_one_becomes_the_newest_again() {
        let mut state = state(1);
        put_config(&mut state, "1", "1");
        put_set(&mut state, "db", with_file());
        assert_eq!(numbers(&state), [(1, "1".to_owned())]);
        let first = state.sets[&key("db")].revision.clone();
        assert!(!put_config(&mut state, "1", "2"), "the key is not used");
        assert!(put_config(&mut state, "2", "2"));
        assert_eq!(numbers(&state), [(1, "1".to_owned()), (2, "2".to_owned())]);
        let revision = &state.sets[&key("db")].revisions[&first];
        assert_eq!(
            revision.config.config_maps["conf"].len(),
            1,
            "only what it uses"
        );
        assert!(put_config(&mut state, "1", "3"));
        assert_eq!(numbers(&state), [(2, "2".to_owned()), (3, "1".to_owned())]);
        assert_eq!(state.sets[&key("db")].revision, first, "no duplicate");
    }

    #[test]
    fn a_change_says_why_it_was_made() {
        let mut state = state(1);
        put_config(&mut state, "1", "1");
        put_set(&mut state, "db", with_file());
        let set = |state: &mut State, name: &str, text: &str| {
            let set = state.sets.get_mut(&key("db")).unwrap();
            set.annotations.insert(name.to_owned(), text.to_owned());
        };
        set(&mut state, "berth/change-cause", "ours");
        put_config(&mut state, "2", "1");
        set(&mut state, "kubernetes.io/change-cause", "theirs");
        put_config(&mut state, "3", "1");
        let mut causes: Vec<_> = state.sets[&key("db")]
            .revisions
            .values()
            .map(|r| (r.number, r.change_cause.clone()))
            .collect();
        causes.sort();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(causes, [(1, None), (2, text("ours")), (3, text("theirs"))]);
    }
}
