//! What is in a certificate, and what of a request is not.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;
use crate::Certified;

const NOW: Timestamp = Timestamp(1_795_000_000_123);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[test]
fn an_authority_is_made_once_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("pki");
    let made = Authority::open(&at, NOW).unwrap();
    let again = Authority::open(&at, NOW.plus(DAY)).unwrap();
    assert_eq!(made.hash(), again.hash());
    // A lost certificate is made anew for the key that everybody knows.
    fs::remove_file(at.join("ca.crt")).unwrap();
    let renewed = Authority::open(&at, NOW.plus(DAY)).unwrap();
    assert_eq!(made.hash(), renewed.hash());
    assert_ne!(made.pem(), renewed.pem());
    // A lost key is lost.
    fs::remove_file(at.join("ca.key")).unwrap();
    let error = Authority::open(&at, NOW).unwrap_err().to_string();
    assert!(error.contains("ca.key is missing"), "{error}");
}

#[test]
fn a_key_that_others_can_read_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    Authority::open(dir.path(), NOW).unwrap();
    let key = dir.path().join("ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let error = Authority::open(dir.path(), NOW).unwrap_err().to_string();
    assert!(error.contains("ca.key can be read"), "{error}");
}

#[test]
fn a_key_of_another_authority_is_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Authority::open(one.path(), NOW).unwrap();
    Authority::open(two.path(), NOW).unwrap();
    fs::copy(two.path().join("ca.key"), one.path().join("ca.key")).unwrap();
    let error = Authority::open(one.path(), NOW).unwrap_err().to_string();
    assert!(
        error.contains("no key of the authority's certificate"),
        "{error}"
    );
}

#[test]
fn a_certificate_says_whose_it_is_and_since_when() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::open(dir.path(), NOW).unwrap();
    let subject = Subject::Host("host-1".parse().unwrap());
    let request = Request::new().unwrap();
    let pem = authority
        .issue(&subject, request.csr(), NOW, DAY * 30)
        .unwrap();
    let certified = Certified::read(&der(&pem)).unwrap();
    assert_eq!(certified.subject, subject);
    assert_eq!(certified.issued, NOW);
    assert_eq!(NOW.since(certified.not_before).as_secs(), 300);
    assert_eq!(certified.not_after.0, NOW.plus(DAY * 30).0 / 1000 * 1000);
    let left = certified.not_after.since(certified.renew_at());
    assert_eq!(left.as_secs() / 86_400, 9, "long before its end");
}

#[test]
fn only_the_public_key_of_a_request_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::open(dir.path(), NOW).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut greedy = CertificateParams::new(vec!["*".to_owned(), COORDINATOR.to_owned()]).unwrap();
    greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    greedy.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    greedy.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let other = Ia5String::try_from("berth:host/host-2").unwrap();
    greedy.subject_alt_names.push(SanType::URI(other));
    let csr = greedy.serialize_request(&key).unwrap();
    let subject = Subject::Host("host-1".parse().unwrap());
    let pem = authority.issue(&subject, csr.der(), NOW, DAY).unwrap();
    let der = der(&pem);
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 1);
    assert_eq!(Certified::read(&der).unwrap().subject, subject);
    assert!(!certificate.is_ca());
    let uses = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(uses.client_auth && !uses.server_auth && !uses.any);
    assert!(
        !certificate
            .key_usage()
            .unwrap()
            .unwrap()
            .value
            .key_cert_sign()
    );
}

#[test]
fn what_was_not_signed_with_its_key_is_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::open(dir.path(), NOW).unwrap();
    let subject = Subject::Host("host-1".parse().unwrap());
    let request = Request::new().unwrap();
    let mut csr = request.csr().to_vec();
    let last = csr.len() - 1;
    csr[last] ^= 1;
    for csr in [&csr[..], &[], b"-----BEGIN"] {
        let refused = authority.issue(&subject, csr, NOW, DAY);
        assert!(matches!(refused, Err(PkiError::Request(_))));
    }
}
