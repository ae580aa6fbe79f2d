use super::*;

/// An index that was kept up is the one that is made anew.
pub(crate) fn assert_current(state: &State) {
    let kept = state.index();
    let made = state.bare().index();
    assert_eq!(*kept, *made);
}
