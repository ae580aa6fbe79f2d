//! The keys that secrets are sealed with in the store and in backups, and where they come from:
//!
//! 1. the file that the configuration names (`secrets.keyFile`);
//! 2. else the systemd credential `berth-secrets-key`, if the unit has it;
//! 3. else `secrets.key` in the data directory, which the first start makes.
//!
//! A file has one key a line, in base64. The first one seals, all of them open: a new key is put
//! before the others, and after the next start only backups need those.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_pki::{
    PkiError, private,
    seal::{self, SealingKey},
};
use serde::Deserialize;
use thiserror::Error;

/// The file's name in the data directory.
const FILE: &str = "secrets.key";
/// What the credential is called.
const CREDENTIAL: &str = "berth-secrets-key";
/// Where systemd says that credentials are.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// What a file that is made begins with.
const HEAD: &str =
    "# Secrets in Berth's store and backups are sealed with this. Keep a copy away from them.\n";

/// `secrets` of the configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SecretsFile {
    /// A key of the operator's own.
    key_file: Option<PathBuf>,
}

/// Where the keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In a file that somebody made.
    Given(PathBuf),
    /// In a file that systemd shows to this service alone.
    Credential(PathBuf),
    /// In a file that is made if it is missing.
    Made(PathBuf),
}

/// Why there are no keys.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The path in the configuration.
    #[error("secrets.keyFile: {} is not absolute; begin it with /", .0.display())]
    Relative(PathBuf),
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] PkiError),
    /// A file that somebody has to make is not there.
    #[error(
        "there is no key at {}; put it back, or make one with 'openssl rand -base64 32' if secrets were \
         never sealed with another", .0.display()
    )]
    Missing(PathBuf),
    /// The credential cannot be read.
    #[error("cannot read the credential {}; look at the unit's LoadCredential=", path.display())]
    Credential {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A line holds no key.
    #[error(
        "{}:{line}: this is no key; write 32 bytes in base64, as 'openssl rand -base64 32' prints them",
        path.display()
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// There is no line with a key.
    #[error("{} holds no key; write one with 'openssl rand -base64 32'", .0.display())]
    Empty(PathBuf),
}

impl SecretsFile {
    /// Where the keys are; `data_dir` is where one is made if nobody gives any.
    ///
    /// # Errors
    /// If the file that is named is not an absolute path.
    pub fn check(self, data_dir: &Path) -> Result<KeySource, KeyError> {
        match self.key_file {
            Some(path) if path.is_absolute() => Ok(KeySource::Given(path)),
            Some(path) => Err(KeyError::Relative(path)),
            None => Ok(KeySource::Made(data_dir.join(FILE))),
        }
    }
}

impl KeySource {
    /// The credential, if systemd gave this process one and the configuration names no file.
    #[must_use]
    pub fn or_credential(self) -> Self {
        let directory = std::env::var_os(CREDENTIALS).map(PathBuf::from);
        self.or_credential_in(directory.as_deref())
    }

    fn or_credential_in(self, directory: Option<&Path>) -> Self {
        let credential = directory.map(|directory| directory.join(CREDENTIAL));
        match (self, credential) {
            (Self::Made(_), Some(path)) if path.exists() => Self::Credential(path),
            (source, _) => source,
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Given(path) | Self::Credential(path) | Self::Made(path) => path,
        }
    }

    /// The keys that are there; `None` if there are none and some may be made.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn existing(&self) -> Result<Option<Keyring>, KeyError> {
        let path = self.path();
        let text = match self {
            // systemd guards the directory; a list of who may read makes the file look open.
            Self::Credential(_) => {
                let failed = |source| {
                    let path = path.to_owned();
                    KeyError::Credential { path, source }
                };
                fs::read_to_string(path).map_err(failed)?
            }
            Self::Given(_) | Self::Made(_) => match (private::read(path), self) {
                (Err(PkiError::File { source, .. }), Self::Made(_))
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    return Ok(None);
                }
                (Err(PkiError::File { source, .. }), _)
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    return Err(KeyError::Missing(path.to_owned()));
                }
                (read, _) => read?,
            },
        };
        Keyring::parse(path, &text).map(Some)
    }

    /// The keys; one is made if there are none and it may be.
    ///
    /// # Errors
    /// If they cannot be used, or none can be made.
    pub fn existing_or_made(&self) -> Result<Keyring, KeyError> {
        if let Some(keys) = self.existing()? {
            return Ok(keys);
        }
        let path = self.path();
        if let Some(directory) = path.parent() {
            private::directory(directory)?;
        }
        let text = format!("{HEAD}{}\n", STANDARD.encode(seal::generate()));
        private::write(path, &text)?;
        tracing::info!(path = %path.display(), "made a key for secrets; keep a copy of it");
        Keyring::parse(path, &text)
    }
}

