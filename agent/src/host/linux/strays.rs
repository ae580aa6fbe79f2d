//! Keepers without a record: the run directory was changed in the configuration, or emptied, or the
//! agent died before a keeper wrote its record. That nothing is written of a keeper does not prove
//! that there is none, so every keeper carries its member and its agent's data directory in its
//! command line, and is looked for there before a member counts as gone.

use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt};

use berth_core::{ids::MemberId, waiting::Reason};

use super::{LinuxHost, runs, step_failed};
use crate::keeper::ARGUMENT;

/// What a keeper's command line says after the program.
pub(super) fn name(host: &LinuxHost, member: &MemberId) -> Vec<OsString> {
    let data_dir = host.inner.config.data_dir.clone();
    vec![
        ARGUMENT.into(),
        member.to_string().into(),
        data_dir.into_os_string(),
    ]
}

/// Refuses if a keeper of this member lives that the record does not speak of.
///
/// # Errors
/// `StepFailed`, with its process id.
pub(super) async fn look_for(host: &LinuxHost, member: &MemberId) -> Result<(), Reason> {
    let name = name(host, member);
    let record = runs::read(&host.inner.run_dir(member))?;
    let found = host.blocking(move |_| Ok(with_name(&name))).await?;
    let known = record.map(|record| record.pid);
    match found.into_iter().find(|pid| Some(*pid) != known) {
        None => Ok(()),
        Some(pid) => Err(step_failed(
            format!("clean up {member}"),
            format!(
                "keeper {pid} lives and is not on record in runDir; give the agent its old runDir, \
                 or end that process"
            ),
        )),
    }
}

/// The processes whose command line is a program and these words. Those that are dead and not
/// collected have none.
fn with_name(name: &[OsString]) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = line.split(|byte| *byte == 0);
        let words: Vec<OsString> = words.map(|w| OsString::from_vec(w.to_vec())).collect();
        words.get(1..=name.len()) == Some(name)
    })
    .collect()
}
