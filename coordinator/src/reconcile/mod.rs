//! The loop that makes things happen: a trigger or a deadline, then the state, a plan, the check, a
//! commit, and the orders that follow.
//!
//! The loop takes no hint of what changed: core finds that out by itself (see [`Decider`]), and each
//! round plans until there is nothing left to do, so a lost trigger costs time and nothing else. It
//! alone decides on members and records orders; all it does to the world is to commit and to send.
//! Files: [`refusals`] tells what the checker refused, [`cut`] turns a plan into commits, [`lost`] looks again at what is given up unseen, [`orders`] and [`zone`] bring
//! agents up to date, [`work`] asks for work on volumes, [`ask`] what hosts have, [`board`] keeps why everything else waits, [`events`] puts steps into words.

pub(crate) mod ask;
pub(crate) mod board;
mod cut;
mod events;
mod lost;
mod orders;
mod refusals;
mod work;
mod zone;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use berth_core::{
    decide::{Decider, Decision},
    ids::HostName,
    map::Map,
    plan::{Subject, is_outdated},
    state::State,
    store::{Batch, CommitError, Key},
    time::Timestamp,
};
use thiserror::Error;
use tokio::{sync::watch, time::sleep};

use crate::{
    clock,
    context::{Board, Context},
    fencing,
    sessions::{Ending, Link},
    store::{RecordError, StoreError},
};

use berth_core::zone::build as zone_of;
pub use events::{Line, line};
use lost::NotProven;
pub use refusals::Refusals;
use zone::ZoneKeeper;

/// After so many plans in a row that all found something to do, the loop lets others run and says
/// so: a plan that follows from its own effect is a bug.
const PLANS: u32 = 200;
/// How long the loop waits after such a round, or after a commit that could not be made.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a round could not be finished.
#[derive(Debug, Error)]
enum RoundError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("record {key} cannot be read (the log says why); restore a backup")]
    Unreadable { key: Key },
}

/// What came of a commit.
enum Outcome {
    Done,
    /// The state changed under the plan: plan again.
    Outdated,
    /// It can never be committed as it is.
    Impossible(CommitError),
}

/// The loop.
#[derive(Debug)]
pub struct Reconciler {
    context: Context,
    board: watch::Sender<Arc<Board>>,
    zone: ZoneKeeper,
    decider: Decider,
    /// The leases of hosts whose members were given up, until all orders that follow are sent.
    ending: Vec<Ending>,
    /// What was refused, as far as it still is, so that it is told once.
    refused: BTreeMap<Option<Subject>, String>,
}

impl Reconciler {
    /// A loop that publishes what it finds on the board.
    pub fn new(context: Context, board: watch::Sender<Arc<Board>>) -> Self {
        Self {
            context,
            board,
            zone: ZoneKeeper::default(),
            decider: Decider::default(),
            ending: Vec::new(),
            refused: BTreeMap::new(),
        }
    }

