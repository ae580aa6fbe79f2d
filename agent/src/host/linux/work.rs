//! Work on volumes, from the agent's side: nothing is moved under a run of this host, and a helper
//! does the rest.

use std::{path::Path, time::Duration};

use berth_core::{
    volume::{
        VolumeSource,
        work::{VolumeTask, VolumeWork},
    },
    waiting::Reason,
};

use super::{
    Inner, LinuxHost, cleanup,
    helpers::{self, About},
    runs,
    volumes::{self, PER_GIB, PREPARE},
};
use crate::host::storage::{helper::HelperRequest, work::WorkRequest};

/// How long one attempt to remove a volume may take. The next one goes on where it ended.
const PURGE: Duration = Duration::from_secs(600);
/// How long a copy may take, and the removal of one. Most take milliseconds; one of a pool that shares
/// no blocks is as slow as its disk, and no member waits for anything else meanwhile.
const COPY: Duration = Duration::from_secs(4 * 60 * 60);

/// Does a work.
pub(super) async fn work(host: &LinuxHost, work: VolumeWork) -> Result<(), Reason> {
    let about = About {
        volume: work.volume.name.to_string(),
        source: work.source.describe(),
        step: step(work.task),
    };
    let limit = limit(&work);
    let this = host.clone();
    let request = host
        .blocking(move |inner| {
            match work.task {
                VolumeTask::Trash | VolumeTask::Snapshot { online: false } => {
                    check_unused(&this, &work, &work.source)?;
                }
                VolumeTask::Populate { online: false } => check_origin(&this, &work)?,
                VolumeTask::Restore
                | VolumeTask::Purge
                | VolumeTask::Grow { .. }
                | VolumeTask::Snapshot { online: true }
                | VolumeTask::Populate { online: true }
                | VolumeTask::Receive { .. }
                | VolumeTask::Send { .. }
                | VolumeTask::Discard => {}
            }
            request(inner, work)
        })
        .await?;
    let request = HelperRequest::Work(Box::new(request));
    let (program, stuck) = (&host.inner.config.keeper_program, &host.inner.stuck);
    helpers::ask(program, stuck, &[about], &request, limit).await?;
    Ok(())
}

fn request(host: &Inner, work: VolumeWork) -> Result<WorkRequest, Reason> {
    // An image is where it is, however large it is to be.
    let place = volumes::place(host, &work.source, 0)?;
    if let Some(from) = &work.from {
        // Its directory has a plain name, too.
        volumes::place(host, &from.source, 0)?;
    }
    Ok(WorkRequest { work, place })
}

pub(super) fn step(task: VolumeTask) -> &'static str {
    match task {
        VolumeTask::Trash => "move it to the trash",
        VolumeTask::Restore => "bring it back from the trash",
        VolumeTask::Grow { .. } => "grow it",
        VolumeTask::Purge => "remove it for good",
        VolumeTask::Snapshot { .. } => "take a snapshot of it",
        VolumeTask::Populate { .. } => "copy the data that it begins with",
        VolumeTask::Receive { .. } => "receive its data",
        VolumeTask::Send { .. } => "send its data",
        VolumeTask::Discard => "remove a snapshot of it",
    }
}

fn limit(work: &VolumeWork) -> Duration {
    let bytes = match work.task {
        VolumeTask::Purge => return PURGE,
        VolumeTask::Trash | VolumeTask::Restore => 0,
        VolumeTask::Grow { bytes } => bytes,
        // How much there is, only its storage knows: as long as it takes, and not for ever.
        VolumeTask::Snapshot { .. }
        | VolumeTask::Populate { .. }
        | VolumeTask::Receive { .. }
        | VolumeTask::Send { .. }
        | VolumeTask::Discard => return COPY,
    };
    let gib = u32::try_from(bytes >> 30).unwrap_or(u32::MAX);
    PREPARE.saturating_add(PER_GIB.saturating_mul(gib))
}

/// Refuses to copy a volume that is in use; nobody uses a snapshot.
fn check_origin(host: &LinuxHost, work: &VolumeWork) -> Result<(), Reason> {
    match &work.from {
        Some(from) if from.snapshot.is_none() => check_unused(host, work, &from.source),
        Some(_) | None => Ok(()),
    }
}

/// Refuses a volume that a run of this host has mounted, or whose mount the kernel still holds.
pub(super) fn check_unused(
    host: &LinuxHost,
    work: &VolumeWork,
    source: &VolumeSource,
) -> Result<(), Reason> {
    let source = source.describe();
    let busy = |by: String| Reason::VolumeBusy {
        volume: work.volume.name.to_string(),
        by,
    };
    for record in runs::list(Path::new(&host.inner.config.run_dir))? {
        let mut volumes = record.volumes.iter();
        let Some(used) = volumes.find(|volume| volume.volume.source == source) else {
            continue;
        };
        if runs::keeper_of(host, &record)?.is_some() {
            return Err(busy(format!("member {}", record.member)));
        }
        let this_boot = record.run.boot == host.inner.facts.boot;
        if let Some(held) = used.held.as_ref().filter(|_| this_boot)
            && let Some(by) = cleanup::held_of(host, &record, held)?
        {
            return Err(busy(by));
        }
    }
    Ok(())
}
