//! Where a volume's data is, resolved so far that a keeper needs no configuration, no name service
//! and no choice to mount it.

use std::net::IpAddr;

use berth_core::volume::NfsSource;
use serde::{Deserialize, Serialize};

pub use super::pool::PoolPlace;

/// Where a volume's data is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Place {
    /// A directory of a pool.
    Directory {
        /// The pool.
        pool: PoolPlace,
        /// The volume's directory in it.
        dir: String,
        /// The size that was asked for: its limit, where the file system holds it to one.
        #[serde(default)]
        bytes: u64,
    },
    /// An image in a pool.
    Image {
        /// The pool.
        pool: PoolPlace,
        /// The volume's directory in it.
        dir: String,
        /// The size that was asked for.
        bytes: u64,
    },
    /// On an NFS server.
    Nfs {
        /// What is mounted.
        source: NfsSource,
        /// The server's address, once it is known.
        address: Option<IpAddr>,
    },
}

impl Place {
    /// Whether its storage may stop to answer while the host is well.
    pub fn is_remote(&self) -> bool {
        match self {
            Self::Nfs { .. } => true,
            Self::Directory { .. } | Self::Image { .. } => false,
        }
    }
}
