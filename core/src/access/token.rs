//! Tokens to join with: good for one host, once, for a short while.
//!
//! Of a token's secret the store has the hash only. A token that was used or has run out is kept for
//! a while, so that whoever comes with it is told what is wrong with it.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    ids::{HostName, IdError, ObjectName},
    time::Timestamp,
};

/// How long a token that is of no use any more is remembered.
pub const FORGET_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// Names a token: what of it is no secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(pub ObjectName);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TokenId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self)
    }
}

/// A token, as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinToken {
    /// SHA-256 of its secret, in hexadecimal.
    pub hash: String,
    /// The one host that it is for; any that is not known yet if left out.
    #[serde(default)]
    pub host: Option<HostName>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is good for nothing.
    pub expires: Timestamp,
    /// Who joined with it, and when.
    #[serde(default)]
    pub used: Option<(HostName, Timestamp)>,
}

/// Why a host may not join with a token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenRefusal {
    /// There is none of this id, or its secret is another. Which of them is nobody's business.
    #[error(
        "the token is not of this cluster, or was mistyped; make one with 'berth admin token create'"
    )]
    Unknown,
    /// Its time is over.
    #[error("the token ran out at {0}; make one with 'berth admin token create'")]
    Expired(Timestamp),
    /// It was used.
    #[error(
        "the token was used by host {host} at {at}; each is good for one host: make another with \
         'berth admin token create'"
    )]
    Used {
        /// By whom.
        host: HostName,
        /// When.
        at: Timestamp,
    },
    /// It is for another host.
    #[error(
        "the token is for host {0} only; join as that host, or make another with 'berth admin token \
         create'"
    )]
    OtherHost(HostName),
    /// Whoever has the name must not lose it to somebody who has any token.
    #[error(
        "there is a host {0} already; give this one another name, or, if it is the same machine, make \
         a token with 'berth admin token create --host {0}'"
    )]
    Known(HostName),
}

impl JoinToken {
    /// Whether a host may join with it, whose hash of the secret is `hash`.
    ///
    /// # Errors
    /// Why not. Nothing about the token is told to somebody who does not know its secret.
    pub fn check(
        &self,
        hash: &str,
        host: &HostName,
        known: bool,
        now: Timestamp,
    ) -> Result<(), TokenRefusal> {
        // Both are hashes: how long the comparison takes says nothing of the secret.
        if self.hash != hash {
            return Err(TokenRefusal::Unknown);
        }
        if let Some((host, at)) = &self.used {
            let (host, at) = (host.clone(), *at);
            return Err(TokenRefusal::Used { host, at });
        }
        if now >= self.expires {
            return Err(TokenRefusal::Expired(self.expires));
        }
        match &self.host {
            Some(only) if only != host => Err(TokenRefusal::OtherHost(only.clone())),
            None if known => Err(TokenRefusal::Known(host.clone())),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether it is remembered for nothing.
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        now >= self.expires.plus(FORGET_AFTER)
    }
}
