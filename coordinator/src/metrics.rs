//! All metrics of the coordinator. `docs/metrics.md` lists them; the test below holds that list against
//! what is printed.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use berth_core::{
    ids::{MemberId, Ordinal, SetKey},
    report::Phase,
    state::{Host, Knowledge, Set, State},
    waiting::{Rule, Waiting},
};
use berth_proto::metrics::{Family, Metric, count, flag, process};

use crate::context::{Board, Context};

const SET: &[&str] = &["namespace", "set"];
const MEMBER: &[&str] = &["namespace", "set", "ordinal"];

static TERM: Metric = Metric::gauge(
    "berth_coordinator_term",
    &[],
    "The term; it grows with every start.",
);
static REVISION: Metric = Metric::gauge(
    "berth_coordinator_store_revision",
    &[],
    "The revision of the last change in the store.",
);
static ZONE: Metric = Metric::gauge(
    "berth_coordinator_zone_serial",
    &[],
    "The serial of the DNS zone that was published last.",
);
static MISMATCH: Metric = Metric::gauge(
    "berth_coordinator_history_mismatch",
    &[],
    "1 while the store's history is in question and nothing is started or moved.",
);
static ROUNDS: Metric = Metric::counter(
    "berth_coordinator_rounds",
    &[],
    "Rounds of the reconcile loop that ended with nothing left to do.",
);
static PLANS: Metric = Metric::counter("berth_coordinator_plans", &[], "Plans that were made.");
static PLANNING: Metric = Metric::counter(
    "berth_coordinator_planning_seconds",
    &[],
    "Time that plans took, with their checks.",
);
static REFUSED: Metric = Metric::gauge(
    "berth_coordinator_refused_objects",
    &[],
    "Claims, volumes and snapshots that a refused plan is about; an alarm if not 0.",
);
static CONNECTED: Metric = Metric::gauge(
    "berth_host_connected",
    &["host"],
    "Whether the host's agent is in contact.",
);
static SETTLED: Metric = Metric::gauge(
    "berth_host_settled",
    &["host"],
    "Whether the host's last report is about its newest order.",
);
static SCHEDULABLE: Metric = Metric::gauge(
    "berth_host_schedulable",
    &["host"],
    "Whether new members may be placed on the host.",
);
static HOST_ZONE: Metric = Metric::gauge(
    "berth_host_zone_serial",
    &["host"],
    "The serial of the zone that the host's agent acknowledged last.",
);
static CAPACITY: Metric = Metric::gauge(
    "berth_host_pool_capacity_bytes",
    &["host", "pool"],
    "The size of the pool's file system; 0 if it is not known.",
);
static AVAILABLE: Metric = Metric::gauge(
    "berth_host_pool_available_bytes",
    &["host", "pool"],
    "What is free of it.",
);
static WANTED: Metric = Metric::gauge(
    "berth_set_members_wanted",
    SET,
    "How many members the set is to have.",
);
static ASSIGNED: Metric = Metric::gauge(
    "berth_set_members_assigned",
    SET,
    "How many members have a host.",
);
static CONDITION: Metric = Metric::gauge(
    "berth_set_condition",
    &["namespace", "set", "condition"],
    "Whether a condition of the set holds.",
);
static INFO: Metric = Metric::gauge(
    "berth_member_info",
    &["namespace", "set", "ordinal", "host"],
    "The host that the member is assigned to; always 1.",
);
static UP: Metric = Metric::gauge(
    "berth_member_up",
    MEMBER,
    "Whether the member's processes run, as far as is known.",
);
static READY: Metric = Metric::gauge("berth_member_ready", MEMBER, "Whether the member is ready.");
static RESTARTS: Metric = Metric::counter(
    "berth_member_restarts",
    MEMBER,
    "Restarts of the member's processes since it was assigned to its host.",
);
static SINCE: Metric = Metric::gauge(
    "berth_member_waiting_since_timestamp_seconds",
    &["namespace", "set", "ordinal", "reason"],
    "Since when the member waits for this reason, in seconds since 1970.",
);
static WAITING: Metric = Metric::gauge(
    "berth_waiting_members",
    &["reason"],
    "How many members wait for this reason.",
);
static CLAIMS: Metric = Metric::gauge(
    "berth_waiting_claims",
    &["reason"],
    "How many claims wait for this reason.",
);

