//! What a keeper says, as the member machine understands it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use berth_core::{
    ids::{MemberId, ProcessName, RunId},
    member::{Event, ProcessChange, ProcessState, Running},
    probe::ProbeSpecs,
    rendered::{RenderedMember, RenderedProcess},
};
use tokio::sync::mpsc;

use super::Command;
use crate::host::{KeeperEvent, KeeperHandle, ProcessStatus};

/// The grace period of a run of which no order is known any more.
const UNKNOWN_GRACE: Duration = Duration::from_secs(30);

/// A run as its keeper describes it, with the probes of what it was rendered from.
pub(super) fn running(handle: &KeeperHandle, rendered: Option<&RenderedMember>) -> Running {
    let processes = handle.status.processes.iter().map(process_state);
    Running {
        run: handle.run.clone(),
        init_done: handle.status.init_done,
        stopping: handle.status.stopping,
        lease: handle.status.lease,
        processes: processes.collect(),
        volumes: handle.volumes.clone(),
        probes: rendered.map(probes).unwrap_or_default(),
        grace: rendered.map_or(UNKNOWN_GRACE, |rendered| {
            Duration::from_secs(rendered.grace_seconds.into())
        }),
        sidecars: rendered
            .map(|r| names(r, |p| p.sidecar))
            .unwrap_or_default(),
        never_killed: rendered
            .map(|r| names(r, |p| p.never_kill))
            .unwrap_or_default(),
    }
}

fn names(
    rendered: &RenderedMember,
    which: impl Fn(&RenderedProcess) -> bool,
) -> BTreeSet<ProcessName> {
    let found = all(rendered).filter(|process| which(process));
    found.map(|process| process.name.clone()).collect()
}

fn all(rendered: &RenderedMember) -> impl Iterator<Item = &RenderedProcess> {
    rendered.init_processes.iter().chain(&rendered.processes)
}

fn process_state(status: &ProcessStatus) -> ProcessState {
    ProcessState {
        name: status.name.clone(),
        init: status.init,
        pid: status.pid,
        restarts: status.restarts,
        last_exit: status.last_exit.map(|exit| exit.to_string()),
        failure: None,
        post_start: status.post_start,
        said: status.said.clone().unwrap_or_default(),
        unenforced: status.unenforced.clone(),
        spared: status.spared,
    }
}

fn probes(rendered: &RenderedMember) -> BTreeMap<ProcessName, ProbeSpecs> {
    all(rendered)
        .map(|process| {
            let specs = ProbeSpecs {
                startup: process.startup_probe.clone(),
                readiness: process.readiness_probe.clone(),
                liveness: process.liveness_probe.clone(),
            };
            (process.name.clone(), specs)
        })
        .collect()
}

/// Passes a keeper's events on until it is gone, or not heard of any more.
pub(super) async fn pump(
    member: MemberId,
    run: RunId,
    mut events: mpsc::UnboundedReceiver<KeeperEvent>,
    commands: mpsc::UnboundedSender<Command>,
) {
    while let Some(event) = events.recv().await {
        let last = event == KeeperEvent::Gone;
        if let Some(event) = machine_event(&run, event)
            && commands
                .send(Command::Event(member.clone(), event))
                .is_err()
        {
            return;
        }
        if last {
            return;
        }
    }
    // Without that word the keeper may live: only `Gone` is a proof.
    drop(commands.send(Command::Event(member, Event::KeeperLost { run })));
}

fn machine_event(run: &RunId, event: KeeperEvent) -> Option<Event> {
    let run = run.clone();
    let (process, init, change) = match event {
        KeeperEvent::Started {
            process,
            init,
            pid,
            restarts,
            unenforced,
        } => {
            let started = ProcessChange::Started {
                pid,
                restarts,
                unenforced,
            };
            (process, init, started)
        }
        KeeperEvent::Spared { process } => (process, false, ProcessChange::Spared),
        KeeperEvent::StartFailed {
            process,
            init,
            reason,
            restart_in_ms: _,
        } => (process, init, ProcessChange::StartFailed(reason)),
        KeeperEvent::Exited {
            process,
            init,
            exit,
            restarts: _,
            restart_in_ms: _,
        } => {
            let success = exit.success();
            let exit = exit.to_string();
            (process, init, ProcessChange::Exited { exit, success })
        }
        KeeperEvent::PostStart { process } => (process, false, ProcessChange::PostStart),
        KeeperEvent::PostStartFailed { process, reason } => {
            (process, false, ProcessChange::StartFailed(reason))
        }
        KeeperEvent::Said { process, said } => (process, false, ProcessChange::Said(said)),
        KeeperEvent::InitDone => return Some(Event::InitDone { run }),
        KeeperEvent::Gone => return Some(Event::KeeperGone { run }),
        // The keeper ends now; that it is gone is what counts.
        KeeperEvent::AllStopped => return None,
    };
    Some(Event::Process {
        run,
        process,
        init,
        change,
    })
}
