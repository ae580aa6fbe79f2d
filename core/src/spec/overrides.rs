//! Overrides: what differs for single ordinals of a set. Everything else, ports and volumes above
//! all, is the same for all members, so that what is decided for a set holds for each of them.

use std::{borrow::Cow, collections::BTreeMap, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use super::{
    process::{EnvVar, Process},
    resources::Resources,
    set::MemberTemplate,
};
use crate::ids::Ordinal;

/// What differs for some ordinals.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Override {
    /// The ordinals: `2`, `0-2`, or `1,3-4`.
    pub ordinals: String,
    /// The process; may be left out if there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Variables that are added, or that take the place of those with their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// The arguments instead of the template's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// Amounts that are added, or that take the place of the template's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Labels that the host must have, too; the same label has this value instead.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
}

impl Override {
    /// The ordinals as ranges.
    ///
    /// # Errors
    /// The part that is no ordinal and no range.
    pub fn ranges(&self) -> Result<Vec<RangeInclusive<u32>>, String> {
        let parts = self.ordinals.split(',').map(str::trim);
        parts
            .map(|part| {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let number = |text: &str| text.trim().parse::<u32>().ok();
                match (number(first), number(last)) {
                    (Some(first), Some(last)) if first <= last => Ok(first..=last),
                    (_, _) => Err(part.to_owned()),
                }
            })
            .collect()
    }

    /// Whether it is about an ordinal.
    pub fn names(&self, ordinal: Ordinal) -> bool {
        let ranges = self.ranges().unwrap_or_default();
        ranges.iter().any(|range| range.contains(&ordinal.0))
    }

    /// Whether it changes something of a process.
    pub fn changes_process(&self) -> bool {
        !self.env.is_empty() || self.args.is_some() || self.resources.is_some()
    }

    fn apply(&self, template: &mut MemberTemplate) {
        let selector = self.node_selector.clone();
        template.spec.node_selector.extend(selector);
        let mut processes = template.spec.processes.iter_mut();
        let process = match &self.process {
            Some(name) => processes.find(|process| process.name == *name),
            None => processes.next(),
        };
        if let Some(process) = process {
            self.apply_to(process);
        }
    }

    fn apply_to(&self, process: &mut Process) {
        for variable in &self.env {
            let mut known = process.env.iter_mut();
            match known.find(|known| known.name == variable.name) {
                Some(known) => known.clone_from(variable),
                None => process.env.push(variable.clone()),
            }
        }
        if let Some(args) = &self.args {
            process.args.clone_from(args);
        }
        if let Some(resources) = &self.resources {
            process.resources.take(resources);
        }
    }
}

/// The template as it is for an ordinal.
pub fn effective<'a>(
    template: &'a MemberTemplate,
    overrides: &[Override],
    ordinal: Ordinal,
) -> Cow<'a, MemberTemplate> {
    let mut changed = Cow::Borrowed(template);
    for one in overrides.iter().filter(|one| one.names(ordinal)) {
        one.apply(changed.to_mut());
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_are_numbers_and_ranges() {
        let of = |text: &str| Override {
            ordinals: text.to_owned(),
            ..Override::default()
        };
        let named = |text: &str| -> Vec<u32> {
            let one = of(text);
            (0..8).filter(|n| one.names(Ordinal(*n))).collect()
        };
        assert_eq!(named("2"), [2]);
        assert_eq!(named("0-2"), [0, 1, 2]);
        assert_eq!(named("1, 3-4"), [1, 3, 4]);
        for bad in ["", "a", "3-1", "1,,2", "-1", "1-2-3"] {
            assert!(of(bad).ranges().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_override_changes_its_ordinals_and_no_others() {
        let variable = |name: &str, value: &str| EnvVar {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            ..EnvVar::default()
        };
        let mut template = MemberTemplate::default();
        template.spec.processes.push(Process {
            args: vec!["-v".to_owned()],
            env: vec![variable("A", "1"), variable("B", "1")],
            ..Process::default()
        });
        let one = Override {
            ordinals: "1".to_owned(),
            env: vec![variable("B", "2"), variable("C", "2")],
            args: Some(Vec::new()),
            node_selector: BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]),
            ..Override::default()
        };
        let overrides = [one];
        assert!(matches!(
            effective(&template, &overrides, Ordinal(0)),
            Cow::Borrowed(_)
        ));
        let changed = effective(&template, &overrides, Ordinal(1));
        let process = &changed.spec.processes[0];
        let expected = [variable("A", "1"), variable("B", "2"), variable("C", "2")];
        assert_eq!(process.env, expected);
        assert_eq!(process.args, [""; 0]);
        assert_eq!(changed.spec.node_selector["disk"], "ssd");
    }
}