static STREAMS: Metric = Metric::gauge(
    "berth_coordinator_open_streams",
    &[],
    "Streams of callers that are open, without those on which agents report.",
);
static CALLS: Metric = Metric::counter(
    "berth_coordinator_calls",
    &[],
    "Calls that arrived, whatever came of them.",
);
static REFUSED_CALLS: Metric = Metric::counter(
    "berth_coordinator_refused_calls",
    &["limit"],
    "Calls beyond a limit: of time (`deadline`), of calls (`rate`) or of streams (`streams`) of one caller.",
);

/// The limit that a call was beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It took too long.
    Deadline,
    /// Its caller made too many.
    Rate,
    /// Its caller has too many streams.
    Streams,
}

impl Refusal {
    /// All of them, with their names.
    const ALL: [(Self, &'static str); 3] = [
        (Self::Deadline, "deadline"),
        (Self::Rate, "rate"),
        (Self::Streams, "streams"),
    ];
}

/// What is counted as it happens.
#[derive(Debug, Default)]
pub struct Counters {
    plans: AtomicU64,
    planning_micros: AtomicU64,
    calls: AtomicU64,
    beyond_deadline: AtomicU64,
    beyond_rate: AtomicU64,
    beyond_streams: AtomicU64,
}

impl Counters {
    /// A plan was made, and took so long.
    pub fn planned(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.plans.fetch_add(1, Ordering::Relaxed);
        self.planning_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// A call arrived.
    pub fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// A call was beyond a limit.
    pub fn refused(&self, refusal: Refusal) {
        self.beyond(refusal).fetch_add(1, Ordering::Relaxed);
    }

    fn beyond(&self, refusal: Refusal) -> &AtomicU64 {
        match refusal {
            Refusal::Deadline => &self.beyond_deadline,
            Refusal::Rate => &self.beyond_rate,
            Refusal::Streams => &self.beyond_streams,
        }
    }

    fn families(&self) -> [Family; 2] {
        let mut refused = Family::of(&REFUSED_CALLS);
        for (refusal, name) in Refusal::ALL {
            let number = self.beyond(refusal).load(Ordering::Relaxed);
            refused.push(vec![name.to_owned()], count(number));
        }
        [CALLS.is(count(self.calls.load(Ordering::Relaxed))), refused]
    }
}

/// All of them, as they are now.
pub(crate) fn gather(context: &Context) -> Vec<Family> {
    let state = {
        let view = context.view.read();
        // A copy costs nothing, and nobody waits for the answer.
        view.state.clone()
    };
    let revision = count(context.store.read().revision().0);
    let board = Arc::clone(&context.board.borrow());
    let mut families = process(env!("CARGO_PKG_VERSION"));
    families.push(REVISION.is(revision));
    families.push(STREAMS.is(count(context.callers.streams())));
    families.extend(own(&context.counters, &state, &board));
    families
}

/// Those that follow from what is known and was counted.
fn own(counters: &Counters, state: &State, board: &Board) -> Vec<Family> {
    let planning = Duration::from_micros(counters.planning_micros.load(Ordering::Relaxed));
    let mut families = vec![
        PLANS.is(count(counters.plans.load(Ordering::Relaxed))),
        PLANNING.is(planning.as_secs_f64()),
    ];
    families.extend(counters.families());
    families.extend(of_state(state));
    families.extend(of_board(board));
    families
}

fn of_state(state: &State) -> Vec<Family> {
    let mut families = vec![
        TERM.is(count(state.term.0)),
        ZONE.is(count(state.zone.serial.0)),
        MISMATCH.is(flag(state.past.is_latched())),
    ];
    families.extend(of_hosts(state));
    let mut wanted = Family::of(&WANTED);
    let mut assigned = Family::of(&ASSIGNED);
    let mut members = Members::default();
    for (key, set) in &state.sets {
        wanted.push(set_labels(key), f64::from(set.wanted()));
        assigned.push(set_labels(key), count(set.members.len()));
        members.add(state, key, set);
    }
    families.extend([wanted, assigned]);
    families.extend(members.families());
    families
}

/// How a host stands in one respect.
type HostValue = fn(&Host) -> f64;

fn of_hosts(state: &State) -> Vec<Family> {
    let per_host: [(&'static Metric, HostValue); 4] = [
        (&CONNECTED, |host| flag(host.contact.connected)),
        (&SETTLED, |host| {
            flag(host.contact.connected && host.contact.settled)
        }),
        (&SCHEDULABLE, |host| flag(!host.record.unschedulable)),
        (&HOST_ZONE, |host| count(host.contact.zone_acked.0)),
    ];
    let mut families: Vec<Family> = per_host
        .into_iter()
        .map(|(metric, value)| {
            let mut family = Family::of(metric);
            for (name, host) in &state.hosts {
                family.push(vec![name.to_string()], value(host));
            }
            family
        })
        .collect();
    let mut capacity = Family::of(&CAPACITY);
    let mut available = Family::of(&AVAILABLE);
    for (name, host) in &state.hosts {
        for (pool, info) in &host.record.pools {
            let labels = vec![name.to_string(), pool.clone()];
            capacity.push(labels.clone(), count(info.capacity));
            available.push(labels, count(info.available));
        }
    }
    families.extend([capacity, available]);
    families
}

/// What is shown of each member.
struct Members {
    info: Family,
    up: Family,
    ready: Family,
    restarts: Family,
}

impl Default for Members {
    fn default() -> Self {
        Self {
            info: Family::of(&INFO),
            up: Family::of(&UP),
            ready: Family::of(&READY),
            restarts: Family::of(&RESTARTS),
        }
    }
}

impl Members {
    fn add(&mut self, state: &State, key: &SetKey, set: &Set) {
        for (ordinal, member) in &set.members {
            let id = MemberId {
                set: key.clone(),
                ordinal: *ordinal,
            };
            let seen = match state.knowledge(&id, member) {
                Knowledge::Known(seen) => Some(seen),
                Knowledge::Absent | Knowledge::Unknown => None,
            };
            let up = seen.is_some_and(|seen| seen.report.phase == Phase::Running);
            let ready = seen
                .and_then(|seen| set.ready_since(member, seen))
                .is_some();
            let labels = || member_labels(&id.set, id.ordinal);
            let mut placed = labels();
            placed.push(member.host.to_string());
            self.info.push(placed, 1.0);
            self.up.push(labels(), flag(up));
            self.ready.push(labels(), flag(ready));
            // Of one that nothing is known of nobody says that it never restarted.
            if let Some(seen) = seen {
                let restarts = f64::from(seen.report.restarts);
                self.restarts.push(labels(), restarts);
            }
        }
    }

    fn families(self) -> [Family; 4] {
        [self.info, self.up, self.ready, self.restarts]
    }
}

fn of_board(board: &Board) -> Vec<Family> {
    let mut conditions = Family::of(&CONDITION);
    for (key, told) in &board.conditions {
        for condition in told {
            let mut labels = set_labels(key);
            labels.push(condition.kind.to_string());
            conditions.push(labels, flag(condition.holds));
        }
    }
    let mut since = Family::of(&SINCE);
    for (id, waiting) in &board.waiting {
        let mut labels = member_labels(&id.set, id.ordinal);
        labels.push(waiting.reason.rule().name().to_owned());
        since.push(labels, Duration::from_millis(waiting.since.0).as_secs_f64());
    }
    vec![
        ROUNDS.is(count(board.round)),
        REFUSED.is(count(board.refused.len())),
        conditions,
        since,
        by_reason(&WAITING, board.waiting.values()),
        by_reason(&CLAIMS, board.claims.values()),
    ]
}

/// How many wait for each reason that there is: a reason that nobody waits for is 0, and not away.
fn by_reason<'a>(metric: &'static Metric, waiting: impl Iterator<Item = &'a Waiting>) -> Family {
    let mut numbers: BTreeMap<Rule, u64> = Rule::ALL.iter().map(|rule| (*rule, 0)).collect();
    for one in waiting {
        *numbers.entry(one.reason.rule()).or_default() += 1;
    }
    let mut family = Family::of(metric);
    for (rule, number) in numbers {
        family.push(vec![rule.name().to_owned()], count(number));
    }
    family
}

fn set_labels(key: &SetKey) -> Vec<String> {
    vec![key.namespace.to_string(), key.name.to_string()]
}

fn member_labels(set: &SetKey, ordinal: Ordinal) -> Vec<String> {
    let mut labels = set_labels(set);
    labels.push(ordinal.to_string());
    labels
}

#[cfg(test)]
mod tests {
    use berth_core::{
        state::{Member, Ordered},
        volume::PoolInfo,
        waiting::Reason,
    };
    use berth_proto::metrics::{lint, render, table};

