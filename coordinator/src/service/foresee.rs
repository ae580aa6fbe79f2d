//! What a change would lead to, foreseen beside what comes anyway. Hosts that nobody has asked yet whether
//! they have what the change requires are asked first, and have a moment to answer: `berth plan` is there to
//! show beforehand what would be missing.

use std::{collections::BTreeMap, panic::resume_unwind, time::Duration};

use berth_core::{
    ids::{HostName, SetKey},
    plan::forecast::{Forecast, forecast},
    prerequisite::{Answer, Prerequisite},
    state::State,
    time::Timestamp,
};
use tokio::time::timeout;

use super::status::ServiceError;
use crate::{context::Context, reconcile::ask, store::StoreError};

/// How long hosts have to answer. An agent looks at once; what it looks at may hang.
const ANSWER: Duration = Duration::from_secs(2);

/// Prerequisites, by host.
type Questions = BTreeMap<HostName, Vec<Prerequisite>>;

/// A change that is not made.
pub(super) struct Change {
    /// The state as it is.
    pub(super) before: State,
    /// The state with the change.
    pub(super) after: State,
    /// The sets that it is about.
    pub(super) sets: Vec<SetKey>,
    /// Whether hosts may be asked about what they have.
    pub(super) asks: bool,
}

/// Foresees what a change leads to.
///
/// # Errors
/// If the coordinator ends meanwhile.
pub(super) async fn foresee(
    context: &Context,
    mut change: Change,
    now: Timestamp,
) -> Result<Forecast, ServiceError> {
    let found = foreseen(&change, now).await?;
    if !change.asks || found.assumed.is_empty() {
        return Ok(found);
    }
    for (host, answers) in ask_hosts(context, &found.assumed, now).await {
        for state in [&mut change.before, &mut change.after] {
            if let Some(host) = state.hosts.get_mut(&host) {
                host.contact.answered(answers.clone(), now);
            }
        }
    }
    foreseen(&change, now).await
}

/// The work of a processor, for as long as it takes, and so not where the streams are served.
async fn foreseen(change: &Change, now: Timestamp) -> Result<Forecast, ServiceError> {
    let (before, after) = (change.before.clone(), change.after.clone());
    let sets = change.sets.clone();
    let found = tokio::task::spawn_blocking(move || {
        let unchanged = forecast(&before, now);
        forecast(&after, now).beside(&unchanged, &sets)
    });
    found.await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_ended) => StoreError::Closed.into(),
    })
}

/// Asks hosts, and gives back what they answer in time. The loop knows nothing of these questions, and
/// nothing is kept of them.
async fn ask_hosts(
    context: &Context,
    questions: &Questions,
    now: Timestamp,
) -> BTreeMap<HostName, Vec<Answer>> {
    let mut turns = context.trigger.turns();
    ask::send(context, questions, now);
    let all = async {
        while !is_answered(&context.view.read().state, questions) && turns.changed().await.is_ok() {
        }
    };
    // What is not answered in time is taken to hold, with a warning.
    drop(timeout(ANSWER, all).await);
    let mut view = context.view.write();
    let answers = questions.iter().filter_map(|(host, required)| {
        let contact = view.contact(host)?;
        let answers = required.iter().filter_map(|of| {
            let finding = contact.asked.remove(of)?.finding?;
            let of = of.clone();
            Some(Answer { of, finding })
        });
        Some((host.clone(), answers.collect()))
    });
    let answers = answers.collect();
    drop(view);
    // A set that wants to know the same by now asks itself.
    context.trigger.fire();
    answers
}

fn is_answered(state: &State, questions: &Questions) -> bool {
    questions.iter().all(|(host, required)| {
        let host = state.hosts.get(host);
        host.is_none_or(|host| host.contact.unknown(required.iter().cloned()).is_empty())
    })
}
