//! Keepers without a record: the run directory was changed in the configuration, or emptied, or the
//! agent died before a keeper wrote its record. That nothing is written of a keeper does not prove
//! that there is none, so every keeper carries its member and its agent's data directory in its
//! command line.
//!
//! They are looked for once, when an agent starts: of the keepers that it starts itself it knows.
//! A member that had one then is looked for again before it counts as gone.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStringExt,
    path::Path,
    sync::{Mutex, PoisonError},
};

use berth_core::{ids::MemberId, waiting::Reason};

use super::{LinuxHost, runs, step_failed};
use crate::keeper::ARGUMENT;

/// What a keeper's command line says after the program.
pub(super) fn name(host: &LinuxHost, member: &MemberId) -> [OsString; 3] {
    let data_dir = host.inner.config.data_dir.clone();
    [
        ARGUMENT.into(),
        member.to_string().into(),
        data_dir.into_os_string(),
    ]
}

/// The members that had a keeper when the agent started.
#[derive(Debug)]
pub(super) struct Found(Mutex<BTreeSet<OsString>>);

impl Found {
    /// Looks for the keepers of the agent with this data directory.
    pub(super) fn now(data_dir: &Path) -> Self {
        let keepers = command_lines().filter_map(|(_, [kind, member, of])| {
            let ours = kind == *ARGUMENT && of == *data_dir.as_os_str();
            ours.then_some(member)
        });
        Self(Mutex::new(keepers.collect()))
    }

    fn with<T>(&self, look: impl FnOnce(&mut BTreeSet<OsString>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Refuses if a keeper of this member lives that the record does not speak of.
///
/// # Errors
/// `StepFailed`, with its process id.
pub(super) async fn look_for(host: &LinuxHost, member: &MemberId) -> Result<(), Reason> {
    let name = name(host, member);
    let [_, of, _] = &name;
    if !host.inner.found.with(|found| found.contains(of)) {
        return Ok(());
    }
    let record = runs::read(&host.inner.run_dir(member))?;
    let known = record.map(|record| record.pid);
    let stray = host.blocking(move |inner| {
        let mut keepers = command_lines().filter(|(_, line)| *line == name);
        let stray = keepers.find(|(pid, _)| Some(*pid) != known);
        if stray.is_none() && known.is_none() {
            let [_, of, _] = &name;
            inner.found.with(|found| found.remove::<OsStr>(of));
        }
        Ok(stray)
    });
    match stray.await? {
        None => Ok(()),
        Some((pid, _)) => Err(step_failed(
            format!("clean up {member}"),
            format!(
                "keeper {pid} lives and is not on record in runDir; give the agent its old runDir, \
                 or end that process"
            ),
        )),
    }
}

/// The processes that were started with three arguments. One that is dead and not collected has none.
fn command_lines() -> impl Iterator<Item = (u32, [OsString; 3])> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let mut line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        line.pop_if(|last| *last == 0);
        let words = line.split(|byte| *byte == 0).skip(1);
        let words: Vec<OsString> = words.map(|w| OsString::from_vec(w.to_vec())).collect();
        Some((pid, words.try_into().ok()?))
    })
}
