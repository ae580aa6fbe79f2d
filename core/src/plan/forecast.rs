//! What comes of a plan, as far as it can be foreseen: the plan itself, then what would be planned if
//! all goes well, until nothing is left to do. Only the first round is executed as it is; the rest
//! is a forecast, which assumes that every start becomes ready, that every stop ends, that every work
//! on a volume succeeds, that hosts which were not asked yet have what is required, and that nobody
//! changes anything meanwhile. A host out of contact stays so.
//!
//! Pure: time passes here only as far as a deadline of the plan asks for.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    check::{Breach, plan_checked},
    ids::{HostName, MemberId, SetKey},
    order::{Desired, MemberOrder},
    plan::{Report, Step, why},
    prerequisite::{self, Answer, Finding},
    report::{MemberReport, Phase},
    state::{Observation, State, orders::host_order},
    time::Timestamp,
    volume::work::{self, After},
};

/// More rounds are not foreseen: a rollout has a few for each member, and each costs as much as a plan.
const ROUNDS: usize = 400;
/// Nor is anything foreseen that is further ahead.
const AHEAD: Duration = Duration::from_secs(24 * 3600);

/// A step, and why it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// The step.
    pub step: Step,
    /// Why now, in words.
    pub why: String,
}

/// What is to come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forecast {
    /// The steps, round by round. Those of the first are executed at once, if there is any to be;
    /// the later ones are a forecast.
    pub rounds: Vec<Vec<Foreseen>>,
    /// Why what does not happen at all does not happen.
    pub waiting: Report,
    /// Whether it goes on beyond what is shown.
    pub cut: bool,
    /// What the checker refuses of the first plan.
    pub refused: Vec<Breach>,
    /// Why everything else waits when the first plan is done.
    pub first: Report,
}

impl Forecast {
    /// What is executed at once: the plan itself.
    pub fn at_once(&self) -> impl Iterator<Item = &Step> {
        self.rounds.iter().take(1).flatten().map(|one| &one.step)
    }
}

/// Foresees what comes of a state.
pub fn forecast(state: &State, now: Timestamp) -> Forecast {
    let (mut state, mut at) = (state.clone(), now);
    // Nobody waits for the trash to be emptied.
    let mut found = Forecast::default();
    let (plan, report, refused) = plan_checked(&state, now);
    found.refused = refused;
    found.first = report.clone();
    let mut steps = plan.steps;
    let mut report = report;
    state.trash_keep = None;
    let mut first = true;
    loop {
        let idle = steps.is_empty();
        if !idle || first {
            found.rounds.push(take(&mut state, steps, at));
        }
        first = false;
        let changed = answer(&mut state, &report, at) | succeed(&mut state, at);
        if found.rounds.len() >= ROUNDS {
            found.cut = true;
            break;
        }
        if idle && !changed {
            // Only time is missing, or nothing is.
            match report
                .wake_at
                .filter(|wake| *wake > at && wake.since(now) <= AHEAD)
            {
                Some(wake) => at = wake,
                None => break,
            }
        }
        let (plan, next, _) = plan_checked(&state, at);
        (steps, report) = (plan.steps, next);
    }
    found.waiting = report;
    found
}

fn take(state: &mut State, steps: Vec<Step>, at: Timestamp) -> Vec<Foreseen> {
    let mut taken = Vec::new();
    for step in steps {
        let why = why::why(state, &step);
        state.apply(&step, at);
        taken.push(Foreseen { step, why });
    }
    taken
}

/// Hosts that were not asked yet have what is required; whether any was not.
fn answer(state: &mut State, report: &Report, now: Timestamp) -> bool {
    let mut changed = false;
    let (questions, _) = prerequisite::questions(state, report, now);
    for (host, required) in questions {
        let Some(host) = state.hosts.get_mut(&host) else {
            continue;
        };
        let unknown = host.contact.unknown(required.into_iter());
        changed |= !unknown.is_empty();
        let met = unknown.into_iter().map(|of| Answer {
            of,
            finding: Finding::Met,
        });
        host.contact.answered(met.collect(), now);
    }
    changed
}

/// Every agent in contact does what it is to do, and reports; whether anything is new.
fn succeed(state: &mut State, now: Timestamp) -> bool {
    let mut changed = false;
    let hosts = state
        .hosts
        .iter()
        .filter(|(_, host)| host.contact.connected);
    let hosts: Vec<HostName> = hosts.map(|(name, _)| name.clone()).collect();
    for name in hosts {
        let orders = host_order(state, &name);
        let serial = state.zone.serial;
        let Some(host) = state.hosts.get_mut(&name) else {
            continue;
        };
        let contact = &mut host.contact;
        let before = contact.clone();
        contact.zone_acked = contact.zone_acked.max(serial);
        contact.settled = true;
        contact.members.retain(|id, _| {
            let order = orders.get(id);
            order.is_some_and(|order| order.desired == Desired::Run)
        });
        for (id, order) in orders {
            if order.desired == Desired::Run {
                let seen = contact.members.remove(&id);
                contact.members.insert(id, runs(seen, &order, now));
            }
        }
        changed |= *contact != before;
    }
    changed | works(state, now)
}

