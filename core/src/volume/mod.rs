//! Where the data of a volume lies, and what is known of it: the words that the plan, the orders and
//! the agents share; and the rules about them that are decided from a state alone: [`class`], [`binding`],
//! [`provision`], [`access`], [`satisfy`], [`phase`], [`pool`], [`copy`], [`work`], [`lower`], [`change`]. What
//! operators write about volumes is in [`crate::spec::storage`] and [`crate::spec::volume`].

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::ids::HostName;

pub mod access;
pub mod binding;
pub mod change;
pub mod class;
pub mod copy;
pub mod lower;
mod nfs;
pub mod phase;
pub mod pool;
pub mod provision;
pub mod satisfy;
pub mod transfer;
pub mod work;

pub use nfs::{NfsOptions, NfsSource, NfsVersion, OptionError, server_path};
pub use pool::{PoolInfo, PoolKind, Pools};

/// Where the data of a volume lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum VolumeSource {
    /// In a pool of a host: beneath the pool's directory, or in an image there.
    Local {
        /// The host.
        host: HostName,
        /// The pool, by its name in the agent's configuration.
        pool: String,
        /// The volume's own directory (or image) in the pool; one name, no path.
        dir: String,
    },
    /// On an NFS server.
    Nfs(NfsSource),
}

impl VolumeSource {
    /// The host that a member must be on to use it, if it matters.
    pub fn host(&self) -> Option<&HostName> {
        match self {
            Self::Local { host, .. } => Some(host),
            Self::Nfs(_) => None,
        }
    }

    /// The pool that it takes space of.
    pub fn pool(&self) -> Option<&str> {
        match self {
            Self::Local { pool, .. } => Some(pool),
            Self::Nfs(_) => None,
        }
    }

    /// Whether the data may be reached from several hosts.
    pub fn is_shared(&self) -> bool {
        self.host().is_none()
    }

    /// As operators read it: `local:default/default_data-etcd-0`, `nfs:nas:/exports/web-0`.
    pub fn describe(&self) -> String {
        match self {
            Self::Local { pool, dir, .. } => format!("local:{pool}/{dir}"),
            Self::Nfs(nfs) => match &nfs.sub_dir {
                Some(dir) => format!(
                    "nfs:{}:{}/{dir}",
                    nfs.server,
                    nfs.path.trim_end_matches('/')
                ),
                None => format!("nfs:{}:{}", nfs.server, nfs.path),
            },
        }
    }

    /// Whether Berth made the directory that the application sees, so that it can keep its owner
    /// record beside it.
    pub fn is_managed(&self) -> bool {
        match self {
            Self::Local { .. } => true,
            Self::Nfs(nfs) => nfs.sub_dir.is_some(),
        }
    }
}

/// Who owns the files of a volume, as numbers, and by which name they were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ownership {
    /// The user, by name or number, as the set has it.
    pub user: String,
    /// The number that this was on the host that made the volume.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

/// How full a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The size of its file system, in bytes.
    pub capacity: u64,
    /// Bytes that a process may still write.
    pub available: u64,
    /// Whether other volumes write to the same file system.
    pub shared: bool,
}

/// What an agent says of a volume that a member was started on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeReport {
    /// The name that `volumeMounts` refer to.
    pub name: String,
    /// Whether the owner record lies beside the data. Where nothing can be written there, the
    /// coordinator's own record is all there is.
    pub recorded: bool,
    /// Who owns its files.
    pub owner: Ownership,
    /// The address of the server that it was mounted from, if it is on one: two names may be one
    /// server.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// How full it is, if that was asked since the start.
    pub usage: Option<Usage>,
}

/// A volume that a member runs on, as its host has mounted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MountedVolume {
    /// What is told of it.
    pub report: VolumeReport,
    /// Where its data is, for people.
    pub source: String,
    /// Whether its storage may stop to answer while the host is well.
    pub remote: bool,
}

/// What a look at a mounted volume showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum VolumeHealth {
    /// It answers.
    Fine(Usage),
    /// It does not.
    Hung {
        /// What was asked.
        step: String,
    },
    /// The server does not know the mounted directory any more.
    Stale,
}
