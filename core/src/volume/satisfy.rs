//! Whether a claim that was made by hand may stand in for one that a claim template would make: it
//! must give at least what the template asks for.

use crate::{
    quantity::of_bytes,
    spec::{AccessMode, LabelSelector, PersistentVolumeClaimSpec},
    state::{Claim, State},
    volume::class,
};

/// What a claim lacks of what a rendered template asks for; nothing if it satisfies it. A class is
/// compared only if the template names one: who left it out takes what was made.
pub fn differences(state: &State, asked: &PersistentVolumeClaimSpec, claim: &Claim) -> Vec<String> {
    let mut found = Vec::new();
    let volume = state.volume_of(claim);
    if let Some(wanted) = &asked.storage_class_name {
        let has = class::of_claim(state, &claim.spec);
        if *wanted != has {
            found.push(format!("storageClassName is '{has}', not '{wanted}'"));
        }
    }
    let missing: Vec<&str> = asked
        .access_modes
        .iter()
        .filter(|mode| !claim.spec.access_modes.contains(mode))
        .map(|mode| AccessMode::short(*mode))
        .collect();
    if !missing.is_empty() {
        found.push(format!("accessModes lack {}", missing.join(", ")));
    }
    let (wanted, has) = (asked.storage(), claim.spec.storage());
    if has < wanted {
        found.push(format!(
            "storage is {}, not {}",
            of_bytes(has),
            of_bytes(wanted)
        ));
    }
    let labels = claim.volume.as_ref().and_then(|name| {
        let object = state.persistent_volumes.get(name)?;
        Some(&object.metadata.labels)
    });
    if let Some(selector) = &asked.selector {
        let selected = labels.is_some_and(|labels| selector.matches(labels));
        if !selected && !includes(claim.spec.selector.as_ref(), selector) {
            found.push("it does not select the labels of the template's selector".to_owned());
        }
    }
    let wanted = asked.volume_name.as_str();
    let bound = claim.volume.as_ref().map(|name| name.name.as_str());
    let has = bound.unwrap_or(&claim.spec.volume_name);
    if !wanted.is_empty() && wanted != has {
        found.push(format!("volumeName is '{has}', not '{wanted}'"));
    }
    if volume.is_none() && claim.volume.is_some() {
        found.push("its volume is gone".to_owned());
    }
    found
}

/// Whether one selector asks for all that another one asks for.
fn includes(selector: Option<&LabelSelector>, asked: &LabelSelector) -> bool {
    let none = LabelSelector::default();
    let selector = selector.unwrap_or(&none);
    let mut labels = asked.match_labels.iter();
    let mut conditions = asked.match_expressions.iter();
    labels.all(|(name, value)| selector.match_labels.get(name) == Some(value))
        && conditions.all(|one| selector.match_expressions.contains(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{hand_made, quantity};

    fn labelled(name: &str, value: &str) -> Option<LabelSelector> {
        let mut selector = LabelSelector::default();
        let labels = &mut selector.match_labels;
        labels.insert(name.to_owned(), value.to_owned());
        Some(selector)
    }

    #[test]
    fn each_difference_is_said() {
        let mut state = State::default();
        let claim = hand_made(&mut state, "data-web-0", 5).clone();
        let mut asked = PersistentVolumeClaimSpec::default();
        assert_eq!(differences(&state, &asked, &claim), [] as [&str; 0]);
        asked.storage_class_name = Some("fast".to_owned());
        asked.access_modes = vec![AccessMode::ReadWriteOnce, AccessMode::ReadWriteMany];
        asked.resources.requests = quantity(6);
        asked.selector = labelled("app", "web-0");
        asked.volume_name = "pv-0".to_owned();
        assert_eq!(
            differences(&state, &asked, &claim),
            [
                "storageClassName is '', not 'fast'",
                "accessModes lack RWX",
                "storage is 5, not 6",
                "it does not select the labels of the template's selector",
                "volumeName is '', not 'pv-0'",
            ]
        );
    }

    #[test]
    fn more_than_asked_for_satisfies() {
        let mut state = State::default();
        let claim = hand_made(&mut state, "data-web-0", 5);
        claim.spec.selector = labelled("app", "web-0");
        claim.spec.access_modes.push(AccessMode::ReadOnlyMany);
        let claim = claim.clone();
        let mut asked = PersistentVolumeClaimSpec {
            access_modes: vec![AccessMode::ReadWriteOnce],
            selector: labelled("app", "web-0"),
            ..PersistentVolumeClaimSpec::default()
        };
        asked.resources.requests = quantity(4);
        assert_eq!(differences(&state, &asked, &claim), [] as [&str; 0]);
    }
}