    /// Runs until the coordinator ends.
    pub async fn run(mut self) {
        loop {
            let wake_at = match self.round().await {
                Ok(wake_at) => wake_at,
                Err(RoundError::Store(StoreError::Closed)) => return,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "a round of the reconcile loop failed");
                    Some(self.context.clock.now().plus(PAUSE))
                }
            };
            let context = &self.context;
            context.trigger.turned();
            tokio::select! {
                () = context.trigger.fired() => {}
                () = until(context, wake_at) => {}
                () = context.shutdown.cancelled() => return,
            }
        }
    }

    /// Plans and commits until nothing is left to do; when to look again by itself.
    async fn round(&mut self) -> Result<Option<Timestamp>, RoundError> {
        for _ in 0..PLANS {
            // Cannot be after a start (it would have been refused), and every record since is our
            // own; if it ever is, part of what was decided is not known, and nothing is done.
            if let Some(key) = self.context.view.read().unreadable.first() {
                return Err(RoundError::Unreadable { key: key.clone() });
            }
            clock::look(self.context.clock, &mut self.context.view.write().state);
            let now = self.context.clock.now();
            let (decision, planned) = self.decide(now);
            let idle = decision.plan.steps.is_empty();
            if !idle {
                self.carry_out(&decision, &planned, now).await?;
            }
            let recorded = orders::bring_up_to_date(&self.context).await?;
            self.ending.clear();
            self.zone.push(&self.context);
            let retry_at = work::push(&self.context);
            // What a new order changes in what is known of its host is told too.
            if idle && !recorded {
                let ask_at = ask::push(&self.context, self.decider.report(), now);
                let fence_at = fencing::push(&self.context, &planned, self.decider.report(), now);
                let wakes = [
                    decision.report.wake_at,
                    decision.look_at,
                    retry_at,
                    ask_at,
                    fence_at,
                ];
                let wake_at = wakes.into_iter().flatten().min();
                self.show(now);
                return Ok(wake_at);
            }
        }
        tracing::error!("{PLANS} plans in a row had steps; the loop pauses");
        Ok(Some(self.context.clock.now().plus(PAUSE)))
    }

    /// What to do, and the state that this was decided on.
    fn decide(&mut self, now: Timestamp) -> (Decision, State) {
        // A copy costs nothing, and nobody waits for what is found out about it, nor for the plan.
        let state = self.context.view.read().state.clone();
        state.remember();
        self.context.view.read().state.recall(&state);
        let begun = Instant::now();
        let decision = self.decider.decide(&state, now);
        self.context.counters.planned(begun.elapsed());
        let refused: Refusals = decision.breaches.iter().cloned().collect();
        let scope = &decision.scope;
        let looked_at = |about: &Option<Subject>| match about {
            Some(Subject::Set(set)) => scope.has(set),
            // Every plan is about these.
            Some(Subject::Claim(_) | Subject::Volume(_) | Subject::Snapshot(_)) | None => true,
        };
        let mut told = std::mem::take(&mut self.refused);
        self.refused.clone_from(&told);
        self.refused.retain(|about, _| !looked_at(about));
        for (about, rule) in refused.0 {
            if told.remove(&about).as_ref() != Some(&rule) {
                self.alarm(about.as_ref(), &rule, now);
            }
            self.refused.insert(about, rule);
        }
        (decision, state)
    }

    /// Tells that a plan was refused: a bug. What it is about waits.
    fn alarm(&self, about: Option<&Subject>, rule: &str, now: Timestamp) {
        let subject = about.map_or_else(|| "everything".to_owned(), ToString::to_string);
        tracing::error!(%subject, rule, "a plan is refused; nothing of it is done");
        self.context.note(
            about
                .map(|about| events::refused(about, rule, now))
                .into_iter()
                .collect(),
        );
    }

    /// Commits a plan, piece by piece, and sends what follows from each.
    async fn carry_out(
        &mut self,
        decision: &Decision,
        planned: &State,
        now: Timestamp,
    ) -> Result<(), RoundError> {
        let mut rest = decision.plan.steps.as_slice();
        while !rest.is_empty() {
            let piece = {
                let view = self.context.view.read();
                let links = self.context.sessions.links();
                let piece = cut::next(&view, &links, rest, now)?;
                if is_outdated(planned, &view.state, &rest[..piece.steps]) {
                    tracing::debug!("something was said meanwhile; planning again");
                    return Ok(());
                }
                piece
            };
            let taken = piece.steps;
            let sets = piece.sets.clone();
            match lost::end_leases(&self.context, &rest[..taken], now) {
                Ok(ended) => self.ending.extend(ended),
                Err(NotProven) => return Ok(()),
            }
            match self.commit(piece.batch).await? {
                Outcome::Done => {}
                Outcome::Outdated => return Ok(()),
                Outcome::Impossible(why) => {
                    for set in sets.iter().cloned().map(Subject::Set) {
                        self.alarm(Some(&set), &why.to_string(), now);
                    }
                    return Err(RoundError::Store(why.into()));
                }
            }
            orders::send(&self.context, piece.sends);
            if let Some(state) = piece.zone {
                self.zone.published(zone_of(&state));
            }
            rest = &rest[taken..];
        }
        Ok(())
    }

    async fn commit(&self, batch: Batch) -> Result<Outcome, StoreError> {
        match self.context.store.commit(batch).await {
            Ok(_) => Ok(Outcome::Done),
            Err(StoreError::Refused(CommitError::Conflict { key, .. })) => {
                tracing::debug!(%key, "changed under the plan; planning again");
                Ok(Outcome::Outdated)
            }
            Err(StoreError::Refused(
                why @ (CommitError::TooMany { .. }
                | CommitError::TooLarge { .. }
                | CommitError::Contradiction { .. }),
            )) => Ok(Outcome::Impossible(why)),
            Err(error) => Err(error),
        }
    }

    fn show(&mut self, now: Timestamp) {
        let (scope, mut report) = self.decider.tell();
        work::explain(&self.context, &mut report);
        let old = self.board.borrow().clone();
        let (mut board, events) = board::next(&old, &scope, report, now);
        work::tell_progress(&self.context, &mut board);
        self.context.note(events);
        self.board.send_replace(Arc::new(board));
    }
}

async fn until(context: &Context, at: Option<Timestamp>) {
    match at {
        Some(at) => sleep(at.since(context.clock.now())).await,
        None => std::future::pending().await,
    }
}

/// The hosts whose streams are known, by name.
type Links = Map<HostName, Link>;

#[cfg(test)]
mod tests;
