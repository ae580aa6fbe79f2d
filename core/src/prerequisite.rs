//! Prerequisites of hosts: what an agent looks up, how it is judged, and when it is asked again.
//!
//! The agent only looks; what it found is judged here, so that a sysctl is compared in one way
//! everywhere. The answers are soft state of the coordinator: they guide where a member goes. Whether
//! it may start is asked once more, by its agent, before every start.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    ids::HostName,
    plan::Report,
    spec::{PathType, Protocol, UnitState},
    state::{Contact, State},
    time::Timestamp,
    waiting::Reason,
};

/// From an answer that fails to the next question; then doubling to the longest. Mending a host is
/// the work of people, who look at the status after it.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// One thing that a host must have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Prerequisite {
    /// A kernel parameter.
    Sysctl {
        /// Its name, with dots.
        name: String,
        /// Its value, or a comparison.
        value: String,
    },
    /// A user.
    User {
        /// Its name.
        name: String,
    },
    /// A path.
    Path {
        /// Where.
        path: String,
        /// What it must be.
        kind: PathType,
    },
    /// A free port.
    Port {
        /// Its number.
        port: u32,
        /// TCP or UDP.
        protocol: Protocol,
    },
    /// A unit of systemd.
    Unit {
        /// Its name.
        name: String,
        /// The state that it must be in.
        state: UnitState,
    },
}

/// What an agent finds when it looks for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fact {
    /// The value of a sysctl, the number of a user, the state of a unit, who holds a port.
    Value(String),
    /// What kind of thing a path is.
    Kind(FoundPath),
    /// It is not there; a port is free.
    Absent,
    /// It cannot be found out, and why.
    Unknown(String),
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FoundPath {
    /// A directory.
    Directory,
    /// A regular file that nobody may execute.
    File,
    /// A regular file that somebody may execute.
    Executable,
    /// Something else.
    Other,
}

/// Whether a prerequisite holds on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Finding {
    /// It does.
    Met,
    /// It does not.
    Unmet {
        /// What was found instead, in words.
        found: String,
    },
}

impl Finding {
    /// What does not hold, if it is this one.
    pub fn unmet(self, required: Prerequisite) -> Option<Unmet> {
        match self {
            Self::Met => None,
            Self::Unmet { found } => Some(Unmet { required, found }),
        }
    }
}

/// What an agent says of one prerequisite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Which.
    pub of: Prerequisite,
    /// Whether it holds.
    pub finding: Finding,
}

/// A prerequisite that a host was asked about. Not durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// When it was asked last.
    pub at: Timestamp,
    /// How often it was asked since it last held.
    pub times: u32,
    /// The last answer, if one came.
    pub finding: Option<Finding>,
}

/// A prerequisite that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unmet {
    /// Which.
    pub required: Prerequisite,
    /// What was found instead.
    pub found: String,
}

impl Prerequisite {
    /// Whether it holds, by what was found.
    pub fn judge(&self, fact: &Fact) -> Finding {
        let met = match (self, fact) {
            (Self::Sysctl { value, .. }, Fact::Value(found)) => {
                Comparison::parse(value).is_ok_and(|wanted| wanted.holds(found))
            }
            (Self::User { .. }, Fact::Value(_)) | (Self::Port { .. }, Fact::Absent) => true,
            (Self::Path { kind, .. }, Fact::Kind(found)) => match kind {
                PathType::Exists => true,
                PathType::Directory => *found == FoundPath::Directory,
                PathType::File => matches!(found, FoundPath::File | FoundPath::Executable),
                PathType::Executable => *found == FoundPath::Executable,
            },
            (Self::Unit { state, .. }, Fact::Value(found)) => *found == state.to_string(),
            (Self::Unit { state, .. }, Fact::Absent) => *state == UnitState::Inactive,
            (_, Fact::Value(_) | Fact::Kind(_) | Fact::Absent | Fact::Unknown(_)) => false,
        };
        if met {
            return Finding::Met;
        }
        let found = match fact {
            Fact::Value(found) | Fact::Unknown(found) => found.clone(),
            Fact::Kind(found) => found.to_string(),
            Fact::Absent => "nothing".to_owned(),
        };
        Finding::Unmet { found }
    }

    /// What a person does about it on the host.
    fn remedy(&self) -> &'static str {
        match self {
            Self::Sysctl { .. } => "set it there with sysctl -w, and in /etc/sysctl.d",
            Self::User { .. } => "create the user there",
            Self::Path { .. } => "install or make it there",
            Self::Port { .. } => "stop what listens there",
            Self::Unit {
                state: UnitState::Active,
                ..
            } => "start it there with systemctl",
            Self::Unit {
                state: UnitState::Inactive,
                ..
            } => "stop it there with systemctl",
        }
    }
}

