//! `berth wait`, and the waiting of `apply`, `scale` and `delete`.
//!
//! Changes come from watches; each one only says that it is time to read the status, and the
//! status alone decides. So nothing is missed, whatever was changed before the watch began, and a
//! coordinator that restarts meanwhile is simply read again.

use berth_proto::v1;
use futures_util::future;
use tonic::{Code, Status};

use super::{
    Context,
    patience::{Link, Patience},
};
use crate::{
    args::{Condition, Limit, WaitArgs},
    error::CliError,
    exit::Exit,
    output::{self, progress::Progress, status::halted},
    target,
    watch::{Change, SetWatch},
};

/// Waits.
pub(crate) async fn run(context: &Context, args: WaitArgs) -> Result<(), CliError> {
    let name = target::parse_set(&args.set, args.name.as_deref())?;
    let sets = [(context.namespace.clone(), name)];
    all(context, &sets, args.condition, args.timeout.as_ref()).await
}

/// Waits until a condition holds for all of some sets, given by namespace and name.
pub(crate) async fn all(
    context: &Context,
    sets: &[(String, String)],
    condition: Condition,
    limit: Option<&Limit>,
) -> Result<(), CliError> {
    let waits = sets.iter().map(|(namespace, name)| {
        let mut wait = Wait {
            context,
            namespace,
            name,
            condition,
            progress: Progress::default(),
            rollout: String::new(),
        };
        async move { wait.run().await }
    });
    let patience = Patience {
        limit,
        what: what(sets, condition),
        late: "`berth status` says why; nothing was taken back".to_owned(),
        stays: "only the waiting ended, the change stands",
        interrupted: "`berth status` shows how it gets on".to_owned(),
    };
    patience.wait(future::try_join_all(waits)).await.map(|_| ())
}

fn what(sets: &[(String, String)], condition: Condition) -> String {
    let names: Vec<String> = sets
        .iter()
        .map(|(_, name)| format!("StatefulSet/{name}"))
        .collect();
    format!("{} {condition}", names.join(", "))
}

/// The waiting for one set.
struct Wait<'a> {
    context: &'a Context,
    namespace: &'a str,
    name: &'a str,
    condition: Condition,
    progress: Progress,
    /// What was said last of the rollout.
    rollout: String,
}

