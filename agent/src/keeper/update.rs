//! A member rendered anew while its processes run: what they are started from next, and what a
//! changed file does to the ones that run now.

use berth_core::{
    keeper::{Slot, signal_number},
    rendered::{RenderedFile, RenderedMember, RenderedProcess},
    spec::OnChange,
    waiting::Reason,
};
use nix::sys::signal::Signal;

use super::run::Keeper;
use crate::host::step_failed;

impl Keeper {
    /// Takes what processes are rendered to from now on. Files that change under a process that runs
    /// are written at once, before it is told. Gives back the slots to restart.
    ///
    /// Who each process is and what it may comes from the same template, and stays. If files of one
    /// cannot be written, all keep what they were rendered to, so that the next update finds every
    /// change again, with the signals and restarts that follow.
    pub(crate) fn update(&mut self, rendered: RenderedMember) -> Result<Vec<Slot>, Reason> {
        let init = rendered.init_processes.into_iter();
        let news: Vec<_> = init.chain(rendered.processes).collect();
        let known = self.processes.iter().map(|process| &process.rendered.name);
        if !known.eq(news.iter().map(|process| &process.name)) {
            return Err(step_failed("update the keeper", "its processes are others"));
        }
        let (mut signal, mut restart) = (Vec::new(), Vec::new());
        let slots = (0..news.len()).map(Slot);
        for (slot, rendered) in slots.zip(&news) {
            let process = self.processes.get(slot.0);
            // One that does not run finds its files at its next start.
            let runs = process.filter(|p| p.child.is_some() && !self.machine.is_init(slot));
            let Some(process) = runs else { continue };
            let changed = changed(&process.rendered, rendered);
            match strongest(&changed) {
                OnChange::Restart => restart.push(slot),
                OnChange::Signal => {
                    self.write_these(slot, &changed)?;
                    signal.push(slot);
                }
                OnChange::Ignore => self.write_these(slot, &changed)?,
            }
        }
        for (process, rendered) in self.processes.iter_mut().zip(news) {
            process.rendered = rendered;
        }
        for process in signal.iter().filter_map(|slot| self.processes.get(slot.0)) {
            let number = signal_number(&process.rendered.reload_signal);
            // What validation lets through is a signal.
            let signal = number.and_then(|number| Signal::try_from(number).ok());
            process.signal(signal.unwrap_or(Signal::SIGHUP));
        }
        Ok(restart)
    }
}

/// The files that are new or others.
fn changed(old: &RenderedProcess, new: &RenderedProcess) -> Vec<RenderedFile> {
    let changed = new.files.iter().filter(|file| !old.files.contains(file));
    changed.cloned().collect()
}

/// The strongest thing that any changed file asks for.
fn strongest(changed: &[RenderedFile]) -> OnChange {
    let asked = changed.iter().map(|file| file.on_change);
    asked.fold(OnChange::Ignore, |strongest, next| {
        match (strongest, next) {
            (OnChange::Restart, _) | (_, OnChange::Restart) => OnChange::Restart,
            (OnChange::Signal, _) | (_, OnChange::Signal) => OnChange::Signal,
            (OnChange::Ignore, OnChange::Ignore) => OnChange::Ignore,
        }
    })
}
