//! Keys that secrets are sealed with where they are kept: in a coordinator's store, in backups, in a
//! host's ledger. Whoever gets hold of one of those files alone has no secret.
//!
//! XChaCha20-Poly1305: its nonces are long enough to be drawn at random for ever. What a value is
//! sealed for goes into it, so that none can be put in the place of another.

use std::{fmt, io, path::Path};

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Generate as _, Payload},
};
use sha2::{Digest as _, Sha256};

use crate::{PkiError, private};

/// Bytes of a key.
pub const LENGTH: usize = 32;
/// Bytes of a nonce, which what is sealed begins with.
const NONCE: usize = 24;
/// Bytes of a hash that a key goes by: enough to tell the few keys of a cluster from each other.
const ID: usize = 8;

/// A key. Nothing prints it.
#[derive(Clone)]
pub struct SealingKey {
    cipher: XChaCha20Poly1305,
    id: String,
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SealingKey").field(&self.id).finish()
    }
}

/// New bytes for a key.
pub fn generate() -> [u8; LENGTH] {
    chacha20poly1305::Key::generate().into()
}

impl SealingKey {
    /// The key of some bytes; `None` if they are not [`LENGTH`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let cipher = XChaCha20Poly1305::new_from_slice(bytes).ok()?;
        let hash = Sha256::new()
            .chain_update(b"berth key id\0")
            .chain_update(bytes);
        let hash = hash.finalize();
        let id = hash.iter().take(ID).map(|byte| format!("{byte:02x}"));
        Some(Self {
            cipher,
            id: id.collect(),
        })
    }

    /// What it goes by: says which key it is, and nothing of it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Seals bytes for what `of` says. `None` only if they are too many, which is 256 GiB.
    pub fn seal(&self, plain: &[u8], of: &[u8]) -> Option<Vec<u8>> {
        let nonce = XNonce::generate();
        let payload = Payload {
            msg: plain,
            aad: of,
        };
        let sealed = self.cipher.encrypt(&nonce, payload).ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    /// What was sealed; `None` if it was sealed with another key, for something else, or is not what
    /// was sealed.
    pub fn open(&self, sealed: &[u8], of: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
        let nonce = XNonce::try_from(nonce).ok()?;
        let payload = Payload {
            msg: sealed,
            aad: of,
        };
        self.cipher.decrypt(&nonce, payload).ok()
    }
}

/// The content of a file that only its owner can read; one that is missing is made of what `new`
/// gives, durably.
///
/// # Errors
/// If it cannot be read or made, or others can read it.
pub fn read_or_make(path: &Path, new: impl FnOnce() -> Vec<u8>) -> Result<Vec<u8>, PkiError> {
    match private::read_bytes(path) {
        Err(PkiError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let content = new();
            private::write(path, &content)?;
            Ok(content)
        }
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_its_key_for_its_purpose_alone() {
        let key = SealingKey::from_bytes(&generate()).unwrap();
        let other = SealingKey::from_bytes(&generate()).unwrap();
        let sealed = key.seal(b"hunter2", b"a").unwrap();
        assert_eq!(key.open(&sealed, b"a").unwrap(), b"hunter2");
        assert_eq!(key.open(&sealed, b"b"), None);
        assert_eq!(other.open(&sealed, b"a"), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(&changed, b"a"), None, "changed at {at}");
            assert_eq!(key.open(&sealed[..at], b"a"), None, "cut at {at}");
        }
        assert!(!sealed.windows(7).any(|part| part == b"hunter2"));
        assert_ne!(sealed, key.seal(b"hunter2", b"a").unwrap());
        assert_ne!(key.id(), other.id());
    }

    #[test]
    fn a_key_has_its_length_and_is_not_shown() {
        assert!(SealingKey::from_bytes(&[1; LENGTH - 1]).is_none());
        let key = SealingKey::from_bytes(&[7; LENGTH]).unwrap();
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("SealingKey(\"{}\")", key.id()));
    }

    #[test]
    fn a_file_is_made_once_and_is_read_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = read_or_make(&path, || generate().to_vec()).unwrap();
        let read = read_or_make(&path, || unreachable!("it is there")).unwrap();
        assert_eq!(made, read);
    }
}
