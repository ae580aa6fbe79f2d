//! The checker: the promises as rules over single steps, independent of the planner.
//!
//! It shares no decision with [`mod@crate::plan`]: what the planner derives from its stages, the
//! checker states again in its own words, and a plan that breaks a rule is not committed. Each rule
//! looks at one step and at the state right before it, so a breach names the step. A test holds,
//! for each rule, a plan that only this rule refuses.

use std::collections::BTreeMap;

use crate::{
    bug,
    ids::MemberId,
    plan::{Parked, Plan, Report, Scope, Step, Subject, plan_within},
    report::Phase,
    state::{Observation, State},
    time::Timestamp,
};

mod binding;
mod copies;
mod depends;
mod ends;
mod founding;
mod grants;
mod moves;
mod order;
mod places;
mod promise;
mod reload;
mod retention;
mod rule;
mod standing;
mod updates;
mod volumes;

pub use rule::Rule;

/// A step, the state right before it, and the time.
#[derive(Debug, Clone, Copy)]
struct Case<'a> {
    state: &'a State,
    step: &'a Step,
    now: Timestamp,
}

/// What a rule says of a step: nothing, or how it is broken.
type Verdict = Result<(), String>;

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The rule.
    pub rule: Rule,
    /// What the step is about; `None` for what concerns everybody.
    pub about: Option<Subject>,
    /// What breaks it.
    pub detail: String,
}

impl std::fmt::Display for Breach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.rule.name(), self.detail)
    }
}

/// Every rule that a plan breaks, step by step. A broken step takes effect all the same, so that
/// the steps after it are judged on what they assume.
pub fn check_plan(before: &State, plan: &Plan, now: Timestamp) -> Vec<Breach> {
    let mut state = before.clone();
    let mut found = Vec::new();
    for step in &plan.steps {
        let case = Case {
            state: &state,
            step,
            now,
        };
        for rule in Rule::ALL {
            if rule.promise().is_some_and(bug::is_excused) {
                continue;
            }
            if let Err(detail) = rule.judge(&case) {
                let about = Subject::of(step, &state);
                found.push(Breach {
                    rule,
                    about,
                    detail,
                });
            }
        }
        state.apply(step, now);
    }
    let rule = Rule::ZonePublished;
    if let Err(detail) = ends::published(&state)
        && !rule.promise().is_some_and(bug::is_excused)
    {
        found.push(Breach {
            rule,
            about: None,
            detail,
        });
    }
    found
}

/// What a state breaks on its own: members that run twice as far as reports tell, and records that
/// contradict each other. Whoever sees one must raise an alarm; no plan can have caused it.
pub fn check_state(state: &State) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut runs: BTreeMap<&MemberId, &Observation> = BTreeMap::new();
    for host in state.hosts.values().filter(|host| host.contact.connected) {
        for (id, seen) in &host.contact.members {
            let runs_there = !matches!(seen.report.phase, Phase::Pending | Phase::Stopped);
            let other = runs_there.then(|| runs.insert(id, seen)).flatten();
            if let Some(other) = other {
                let (a, b) = (other.report.epoch, seen.report.epoch);
                found.push(Breach {
                    rule: Rule::OneEpoch,
                    about: Some(Subject::Set(id.set.clone())),
                    detail: format!("{id} runs under epochs {a} and {b} at once"),
                });
            }
        }
    }
    for (key, set) in &state.sets {
        for (ordinal, member) in &set.members {
            let last = set.last_grants.get(ordinal).map(|grant| grant.epoch);
            if last != Some(member.epoch) {
                found.push(Breach {
                    rule: Rule::EpochGrows,
                    about: Some(Subject::Set(key.clone())),
                    detail: format!("{key}-{ordinal} has epoch {}, not its last", member.epoch),
                });
            }
        }
    }
    found
}

/// What to do now, checked: sets, and objects of no set, whose part of the plan breaks a rule are left
/// as they are, wait with `PlanRefused`, and their breaches are returned for the alarm. A breach that
/// concerns everybody refuses the whole plan.
pub fn plan_checked(state: &State, now: Timestamp) -> (Plan, Report, Vec<Breach>) {
    plan_scoped(state, now, &Scope::All)
}

/// As [`plan_checked`], about the sets of a scope.
pub(crate) fn plan_scoped(
    state: &State,
    now: Timestamp,
    scope: &Scope,
) -> (Plan, Report, Vec<Breach>) {
    checked(state, now, |state, now, parked| {
        plan_within(state, now, parked, scope)
    })
}

fn checked(
    state: &State,
    now: Timestamp,
    planner: impl Fn(&State, Timestamp, &Parked) -> (Plan, Report),
) -> (Plan, Report, Vec<Breach>) {
    let mut parked = Parked::new();
    let mut breaches: Vec<Breach> = Vec::new();
    // Each round parks one thing more at least, and a plan is about no more than there is.
    loop {
        let (plan, report) = planner(state, now, &parked);
        let found = check_plan(state, &plan, now);
        if found.is_empty() {
            return (plan, report, breaches);
        }
        let known = parked.len();
        for breach in &found {
            if let Some(about) = &breach.about {
                let rule = breach.rule.name().to_owned();
                parked.entry(about.clone()).or_insert(rule);
            }
        }
        breaches.extend(found);
        if parked.len() == known {
            break;
        }
    }
    let rule = breaches.first().map_or("", |breach| breach.rule.name());
    let everything = state.sets.keys().cloned().map(Subject::Set);
    let everything = everything.map(|set| (set, rule.to_owned())).collect();
    let (_, report) = planner(state, now, &everything);
    (Plan::default(), report, breaches)
}

#[cfg(test)]
mod exhaustive;
#[cfg(test)]
mod tests;
