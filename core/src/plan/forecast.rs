//! What comes of a plan, as far as it can be foreseen: the plan itself, then what would be planned if
//! all goes well, until nothing is left to do. Only the first round is executed as it is; the rest
//! is a forecast, which assumes that every start becomes ready, that every stop ends, that every work
//! on a volume succeeds, that hosts which were not asked yet have what is required, and that nobody
//! changes anything meanwhile. A host out of contact stays so.
//!
//! Pure: time passes here only as far as a deadline of the plan asks for. After the first round only what a
//! step or an answer reached is planned again, as in the loop, so that a forecast among many sets costs one
//! plan of all of them and not one for each round.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    check::Breach,
    decide::Decider,
    ids::{HostName, MemberId, SetKey},
    order::{Desired, MemberOrder},
    plan::{Report, Step, Subject, why},
    prerequisite::{self, Answer, Finding, Prerequisite},
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
    /// What it is about; `None` for what concerns everybody.
    pub about: Option<Subject>,
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
    /// What was taken to hold, because the host was not asked yet.
    pub assumed: BTreeMap<HostName, Vec<Prerequisite>>,
}

impl Forecast {
    /// What is executed at once: the plan itself.
    pub fn at_once(&self) -> impl Iterator<Item = &Step> {
        self.rounds.iter().take(1).flatten().map(|one| &one.step)
    }

    /// Leaves out what comes of the state without a change as well, unless it is about one of these
    /// sets: it is not the change's doing.
    #[must_use]
    pub fn beside(mut self, unchanged: &Self, own: &[SetKey]) -> Self {
        let (before, after) = (unchanged.by_subject(), self.by_subject());
        let is_own = |about: &Subject| matches!(about, Subject::Set(key) if own.contains(key));
        let same = |about: &Option<Subject>| {
            !about.as_ref().is_some_and(is_own) && before.get(about) == after.get(about)
        };
        let same: BTreeSet<Option<Subject>> =
            after.keys().filter(|about| same(about)).cloned().collect();
        drop(after);
        for round in &mut self.rounds {
            round.retain(|one| !same.contains(&one.about));
        }
        let mut first = true;
        self.rounds
            .retain(|round| std::mem::take(&mut first) || !round.is_empty());
        self
    }

    fn by_subject(&self) -> BTreeMap<Option<Subject>, Vec<&Step>> {
        let mut all = BTreeMap::<_, Vec<_>>::new();
        for one in self.rounds.iter().flatten() {
            all.entry(one.about.clone()).or_default().push(&one.step);
        }
        all
    }
}

/// Foresees what comes of a state.
pub fn forecast(state: &State, now: Timestamp) -> Forecast {
    let (mut state, mut at) = (state.clone(), now);
    let mut decider = Decider::default();
    let mut found = Forecast::default();
    let mut decided = decider.decide(&state, now);
    found.refused = std::mem::take(&mut decided.breaches);
    found.first = decided.report.clone();
    // Nobody waits for the trash to be emptied.
    state.trash_keep = None;
    let mut first = true;
    loop {
        let steps = decided.plan.steps;
        let idle = steps.is_empty();
        if !idle || first {
            found.rounds.push(take(&mut state, steps, at));
        }
        let answered = answer(&mut state, (decider.report(), &mut found.assumed), at);
        let changed = answered | succeed(&mut state, first, at);
        first = false;
        if found.rounds.len() >= ROUNDS {
            found.cut = true;
            break;
        }
        if idle && !changed {
            // Only time is missing, or nothing is.
            let wake = decided.report.wake_at;
            match wake.filter(|wake| *wake > at && wake.since(now) <= AHEAD) {
                Some(wake) => at = wake,
                None => break,
            }
        }
        decided = decider.decide(&state, at);
    }
    found.waiting = decider.report().clone();
    found
}

fn take(state: &mut State, steps: Vec<Step>, at: Timestamp) -> Vec<Foreseen> {
    let mut taken = Vec::new();
    for step in steps {
        let why = why::why(state, &step);
        let about = Subject::of(&step, state);
        state.apply(&step, at);
        let about = about.or_else(|| Subject::of(&step, state));
        taken.push(Foreseen { step, why, about });
    }
    taken
}

