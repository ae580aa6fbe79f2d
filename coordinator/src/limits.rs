//! How long a call may take, and how much one caller may ask: what the configuration says, and what each
//! caller has had.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use berth_core::{
    access::{Account, Allowance, Exhausted, Quotas},
    ids::{HostName, UserName},
    spec::period::{PeriodError, parse_period},
};
use berth_pki::Subject;
use berth_proto::transport::PeerInfo;
use serde::Deserialize;
use thiserror::Error;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct LimitsFile {
    /// How long a call may take that has an end of its own.
    call_timeout: String,
    /// Calls that one caller may make in a second.
    calls_per_second: u32,
    /// Calls that he may make at once.
    calls_at_once: u32,
    /// Streams that he may have open.
    streams: u32,
}

impl Default for LimitsFile {
    fn default() -> Self {
        Self {
            call_timeout: "30s".to_owned(),
            calls_per_second: 200,
            calls_at_once: 1000,
            streams: 256,
        }
    }
}

/// What is taken from callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a call may take that has an end of its own.
    pub call_timeout: Duration,
    /// What each caller has.
    pub allowance: Allowance,
}

impl Default for Limits {
    fn default() -> Self {
        let LimitsFile {
            calls_per_second: per_second,
            calls_at_once: at_once,
            streams,
            ..
        } = LimitsFile::default();
        Self {
            call_timeout: Duration::from_secs(30),
            allowance: Allowance {
                per_second,
                at_once,
                streams,
            },
        }
    }
}

/// Why a limit is none.
#[derive(Debug, Error)]
pub enum LimitsError {
    /// No time, or one in which nothing can be done.
    #[error("limits.callTimeout: {0}")]
    Period(PeriodError),
    /// Nobody could do anything.
    #[error("limits.{field} is 0, and nobody could do anything; give 1 or more")]
    Zero {
        /// The field.
        field: &'static str,
    },
}

impl LimitsFile {
    /// # Errors
    /// The first limit that is none.
    pub(crate) fn check(&self) -> Result<Limits, LimitsError> {
        let call_timeout = parse_period(&self.call_timeout).map_err(LimitsError::Period)?;
        for (field, zero) in [
            ("callTimeout", call_timeout.is_zero()),
            ("callsPerSecond", self.calls_per_second == 0),
            ("callsAtOnce", self.calls_at_once == 0),
            ("streams", self.streams == 0),
        ] {
            if zero {
                return Err(LimitsError::Zero { field });
            }
        }
        Ok(Limits {
            call_timeout,
            allowance: Allowance {
                per_second: self.calls_per_second,
                at_once: self.calls_at_once,
                streams: self.streams,
            },
        })
    }
}

/// Whose calls are counted together: by what proves who it is, and without that by where he is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A host, by its certificate.
    Host(HostName),
    /// An operator, by his.
    User(UserName),
    /// A user of this machine.
    Local(Option<u32>),
    /// Somebody without a certificate.
    At(IpAddr),
}

impl Who {
    /// Who is at the other end.
    pub fn of(peer: Option<&PeerInfo>) -> Self {
        match peer {
            Some(PeerInfo::Remote { address, certified }) => {
                match certified.as_ref().map(|certified| &certified.subject) {
                    Some(Subject::Host(host)) => Self::Host(host.clone()),
                    Some(Subject::User(name)) => Self::User(name.clone()),
                    Some(Subject::Coordinator) | None => Self::At(address.ip()),
                }
            }
            Some(PeerInfo::Local { uid }) => Self::Local(*uid),
            None => Self::Local(None),
        }
    }
}

/// What each caller has had, of all listeners together.
#[derive(Debug)]
pub struct Callers {
    began: Instant,
    quotas: Mutex<Quotas<Who>>,
}

impl Callers {
    /// Nobody has had anything.
    pub fn new(allowance: Allowance) -> Self {
        Self {
            began: Instant::now(),
            quotas: Mutex::new(Quotas::new(allowance)),
        }
    }

    /// One call more; with a stream, if it is one.
    ///
    /// # Errors
    /// If that is too much.
    pub fn call(&self, who: &Who, stream: bool) -> Result<Option<Account<Who>>, Exhausted> {
        let now = self.began.elapsed();
        let mut quotas = self.quotas();
        quotas.call(who, now)?;
        stream.then(|| quotas.open(who, now)).transpose()
    }

    /// A stream has ended.
    pub fn close(&self, account: &Account<Who>) {
        self.quotas().close(account);
    }

    /// How many streams are open.
    pub fn streams(&self) -> u32 {
        self.quotas().streams()
    }

    fn quotas(&self) -> MutexGuard<'_, Quotas<Who>> {
        self.quotas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_leaves_out_is_the_default() {
        assert_eq!(LimitsFile::default().check().unwrap(), Limits::default());
    }

    #[test]
    fn whoever_has_a_certificate_is_counted_by_it_and_not_by_his_address() {
        let at = |ip: [u8; 4]| PeerInfo::Remote {
            address: (ip, 1).into(),
            certified: None,
        };
        assert_eq!(
            Who::of(Some(&at([192, 0, 2, 1]))),
            Who::At([192, 0, 2, 1].into())
        );
        let local = PeerInfo::Local { uid: Some(0) };
        assert_eq!(Who::of(Some(&local)), Who::Local(Some(0)));
    }
}