    use super::*;
    use crate::fixture::{NOW, World};

    fn families() -> Vec<Family> {
        let mut state = World::new(PoolInfo::default()).view.state;
        let key: SetKey = "default/db".parse().unwrap();
        let set = state.sets.or_insert_with(key, Set::default);
        let member = Member {
            epoch: berth_core::ids::Epoch::default(),
            host: "host-1".parse().unwrap(),
            address: "10.0.0.1".parse().unwrap(),
            revision: berth_core::ids::TemplateHash("r".to_owned()),
            ordered: Ordered::Run,
            assigned_at: NOW,
            named_in: berth_core::ids::ZoneSerial(1),
            passed_gate: false,
            previous_address: None,
            restart_asked: None,
            forced: None,
            lease: None,
            conditions: BTreeMap::new(),
        };
        set.members.insert(Ordinal(0), member);
        let waiting = Waiting {
            reason: Reason::HeldByOperator,
            since: NOW,
        };
        let mut board = Board::default();
        let id = "default/db-0".parse().unwrap();
        board.waiting.insert(id, waiting);
        let counters = Counters::default();
        counters.planned(Duration::from_millis(1500));
        let mut families = vec![REVISION.is(7.0), STREAMS.is(2.0)];
        families.extend(own(&counters, &state, &board));
        families
    }

