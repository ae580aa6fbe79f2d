//! Hosts that do not come back, and what operators say of them and of their members. They tell the
//! truth: what a host had is gone when they do.

use crate::{
    fixture::{friend::Friends, host_name},
    ids::MemberId,
    state::lost,
};

/// A host that is out of contact is confirmed dead.
pub(super) fn confirm_dead(friends: &mut Friends, host: u8) {
    let name = host_name(host);
    if let Ok(after) = lost::confirm_dead(&friends.state, &name, friends.now) {
        friends.state = after;
        let host = friends.state.hosts.get_mut(&name).unwrap();
        host.contact.members = crate::map::Map::new();
    }
}

/// A member of a host that is out of contact is forced.
pub(super) fn force(friends: &mut Friends, id: &MemberId) {
    if let Ok(after) = lost::force(&friends.state, id, friends.now) {
        friends.state = after;
        for host in friends.state.hosts.values_mut() {
            host.contact.members.remove(id);
        }
    }
}
