//! What random histories come to: in how many of them there is each step of a plan, each reason to
//! wait, and each kind of event with an effect. What nobody meets is not tested, whatever the test is
//! called: so each is in one of a hundred histories, or is listed here with the reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use crate::variant::name;

/// Fewer histories say nothing of one in a hundred.
const ENOUGH: u32 = 400;

/// From so many on, what is rare is met too, or it is never met.
const ENOUGH_FOR_RARE: u32 = 20_000;

/// What may be rarer than one in a hundred, and why. In the runs of many histories it is met all the
/// same, and what has become more frequent is struck off.
const RARE: [(&str, &[&str]); 12] = [
    (
        "a host answers what it has to an asking set, and lacks it",
        &["RequirementUnmet"],
    ),
    (
        "a member lingers just when it is stopped, and its agent has answered",
        &["StopNotConfirmed"],
    ),
    (
        "a claim made by hand comes before its member, and fits or does not",
        &["AdoptClaim", "ExportTaken"],
    ),
    (
        "claims of one volume for all members are one in six, and made at once",
        &["ClaimPending"],
    ),
    (
        "a copy is of a claim in a pool that copies, and another claim begins with it",
        &[
            "TakeSnapshot",
            "DataSourceMissing",
            "DataSourceNotReady",
            "CopyRefused",
            "CopyNeedsStop",
            "VolumeCopied",
        ],
    ),
    (
        "agents do their work on volumes in every round, so little is left for a moment of its own",
        &["Work", "Works"],
    ),
    (
        "one set in four has a member per host, and a host of it loses its label",
        &["LeaveHost"],
    ),
    (
        "a founder is lost, or has no host, in the few steps of the founding",
        &["FoundersIncomplete", "FoundingDiskLost"],
    ),
    (
        "a host drains while its members may not go, or have nowhere to go",
        &[
            "DrainAsked",
            "DrainPinned",
            "DrainNowhere",
            "HostDrained",
            "OfflineAsked",
        ],
    ),
    (
        "a member is on its way to another host just when that is taken back, or is held up on it",
        &["Stay", "MoveAsked"],
    ),
    (
        "two sets that need each other go together",
        &["DependantNotStopped"],
    ),
    (
        "another template meets a set that is kept up in this one way",
        &["OlderRevisionThere", "RolloutStalled"],
    ),
];

/// What is in no history, and where it is instead.
const NEVER: [(&str, &[&str]); 8] = [
    (
        "no set here fails over: core/src/plan/tests/lost.rs, and the simulator with leases",
        &[
            "LeaseRunning",
            "FenceNotConfirmed",
            "UnfencedWriter",
            "OwnerNotOnVolume",
            "LeaseNotHeld",
            "OtherMachine",
        ],
    ),
    (
        "agents here know no other history: core/src/plan/tests/places.rs, core/src/history/tests.rs",
        &["HistoryMismatch", "HostsAwaited"],
    ),
    (
        "the pool is there and large: tests/scripts/pool_exhausted.txt",
        &["AddressPoolMissing", "AddressPoolExhausted"],
    ),
    (
        "the classes are there: core/src/plan/tests/volumes.rs",
        &["ClassMissing"],
    ),
    (
        "operators here say no word about volumes: sim_random does",
        &["VolumeGone", "VolumeRestoring"],
    ),
    (
        "claims here are shared by as many as want them: core/src/plan/tests/volumes/shared.rs",
        &["VolumeInUse"],
    ),
    (
        "what is copied is there at once: core/src/plan/tests/snapshots.rs",
        &["VolumePopulating"],
    ),
    (
        "a plan that the checker refuses fails the test",
        &["PlanRefused"],
    ),
];

/// The first reason that agents report. Of those the friendly ones here know readiness alone, and
/// the coordinator what a member waits for besides; the rest is in the tests of `core/src/member` and
/// `core/src/keeper`.
const OF_AGENTS: &str = "HeldByOperator";
const KNOWN_HERE: [&str; 2] = ["ReadinessProbe", "ReadinessGate"];