    #[test]
    fn every_metric_is_documented_and_every_documented_one_is_there() {
        let text = std::fs::read_to_string("../docs/metrics.md").unwrap();
        let section = |heading: &str| -> Vec<String> {
            let lines = text.lines().skip_while(|line| *line != heading).skip(1);
            let lines = lines.take_while(|line| !line.starts_with("## "));
            let rows = lines.filter(|line| line.starts_with("| `"));
            rows.map(str::to_owned).collect()
        };
        assert_eq!(section("## The coordinator"), table(&families()));
        assert_eq!(section("## Both daemons"), table(&process("1.0.0")));
    }

    #[test]
    fn what_is_shown_is_well_formed_and_bounded() {
        let shown = lint(&render(families()).unwrap()).unwrap();
        let labels = |name: &str| {
            shown[name]
                .labels
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
        };
        assert_eq!(labels("berth_member_up"), ["namespace", "ordinal", "set"]);
        assert_eq!(shown["berth_member_info"].samples, 1);
        assert_eq!(shown["berth_waiting_members"].samples, Rule::ALL.len());
        assert_eq!(
            shown["berth_member_waiting_since_timestamp_seconds"].samples,
            1
        );
        assert_eq!(shown["berth_coordinator_plans_total"].samples, 1);
        let text = render(families()).unwrap();
        for line in [
            "berth_coordinator_planning_seconds_total 1.5",
            "berth_waiting_members{reason=\"HeldByOperator\"} 1.0",
            "berth_member_info{namespace=\"default\",set=\"db\",ordinal=\"0\",host=\"host-1\"} 1.0",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
    }
}
