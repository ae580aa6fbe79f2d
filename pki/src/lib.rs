//! Berth's keys and certificates: the authority that issues them, whose a certificate is, tokens to join
//! with, the TLS that all of Berth's programs speak, and how secrets are sealed where they are kept.
//!
//! Map: [`authority`] makes certificates; [`identity`] reads them; [`request`] asks for one;
//! [`credentials`] are what an agent or an operator has on disk; [`private`] reads and writes files
//! that nobody else may see; [`token`] is the text of a join token; [`tls`] makes the settings of
//! connections, [`problem`] says in plain words why one failed; [`seal`] has the keys that secrets are
//! sealed with where they are kept, [`memory`] keeps them off the disk where they are plain.

pub mod authority;
pub mod credentials;
pub mod identity;
pub mod memory;
pub mod private;
pub mod problem;
pub mod request;
pub mod seal;
pub mod tls;
pub mod token;

use std::{io, path::PathBuf};

use thiserror::Error;

pub use authority::Authority;
pub use credentials::Credentials;
pub use identity::{Certified, Subject};
pub use token::Token;

/// Why there is no certificate, key, or connection by them.
#[derive(Debug, Error)]
pub enum PkiError {
    /// A file.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// `read`, `write`, ...
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A key that others can read is no secret.
    #[error(
        "{} can be read or written by others (mode {mode:03o}); nobody knows who has it: make a new \
         one, or, if you are sure, run 'chmod 600 {0}'", .path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Whoever made the file may know what is in it.
    #[error("{} belongs to user {owner}; give it to the user that the program runs as", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The user's number.
        owner: u32,
    },
    /// Where a file should be is something else.
    #[error("{} is not a regular file; remove it", .path.display())]
    NotAFile {
        /// What is there.
        path: PathBuf,
    },
    /// One of two files that belong together is missing.
    #[error("{} is missing, and {} is there; restore it from where you keep it", .missing.display(), .there.display())]
    Missing {
        /// The missing one.
        missing: PathBuf,
        /// The other one.
        there: PathBuf,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {what}; restore it, or make a new one", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// A certificate does not say whose it is.
    #[error("the certificate is not one of Berth's: {0}")]
    NotOurs(&'static str),
    /// A request for a certificate is none.
    #[error("the request for a certificate cannot be used; make it with this release of Berth")]
    Request(#[source] rcgen::Error),
    /// A certificate or a key cannot be made.
    #[error("no certificate can be made")]
    Make(#[source] rcgen::Error),
    /// What was given is of no use for TLS.
    #[error("the certificate and the key cannot be used for TLS; make new ones")]
    Tls(#[source] rustls::Error),
    /// What was given is of no use to check others with.
    #[error("the authority's certificate cannot be used to check others")]
    Verifier(#[source] rustls::client::VerifierBuilderError),
    /// Images of the memory could be written.
    #[error("cannot turn off core dumps")]
    Memory(#[source] io::Error),
    /// A certificate that is over, or not valid yet, by this machine's clock.
    #[error("{0}")]
    Time(problem::OutOfTime),
}

impl PkiError {
    pub(crate) fn file(
        doing: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}
