//! What the checker refused, in words. What a refused step is about gets no step; the others are
//! planned without it.

use std::collections::BTreeMap;

use berth_core::{check::Breach, plan::Subject};

/// What was refused, by what it is about; `None` is what concerns everybody.
#[derive(Debug, Default)]
pub struct Refusals(pub BTreeMap<Option<Subject>, String>);

impl Refusals {
    /// What was refused, for who asks what would be done.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(about, rule)| match about {
            Some(about) => format!(
                "the plan of {about} is refused ({rule}); nothing of it would be done: report this \
                 as a bug"
            ),
            None => format!(
                "the whole plan is refused ({rule}); nothing would be done: report this as a bug"
            ),
        })
    }
}

impl FromIterator<Breach> for Refusals {
    /// The first breach of each.
    fn from_iter<T: IntoIterator<Item = Breach>>(breaches: T) -> Self {
        let mut refused = BTreeMap::new();
        for Breach {
            rule,
            about,
            detail,
        } in breaches
        {
            let text = format!("{}: {detail}", rule.name());
            refused.entry(about).or_insert(text);
        }
        Self(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_a_warning_that_names_what_it_is_about_and_the_rule() {
        let set = Subject::Set("default/web".parse().unwrap());
        let refused = [
            (Some(set), "OneEpoch: it runs".to_owned()),
            (None, "ZonePublished: no zone".to_owned()),
        ];
        let refused = Refusals(refused.into());
        let warnings: Vec<String> = refused.warnings().collect();
        assert!(warnings[0].contains("ZonePublished"), "{warnings:?}");
        assert!(
            warnings[1].contains("StatefulSet default/web"),
            "{warnings:?}"
        );
        assert!(warnings[1].contains("OneEpoch"), "{warnings:?}");
    }
}
