//! Who may use the coordinator: the roles of operators, tokens to join with, and which certificates
//! are taken.
//!
//! A certificate says who somebody is, and nothing else. What he may do is looked up at every call in
//! what the store has, so that a change counts at once. Which role a method needs is a table of the
//! coordinator's services.

mod quota;
mod token;

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    ids::{HostName, Namespace, UserName},
    map::Map,
    time::Timestamp,
};

pub use quota::{Account, Allowance, Exhausted, Quotas};
pub use token::{FORGET_AFTER, JoinToken, TokenId, TokenRefusal};

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Looks, and changes nothing.
    Viewer,
    /// Works with objects and members.
    Operator,
    /// Does everything that an operator can do, with hosts, users and the store too.
    Admin,
}

impl Role {
    /// Every role, from the least to the most.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The role's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word is no role.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is no role; give viewer, operator or admin")]
pub struct RoleError(pub String);

impl FromStr for Role {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Self, RoleError> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| RoleError(text.to_owned()))
    }
}

/// An operator, as the store knows him.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// What he may do.
    pub role: Role,
    /// Where; everywhere if empty.
    #[serde(default)]
    pub namespaces: BTreeSet<Namespace>,
    /// Certificates that were issued before are not taken: somebody else may have had the name.
    pub since: Timestamp,
}

/// Which certificates of a host are not taken any more: it was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    /// Those that were issued until then.
    pub until: Timestamp,
}

/// Who somebody is, by what he proved: his certificate, or that he is root on the coordinator's
/// machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Root on the coordinator's machine, through its socket. He has the authority's key, so that
    /// there is nothing that he could be kept from.
    Root,
    /// An agent.
    Host {
        /// Of which host.
        host: HostName,
        /// When its certificate was issued.
        issued: Timestamp,
    },
    /// An operator.
    User {
        /// Who.
        name: UserName,
        /// When his certificate was issued.
        issued: Timestamp,
    },
    /// Somebody without a certificate.
    Nobody,
}

/// What a caller may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// Everything, also in the place of an agent.
    Root,
    /// What an agent does, for this host.
    Agent(HostName),
    /// What an operator of this role does.
    Operator {
        /// The role.
        role: Role,
        /// In these namespaces; everywhere if empty.
        namespaces: BTreeSet<Namespace>,
    },
    /// To join.
    Nothing,
}

/// Why a certificate is not taken although the authority issued it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AccessError {
    /// The host was removed.
    #[error(
        "the certificate of host {0} was revoked when the host was removed; to have it back, make a \
         token with 'berth admin token create --host {0}' and run 'berth-agent join' on it"
    )]
    HostRevoked(HostName),
    /// There is no such user.
    #[error("there is no user {0}; ask an admin to run 'berth admin user create {0}'")]
    NoUser(UserName),
    /// The user was made anew.
    #[error(
        "the certificate of user {0} is of an earlier user of that name; ask an admin to run 'berth \
         admin user create {0}' and use what it writes"
    )]
    UserRevoked(UserName),
}

/// What the store says of who may do what.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Access {
    /// Operators.
    pub users: Map<UserName, User>,
    /// Hosts that were removed.
    pub revocations: Map<HostName, Revocation>,
    /// Tokens that hosts can join with, or could.
    pub tokens: Map<TokenId, JoinToken>,
}

impl Access {
    /// What a caller may do now.
    ///
    /// # Errors
    /// If his certificate is not taken any more.
    pub fn rights(&self, caller: &Caller) -> Result<Rights, AccessError> {
        match caller {
            Caller::Root => Ok(Rights::Root),
            Caller::Nobody => Ok(Rights::Nothing),
            Caller::Host { host, issued } => {
                let revoked = self.revocations.get(host);
                match revoked.filter(|revoked| *issued <= revoked.until) {
                    Some(_) => Err(AccessError::HostRevoked(host.clone())),
                    None => Ok(Rights::Agent(host.clone())),
                }
            }
            Caller::User { name, issued } => {
                let user = self.users.get(name);
                let user = user.ok_or_else(|| AccessError::NoUser(name.clone()))?;
                if *issued < user.since {
                    return Err(AccessError::UserRevoked(name.clone()));
                }
                Ok(Rights::Operator {
                    role: user.role,
                    namespaces: user.namespaces.clone(),
                })
            }
        }
    }
}

impl Rights {
    /// Whether objects and members of a namespace may be seen, or with the role for it, changed.
    pub fn reach(&self, namespace: &Namespace) -> bool {
        match self {
            Self::Root => true,
            Self::Operator { namespaces, .. } => {
                namespaces.is_empty() || namespaces.contains(namespace)
            }
            Self::Agent(_) | Self::Nothing => false,
        }
    }

    /// Whether they are those of a host's agent; root may stand in for it.
    pub fn speak_for(&self, host: &HostName) -> bool {
        match self {
            Self::Root => true,
            Self::Agent(own) => own == host,
            Self::Operator { .. } | Self::Nothing => false,
        }
    }

    /// Whether they end at some namespaces.
    pub fn limited(&self) -> bool {
        match self {
            Self::Root => false,
            Self::Operator { namespaces, .. } => !namespaces.is_empty(),
            Self::Agent(_) | Self::Nothing => true,
        }
    }
}

#[cfg(test)]
mod tests;