/// A member that runs as it is ordered. One that was ready stays as it was seen.
fn runs(seen: Option<Observation>, order: &MemberOrder, now: Timestamp) -> Observation {
    let seen = seen.filter(|seen| seen.report.epoch == order.epoch && seen.report.ready);
    seen.unwrap_or_else(|| Observation {
        report: MemberReport {
            member: order.member.clone(),
            epoch: order.epoch,
            run: None,
            revision: Some(order.revision.clone()),
            phase: Phase::Running,
            started: true,
            ready: true,
            passed_gate: true,
            ready_for_ms: 0,
            restarts: 0,
            processes: Vec::new(),
            waiting: None,
            volumes: Vec::new(),
            filled: order.volumes.iter().map(|one| one.name.clone()).collect(),
        },
        ready_since: Some(now),
        waiting_since: now,
    })
}

fn works(state: &mut State, now: Timestamp) -> bool {
    let all = work::work(state, &BTreeMap::new()).into_iter();
    let reached = all.filter(|(host, _)| {
        let host = state.hosts.get(host);
        host.is_some_and(|host| host.contact.connected)
    });
    let due: Vec<_> = reached.flat_map(|(_, due)| due).collect();
    let mut changed = false;
    for one in due {
        let volume = state.volumes.get(&one.volume);
        match volume.and_then(|volume| work::done(volume, one.task, now)) {
            Some(After::Is(after)) => {
                state.volumes.insert(one.volume, *after);
                changed = true;
            }
            Some(After::Gone) => {
                state.volumes.remove(&one.volume);
                changed = true;
            }
            None => {}
        }
    }
    changed
}

/// The members of some sets that wait in a report, with why.
pub fn waiting_of<'a>(
    report: &'a Report,
    sets: &'a [SetKey],
) -> impl Iterator<Item = (&'a MemberId, &'a crate::waiting::Reason)> {
    let all = report.waiting.iter();
    all.filter(|(id, _)| sets.contains(&id.set))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{
        NOW, friend::Friends, host_name, key, member, put_set, spec, state as hosts,
    };
    use crate::waiting::Reason;

    fn lines(forecast: &Forecast) -> Vec<String> {
        let steps = forecast.rounds.iter().flatten().map(|one| &one.step);
        let told = steps.filter_map(|step| {
            if let Step::Start { member, .. } = step {
                return Some(format!("+{}", member.name()));
            }
            if let Step::Stop { member, .. } = step {
                return Some(format!("-{}", member.name()));
            }
            None
        });
        told.collect()
    }

    #[test]
    fn a_new_set_is_foreseen_to_its_last_member_and_only_names_come_at_once() {
        let mut state = hosts(3);
        put_set(&mut state, "db", spec(3, true));
        let forecast = forecast(&state, NOW);
        assert_eq!(lines(&forecast), ["+db-0", "+db-1", "+db-2"]);
        let (plan, ..) = plan_checked(&state, NOW);
        assert!(forecast.at_once().eq(plan.steps.iter()));
        assert!(forecast.waiting.waiting.is_empty() && !forecast.cut);
    }

    #[test]
    fn what_is_foreseen_is_what_friendly_agents_make_of_it() {
        let mut state = hosts(3);
        let mut wanted = spec(3, true);
        wanted.min_ready_seconds = 20;
        put_set(&mut state, "db", wanted.clone());
        let mut friends = Friends::new(state);
        for _ in 0..10 {
            friends.settle();
            friends.now = friends.report.wake_at.unwrap_or(friends.now);
        }
        wanted.template.spec.processes[0].command = vec!["/bin/newer".to_owned()];
        wanted.replicas = Some(2);
        put_set(&mut friends.state, "db", wanted);
        let foreseen = forecast(&friends.state, friends.now);
        friends.log.clear();
        for _ in 0..20 {
            friends.settle();
            friends.now = friends.report.wake_at.unwrap_or(friends.now);
        }
        assert_eq!(lines(&foreseen), friends.log);
        assert_eq!(friends.log.len(), 5, "{:?}", friends.log);
    }

    #[test]
    fn what_cannot_happen_is_said() {
        let mut state = hosts(2);
        put_set(&mut state, "db", spec(3, true));
        let forecast = forecast(&state, NOW);
        assert_eq!(lines(&forecast), ["+db-0", "+db-1"]);
        let sets = [key("db")];
        let waiting: Vec<_> = waiting_of(&forecast.waiting, &sets).collect();
        assert_eq!(waiting.len(), 1);
        assert_eq!(*waiting[0].0, member("db", 2));
        assert!(matches!(waiting[0].1, Reason::NoEligibleHost { .. }));
    }

    #[test]
    fn nothing_is_foreseen_of_hosts_out_of_contact_and_of_a_set_that_is_as_it_should_be() {
        let mut state = hosts(2);
        put_set(&mut state, "db", spec(2, false));
        let mut friends = Friends::new(state);
        friends.settle();
        let quiet = forecast(&friends.state, friends.now);
        assert_eq!(quiet.rounds, [[]; 1]);
        friends.contact(&host_name(2), false);
        put_set(&mut friends.state, "db", spec(0, false));
        let forecast = forecast(&friends.state, friends.now);
        assert_eq!(lines(&forecast), ["-db-1"], "whether it ends is not known");
    }
}
