//! The index that follows the state is the one that is made anew.

use super::*;

/// An index that was kept up is the one that is made anew.
pub(crate) fn assert_current(state: &State) {
    let of = |state: &State| Index {
        seen: Seen::default(),
        ..state.index().as_ref().clone()
    };
    assert_eq!(of(state), of(&state.bare()));
}
