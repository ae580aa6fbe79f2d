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

#[test]
fn what_was_found_out_about_a_copy_is_brought_up_to_date() {
    let mut state = crate::fixture::state(3);
    let copy = state.clone();
    copy.remember();
    let name = crate::fixture::host_name(1);
    let address = "10.9.9.9".parse().unwrap();
    let host = state.hosts.get_mut(&name).unwrap();
    host.record.advertise_address = address;
    state.recall(&copy);
    assert_current(&state);
    assert!(state.index().hosts_at.of(&address).eq([&name]));
    assert_eq!(zone::hash(&state), zone::hash(&state.bare()));
    // Nobody found out anything about this one.
    state.recall(&copy.bare());
    assert_current(&state);
}