impl Wait<'_> {
    /// Waits, through any number of lost connections.
    async fn run(&mut self) -> Result<(), CliError> {
        let mut link = Link::default();
        let doing = format!("wait for StatefulSet/{}", self.name);
        loop {
            match self.attempt(&mut link).await {
                Ok(done) => return done,
                Err(status) => link.again(&doing, &status).await?,
            }
        }
    }

    /// Waits as long as the connection holds.
    async fn attempt(&mut self, link: &mut Link) -> Result<Result<(), CliError>, Status> {
        let mut watch =
            SetWatch::open(&self.context.coordinator, self.namespace, self.name).await?;
        while !self.take(watch.next().await?) {}
        link.is_up();
        loop {
            match self.status().await? {
                None if self.condition == Condition::Deleted => {
                    output::note(&format!("StatefulSet/{} is gone", self.name));
                    return Ok(Ok(()));
                }
                None => return Err(Status::not_found("it does not exist, or was deleted")),
                Some(set) if holds(self.condition, &set) => {
                    self.finish(&set);
                    return Ok(Ok(()));
                }
                // It does not get there by itself.
                Some(set) if self.condition == Condition::RolledOut && is_given_up(&set) => {
                    return Ok(Err(given_up(&set)));
                }
                Some(set) => self.rollout(set.rollout),
            }
            self.take(watch.next().await?);
        }
    }

    /// Shows what a rollout waits for, if that is another thing by now.
    fn rollout(&mut self, rollout: Option<v1::RolloutStatus>) {
        let message = rollout.map(|rollout| rollout.message).unwrap_or_default();
        if self.condition == Condition::RolledOut && self.rollout != message {
            output::note(&message);
            self.rollout = message;
        }
    }

    /// Shows a change. Whether it was the end of the initial ones.
    fn take(&mut self, change: Change) -> bool {
        let line = match change {
            Change::Member(member) => self.progress.member(&member),
            Change::Gone(name) => self.progress.gone(&name),
            Change::Synced => return true,
            Change::Object => None,
        };
        if let Some(line) = line {
            output::note(&line);
        }
        false
    }

    /// The status now; `None` if the set does not exist.
    async fn status(&self) -> Result<Option<v1::SetStatus>, Status> {
        let request = v1::SetStatusRequest {
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
        };
        match self.context.coordinator.sets().status(request).await {
            Ok(response) => Ok(Some(response.into_inner())),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// The status may be ahead of the watch: whoever reads along sees how it ended.
    fn finish(&mut self, set: &v1::SetStatus) {
        for member in &set.members {
            if let Some(line) = self.progress.member(member) {
                output::note(&line);
            }
        }
        output::note(&format!(
            "StatefulSet/{}: {} of {} ready",
            self.name, set.ready_replicas, set.replicas
        ));
    }
}

/// Why nobody need wait for a rollout.
pub(super) fn given_up(set: &v1::SetStatus) -> CliError {
    let why = halted(set).map(|halt| halt.message.clone());
    CliError::Answer {
        doing: format!("finish the rollout of StatefulSet/{}", set.name),
        message: why.unwrap_or_default(),
        lines: Vec::new(),
        exit: Exit::Failure,
        hint: "`berth status` says why its members are not ready; apply a template that works, or \
               `berth rollout undo`"
            .to_owned(),
    }
}

/// Whether a rollout was halted because it did not get better.
pub(super) fn is_given_up(set: &v1::SetStatus) -> bool {
    let reasons = ["ProgressDeadlineExceeded", "RolledBack"];
    halted(set).is_some_and(|halt| reasons.contains(&halt.reason.as_str()))
}

/// Whether a condition holds.
fn holds(condition: Condition, set: &v1::SetStatus) -> bool {
    let complete = |n: u32| set.current_replicas == n && set.ready_replicas == n && !set.deleting;
    let available = complete(set.replicas) && set.available_replicas == set.replicas;
    match condition {
        Condition::Ready => complete(set.replicas),
        Condition::Available => available,
        Condition::RolledOut => set.rollout.as_ref().is_some_and(|rollout| rollout.done),
        Condition::Progressing => halted(set).is_none(),
        Condition::Replicas(n) => set.replicas == n && complete(n),
        Condition::Deleted => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(replicas: u32, current: u32, ready: u32, available: u32, updated: u32) -> v1::SetStatus {
        v1::SetStatus {
            replicas,
            current_replicas: current,
            ready_replicas: ready,
            available_replicas: available,
            rolled_out: updated == replicas,
            ..v1::SetStatus::default()
        }
    }

    #[test]
    fn conditions_hold_only_when_all_members_do() {
        use Condition::{Available, Deleted, Ready, Replicas, RolledOut};
        let mut done = set(3, 3, 3, 3, 3);
        assert!(!holds(RolledOut, &done), "the coordinator says when");
        done.rollout = Some(v1::RolloutStatus {
            done: true,
            ..v1::RolloutStatus::default()
        });
        for condition in [Ready, Available, RolledOut, Replicas(3)] {
            assert!(holds(condition, &done), "{condition}");
        }
        assert!(!holds(Replicas(2), &done));
        assert!(!holds(Deleted, &done));
        assert!(!holds(Available, &set(3, 3, 3, 2, 3)));
        assert!(!holds(Ready, &set(3, 3, 2, 2, 3)));
        assert!(
            !holds(Ready, &set(1, 2, 1, 1, 1)),
            "a member is still to go"
        );
        let deleting = v1::SetStatus {
            deleting: true,
            ..set(3, 3, 3, 3, 3)
        };
        assert!(!holds(Available, &deleting));
    }
}
