//! The authority: the key that certificates are signed with. It is made at the coordinator's first
//! start, or given by the operator, and stays on the coordinator's machine.
//!
//! A certificate is built here from nothing but a name and a public key.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use berth_core::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, string::Ia5String,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::{
    PkiError, Subject, private,
    request::{Request, public_key},
    tls::{COORDINATOR, ServerIdentity},
};

/// What clocks may be late by without anybody noticing.
const BACKDATED: Duration = Duration::from_secs(5 * 60);
/// How long the authority itself is valid.
const LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// SHA-256 of an authority's public key. It stays the same when its certificate is renewed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuthorityHash(pub [u8; 32]);

impl fmt::Debug for AuthorityHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for AuthorityHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl AuthorityHash {
    /// Of a certificate in DER.
    ///
    /// # Errors
    /// If it is none.
    pub fn of(der: &[u8]) -> Result<Self, PkiError> {
        let parsed = X509Certificate::from_der(der);
        let (_, certificate) = parsed.map_err(|_| PkiError::NotOurs("it is damaged"))?;
        let digest = Sha256::digest(certificate.public_key().raw);
        Ok(Self(digest.into()))
    }
}

/// Where an authority is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityFiles {
    /// The certificate, in PEM.
    pub certificate: PathBuf,
    /// The key, in PEM.
    pub key: PathBuf,
}

/// Issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    hash: AuthorityHash,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.hash)
    }
}

impl Authority {
    /// The authority in a directory; made if there is none yet.
    ///
    /// # Errors
    /// If its files cannot be used, or only one of them is there.
    pub fn open(directory: &Path, now: Timestamp) -> Result<Self, PkiError> {
        let files = AuthorityFiles {
            certificate: directory.join("ca.crt"),
            key: directory.join("ca.key"),
        };
        let there = |path: &Path| path.symlink_metadata().is_ok();
        match (there(&files.certificate), there(&files.key)) {
            (true, true) => {}
            (true, false) => {
                return Err(PkiError::Missing {
                    missing: files.key,
                    there: files.certificate,
                });
            }
            // The key came first and was cut short before it had a certificate, or that was lost:
            // another for the same key is as good, since tokens and agents know it by the key.
            (false, has_key) => {
                private::directory(directory)?;
                let key = match has_key {
                    true => key(&files.key)?,
                    false => {
                        let key = KeyPair::generate().map_err(PkiError::Make)?;
                        private::write(&files.key, key.serialize_pem())?;
                        key
                    }
                };
                let certificate = root(now)?.self_signed(&key).map_err(PkiError::Make)?;
                private::write_public(&files.certificate, &certificate.pem())?;
            }
        }
        Self::load(&files)
    }

    /// An authority that the operator gives.
    ///
    /// # Errors
    /// If its files cannot be used, or do not belong together.
    pub fn load(files: &AuthorityFiles) -> Result<Self, PkiError> {
        let key = key(&files.key)?;
        let path = &files.certificate;
        let pem = std::fs::read_to_string(path).map_err(PkiError::file("read", path))?;
        let damaged = || PkiError::Damaged {
            path: path.clone(),
            what: "certificate of an authority in PEM",
        };
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| damaged())?;
        let hash = AuthorityHash::of(&certificate).map_err(|_| damaged())?;
        if hash.0 != <[u8; 32]>::from(Sha256::digest(key.subject_public_key_info())) {
            return Err(PkiError::Damaged {
                path: files.key.clone(),
                what: "key of the authority's certificate",
            });
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| damaged())?;
        Ok(Self {
            issuer,
            certificate: certificate.into_owned(),
            pem,
            hash,
        })
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its certificate, in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// What tells it from others.
    pub fn hash(&self) -> AuthorityHash {
        self.hash
    }

    /// Certifies the key of a request as somebody's; the certificate, in PEM.
    ///
    /// # Errors
    /// If the request is none, or was not signed with its key.
    pub fn issue(
        &self,
        subject: &Subject,
        csr: &[u8],
        now: Timestamp,
        life: Duration,
    ) -> Result<String, PkiError> {
        let key = public_key(csr)?;
        let mut certificate = leaf(subject, now, life)?;
        certificate.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&certificate, &key)
    }

    /// A new key and its certificate for the coordinator itself, under these names beside its own.
    ///
    /// # Errors
    /// If a name is none.
    pub fn serve_as(
        &self,
        names: &[String],
        now: Timestamp,
        life: Duration,
    ) -> Result<ServerIdentity, PkiError> {
        let request = Request::new()?;
        let mut certificate = leaf(&Subject::Coordinator, now, life)?;
        certificate.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in [COORDINATOR, "localhost"]
            .into_iter()
            .chain(names.iter().map(String::as_str))
        {
            let name = match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(Ia5String::try_from(name).map_err(PkiError::Make)?),
            };
            certificate.subject_alt_names.push(name);
        }
        let pem = self.sign(&certificate, &public_key(request.csr())?)?;
        let damaged = PkiError::NotOurs("it was just made and cannot be read");
        let (Ok(own), Ok(key)) = (
            CertificateDer::from_pem_slice(pem.as_bytes()),
            PrivateKeyDer::from_pem_slice(request.key_pem().as_bytes()),
        ) else {
            return Err(damaged);
        };
        Ok(ServerIdentity {
            chain: vec![own, self.certificate.clone()],
            key,
        })
    }

    fn sign(
        &self,
        certificate: &CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<String, PkiError> {
        let signed = certificate.signed_by(key, &self.issuer);
        Ok(signed.map_err(PkiError::Make)?.pem())
    }
}

fn key(path: &Path) -> Result<KeyPair, PkiError> {
    let pem = private::read(path)?;
    KeyPair::from_pem(&pem).map_err(|_| PkiError::Damaged {
        path: path.to_owned(),
        what: "private key in PEM",
    })
}

fn instant(at: Timestamp) -> OffsetDateTime {
    let seconds = i64::try_from(at.0 / 1000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn valid(certificate: &mut CertificateParams, now: Timestamp, life: Duration) {
    let backdated = u64::try_from(BACKDATED.as_millis()).unwrap_or(u64::MAX);
    certificate.not_before = instant(Timestamp(now.0.saturating_sub(backdated)));
    certificate.not_after = instant(now.plus(life));
    // Its first bits are the time of issue, as in a UUID of version 7.
    let mut serial = uuid::Uuid::now_v7().into_bytes();
    let time = now.0.to_be_bytes();
    for (byte, of) in serial.iter_mut().zip(time.iter().skip(2)) {
        *byte = *of;
    }
    certificate.serial_number = Some(SerialNumber::from_slice(&serial));
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn root(now: Timestamp) -> Result<CertificateParams, PkiError> {
    let mut root = CertificateParams::new(Vec::new()).map_err(PkiError::Make)?;
    root.distinguished_name = named("Berth authority");
    root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut root, now, LIFE);
    Ok(root)
}

fn leaf(subject: &Subject, now: Timestamp, life: Duration) -> Result<CertificateParams, PkiError> {
    let uri = subject.to_string();
    let mut leaf = CertificateParams::new(Vec::new()).map_err(PkiError::Make)?;
    leaf.distinguished_name = named(&uri);
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.use_authority_key_identifier_extension = true;
    let uri = Ia5String::try_from(uri).map_err(PkiError::Make)?;
    leaf.subject_alt_names = vec![SanType::URI(uri)];
    valid(&mut leaf, now, life);
    Ok(leaf)
}

#[cfg(test)]
mod tests;
