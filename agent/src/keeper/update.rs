//! A member rendered anew while its processes run: what they are started from next, and what a
//! changed file does to the ones that run now.

use berth_core::{
    keeper::Slot,
    rendered::{RenderedFile, RenderedMember, RenderedProcess},
    spec::OnChange,
    waiting::Reason,
};
use nix::sys::signal::Signal;

use super::run::Keeper;
use crate::host::step_failed;

impl Keeper {
    /// Takes what processes are rendered to from now on. Files that change under a process that runs
    /// are written at once, before it is told. Gives back the slots to restart, if there are any.
    ///
    /// Who each process is and what it may comes from the same template, and stays. If files cannot
    /// be written, the process keeps what it was rendered to, so that the next update tries again.
    pub(crate) fn update(&mut self, rendered: RenderedMember) -> Result<Option<Vec<Slot>>, Reason> {
        let init = rendered.init_processes.into_iter();
        let news: Vec<_> = init.chain(rendered.processes).collect();
        let known = self.processes.iter().map(|process| &process.rendered.name);
        if !known.eq(news.iter().map(|process| &process.name)) {
            return Err(step_failed("update the keeper", "its processes are others"));
        }
        let may_restart = self.machine.init_done() && !self.machine.stopping();
        let mut restart = Vec::new();
        for (number, rendered) in news.into_iter().enumerate() {
            let slot = Slot(number);
            let Some(process) = self.process(slot) else {
                continue;
            };
            // One that does not run finds its files at its next start.
            let started = process.child.is_some();
            let changed = changed(&process.rendered, &rendered);
            let runs = started && !self.machine.is_init(slot);
            let asked = strongest(&changed);
            match asked {
                OnChange::Ignore | OnChange::Signal if runs => self.write_these(slot, &changed)?,
                OnChange::Restart if runs && may_restart => restart.push(slot),
                OnChange::Ignore | OnChange::Signal | OnChange::Restart => {}
            }
            if let Some(process) = self.process(slot) {
                process.rendered = rendered;
                if runs && asked == OnChange::Signal {
                    process.signal(Signal::SIGHUP);
                }
            }
        }
        Ok(Some(restart).filter(|slots| !slots.is_empty()))
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
