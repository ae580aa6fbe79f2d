//! What tells machines apart: the id of the installed system and the uuid of the firmware.
//!
//! Two places ask. A coordinator gives a host's name to no second machine
//! ([`crate::session::check_machine`]); there, what one side does not know tells nothing. And an agent
//! starts members by itself only on the machine that its ledger is of
//! ([`crate::ledger::Ledger::barred`]); there, nobody else can be asked, so both must match as they are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A machine, as its own system tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineIds {
    /// `/etc/machine-id`; empty if there is none. A copy of a disk has the same.
    pub machine_id: String,
    /// The uuid that the firmware (DMI) has for the machine; empty if it has none, or it cannot be read.
    pub product_uuid: String,
}

impl fmt::Display for MachineIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            machine_id,
            product_uuid,
        } = self;
        let id = match machine_id.as_str() {
            "" => "without a machine id",
            id => id,
        };
        match product_uuid.as_str() {
            "" => f.write_str(id),
            uuid => write!(f, "{id} (DMI {uuid})"),
        }
    }
}