impl Contact {
    /// Those of these that are known not to hold.
    pub fn unmet(&self, required: impl Iterator<Item = Prerequisite>) -> Vec<Unmet> {
        let known = required.filter_map(|required| {
            let finding = self.asked.get(&required)?.finding.clone()?;
            finding.unmet(required)
        });
        known.collect()
    }

    /// Those of these that nothing is known of.
    pub fn unknown(&self, required: impl Iterator<Item = Prerequisite>) -> Vec<Prerequisite> {
        let known = |one: &Prerequisite| {
            let asked = self.asked.get(one);
            asked.is_some_and(|asked| asked.finding.is_some())
        };
        required.filter(|one| !known(one)).collect()
    }

    /// Notes that something is asked.
    pub fn ask(&mut self, required: Prerequisite, now: Timestamp) {
        let asked = self.asked.entry(required).or_insert(Asked {
            at: now,
            times: 0,
            finding: None,
        });
        asked.at = now;
        asked.times = asked.times.saturating_add(1);
    }

    /// Takes in answers, also to what was asked of another coordinator.
    pub fn answered(&mut self, answers: Vec<Answer>, now: Timestamp) {
        for Answer { of, finding } in answers {
            let asked = self.asked.entry(of).or_insert(Asked {
                at: now,
                times: 1,
                finding: None,
            });
            if finding == Finding::Met {
                asked.times = 0;
            }
            asked.finding = Some(finding);
        }
    }

    /// Forgets who held a port: it may have been a member that left.
    pub fn forget_ports(&mut self) {
        let is_port = |one: &Prerequisite| matches!(one, Prerequisite::Port { .. });
        self.asked.retain(|one, _| !is_port(one));
    }
}

/// What hosts are to be asked now, and when the next question is due: what a plan wanted to know,
/// and what failed a while ago and is still waited for.
pub fn questions(
    state: &State,
    report: &Report,
    now: Timestamp,
) -> (BTreeMap<HostName, Vec<Prerequisite>>, Option<Timestamp>) {
    let mut due: BTreeMap<HostName, Vec<Prerequisite>> = BTreeMap::new();
    let mut wake = None;
    for (host, required) in report.waiting.values().flat_map(wanted) {
        let contact = state.hosts.get(host).map(|host| &host.contact);
        let Some(contact) = contact.filter(|contact| contact.connected) else {
            continue;
        };
        for required in required {
            match next(contact.asked.get(required)) {
                Next::Now => {}
                Next::Later(at) if at <= now => {}
                Next::Later(at) => {
                    wake = wake.into_iter().chain([at]).min();
                    continue;
                }
                Next::Never => continue,
            }
            let list = due.entry(host.clone()).or_default();
            if !list.contains(required) {
                list.push(required.clone());
            }
        }
    }
    (due, wake)
}

/// When something is asked.
enum Next {
    Now,
    Later(Timestamp),
    /// It holds.
    Never,
}

fn next(asked: Option<&Asked>) -> Next {
    let Some(asked) = asked else {
        return Next::Now;
    };
    match asked.finding {
        // The answer is on its way, or was lost with a connection.
        None => Next::Later(asked.at.plus(LONGEST_PAUSE)),
        Some(Finding::Met) => Next::Never,
        Some(Finding::Unmet { .. }) => {
            let doubled = asked.times.saturating_sub(1).min(16);
            let pause = FIRST_PAUSE.saturating_mul(1 << doubled);
            Next::Later(asked.at.plus(pause.min(LONGEST_PAUSE)))
        }
    }
}

/// What a reason says of hosts and their prerequisites.
fn wanted(reason: &Reason) -> Vec<(&HostName, Vec<&Prerequisite>)> {
    if let Reason::RequirementUnmet { host, unmet } = reason {
        return vec![(host, unmet.iter().map(|one| &one.required).collect())];
    }
    let (Reason::NoEligibleHost { hosts } | Reason::DrainNowhere { hosts, .. }) = reason else {
        return Vec::new();
    };
    let hosts = hosts.iter();
    hosts
        .map(|one| (&one.host, one.because.required()))
        .filter(|(_, required)| !required.is_empty())
        .collect()
}

/// What a sysctl is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    operator: Operator,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    AtLeast,
    AtMost,
    More,
    Less,
}

