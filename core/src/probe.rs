//! When a probe is tried and what its results mean. Pure: whoever runs the attempts asks what is
//! due and says what came of it.
//!
//! The numbers mean what they mean in Kubernetes, with one difference: until its first success a
//! startup or readiness probe is tried again quickly, after a quarter of the time that has passed
//! (at least 5 ms, at most `periodSeconds`), so that an ordered start never waits for a poll. Such
//! quick attempts do not use up `failureThreshold`: a failure counts only `periodSeconds` after the
//! one that counted before it. And after a start of the agent nothing is spread over a period: what
//! is checked at once is known at once.
//!
//! A probe by `notify` asks nothing: it stands as what the process last said ([`Said`]).
//!
//! | probe | it passes | it fails |
//! |---|---|---|
//! | startup | with `READY=1` | without it for `periodSeconds` × `failureThreshold` |
//! | readiness | with `READY=1` | with `STOPPING=1` |
//! | liveness | - | without `WATCHDOG=1` for `timeoutSeconds` × `failureThreshold`, or with `WATCHDOG=trigger` |

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{notify::Said, spec::Probe, time::Timestamp};

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
    kind: ProbeKind,
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
    fn new(kind: ProbeKind, spec: &Probe, from: Timestamp) -> Self {
        let began = from.plus(seconds(spec.initial_delay_seconds));
        Self {
            kind,
            spec: spec.clone(),
            quick: kind != ProbeKind::Liveness,
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

    fn listens(&self) -> bool {
        self.spec.notify.is_some()
    }

    /// When silence is a failure, for one that listens.
    fn silent_until(&self) -> Option<Timestamp> {
        let each = match self.kind {
            ProbeKind::Readiness => return None,
            ProbeKind::Startup => self.period(),
            ProbeKind::Liveness => seconds(self.spec.timeout_seconds.max(1)),
        };
        let limit = each.saturating_mul(self.spec.failure_threshold.max(1));
        // Of one that listens, `next` is when it began to, or last heard that the process lives.
        Some(self.next.plus(limit))
    }

    /// When it has something to do.
    fn wake_at(&self) -> Option<Timestamp> {
        if self.listens() {
            // One that has failed has nothing to wait for.
            return self.silent_until().filter(|_| self.passed.is_none());
        }
        (!self.in_flight).then_some(self.next)
    }

    /// What comes of what was said, or was not, by now.
    fn listen(&mut self, now: Timestamp, said: &Said) -> Option<Verdict> {
        let silent = self.silent_until().is_some_and(|at| at <= now);
        let (passes, error) = match self.kind {
            ProbeKind::Startup if said.ready => (true, ""),
            ProbeKind::Startup if silent => (false, "it has not said READY=1 in time"),
            ProbeKind::Readiness if said.stopping => (false, "it says STOPPING=1"),
            ProbeKind::Readiness => (said.ready, "it has not said READY=1"),
            ProbeKind::Liveness if said.failed => (false, "it says WATCHDOG=trigger"),
            ProbeKind::Liveness if silent => (false, "it has not said WATCHDOG=1 in time"),
            ProbeKind::Startup | ProbeKind::Liveness => {
                "it has not said READY=1".clone_into(&mut self.error);
                return None;
            }
        };
        error.clone_into(&mut self.error);
        let verdict = if passes {
            Verdict::Passed
        } else {
            Verdict::Failed
        };
        self.turn(passes).then_some(verdict)
    }

    /// Marks an attempt as begun, if one is due.
    fn begin(&mut self, now: Timestamp) -> bool {
        if self.listens() || self.in_flight || now < self.next {
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
    said: Said,
    /// Nothing is tried any more: the process is to be restarted.
    halted: bool,
    /// The member stops: only readiness goes on.
    stopped: bool,
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
        let startup = specs.startup.as_ref();
        let mut probes = Self {
            startup: startup.map(|spec| Prober::new(ProbeKind::Startup, spec, from)),
            readiness: None,
            liveness: None,
            specs: specs.clone(),
            from,
            said: Said::default(),
            halted: false,
            stopped: false,
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
        let prober = |kind| {
            let spec = specs.get(kind)?;
            Some(later(Prober::new(kind, spec, from)))
        };
        self.readiness = prober(ProbeKind::Readiness);
        self.liveness = prober(ProbeKind::Liveness);
    }

    fn active(&mut self) -> impl Iterator<Item = (ProbeKind, &mut Prober)> {
        let started = self.started();
        let startup = self.startup.as_mut().filter(|_| !started);
        let all = [
            (ProbeKind::Startup, startup),
            (ProbeKind::Readiness, self.readiness.as_mut()),
            (ProbeKind::Liveness, self.liveness.as_mut()),
        ];
        let (halted, stopped) = (self.halted, self.stopped);
        all.into_iter()
            .filter(move |(kind, _)| !halted && (!stopped || *kind == ProbeKind::Readiness))
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
            .filter_map(|(_, prober)| prober.wake_at())
            .min()
    }

    /// Takes in what the process has said by now.
    pub fn hear(&mut self, now: Timestamp, said: &Said) {
        if let Some(prober) = &mut self.liveness
            && prober.listens()
            && said.watchdog != self.said.watchdog
        {
            prober.next = now;
        }
        self.said = said.clone();
    }

    /// Comes to a verdict about what was said, and not said, by now: of the probes that listen,
    /// those that pass or fail with it. To be asked again until there is none.
    pub fn listen(&mut self, now: Timestamp) -> Option<(ProbeKind, Verdict)> {
        let said = self.said.clone();
        let mut listening = self.active().filter(|(_, prober)| prober.listens());
        let found = listening.find_map(|(kind, prober)| Some((kind, prober.listen(now, &said)?)));
        drop(listening);
        let (kind, verdict) = found?;
        self.conclude(now, kind, &verdict);
        Some((kind, verdict))
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
        self.conclude(now, kind, &verdict);
        Some(verdict)
    }

    fn conclude(&mut self, now: Timestamp, kind: ProbeKind, verdict: &Verdict) {
        match (kind, verdict) {
            (ProbeKind::Startup, Verdict::Passed) => self.open(now),
            (ProbeKind::Startup | ProbeKind::Liveness, Verdict::Failed) => self.halted = true,
            (ProbeKind::Readiness, _) | (ProbeKind::Liveness, Verdict::Passed) => {}
        }
    }

    /// Ends startup and liveness: the member stops, and what stops may be slow. Readiness goes on.
    pub fn stop(&mut self) {
        self.stopped = true;
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
mod tests;
