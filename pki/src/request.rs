//! A new key, and the request for a certificate of it. The key never leaves the machine that made it.

use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, KeyPair, PublicKey,
};
use rustls_pki_types::CertificateSigningRequestDer;

use crate::PkiError;

/// A new key and what is sent to have it certified.
#[derive(Debug)]
pub struct Request {
    key: KeyPair,
    csr: Vec<u8>,
}

impl Request {
    /// Makes a key. The request names nobody: the coordinator knows who asks.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn new() -> Result<Self, PkiError> {
        let key = KeyPair::generate().map_err(PkiError::Make)?;
        let mut asked = CertificateParams::default();
        asked.distinguished_name = DistinguishedName::new();
        let csr = asked.serialize_request(&key).map_err(PkiError::Make)?;
        let csr = csr.der().to_vec();
        Ok(Self { key, csr })
    }

    /// What is sent: PKCS #10, in DER.
    pub fn csr(&self) -> &[u8] {
        &self.csr
    }

    /// The key, in PEM. A secret.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

/// The one thing of a request that is taken: the public key, whose owner it proves to be. What else it
/// asks for does not count, so that nobody gets a certificate of another name or for another use.
///
/// # Errors
/// If it is no request, or was not signed with the key.
pub(crate) fn public_key(csr: &[u8]) -> Result<PublicKey, PkiError> {
    let der = CertificateSigningRequestDer::from(csr);
    let parsed = CertificateSigningRequestParams::from_der(&der);
    Ok(parsed.map_err(PkiError::Request)?.public_key)
}