/// Why a text is no comparison.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ComparisonError {
    /// Nothing is compared with.
    #[error("the value is missing; give one, or a comparison such as '>=262144'")]
    Empty,
    /// It begins like a comparison and is none.
    #[error("'{text}' is no comparison; write {meant}")]
    Sign {
        /// The text.
        text: String,
        /// What the writer may have meant, or what there is.
        meant: String,
    },
    /// Only numbers are more or less than others.
    #[error("'{0}' is not a whole number, and only numbers are more or less; give one, or '='")]
    NoNumber(String),
}

impl Comparison {
    /// Reads `262144`, `>=262144`, `!=2` and the like.
    ///
    /// # Errors
    /// What is missing.
    pub fn parse(text: &str) -> Result<Self, ComparisonError> {
        const SIGNS: [(&str, Operator); 7] = [
            (">=", Operator::AtLeast),
            ("<=", Operator::AtMost),
            ("!=", Operator::NotEqual),
            ("==", Operator::Equal),
            (">", Operator::More),
            ("<", Operator::Less),
            ("=", Operator::Equal),
        ];
        let text = text.trim();
        let mut signs = SIGNS.into_iter();
        let signed = signs.find_map(|(sign, operator)| Some((operator, text.strip_prefix(sign)?)));
        let (operator, value) = signed.unwrap_or((Operator::Equal, text));
        let value = normal(value);
        if value.is_empty() {
            return Err(ComparisonError::Empty);
        }
        // Taken for a value it would never hold: no sysctl begins so.
        if value.starts_with(['<', '>', '=', '!', '~']) {
            return Err(ComparisonError::Sign {
                text: text.to_owned(),
                meant: meant(text),
            });
        }
        let compares_text = matches!(operator, Operator::Equal | Operator::NotEqual);
        if !compares_text && value.parse::<i128>().is_err() {
            return Err(ComparisonError::NoNumber(value));
        }
        Ok(Self { operator, value })
    }

    fn holds(&self, found: &str) -> bool {
        let found = normal(found);
        let order = match (found.parse::<i128>(), self.value.parse::<i128>()) {
            (Ok(found), Ok(wanted)) => Some(found.cmp(&wanted)),
            (Ok(_) | Err(_), Ok(_) | Err(_)) => None,
        };
        let equal = order.map_or(found == self.value, std::cmp::Ordering::is_eq);
        match self.operator {
            Operator::Equal => equal,
            Operator::NotEqual => !equal,
            Operator::AtLeast => order.is_some_and(std::cmp::Ordering::is_ge),
            Operator::AtMost => order.is_some_and(std::cmp::Ordering::is_le),
            Operator::More => order.is_some_and(std::cmp::Ordering::is_gt),
            Operator::Less => order.is_some_and(std::cmp::Ordering::is_lt),
        }
    }
}

/// The comparison that a text with a wrong sign may stand for, or all that there are.
fn meant(text: &str) -> String {
    let slips = [
        ("=>", ">="),
        ("=<", "<="),
        ("=!", "!="),
        ("<>", "!="),
        ("===", "="),
    ];
    let slip = slips.iter().find_map(|(slip, sign)| {
        let value = text.strip_prefix(slip)?.trim();
        Some(format!("'{sign}{value}'"))
    });
    slip.unwrap_or_else(|| "one of >=, <=, >, <, = and != before the value".to_owned())
}

/// The kernel puts tabs between the numbers of a list.
fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Prerequisite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sysctl { name, value } => match Comparison::parse(value) {
                Ok(Comparison {
                    operator: Operator::Equal,
                    value,
                }) => write!(f, "sysctl {name} = {value}"),
                Ok(_) | Err(_) => write!(f, "sysctl {name} {value}"),
            },
            Self::User { name } => write!(f, "user '{name}'"),
            Self::Path { path, kind } => match kind {
                PathType::Exists => write!(f, "path {path}"),
                PathType::Directory => write!(f, "directory {path}"),
                PathType::File => write!(f, "file {path}"),
                PathType::Executable => write!(f, "program {path}"),
            },
            Self::Port { port, protocol } => match protocol {
                Protocol::Tcp => write!(f, "free port {port}"),
                Protocol::Udp => write!(f, "free port {port}/UDP"),
            },
            Self::Unit { name, state } => write!(f, "unit {name} {state}"),
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { required, found } = self;
        write!(
            f,
            "requires {required}, found {found}; {}",
            required.remedy()
        )
    }
}

impl fmt::Display for FoundPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "a directory",
            Self::File => "a file that is not executable",
            Self::Executable => "an executable file",
            Self::Other => "neither a file nor a directory",
        })
    }
}

impl fmt::Display for UnitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        })
    }
}

#[cfg(test)]
mod tests;
