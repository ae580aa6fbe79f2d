//! How Berth's programs speak TLS: 1.3 only, with the one authority of the cluster and no other. A
//! client knows the coordinator by a name that only the coordinator's certificate has, wherever it is.
//!
//! No session is resumed: each connection proves anew who is at its other end.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    ServerConfig, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls13_signature},
    server::WebPkiClientVerifier,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::{Credentials, PkiError, authority::AuthorityHash, problem::WrongAuthority};

/// The name by which every client knows the coordinator.
pub const COORDINATOR: &str = "berth-coordinator";
/// What is spoken inside.
const HTTP2: &[u8] = b"h2";

/// What the coordinator shows.
#[derive(Debug)]
pub struct ServerIdentity {
    /// Its certificate, and the authority's, by which a host that joins knows it.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(authority: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, PkiError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(PkiError::Tls)?;
    Ok(Arc::new(roots))
}

/// For the coordinator. Somebody without a certificate is let in, because a host that joins has none:
/// what he may do is decided call by call.
///
/// # Errors
/// If the certificates are of no use.
pub fn server(
    authority: &CertificateDer<'static>,
    identity: ServerIdentity,
) -> Result<Arc<ServerConfig>, PkiError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(authority)?, provider())
        .allow_unauthenticated()
        .build()
        .map_err(PkiError::Verifier)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(PkiError::Tls)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain, identity.key)
        .map_err(PkiError::Tls)?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// For an agent or an operator.
///
/// # Errors
/// If the certificates are of no use.
pub fn client(credentials: &Credentials) -> Result<Arc<ClientConfig>, PkiError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(PkiError::Tls)?
        .with_root_certificates(roots(credentials.authority())?)
        .with_client_auth_cert(vec![credentials.certificate().clone()], credentials.key())
        .map_err(PkiError::Tls)?;
    Ok(finished(config))
}

/// For a host that joins: it has no certificate, and knows the coordinator by the authority's hash.
///
/// # Errors
/// Never, unless the library was built without TLS 1.3.
pub fn joining(authority: AuthorityHash) -> Result<Arc<ClientConfig>, PkiError> {
    let provider = provider();
    let verifier = Pinned {
        authority,
        provider: Arc::clone(&provider),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(PkiError::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(finished(config))
}

fn finished(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![HTTP2.to_vec()];
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// The name that a client asks for.
///
/// # Errors
/// Never: it is a DNS name.
pub fn coordinator() -> Result<ServerName<'static>, PkiError> {
    ServerName::try_from(COORDINATOR).map_err(|_| PkiError::NotOurs("its name is none"))
}

/// Takes the one authority whose hash it knows, and then checks as everybody does.
#[derive(Debug)]
struct Pinned {
    authority: AuthorityHash,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    /// The authority among what the other end shows.
    fn authority<'a>(
        &self,
        shown: &'a [CertificateDer<'a>],
    ) -> Result<&'a CertificateDer<'a>, Error> {
        let hashes = shown.iter().map(|one| (one, AuthorityHash::of(one).ok()));
        let found = hashes
            .clone()
            .find(|(_, hash)| *hash == Some(self.authority));
        found.map(|(one, _)| one).ok_or_else(|| {
            let wrong = WrongAuthority {
                expected: self.authority,
                found: hashes.rev().find_map(|(_, hash)| hash),
            };
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(wrong))))
        })
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = self.authority(intermediates)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&self.provider),
        )
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