/// Hosts that were not asked yet have what is required, which is noted; whether any was not.
fn answer(
    state: &mut State,
    (report, assumed): (&Report, &mut BTreeMap<HostName, Vec<Prerequisite>>),
    now: Timestamp,
) -> bool {
    let mut changed = false;
    let (questions, _) = prerequisite::questions(state, report, now);
    for (name, required) in questions {
        let Some(host) = state.hosts.get_mut(&name) else {
            continue;
        };
        let unknown = host.contact.unknown(required.into_iter());
        if unknown.is_empty() {
            continue;
        }
        changed = true;
        let met = unknown.iter().cloned().map(|of| Answer {
            of,
            finding: Finding::Met,
        });
        host.contact.answered(met.collect(), now);
        assumed.entry(name).or_default().extend(unknown);
    }
    changed
}

/// Every agent in contact does what it is to do, and reports; whether anything is new. A host that was
/// ordered nothing since it was looked at first is as it was.
fn succeed(state: &mut State, first: bool, now: Timestamp) -> bool {
    let mut changed = false;
    let serial = state.zone.serial;
    let hosts = state.hosts.iter().filter(|(_, host)| {
        let contact = &host.contact;
        contact.connected && (first || !contact.settled || contact.zone_acked < serial)
    });
    let hosts: Vec<HostName> = hosts.map(|(name, _)| name.clone()).collect();
    for name in hosts {
        changed |= obey(state, &name, first, now);
    }
    changed | works(state, now)
}

/// One agent does what it is to do; whether anything is new.
fn obey(state: &mut State, name: &HostName, first: bool, now: Timestamp) -> bool {
    let serial = state.zone.serial;
    let settled = |state: &State| {
        state
            .hosts
            .get(name)
            .is_some_and(|host| host.contact.settled)
    };
    let orders = (first || !settled(state)).then(|| host_order(state, name));
    let Some(host) = state.hosts.get_mut(name) else {
        return false;
    };
    let contact = &mut host.contact;
    let before = contact.clone();
    contact.zone_acked = contact.zone_acked.max(serial);
    if let Some(orders) = orders {
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
    }
    *contact != before
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
    use crate::check::plan_checked;
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

    #[test]
    fn what_comes_anyway_is_not_the_changes_doing() {
        let mut state = hosts(3);
        put_set(&mut state, "db", spec(2, true));
        let unchanged = forecast(&state, NOW);
        let nothing = forecast(&state, NOW).beside(&unchanged, &[]);
        assert_eq!(
            nothing.rounds,
            [[]; 1],
            "it starts without anybody's asking"
        );
        let own = forecast(&state, NOW).beside(&unchanged, &[key("db")]);
        assert_eq!(lines(&own), ["+db-0", "+db-1"], "it was asked about");
        put_set(&mut state, "web", spec(1, true));
        let changed = forecast(&state, NOW).beside(&unchanged, &[key("web")]);
        assert_eq!(lines(&changed), ["+web-0"]);
    }

    #[test]
    fn what_hosts_were_not_asked_is_taken_to_hold_and_said() {
        let mut state = hosts(2);
        let mut wanted = spec(1, true);
        wanted.template.spec.requires.users = vec!["db".to_owned()];
        let required: Vec<_> = wanted.template.spec.requires.each().collect();
        put_set(&mut state, "db", wanted);
        let assuming = forecast(&state, NOW);
        assert_eq!(lines(&assuming), ["+db-0"]);
        let hosts = [host_name(1), host_name(2)];
        assert!(assuming.assumed.keys().eq(&hosts));
        assert_eq!(assuming.assumed[&hosts[0]], required);
        for host in &hosts {
            let contact = &mut state.hosts.get_mut(host).unwrap().contact;
            let answers = required.iter().map(|of| Answer {
                of: of.clone(),
                finding: of.judge(&prerequisite::Fact::Absent),
            });
            contact.answered(answers.collect(), NOW);
        }
        let told = forecast(&state, NOW);
        assert!(lines(&told).is_empty() && told.assumed.is_empty());
        let why = told.waiting.waiting[&member("db", 0)].to_string();
        assert!(why.contains("requires user 'db'"), "{why}");
    }
}
