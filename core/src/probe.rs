//! When a probe is tried and what its results mean. Pure: whoever runs the attempts asks what is
//! due and says what came of it.
//!
//! The numbers mean what they mean in Kubernetes, with one difference: until its first success a
//! startup or readiness probe is tried again quickly, after a quarter of the time that has passed
//! (at least 5 ms, at most `periodSeconds`), so that an ordered start never waits for a poll. Such
//! quick attempts do not use up `failureThreshold`: a failure counts only `periodSeconds` after the
//! one that counted before it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{spec::Probe, time::Timestamp};

/// The shortest pause between two attempts.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
/// Quick attempts come after this part of the time since the probe began.
const QUICK_PART: u32 = 4;

/// Which of a process's probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProbeKind {
    /// Holds the other two back until it has passed.
    Startup,
    /// Whether it serves.
    Readiness,
    /// Whether it lives.
    Liveness,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Success,
    /// It failed, with what was seen.
    Failure(String),
    /// It could not be tried; it counts as nothing.
    NotTried(String),
}

/// What the results of a probe come to. Told once, when it becomes so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// `successThreshold` successes in a row.
    Passed,
    /// `failureThreshold` failures in a row.
    Failed,
}

/// One probe of one run of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Prober {
    spec: Probe,
    /// Whether quick attempts are made until the first success.
    quick: bool,
    /// When its first attempt was due.
    began: Timestamp,
    next: Timestamp,
    in_flight: bool,
    succeeded_once: bool,
    successes: u32,
    failures: u32,
    /// When a failure last counted.
    counted: Option<Timestamp>,
    /// The last verdict, if there was one.
    passed: Option<bool>,
    error: String,
}

impl Prober {
    fn new(spec: &Probe, quick: bool, from: Timestamp) -> Self {
        let began = from.plus(seconds(spec.initial_delay_seconds));
        Self {
            spec: spec.clone(),
            quick,
            began,
            next: began,
            in_flight: false,
            succeeded_once: false,
            successes: 0,
            failures: 0,
            counted: None,
            passed: None,
            error: "not tried yet".to_owned(),
        }
    }

    fn period(&self) -> Duration {
        seconds(self.spec.period_seconds.max(1))
    }

    /// Marks an attempt as begun, if one is due.
    fn begin(&mut self, now: Timestamp) -> bool {
        if self.in_flight || now < self.next {
            return false;
        }
        self.in_flight = true;
        self.next = now.plus(self.period());
        true
    }

    fn result(&mut self, now: Timestamp, outcome: Outcome) -> Option<Verdict> {
        self.in_flight = false;
        match outcome {
            Outcome::Success => {
                self.succeeded_once = true;
                self.failures = 0;
                self.counted = None;
                self.successes = self.successes.saturating_add(1);
                let enough = self.successes >= self.spec.success_threshold.max(1);
                (enough && self.turn(true)).then_some(Verdict::Passed)
            }
            Outcome::Failure(error) => {
                self.error = error;
                self.successes = 0;
                self.hurry(now);
                let counts = self
                    .counted
                    .is_none_or(|last| now.since(last) >= self.period());
                if counts {
                    self.counted = Some(now);
                    self.failures = self.failures.saturating_add(1);
                }
                let enough = self.failures >= self.spec.failure_threshold.max(1);
                (enough && self.turn(false)).then_some(Verdict::Failed)
            }
            Outcome::NotTried(error) => {
                self.error = error;
                self.hurry(now);
                None
            }
        }
    }

    /// Takes a verdict; whether it is another one than before.
    fn turn(&mut self, passed: bool) -> bool {
        self.passed.replace(passed) != Some(passed)
    }

    /// Brings the next attempt forward, if it may be a quick one.
    fn hurry(&mut self, now: Timestamp) {
        if self.quick && !self.succeeded_once {
            let pause = (now.since(self.began) / QUICK_PART).max(SHORTEST_PAUSE);
            self.next = now.plus(pause.min(self.period()));
        }
    }
}

/// The probes of one run of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessProbes {
    startup: Option<Prober>,
    readiness: Option<Prober>,
    liveness: Option<Prober>,
    specs: ProbeSpecs,
    /// When the process was started: initial delays count from there.
    from: Timestamp,
    /// Nothing is tried any more: the process is to be restarted.
    halted: bool,
}

/// A process's probes, rendered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProbeSpecs {
    /// See [`ProbeKind::Startup`].
    pub startup: Option<Probe>,
    /// See [`ProbeKind::Readiness`].
    pub readiness: Option<Probe>,
    /// See [`ProbeKind::Liveness`].
    pub liveness: Option<Probe>,
}

impl ProbeSpecs {
    /// The probe of a kind.
    pub fn get(&self, kind: ProbeKind) -> Option<&Probe> {
        match kind {
            ProbeKind::Startup => self.startup.as_ref(),
            ProbeKind::Readiness => self.readiness.as_ref(),
            ProbeKind::Liveness => self.liveness.as_ref(),
        }
    }
}

