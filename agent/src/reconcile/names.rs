//! Names come before processes: while a coordinator tells this host which names there are, nothing is
//! started here that the host itself does not answer for.
//!
//! A zone without a member that the ledger has is ahead of the order that takes the member away: after a
//! restore the store may not know of it any more. Out of contact the last zone is served, whatever it
//! says, and what is in the ledger starts all the same.

use std::{
    net::IpAddr,
    sync::{Arc, Weak},
};

use berth_core::{order::MemberOrder, waiting::Reason};
use tokio::sync::watch;

use crate::{dns::DnsServer, host::step_failed};

/// Who answers for names, while a coordinator says which there are. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    told: watch::Sender<Weak<DnsServer>>,
}

impl Names {
    /// From now on this server has the names of a coordinator in contact, or nobody has.
    pub(super) fn told(&self, server: Option<&Arc<DnsServer>>) {
        let server = server.map(Arc::downgrade).unwrap_or_default();
        self.told.send_replace(server);
    }

    /// Whether a member may be started as far as its name goes.
    ///
    /// # Errors
    /// If a coordinator is in contact and this host does not serve the name with its address.
    pub(super) fn check(&self, order: &MemberOrder) -> Result<(), Reason> {
        let Some(server) = self.told.borrow().upgrade() else {
            return Ok(());
        };
        let values = &order.values;
        let served = |address: IpAddr| server.has_address(&values.fqdn, address);
        if values.address.parse().is_ok_and(served) {
            return Ok(());
        }
        let host = values.host.parse();
        let host = host.map_err(|e| step_failed("read the name of the host", e))?;
        Err(Reason::ZoneNotAcknowledged { hosts: vec![host] })
    }
}
