//! Moves that end before they came to anything: because an operator says so, or because the data cannot
//! be copied.

use berth_core::{
    ids::MemberId,
    state::moving::{self, NotMoving},
    store::Batch,
    time::Timestamp,
};

use crate::{
    notes::{self, WARNING},
    state::{View, records::changes},
    store::RecordError,
};

/// What writes down that a move is not to be any more.
///
/// # Errors
/// Why there is none to be given up; or a record cannot be written.
pub fn give_up(
    view: &View,
    id: &MemberId,
    why: &str,
    now: Timestamp,
) -> Result<Result<Batch, NotMoving>, RecordError> {
    let after = match moving::give_up(&view.state, id, why) {
        Ok(after) => after,
        Err(why) => return Ok(Err(why)),
    };
    let mut batch = Batch::default();
    changes(view, &after, &id.set, &mut batch)?;
    if !batch.is_empty() {
        let note = notes::member(now, id, WARNING, "MoveEnds", why.to_owned());
        batch.notes.push(note);
    }
    Ok(Ok(batch))
}
