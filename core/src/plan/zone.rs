//! The zone that follows from the plan is published with it: in the same commit, under the next
//! serial, if any record changed, or if a member waits for a serial that is not published yet (its
//! assignment changed no record, or was committed without the rest of its plan).

use crate::{
    bug::{self, Bug},
    plan::{Step, draft::Draft},
    state::ZoneHead,
    zone,
};

/// Publishes the zone if need be.
pub(super) fn run(draft: &mut Draft) {
    let hash = zone::hash(&draft.state);
    let published = draft.state.zone.serial;
    let newest = draft.state.index().named.last().copied();
    let awaited = newest.is_some_and(|newest| newest > published);
    if bug::on(Bug::ZonePublishedLate) && draft.has_steps() {
        return;
    }
    if hash != draft.state.zone.hash || awaited {
        let serial = published.next();
        let zone = ZoneHead { serial, hash };
        draft.push(Step::PublishZone { zone });
    }
}
