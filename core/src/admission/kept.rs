//! What verbs wrote into a set and its manifest does not say: that its updates are held back
//! (`berth rollout pause`), and when its members were last restarted (`berth rollout restart`). A
//! manifest that is applied later takes neither away by saying nothing of it.

use super::{Options, rollout::RESTARTED_AT};
use crate::spec::{Object, StatefulSet};

/// Marks a set whose `paused` is another than its manifest said last, with what that said; kept by
/// admission among the annotations.
pub const PAUSED: &str = "berth/paused";

const FIELD: &str = "spec.paused";

/// Keeps what verbs wrote, unless the manifest says otherwise.
pub(super) fn merge(
    current: &Object,
    object: &mut Object,
    options: Options,
    refuse: &mut dyn FnMut(&str, &str),
) {
    let (Object::StatefulSet(current), Object::StatefulSet(set)) = (current, object) else {
        return;
    };
    if options.by_verb {
        toggled(current, set);
    } else {
        paused(current, set, options, refuse);
        restarted(current, set);
    }
}

/// What a verb changes against the manifest, another takes back.
fn toggled(current: &StatefulSet, set: &mut StatefulSet) {
    let marked = current.metadata.annotations.contains_key(PAUSED);
    // What is not as the manifest said is the opposite of it.
    mark(set, current.spec.is_paused() != marked);
}

/// Marks a set if it is not as its manifest said.
fn mark(set: &mut StatefulSet, said: bool) {
    if set.spec.is_paused() != said {
        let annotations = &mut set.metadata.annotations;
        annotations.insert(PAUSED.to_owned(), said.to_string());
    }
}

fn paused(
    current: &StatefulSet,
    set: &mut StatefulSet,
    options: Options,
    refuse: &mut dyn FnMut(&str, &str),
) {
    if !current.metadata.annotations.contains_key(PAUSED) {
        return;
    }
    let now = current.spec.is_paused();
    match set.spec.paused {
        // Who leaves it out does not claim it; who gives the same does.
        None => {
            set.spec.paused = current.spec.paused;
            mark(set, false);
        }
        Some(given) if given == now || options.take_paused => {}
        Some(given) => {
            let verb = if now { "pause" } else { "resume" };
            refuse(
                FIELD,
                &format!(
                    "it was set to {now} with 'berth rollout {verb}', the manifest says {given}; \
                     write {now}, leave it out, or apply with --take paused"
                ),
            );
        }
    }
}

/// The time of the last restart is part of the template: without it all members would be replaced
/// once more.
fn restarted(current: &StatefulSet, set: &mut StatefulSet) {
    let before = &current.spec.template.metadata.annotations;
    let annotations = &mut set.spec.template.metadata.annotations;
    if let Some(at) = before.get(RESTARTED_AT) {
        annotations
            .entry(RESTARTED_AT.to_owned())
            .or_insert_with(|| at.clone());
    }
}
