//! The part of the configuration that says how hosts are fenced. It is here and not in an object:
//! the commands run as the coordinator, and the options hold the passwords of power switches.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use berth_core::{
    ids::HostName,
    spec::period::{PeriodError, parse_period},
    state::Fences,
};
use serde::Deserialize;
use thiserror::Error;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FencingFile {
    /// How each host is fenced.
    hosts: BTreeMap<String, HostFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct HostFile {
    power: Option<CommandFile>,
    storage: Option<CommandFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CommandFile {
    command: PathBuf,
    #[serde(default)]
    options: BTreeMap<String, String>,
    #[serde(default)]
    timeout: Option<String>,
}

/// How long a fence command may take, if nothing is said.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A command that follows the conventions of fence-agents.
#[derive(Clone, PartialEq, Eq)]
pub struct FenceCommand {
    /// The program.
    pub program: PathBuf,
    /// What is written to its input, beside the action.
    pub options: BTreeMap<String, String>,
    /// How long each action may take.
    pub timeout: Duration,
}

impl std::fmt::Debug for FenceCommand {
    /// Without the options: they hold passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FenceCommand")
            .field("program", &self.program)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// How one host is fenced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostFencing {
    /// Switches it off.
    pub power: Option<FenceCommand>,
    /// Keeps it from the servers of its volumes.
    pub storage: Option<FenceCommand>,
}

/// How hosts are fenced.
pub type Fencing = BTreeMap<HostName, HostFencing>;

/// Why hosts cannot be fenced so.
#[derive(Debug, Error)]
pub enum FencingError {
    /// A key is no host.
    #[error("fencing.hosts: '{host}' is no name of a host; correct it")]
    Host {
        /// The key.
        host: String,
    },
    /// The program cannot be run.
    #[error("{field}.command: {} {why}; install the fence agent, or correct the path", program.display())]
    Program {
        /// The field.
        field: String,
        /// The program.
        program: PathBuf,
        /// Why not.
        why: String,
    },
    /// An option that is not the operator's to give.
    #[error("{field}.options.action: Berth gives it, off and then status; remove it")]
    Action {
        /// The field.
        field: String,
    },
    /// An option that would be read as several.
    #[error("{field}.options.{option}: it has a line break; write it without")]
    Lines {
        /// The field.
        field: String,
        /// The option.
        option: String,
    },
    /// The time is none.
    #[error("{field}.timeout: {why}")]
    Timeout {
        /// The field.
        field: String,
        /// What is wrong with it.
        why: PeriodError,
    },
}

impl FencingFile {
    /// Checks it against what is on this machine.
    ///
    /// # Errors
    /// The first mistake.
    pub fn check(self) -> Result<Fencing, FencingError> {
        let hosts = self.hosts.into_iter().map(|(host, file)| {
            let name = host
                .parse()
                .map_err(|_| FencingError::Host { host: host.clone() })?;
            let command = |kind: &str, file: Option<CommandFile>| {
                let field = format!("fencing.hosts.{host}.{kind}");
                file.map(|file| file.check(field)).transpose()
            };
            let fencing = HostFencing {
                power: command("power", file.power)?,
                storage: command("storage", file.storage)?,
            };
            Ok((name, fencing))
        });
        hosts.collect()
    }
}

impl CommandFile {
    fn check(self, field: String) -> Result<FenceCommand, FencingError> {
        if let Err(why) = executable(&self.command) {
            let program = self.command;
            return Err(FencingError::Program {
                field,
                program,
                why,
            });
        }
        if self.options.contains_key("action") {
            return Err(FencingError::Action { field });
        }
        let mut options = self.options.iter();
        let broken = options.find(|(key, value)| key.contains('\n') || value.contains('\n'));
        if let Some((option, _)) = broken {
            let option = option.clone();
            return Err(FencingError::Lines { field, option });
        }
        let timeout = match &self.timeout {
            None => TIMEOUT,
            Some(text) => parse_period(text).map_err(|why| FencingError::Timeout { field, why })?,
        };
        Ok(FenceCommand {
            program: self.command,
            options: self.options,
            timeout,
        })
    }
}

fn executable(program: &Path) -> Result<(), String> {
    if !program.is_absolute() {
        return Err("is not an absolute path".to_owned());
    }
    let found = fs::metadata(program).map_err(|error| format!("cannot be found ({error})"))?;
    if !found.is_file() || found.permissions().mode() & 0o111 == 0 {
        return Err("is not executable".to_owned());
    }
    Ok(())
}

/// What the planner knows of it.
pub fn known(fencing: &Fencing) -> BTreeMap<HostName, Fences> {
    let hosts = fencing.iter().map(|(host, fencing)| {
        let fences = Fences {
            power: fencing.power.is_some(),
            storage: fencing.storage.is_some(),
        };
        (host.clone(), fences)
    });
    hosts.collect()
}