/// The keys of a file.
#[derive(Debug, Clone)]
pub struct Keyring {
    /// The one that seals.
    newest: SealingKey,
    older: Vec<SealingKey>,
    path: PathBuf,
}

impl Keyring {
    fn parse(path: &Path, text: &str) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for (line, text) in (1..).zip(text.lines().map(str::trim)) {
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let key = STANDARD.decode(text).ok();
            let key = key.and_then(|bytes| SealingKey::from_bytes(&bytes));
            let path = || path.to_owned();
            keys.push(key.ok_or_else(|| KeyError::Line { path: path(), line })?);
        }
        let mut keys = keys.into_iter();
        let newest = keys.next();
        Ok(Self {
            newest: newest.ok_or_else(|| KeyError::Empty(path.to_owned()))?,
            older: keys.collect(),
            path: path.to_owned(),
        })
    }

    /// Keys that are always the same, the newest first.
    #[cfg(test)]
    pub(crate) fn fixed(keys: &[u8]) -> Self {
        let lines = keys.iter().map(|n| STANDARD.encode([*n; seal::LENGTH]));
        let text = lines.collect::<Vec<_>>().join("\n");
        Self::parse(Path::new("/keys"), &text).unwrap()
    }

    /// The key that seals.
    pub fn newest(&self) -> &SealingKey {
        &self.newest
    }

    /// A key by what it goes by.
    pub fn find(&self, id: &str) -> Option<&SealingKey> {
        let mut all = std::iter::once(&self.newest).chain(&self.older);
        all.find(|key| key.id() == id)
    }

    /// Where the keys are from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn source(text: &str) -> Result<KeySource, String> {
        let config = crate::config::Config::parse("c.yaml", text);
        config
            .map(|config| config.secrets)
            .map_err(|why| why.to_string())
    }

    #[test]
    fn the_configuration_comes_before_the_credential_and_that_before_a_key_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let made = source("dataDir: /d").unwrap();
        assert_eq!(made, KeySource::Made(PathBuf::from("/d/secrets.key")));
        assert_eq!(made.clone().or_credential_in(None), made);
        assert_eq!(made.clone().or_credential_in(Some(dir.path())), made);
        let credential = dir.path().join(CREDENTIAL);
        fs::write(&credential, "x").unwrap();
        let found = made.or_credential_in(Some(dir.path()));
        assert_eq!(found, KeySource::Credential(credential));
        let given = source("secrets: {keyFile: /k}").unwrap();
        assert_eq!(given.clone().or_credential_in(Some(dir.path())), given);
        assert_eq!(given, KeySource::Given(PathBuf::from("/k")));
        let relative = source("secrets: {keyFile: k}").unwrap_err();
        assert_eq!(
            relative,
            "secrets.keyFile: k is not absolute; begin it with /"
        );
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_and_never_where_one_was_to_be_given() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data/secrets.key");
        let made = KeySource::Made(path.clone());
        assert!(made.existing().unwrap().is_none());
        let first = made.existing_or_made().unwrap();
        let again = made.existing_or_made().unwrap();
        assert_eq!(first.newest().id(), again.newest().id());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let exposed = made.existing_or_made().unwrap_err().to_string();
        assert!(exposed.contains("mode 644"), "{exposed}");
        // As systemd shows it to a service that is not root's.
        assert!(KeySource::Credential(path).existing().unwrap().is_some());
        let given = KeySource::Given(dir.path().join("other"));
        let missing = given.existing_or_made().unwrap_err();
        assert!(matches!(missing, KeyError::Missing(_)), "{missing}");
    }

    #[test]
    fn the_first_key_seals_and_all_are_found() {
        let text = |n: u8| STANDARD.encode([n; seal::LENGTH]);
        let path = Path::new("/k");
        let file = format!("# new\n{}\n\n  {}\n", text(2), text(1));
        let keys = Keyring::parse(path, &file).unwrap();
        let alone = Keyring::fixed(&[1]);
        assert_eq!(keys.newest().id(), Keyring::fixed(&[2]).newest().id());
        assert!(keys.find(alone.newest().id()).is_some());
        assert!(alone.find(keys.newest().id()).is_none());
        for (file, expected) in [
            ("# none\n", "/k holds no key"),
            ("\nc2hvcnQ=\n", "/k:2: this is no key"),
            ("not base64", "/k:1: this is no key"),
        ] {
            let told = Keyring::parse(path, file).unwrap_err().to_string();
            assert!(told.starts_with(expected), "{told}");
            assert!(!told.contains("c2hvcnQ"), "{told}");
        }
    }
}
