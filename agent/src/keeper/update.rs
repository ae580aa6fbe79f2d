//! A member rendered anew while its processes run: what they are started from next, and what a
//! changed file does to the ones that run now.

use berth_core::{
    keeper::Slot,
    rendered::{RenderedMember, RenderedProcess},
    spec::OnChange,
    waiting::Reason,
};
use nix::sys::signal::Signal;

use super::run::Keeper;
use crate::host::step_failed;

impl Keeper {
    /// Takes what processes are rendered to from now on. Files whose change is to be signalled are
    /// written at once, before the signal. Gives back the slots to restart, if there are any.
    ///
    /// Who each process is and what it may comes from the same template, and stays.
    pub(crate) fn update(&mut self, rendered: RenderedMember) -> Result<Option<Vec<Slot>>, Reason> {
        let init = rendered.init_processes.into_iter();
        let news: Vec<_> = init.chain(rendered.processes).collect();
        let known = self.processes.iter().map(|process| &process.rendered.name);
        if !known.eq(news.iter().map(|process| &process.name)) {
            return Err(step_failed("update the keeper", "its processes are others"));
        }
        let machine = &self.machine;
        let may_restart = self.machine.init_done() && !self.machine.stopping();
        let (mut restart, mut signal) = (Vec::new(), Vec::new());
        for (number, (process, rendered)) in self.processes.iter_mut().zip(news).enumerate() {
            let change = change(&process.rendered, &rendered);
            process.rendered = rendered;
            // One that does not run finds its files at its next start.
            if machine.is_init(Slot(number)) || process.child.is_none() {
                continue;
            }
            match change {
                OnChange::Ignore => {}
                OnChange::Signal => signal.push(Slot(number)),
                OnChange::Restart if may_restart => restart.push(Slot(number)),
                OnChange::Restart => {}
            }
        }
        for slot in signal {
            self.write_files(slot)?;
            if let Some(process) = self.process(slot) {
                process.signal(Signal::SIGHUP);
            }
        }
        Ok(Some(restart).filter(|slots| !slots.is_empty()))
    }
}

/// The strongest thing that any changed file asks for.
fn change(old: &RenderedProcess, new: &RenderedProcess) -> OnChange {
    let changed = new.files.iter().filter(|file| !old.files.contains(file));
    let asked = changed.map(|file| file.on_change);
    asked.fold(OnChange::Ignore, |strongest, next| {
        match (strongest, next) {
            (OnChange::Restart, _) | (_, OnChange::Restart) => OnChange::Restart,
            (OnChange::Signal, _) | (_, OnChange::Signal) => OnChange::Signal,
            (OnChange::Ignore, OnChange::Ignore) => OnChange::Ignore,
        }
    })
}
