//! The host's key: `<dataDir>/host-key`. A host that boots starts its members without a coordinator, so
//! their secrets are in its ledger; with the key they are sealed there. Whoever gets hold of the ledger
//! alone, as from a backup or a log of what was written, has no secret.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_core::spec::Sealed;
use berth_pki::seal::{self, SealingKey};

use super::LedgerError;

/// What a sealed value begins with; another way to seal gets another number. What an older agent wrote
/// begins otherwise, and is as it is.
const MARK: &str = "sealed:1:";
/// What a value is sealed for: one from elsewhere is none of the ledger's.
const PURPOSE: &[u8] = b"berth ledger";

/// The key.
pub(super) struct HostKey {
    key: SealingKey,
    path: PathBuf,
}

impl HostKey {
    /// Reads the key of a directory; makes one if there is none.
    ///
    /// # Errors
    /// If it cannot be read or made, or others than root may read it.
    pub(super) fn open(dir: &Path) -> Result<Self, LedgerError> {
        let path = dir.join("host-key");
        let key = seal::read_or_make(&path, || seal::generate().to_vec());
        let key = key.map_err(|error| LedgerError::KeyFile(Arc::new(error)))?;
        let key = SealingKey::from_bytes(&key);
        let key = key.ok_or_else(|| LedgerError::Key { path: path.clone() })?;
        Ok(Self { key, path })
    }

    /// Seals a value.
    ///
    /// # Errors
    /// If it is too long to be sealed.
    pub(super) fn seal(&self, value: &Sealed) -> Result<Sealed, LedgerError> {
        let sealed = self.key.seal(value.expose().as_bytes(), PURPOSE);
        let text = STANDARD.encode(sealed.ok_or_else(|| self.wrong())?);
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
            let sealed = STANDARD.decode(text).ok()?;
            String::from_utf8(self.key.open(&sealed, PURPOSE)?).ok()
        };
        open().map(Sealed::new).ok_or_else(|| self.wrong())
    }

    fn wrong(&self) -> LedgerError {
        let path = self.path.clone();
        LedgerError::Key { path }
    }
}
