//! What an agent or an operator proves himself with: a key, its certificate, and the authority's, by
//! which he knows the coordinator. All of it is one file, so that a renewal replaces it at once.

use std::{fmt, path::Path};

use berth_core::time::Timestamp;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use crate::{Certified, PkiError, private, problem::OutOfTime};

/// Of one agent or operator.
pub struct Credentials {
    pem: String,
    key: PrivateKeyDer<'static>,
    certificate: CertificateDer<'static>,
    authority: CertificateDer<'static>,
    certified: Certified,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.certified.subject)
    }
}

impl Credentials {
    /// Of a key, its certificate and the authority's, each in PEM.
    ///
    /// # Errors
    /// If one of them is none.
    pub fn new(key: &str, certificate: &str, authority: &str) -> Result<Self, PkiError> {
        let pem = [key, certificate, authority].map(str::trim_end).join("\n") + "\n";
        Self::parse(pem).map_err(PkiError::NotOurs)
    }

    /// Reads them.
    ///
    /// # Errors
    /// If others can read the file, or it does not hold what it should.
    pub fn load(path: &Path) -> Result<Self, PkiError> {
        Self::parse(private::read(path)?).map_err(|what| PkiError::Damaged {
            path: path.to_owned(),
            what,
        })
    }

    /// Writes them, at once or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), PkiError> {
        if let Some(directory) = path.parent() {
            private::directory(directory)?;
        }
        private::write(path, &self.pem)
    }

    /// Reads them from a text.
    ///
    /// # Errors
    /// What is not in it.
    pub fn parse(pem: String) -> Result<Self, &'static str> {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes());
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let certificates = certificates.map_err(|_| "certificates in PEM")?;
        let mut certificates = certificates.into_iter();
        let (Some(certificate), Some(authority), None) = (
            certificates.next(),
            certificates.next(),
            certificates.next(),
        ) else {
            return Err("certificate and authority's certificate in PEM, in this order");
        };
        let certified = Certified::read(&certificate).map_err(|_| "certificate of Berth")?;
        Ok(Self {
            key: key.map_err(|_| "private key in PEM")?,
            certificate,
            authority,
            certified,
            pem,
        })
    }

    /// All of it in PEM. A secret.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Whose they are, and until when.
    pub fn certified(&self) -> &Certified {
        &self.certified
    }

    /// The authority's certificate.
    pub fn authority(&self) -> &CertificateDer<'static> {
        &self.authority
    }

    /// With another key and certificate of the same authority.
    ///
    /// # Errors
    /// If one of them is none.
    pub fn renewed(&self, key: &str, certificate: &str, authority: &str) -> Result<Self, PkiError> {
        let new = Self::new(key, certificate, authority)?;
        if new.certified.subject != self.certified.subject {
            return Err(PkiError::NotOurs("it is of somebody else"));
        }
        Ok(new)
    }

    /// Whether the certificate is valid by this machine's clock.
    ///
    /// # Errors
    /// If it is over, or not valid yet.
    pub fn check_time(&self, now: Timestamp) -> Result<(), PkiError> {
        let out = OutOfTime::check(self.certified.not_before, self.certified.not_after, now);
        out.map_or(Ok(()), |out| Err(PkiError::Time(out)))
    }

    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }
}
