//! The zone that follows from the plan is published with it: in the same commit, under the next
//! serial, if any record changed, or if a member was assigned (its start waits for that serial).

use crate::{
    plan::{Step, draft::Draft},
    state::ZoneHead,
    zone,
};

/// Publishes the zone if need be.
pub(super) fn run(draft: &mut Draft) {
    let hash = zone::build(&draft.state).hash();
    if hash != draft.state.zone.hash || draft.assigned {
        let serial = draft.state.zone.serial.next();
        let zone = ZoneHead { serial, hash };
        draft.push(Step::PublishZone { zone });
    }
}
