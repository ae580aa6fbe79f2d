//! `tls` of the configuration file.

use std::{path::PathBuf, time::Duration};

use berth_core::ids::check_label;
use berth_pki::authority::AuthorityFiles;
use serde::Deserialize;
use thiserror::Error;

/// The shortest life of a certificate: one that is renewed again and again while nothing is wrong is of
/// no use.
const SHORTEST: Duration = Duration::from_secs(60);

/// As it is written. All of it has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TlsFile {
    /// An authority of the operator's own, for this cluster alone.
    ca: Option<CaFile>,
    /// Names and addresses of this machine, for clients that look at them. Berth's own do not.
    names: Vec<String>,
    /// How long certificates of hosts are valid: `30d`, `12h`, `90m`.
    host_certificates: String,
    /// How long those of operators are.
    user_certificates: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CaFile {
    certificate: PathBuf,
    key: PathBuf,
}

impl Default for TlsFile {
    fn default() -> Self {
        Self {
            ca: None,
            names: Vec::new(),
            host_certificates: "30d".to_owned(),
            user_certificates: "365d".to_owned(),
        }
    }
}

/// Checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// The operator's own authority; one is made if there is none.
    pub authority: Option<AuthorityFiles>,
    /// Names and addresses of this machine.
    pub names: Vec<String>,
    /// How long certificates of hosts are valid.
    pub host_life: Duration,
    /// How long those of operators are.
    pub user_life: Duration,
}

impl Default for TlsConfig {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            authority: None,
            names: Vec::new(),
            host_life: DAY * 30,
            user_life: DAY * 365,
        }
    }
}

/// What is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlsError {
    /// A path.
    #[error("tls.ca.{field}: {} is not absolute; begin it with /", .path.display())]
    Relative {
        /// `certificate` or `key`.
        field: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// A name.
    #[error("tls.names[{index}]: '{name}' is neither a DNS name nor an address; correct it")]
    Name {
        /// Where in the list.
        index: usize,
        /// The name.
        name: String,
    },
    /// A length of time.
    #[error(
        "tls.{field}: '{text}' is no time of a minute or more; write one such as 30d, 12h or 90m"
    )]
    Life {
        /// Which.
        field: &'static str,
        /// What it says.
        text: String,
    },
}

impl TlsFile {
    /// Checks it; `time` reads a length of time.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(self, time: impl Fn(&str) -> Option<Duration>) -> Result<TlsConfig, TlsError> {
        for (index, name) in self.names.iter().enumerate() {
            let is_address = name.parse::<std::net::IpAddr>().is_ok();
            if !is_address && name.split('.').any(|label| check_label(label).is_err()) {
                let name = name.clone();
                return Err(TlsError::Name { index, name });
            }
        }
        let life = |field, text: &str| {
            time(text)
                .filter(|life| *life >= SHORTEST)
                .ok_or_else(|| TlsError::Life {
                    field,
                    text: text.to_owned(),
                })
        };
        let files = self.ca.map(|ca| AuthorityFiles {
            certificate: ca.certificate,
            key: ca.key,
        });
        if let Some(files) = &files {
            for (field, path) in [("certificate", &files.certificate), ("key", &files.key)] {
                if !path.is_absolute() {
                    let path = path.clone();
                    return Err(TlsError::Relative { field, path });
                }
            }
        }
        Ok(TlsConfig {
            authority: files,
            names: self.names,
            host_life: life("hostCertificates", &self.host_certificates)?,
            user_life: life("userCertificates", &self.user_certificates)?,
        })
    }
}
