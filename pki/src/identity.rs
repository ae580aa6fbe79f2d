//! Whose a certificate is. It says so in one URI among its alternative names: `berth:host/web-1`,
//! `berth:user/ann`, `berth:coordinator`. Nothing else in it counts: what somebody may do is in the
//! coordinator's store.

use std::{fmt, str::FromStr};

use berth_core::{
    ids::{HostName, UserName},
    time::Timestamp,
};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::PkiError;

/// The URI's scheme.
const SCHEME: &str = "berth:";

/// Who has a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The coordinator.
    Coordinator,
    /// The agent of a host.
    Host(HostName),
    /// An operator.
    User(UserName),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator => write!(f, "{SCHEME}coordinator"),
            Self::Host(name) => write!(f, "{SCHEME}host/{name}"),
            Self::User(name) => write!(f, "{SCHEME}user/{name}"),
        }
    }
}

impl FromStr for Subject {
    type Err = PkiError;
    fn from_str(uri: &str) -> Result<Self, PkiError> {
        let unknown = PkiError::NotOurs("its name is of no kind that this release knows");
        let Some(name) = uri.strip_prefix(SCHEME) else {
            return Err(unknown);
        };
        let named = match name.split_once('/') {
            None if name == "coordinator" => Some(Self::Coordinator),
            Some(("host", name)) => name.parse().ok().map(Self::Host),
            Some(("user", name)) => name.parse().ok().map(Self::User),
            Some(_) | None => None,
        };
        named.ok_or(unknown)
    }
}

/// What a certificate says. That the authority issued it is TLS's to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// Who has it.
    pub subject: Subject,
    /// When it was issued, to the millisecond: it is in the serial number.
    pub issued: Timestamp,
    /// From when on it is valid: somewhat before it was issued, for clocks that are late.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

impl Certified {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// If it is none, or none of Berth's.
    pub fn read(der: &[u8]) -> Result<Self, PkiError> {
        let parsed = X509Certificate::from_der(der);
        let (_, certificate) = parsed.map_err(|_| PkiError::NotOurs("it is damaged"))?;
        let names = certificate.subject_alternative_name();
        let names = names.map_err(|_| PkiError::NotOurs("its names are damaged"))?;
        let names = names.map_or(&[][..], |names| &names.value.general_names);
        let mut uris = names.iter().filter_map(|name| {
            if let GeneralName::URI(uri) = name {
                Some(*uri)
            } else {
                None
            }
        });
        let (Some(uri), None) = (uris.next(), uris.next()) else {
            return Err(PkiError::NotOurs("it names nobody, or more than one"));
        };
        let validity = certificate.validity();
        Ok(Self {
            subject: uri.parse()?,
            issued: issued(certificate.raw_serial()),
            not_before: seconds(validity.not_before.timestamp()),
            not_after: seconds(validity.not_after.timestamp()),
        })
    }

    /// When it is to be renewed: after two thirds of its life.
    pub fn renew_at(&self) -> Timestamp {
        let life = self.not_after.since(self.issued);
        self.issued.plus(life * 2 / 3)
    }
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000))
}

/// The first 48 bits of the sixteen bytes of a serial number; leading zeros are not written.
fn issued(serial: &[u8]) -> Timestamp {
    let mut number: u128 = 0;
    for byte in serial {
        number = number.wrapping_shl(8) | u128::from(*byte);
    }
    Timestamp(u64::try_from(number >> 80).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_and_read_back() {
        let all = [
            Subject::Coordinator,
            Subject::Host("host-1".parse().unwrap()),
            Subject::User("ann".parse().unwrap()),
        ];
        for subject in all {
            let text = subject.to_string();
            assert_eq!(text.parse::<Subject>().unwrap(), subject, "{text}");
        }
        for text in [
            "",
            "host/a",
            "berth:",
            "berth:host/",
            "berth:host/*",
            "berth:host/a/b",
            "berth:coordinator/x",
            "berth:admin/x",
        ] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