impl ProcessProbes {
    /// The probes of a process that was started at `from`.
    pub fn new(specs: &ProbeSpecs, from: Timestamp) -> Self {
        let prober = |spec: &Option<Probe>| spec.as_ref().map(|spec| Prober::new(spec, true, from));
        let mut probes = Self {
            startup: prober(&specs.startup),
            readiness: None,
            liveness: None,
            specs: specs.clone(),
            from,
            halted: false,
        };
        if probes.startup.is_none() {
            probes.open(from);
        }
        probes
    }

    /// Begins readiness and liveness.
    fn open(&mut self, now: Timestamp) {
        let later = |mut prober: Prober| {
            prober.began = prober.began.max(now);
            prober.next = prober.began;
            prober
        };
        let (specs, from) = (&self.specs, self.from);
        let readiness = specs.readiness.as_ref();
        let liveness = specs.liveness.as_ref();
        self.readiness = readiness.map(|spec| later(Prober::new(spec, true, from)));
        self.liveness = liveness.map(|spec| later(Prober::new(spec, false, from)));
    }

    fn active(&mut self) -> impl Iterator<Item = (ProbeKind, &mut Prober)> {
        let started = self.started();
        let startup = self.startup.as_mut().filter(|_| !started);
        let all = [
            (ProbeKind::Startup, startup),
            (ProbeKind::Readiness, self.readiness.as_mut()),
            (ProbeKind::Liveness, self.liveness.as_mut()),
        ];
        let halted = self.halted;
        all.into_iter()
            .filter(move |_| !halted)
            .filter_map(|(kind, prober)| Some((kind, prober?)))
    }

    /// The attempts that are due. They count as begun.
    pub fn due(&mut self, now: Timestamp) -> Vec<ProbeKind> {
        self.active()
            .filter_map(|(kind, prober)| prober.begin(now).then_some(kind))
            .collect()
    }

    /// When the next attempt is due, if none of those in flight changes that.
    pub fn wake_at(&mut self) -> Option<Timestamp> {
        self.active()
            .filter(|(_, prober)| !prober.in_flight)
            .map(|(_, prober)| prober.next)
            .min()
    }

    /// Takes the result of an attempt. After a failed startup or liveness probe nothing more is
    /// tried: the process has to be restarted.
    pub fn result(&mut self, now: Timestamp, kind: ProbeKind, outcome: Outcome) -> Option<Verdict> {
        let prober = match kind {
            ProbeKind::Startup => self.startup.as_mut(),
            ProbeKind::Readiness => self.readiness.as_mut(),
            ProbeKind::Liveness => self.liveness.as_mut(),
        }?;
        let verdict = prober.result(now, outcome)?;
        match (kind, &verdict) {
            (ProbeKind::Startup, Verdict::Passed) => self.open(now),
            (ProbeKind::Startup | ProbeKind::Liveness, Verdict::Failed) => self.halted = true,
            (ProbeKind::Readiness, _) | (ProbeKind::Liveness, Verdict::Passed) => {}
        }
        Some(verdict)
    }

    /// Whether the startup or the liveness probe has failed: the process is to be restarted.
    pub fn halted(&self) -> bool {
        self.halted
    }

    /// Whether the startup probe, if any, has passed.
    pub fn started(&self) -> bool {
        self.startup
            .as_ref()
            .is_none_or(|prober| prober.passed == Some(true))
    }

    /// Whether it serves: started, and the readiness probe, if any, passes.
    pub fn ready(&self) -> bool {
        let serves = |prober: &Prober| prober.passed == Some(true);
        self.started()
            && !self.halted
            && (self.specs.readiness.is_none() || self.readiness.as_ref().is_some_and(serves))
    }

    /// What the last failed attempt of a probe saw.
    pub fn error(&self, kind: ProbeKind) -> String {
        let prober = match kind {
            ProbeKind::Startup => &self.startup,
            ProbeKind::Readiness => &self.readiness,
            ProbeKind::Liveness => &self.liveness,
        };
        prober
            .as_ref()
            .map_or_else(String::new, |prober| prober.error.clone())
    }
}

