//! The host's key: `<dataDir>/host-key`. A host that boots starts its members without a coordinator, so
//! their secrets are in its ledger; with the key they are sealed there. Whoever gets hold of the ledger
//! alone, as from a backup or a log of what was written, has no secret.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_core::spec::Sealed;
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Generate as _, Payload},
};

use super::{LedgerError, failed};

/// What a sealed value begins with; another way to seal gets another number. What an older agent wrote
/// begins otherwise, and is as it is.
const MARK: &str = "sealed:1:";
/// What a value is sealed for: one from elsewhere is none of the ledger's.
const PURPOSE: &[u8] = b"berth ledger";
/// Bytes of a nonce. So many are drawn at random that no two are alike.
const NONCE: usize = 24;

/// The key.
pub(super) struct HostKey {
    cipher: XChaCha20Poly1305,
    path: PathBuf,
}

impl HostKey {
    /// Reads the key of a directory; makes one if there is none.
    ///
    /// # Errors
    /// If it cannot be read or made, or others than root may read it.
    pub(super) fn open(dir: &Path) -> Result<Self, LedgerError> {
        let path = dir.join("host-key");
        let key = match fs::read(&path) {
            Ok(key) => key,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(dir, &path)?,
            Err(source) => return Err(failed("read", &path, source)),
        };
        let mode = fs::metadata(&path).map_err(|source| failed("look at", &path, source))?;
        if mode.permissions().mode() & 0o077 != 0 {
            return Err(LedgerError::KeyOpen { path });
        }
        let cipher = XChaCha20Poly1305::new_from_slice(&key);
        let cipher = cipher.map_err(|_| LedgerError::Key { path: path.clone() })?;
        Ok(Self { cipher, path })
    }

    /// Seals a value.
    ///
    /// # Errors
    /// If it is too long to be sealed.
    pub(super) fn seal(&self, value: &Sealed) -> Result<Sealed, LedgerError> {
        let nonce = XNonce::generate();
        let payload = Payload {
            msg: value.expose().as_bytes(),
            aad: PURPOSE,
        };
        let sealed = self.cipher.encrypt(&nonce, payload);
        let sealed = sealed.map_err(|_| self.wrong())?;
        let text = STANDARD.encode([nonce.as_slice(), &sealed].concat());
        Ok(Sealed::new(format!("{MARK}{text}")))
    }

    /// The value that was sealed.
    ///
    /// # Errors
    /// If it was sealed with another key, or is not what was written.
    pub(super) fn unseal(&self, value: &Sealed) -> Result<Sealed, LedgerError> {
        let Some(text) = value.expose().strip_prefix(MARK) else {
            return Ok(value.clone());
        };
        let open = || {
            let bytes = STANDARD.decode(text).ok()?;
            let (nonce, sealed) = bytes.split_at_checked(NONCE)?;
            let nonce = XNonce::try_from(nonce).ok()?;
            let payload = Payload {
                msg: sealed,
                aad: PURPOSE,
            };
            let plain = self.cipher.decrypt(&nonce, payload).ok()?;
            String::from_utf8(plain).ok()
        };
        open().map(Sealed::new).ok_or_else(|| self.wrong())
    }

    fn wrong(&self) -> LedgerError {
        let path = self.path.clone();
        LedgerError::Key { path }
    }
}

/// Makes a key, durable before it returns.
fn make(dir: &Path, path: &Path) -> Result<Vec<u8>, LedgerError> {
    let key = chacha20poly1305::Key::generate();
    let new = path.with_extension("new");
    let wrap = |source| failed("write", &new, source);
    // One that a power cut left was never used.
    drop(fs::remove_file(&new));
    let mut options = OpenOptions::new();
    let mut file = options
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&new)
        .map_err(wrap)?;
    file.write_all(&key).map_err(wrap)?;
    file.sync_all().map_err(wrap)?;
    fs::rename(&new, path).map_err(|source| failed("make", path, source))?;
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|source| failed("sync", dir, source))?;
    Ok(key.to_vec())
}
