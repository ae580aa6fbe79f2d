//! Why a connection by TLS failed, in words that say what to do. The library's own name a field of a
//! certificate; most often it is a clock, or another cluster.

use std::{error::Error, fmt, io};

use berth_core::time::Timestamp;
use rustls::{CertificateError, Error as TlsError};
use rustls_pki_types::UnixTime;
use thiserror::Error;

use crate::authority::AuthorityHash;

/// A certificate is over, or not valid yet, by the clock of the machine that looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfTime {
    /// It begins later.
    Early {
        /// When it begins.
        not_before: Timestamp,
        /// The time here.
        now: Timestamp,
    },
    /// It ended.
    Late {
        /// When it ended.
        not_after: Timestamp,
        /// The time here.
        now: Timestamp,
    },
}

impl OutOfTime {
    /// Whether a certificate is, now.
    pub fn check(not_before: Timestamp, not_after: Timestamp, now: Timestamp) -> Option<Self> {
        if now < not_before {
            Some(Self::Early { not_before, now })
        } else if now > not_after {
            Some(Self::Late { not_after, now })
        } else {
            None
        }
    }
}

impl fmt::Display for OutOfTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Early { not_before, now } => write!(
                f,
                "the certificate is valid from {not_before} on, and the clock of this machine says \
                 {now}: it is late by {} minutes at least; set the clock (does an NTP service run?)",
                minutes(*now, *not_before)
            ),
            Self::Late { not_after, now } => write!(
                f,
                "the certificate ran out at {not_after}, and the clock of this machine says {now}; if \
                 the clock is right get a new certificate ('berth-agent join' on a host, 'berth admin \
                 user create' for an operator), else set the clock"
            ),
        }
    }
}

fn minutes(now: Timestamp, then: Timestamp) -> u64 {
    then.since(now).as_secs().div_ceil(60)
}

/// Whoever answers is not the coordinator that a token is of.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "whoever answers there is not the coordinator that the token is of: the token's authority is \
     {expected}, the one there is {}; nothing was sent. Check the address, and whether the token is of \
     this cluster", found.map_or_else(|| "none".to_owned(), |hash| hash.to_string())
)]
pub struct WrongAuthority {
    /// By the token.
    pub expected: AuthorityHash,
    /// As shown.
    pub found: Option<AuthorityHash>,
}

const OTHER_AUTHORITY: &str = "whoever answers there is not of this cluster's authority: it is \
     another cluster's coordinator, or the coordinator has another authority now; join it with a new \
     token if that is right";
const UNKNOWN_HERE: &str = "the coordinator does not know the authority of this certificate: the \
     certificate is of another cluster, or the coordinator has another authority now; join it with a \
     new token if that is right";
const CLOCKS: &str = "the coordinator says that this certificate is over, or not valid yet, and the \
     clock here says that it is valid: one of the two clocks is wrong; set it (does an NTP service \
     run?)";
const NOT_ACCEPTED: &str = "the coordinator does not take this certificate; get a new one with \
     'berth-agent join' on a host, 'berth admin user create' for an operator";

/// What the library says before the name of an alert. HTTP/2 keeps the text of an error only.
const ALERT: &str = "received fatal alert: ";

/// What a failure says in plain words, if it is one of TLS.
pub fn explain(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<TlsError>() {
            return of_tls(found);
        }
        if let Some(io) = error.downcast_ref::<io::Error>() {
            let inner = io
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<TlsError>());
            if let Some(found) = inner {
                return of_tls(found);
            }
            if let Some(alert) = io.to_string().strip_prefix(ALERT) {
                return of_alert(alert);
            }
        }
        next = error.source();
    }
    None
}

fn of_tls(error: &TlsError) -> Option<String> {
    if let TlsError::InvalidCertificate(why) = error {
        return of_certificate(why);
    }
    error.to_string().strip_prefix(ALERT).and_then(of_alert)
}

/// What the other end said before it hung up.
fn of_alert(alert: &str) -> Option<String> {
    let why = match alert {
        "CertificateExpired" => CLOCKS,
        "UnknownCA" | "DecryptError" => UNKNOWN_HERE,
        "BadCertificate" | "CertificateUnknown" | "CertificateRevoked" | "AccessDenied" => {
            NOT_ACCEPTED
        }
        _ => return None,
    };
    Some(why.to_owned())
}

fn of_certificate(why: &CertificateError) -> Option<String> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's errors: of most it says enough itself"
    )]
    match why {
        CertificateError::NotValidYetContext { time, not_before } => {
            let (not_before, now) = (stamp(*not_before), stamp(*time));
            Some(of_coordinator(OutOfTime::Early { not_before, now }))
        }
        CertificateError::ExpiredContext { time, not_after } => {
            let (not_after, now) = (stamp(*not_after), stamp(*time));
            Some(of_coordinator(OutOfTime::Late { not_after, now }))
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            Some(OTHER_AUTHORITY.to_owned())
        }
        CertificateError::Other(other) => {
            let wrong = other.0.downcast_ref::<WrongAuthority>();
            wrong.map(ToString::to_string)
        }
        _ => None,
    }
}

/// The coordinator renews its own certificate: what looks over is a clock.
fn of_coordinator(out: OutOfTime) -> String {
    let (at, now, how) = match out {
        OutOfTime::Early { not_before, now } => {
            let by = minutes(now, not_before);
            (
                not_before,
                now,
                format!("begins at that time, {by} minutes ahead"),
            )
        }
        OutOfTime::Late { not_after, now } => {
            let by = minutes(not_after, now);
            (
                not_after,
                now,
                format!("ended at that time, {by} minutes ago"),
            )
        }
    };
    format!(
        "the clock of this machine says {now}, and the coordinator's certificate ({at}) {how}: one of \
         the two clocks is wrong; set it (does an NTP service run?)"
    )
}

fn stamp(time: UnixTime) -> Timestamp {
    Timestamp(time.as_secs().saturating_mul(1000))
}
