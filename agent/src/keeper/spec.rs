//! What an agent hands to a keeper at its launch, as JSON on its standard input (never in a file:
//! environments may hold secrets), and what the launch answers, as JSON lines on its output.

use std::{collections::BTreeMap, path::PathBuf};

use berth_core::{ids::ProcessName, waiting::Reason};
use serde::{Deserialize, Serialize};

use crate::host::{KeeperLaunch, linux::SelfReboot};

/// What a keeper is to do, with every name resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchSpec {
    /// The member.
    pub launch: KeeperLaunch,
    /// Who each of its processes runs as.
    pub identities: BTreeMap<ProcessName, Identity>,
    /// What reboots the host when a member is not gone at the end of its lease.
    #[serde(default)]
    pub reboot: Option<SelfReboot>,
    /// Where the keeper keeps its own things.
    pub dirs: LaunchDirs,
}

/// Who a process runs as. Resolved by the agent: name services would make the keeper big.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Directories and files of one member on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchDirs {
    /// Its run directory: record, lock, socket, `resolv.conf`, `hosts`.
    pub run: PathBuf,
    /// Its logs.
    pub log: PathBuf,
    /// Lists the files that are written once and were.
    pub once: PathBuf,
    /// Its configuration directory on the host; it is mounted at the rendered one's path.
    pub config: PathBuf,
    /// The agent's own directories and pools: no volume appears in them.
    pub protected: Vec<PathBuf>,
}

/// A line that a launch writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum LaunchMessage {
    /// The keeper has this process id on the host. Its launcher ends now.
    Forked {
        /// The id.
        pid: u32,
    },
    /// A volume is opened now; it may hang.
    Mounting {
        /// Its name.
        volume: String,
        /// Where its data is.
        source: String,
    },
    /// The namespaces are set up and the first processes run; the socket answers.
    Ready,
    /// It could not be done. The keeper ends now.
    Failed(Reason),
}