/// What there is in one history.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeSet<String>);

impl Seen {
    /// Notes a step, a reason or an event by its name.
    pub(super) fn note(&mut self, what: &impl Debug) {
        self.0.insert(name(what));
    }
}

/// In how many histories there is what.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    histories: u32,
    counts: BTreeMap<String, u32>,
}

impl Coverage {
    pub(super) fn add(&mut self, seen: Seen) {
        self.histories += 1;
        for name in seen.0 {
            *self.counts.entry(name).or_default() += 1;
        }
    }

    fn count(&self, name: &str) -> u32 {
        self.counts.get(name).copied().unwrap_or_default()
    }

    /// Shows what was counted, and fails for what is too rare or wrongly listed.
    #[expect(clippy::print_stderr, reason = "the figures are asked for")]
    pub(super) fn hold(&self) {
        let mut wrong = Vec::new();
        for (kind, names) in everything() {
            eprintln!("{kind}, in so many of {} histories:", self.histories);
            for name in names {
                let count = self.count(&name);
                eprintln!("{count:>8}  {name}");
                wrong.extend(self.wrong(&name, count));
            }
        }
        assert!(
            self.histories < ENOUGH || wrong.is_empty(),
            "make it happen, or list it in check/tests/properties/coverage.rs with the reason: {wrong:#?}"
        );
    }

    /// What is wrong with a number.
    fn wrong(&self, name: &str, count: u32) -> Option<String> {
        let listed = |list: &[(&str, &[&str])]| list.iter().any(|(_, names)| names.contains(&name));
        if listed(&NEVER) {
            return (count > 0).then(|| format!("{name} is listed as never there"));
        }
        if !listed(&RARE) {
            let often = f64::from(count) >= fewest(self.histories);
            return (!often).then(|| format!("{name}: {count}"));
        }
        let frequent = f64::from(count) > most(self.histories);
        let problem = match count {
            _ if self.histories < ENOUGH_FOR_RARE => None,
            0 => Some("is never met"),
            _ => frequent.then_some("is not rare any more"),
        };
        problem.map(|problem| format!("{name} {problem}"))
    }
}

/// The fewest histories in which something is seen that is in 1 % of all that there could be. Of few
/// histories chance decides a part: three and a half standard deviations are let pass, so that a run
/// fails for nothing once in some thousand times. Once it must be there.
fn fewest(histories: u32) -> f64 {
    let expected = f64::from(histories) / 100.0;
    (expected - 3.5 * expected.sqrt()).max(1.0)
}

/// The most histories in which something is seen that is listed as rare. Well above the fewest, so that what
/// is in one of a hundred may be on either side.
fn most(histories: u32) -> f64 {
    f64::from(histories) / 100.0 * 1.5
}

/// All that there may be.
fn everything() -> [(&'static str, Vec<String>); 3] {
    let steps = variants(include_str!("../../../plan/step.rs"), "pub enum Step {");
    let mut reasons = variants(
        include_str!("../../../waiting/reason.rs"),
        "pub enum Reason {",
    );
    let of_agents = reasons.iter().position(|name| name == OF_AGENTS);
    reasons.truncate(of_agents.expect("the agents' reasons are the second group"));
    reasons.extend(KNOWN_HERE.map(str::to_owned));
    let events = variants(include_str!("event.rs"), "pub(super) enum Event {");
    let copying = variants(include_str!("storage.rs"), "pub(super) enum Copying {");
    let events = events.into_iter().filter(|name| name != "Copy");
    let events = events.chain(copying).collect();
    [("steps", steps), ("reasons", reasons), ("events", events)]
}

/// The variants of an enum, from its text.
fn variants(text: &str, head: &str) -> Vec<String> {
    let (_, body) = text.split_once(head).expect("the enum is there");
    let (body, _) = body.split_once("\n}").expect("the enum ends");
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    let variants = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    let found: Vec<String> = variants
        .map(|line| line.chars().take_while(|c| c.is_alphanumeric()).collect())
        .collect();
    assert!(found.len() > 2, "{head}: {found:?}");
    found
}