fn seconds(n: u32) -> Duration {
    Duration::from_secs(u64::from(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail() -> Outcome {
        Outcome::Failure("connection refused".to_owned())
    }

    fn specs(startup: bool, readiness: bool, liveness: bool) -> ProbeSpecs {
        let probe = |wanted: bool| wanted.then(Probe::default);
        ProbeSpecs {
            startup: probe(startup),
            readiness: probe(readiness),
            liveness: probe(liveness),
        }
    }

    /// Runs attempts with one result until the time is up; when they were tried, and any verdict.
    fn drive(
        probes: &mut ProcessProbes,
        until: u64,
        outcome: &Outcome,
    ) -> Vec<(u64, ProbeKind, Option<Verdict>)> {
        let mut log = Vec::new();
        while let Some(at) = probes.wake_at().filter(|at| at.0 <= until) {
            for kind in probes.due(at) {
                let verdict = probes.result(at, kind, outcome.clone());
                log.push((at.0, kind, verdict));
            }
        }
        log
    }

    #[test]
    fn without_probes_a_running_process_is_ready() {
        let mut probes = ProcessProbes::new(&specs(false, false, false), Timestamp(0));
        assert!(probes.started() && probes.ready());
        assert_eq!(probes.wake_at(), None);
    }

    #[test]
    fn first_attempts_are_quick_and_their_pauses_grow() {
        let mut probes = ProcessProbes::new(&specs(false, true, false), Timestamp(0));
        let log = drive(&mut probes, 400, &fail());
        let times: Vec<u64> = log.iter().map(|(at, ..)| *at).collect();
        assert_eq!(times[..5], [0, 5, 10, 15, 20]);
        let pauses = times.windows(2).map(|pair| (pair[0], pair[1] - pair[0]));
        for (at, pause) in pauses {
            assert!(
                pause <= (at / 4).max(5),
                "attempt at {at}, then {pause} ms nothing"
            );
        }
        assert!(log.len() < 30, "{}", log.len());
    }

    #[test]
    fn quick_failures_do_not_use_up_the_threshold() {
        let mut probes = ProcessProbes::new(&specs(true, false, false), Timestamp(0));
        let log = drive(&mut probes, 60_000, &fail());
        let failed: Vec<u64> = log
            .iter()
            .filter(|(_, _, verdict)| verdict.is_some())
            .map(|(at, ..)| *at)
            .collect();
        assert_eq!(failed.len(), 1);
        // Three failures a period of 10 s apart, as in Kubernetes, plus less than one more period.
        assert!((20_000..30_000).contains(&failed[0]), "{failed:?}");
        assert_eq!(
            probes.wake_at(),
            None,
            "nothing is tried before the restart"
        );
    }

    #[test]
    fn the_others_wait_for_the_startup_probe() {
        let mut probes = ProcessProbes::new(&specs(true, true, true), Timestamp(0));
        assert_eq!(probes.due(Timestamp(0)), [ProbeKind::Startup]);
        let verdict = probes.result(Timestamp(3), ProbeKind::Startup, Outcome::Success);
        assert_eq!(verdict, Some(Verdict::Passed));
        assert!(probes.started() && !probes.ready());
        let both = [ProbeKind::Readiness, ProbeKind::Liveness];
        assert_eq!(probes.due(Timestamp(3)), both);
        probes.result(Timestamp(4), ProbeKind::Readiness, Outcome::Success);
        assert!(probes.ready());
    }

    #[test]
    fn readiness_is_lost_after_three_failures_and_won_back_by_one_success() {
        let mut probes = ProcessProbes::new(&specs(false, true, false), Timestamp(0));
        drive(&mut probes, 0, &Outcome::Success);
        assert!(probes.ready());
        let log = drive(&mut probes, 30_000, &fail());
        let times: Vec<u64> = log.iter().map(|(at, ..)| *at).collect();
        assert_eq!(
            times,
            [10_000, 20_000, 30_000],
            "no quick attempts any more"
        );
        assert!(!probes.ready());
        drive(&mut probes, 40_000, &Outcome::Success);
        assert!(probes.ready());
    }

    #[test]
    fn liveness_fails_after_the_threshold_and_is_not_quick() {
        let mut probes = ProcessProbes::new(&specs(false, false, true), Timestamp(0));
        assert!(probes.ready());
        let log = drive(&mut probes, 60_000, &fail());
        let times: Vec<u64> = log.iter().map(|(at, ..)| *at).collect();
        assert_eq!(times, [0, 10_000, 20_000]);
        assert_eq!(log[2].2, Some(Verdict::Failed));
        assert!(!probes.ready());
    }

    #[test]
    fn what_could_not_be_tried_counts_as_nothing() {
        let mut probes = ProcessProbes::new(&specs(false, false, true), Timestamp(0));
        let not_tried = Outcome::NotTried("no keeper".to_owned());
        assert!(
            drive(&mut probes, 200_000, &not_tried)
                .iter()
                .all(|(.., v)| v.is_none())
        );
    }

    #[test]
    fn the_initial_delay_is_kept() {
        let mut specs = specs(false, true, false);
        if let Some(probe) = &mut specs.readiness {
            probe.initial_delay_seconds = 2;
        }
        let mut probes = ProcessProbes::new(&specs, Timestamp(1_000));
        assert_eq!(probes.wake_at(), Some(Timestamp(3_000)));
        assert_eq!(probes.due(Timestamp(2_999)), []);
        assert_eq!(probes.due(Timestamp(3_000)), [ProbeKind::Readiness]);
        assert_eq!(probes.due(Timestamp(3_000)), [], "it is in flight");
    }

    #[test]
    fn successes_in_a_row_are_counted_against_their_threshold() {
        let mut specs = specs(false, true, false);
        if let Some(probe) = &mut specs.readiness {
            probe.success_threshold = 2;
        }
        let mut probes = ProcessProbes::new(&specs, Timestamp(0));
        let log = drive(&mut probes, 10_000, &Outcome::Success);
        assert_eq!(log.len(), 2);
        assert_eq!(log[1].2, Some(Verdict::Passed));
    }
}
