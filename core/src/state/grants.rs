//! The grants of an ordinal: the last one, and the one before with what proved that gone. The proof is
//! in the record of the grant that rests on it, so that there is never the one without the other.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Epoch, HostName},
    plan::step::Proof,
};

/// The last time that an ordinal was granted to a host. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// The fencing token.
    pub epoch: Epoch,
    /// To which host.
    pub host: HostName,
    /// The address that its name had.
    pub address: IpAddr,
    /// What proved it gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Proof>,
    /// The grant before, with what proved that gone: it is written with the grant that rests on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<FormerGrant>,
}

/// A grant that another one followed. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FormerGrant {
    /// The fencing token.
    pub epoch: Epoch,
    /// To which host.
    pub host: HostName,
    /// What proved it gone.
    pub proof: Proof,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{self, NOW, assign, key, member, put_set, run_all, spec},
        ids::Ordinal,
        plan::Step,
    };

    #[test]
    fn a_grant_is_written_with_the_proof_that_the_one_before_is_gone() {
        let mut state = fixture::state(1);
        put_set(&mut state, "db", spec(1, false));
        run_all(&mut state, "db");
        let id = member("db", 0);
        let before = state.sets[&key("db")].members[&Ordinal(0)].clone();
        let release = Step::Release {
            member: id.clone(),
            epoch: before.epoch,
            proof: Proof::ConfirmedDead,
        };
        state.apply(&release, NOW);
        assign(&mut state, &id);
        let grant = &state.sets[&key("db")].last_grants[&Ordinal(0)];
        let after = grant.after.as_ref().unwrap();
        assert_eq!((after.epoch, &after.host), (before.epoch, &before.host));
        assert_eq!((&after.proof, &grant.gone), (&Proof::ConfirmedDead, &None));
        let mut older = serde_json::to_value(grant).unwrap();
        older.as_object_mut().unwrap().remove("after");
        assert_eq!(serde_json::from_value::<Grant>(older).unwrap().after, None);
    }
}
