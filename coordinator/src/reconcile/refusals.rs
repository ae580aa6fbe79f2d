//! What the checker refused, in words. A set whose plan is refused gets no step; the others are
//! planned without it.

use std::collections::BTreeMap;

use berth_core::{check::Breach, ids::SetKey};

/// What was refused, by set; `None` is what concerns all of them.
#[derive(Debug, Default)]
pub struct Refusals(pub BTreeMap<Option<SetKey>, String>);

impl Refusals {
    /// What was refused, for who asks what would be done.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(set, rule)| match set {
            Some(set) => format!(
                "the plan of set {set} is refused ({rule}); nothing of it would be done: report this \
                 as a bug"
            ),
            None => format!(
                "the whole plan is refused ({rule}); nothing would be done: report this as a bug"
            ),
        })
    }
}

impl FromIterator<Breach> for Refusals {
    /// The first breach of each set.
    fn from_iter<T: IntoIterator<Item = Breach>>(breaches: T) -> Self {
        let mut refused = BTreeMap::new();
        for Breach { rule, set, detail } in breaches {
            let text = format!("{}: {detail}", rule.name());
            refused.entry(set).or_insert(text);
        }
        Self(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_a_warning_that_names_the_set_and_the_rule() {
        let set: SetKey = "default/web".parse().unwrap();
        let refused = [
            (Some(set), "OneEpoch: it runs".to_owned()),
            (None, "ZonePublished: no zone".to_owned()),
        ];
        let refused = Refusals(refused.into());
        let warnings: Vec<String> = refused.warnings().collect();
        assert!(warnings[0].contains("ZonePublished"), "{warnings:?}");
        assert!(warnings[1].contains("default/web"), "{warnings:?}");
        assert!(warnings[1].contains("OneEpoch"), "{warnings:?}");
    }
}
