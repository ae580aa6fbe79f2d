//! The audit log: one line for each thing that somebody asked the coordinator to do, and one for what
//! came of it. Each line is JSON and has the hash of the line before, so that none can be changed,
//! added or taken away between others without a trace; nothing in it can end a line or colour a
//! terminal.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{order::hex, time::Timestamp};

/// The newest file of a log.
pub const FILE: &str = "audit.log";
/// How many older ones are kept beside it.
pub const KEPT: u32 = 9;
/// What is said of one value, at the most, in characters: names are far shorter.
const VALUE: usize = 200;
/// How many values are told of one request.
const VALUES: usize = 100;

/// The name of a file that was put aside; the first one was put aside last.
pub fn older(n: u32) -> String {
    format!("{FILE}.{n}")
}

/// The names that files of a log may have, the oldest first.
pub fn file_names() -> impl Iterator<Item = String> {
    let older = (1..=KEPT).rev().map(older);
    older.chain([FILE.to_owned()])
}

/// What is written of a call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Which call, since the coordinator's start: what was asked and what came of it have the same.
    pub call: u64,
    /// Who: `root`, `user ann`, `host host-1`, or `nobody`.
    pub who: String,
    /// As what: `root`, `admin`, `operator`, `viewer`, `agent` or `nothing`.
    pub role: String,
    /// From where: an address, or the unix socket.
    pub from: String,
    /// The method: `berth.v1.SetService/Scale`.
    pub method: String,
    /// What it is about, by the fields of the request (or, of an apply that was done, of the answer)
    /// that name things. Never a text of an object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub about: BTreeMap<String, Vec<String>>,
    /// What came of it, as a code of gRPC; absent before it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

impl Entry {
    /// Adds what it is about, cut to what is of use.
    pub fn tell(&mut self, field: &str, value: &str) {
        if self.about.values().map(Vec::len).sum::<usize>() < VALUES {
            let value: String = value.chars().take(VALUE).collect();
            self.about.entry(field.to_owned()).or_default().push(value);
        }
    }
}

/// An entry as a line has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Its number, from 1 on.
    pub seq: u64,
    /// When it was written.
    pub time: String,
    /// The hash of the line before; empty in the first one.
    pub prev: String,
    /// What it says.
    #[serde(flatten)]
    pub entry: Entry,
}

/// Where the chain stands: what the next line goes on from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// The number of the last line; 0 before the first.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

impl Chain {
    /// The next line, with its end.
    ///
    /// # Errors
    /// If it cannot be written as JSON, which none can cause.
    pub fn line(&mut self, time: Timestamp, entry: Entry) -> Result<String, serde_json::Error> {
        let line = Line {
            seq: self.seq + 1,
            time: time.to_string(),
            prev: self.hash.clone(),
            entry,
        };
        let text = escaped(&serde_json::to_string(&line)?);
        *self = Self {
            seq: line.seq,
            hash: hash(&text),
        };
        Ok(format!("{text}\n"))
    }

    /// Goes on from the last line that is there, whatever it says: what follows names it.
    #[must_use]
    pub fn after(text: &str) -> Self {
        let line = serde_json::from_str::<Line>(text);
        Self {
            seq: line.map_or(0, |line| line.seq),
            hash: hash(text),
        }
    }
}

fn hash(line: &str) -> String {
    hex(&Sha256::digest(line.as_bytes()))
}

/// Escapes what a terminal may take for a command, or shows in another order than it is written, as JSON
/// does it: of a text in JSON the meaning stays, as that has no such characters below a space but ends of
/// lines between values.
pub fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        let plain = character.is_ascii() && !character.is_ascii_control();
        if plain || character == '\n' {
            text.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                // A String takes everything.
                write!(text, "\\u{unit:04x}").ok();
            }
        }
    }
    text
}

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChainError {
    /// It is no entry.
    #[error("line {line} is no entry ({because}); it was changed, or the disk lost a part of it")]
    Form {
        /// Which, from 1, over all files.
        line: usize,
        /// What is wrong with it.
        because: String,
    },
    /// It does not follow the one before.
    #[error(
        "line {line} (entry {seq}) does not follow the line before it: one of them was changed, or lines \
         between them were taken away"
    )]
    Broken {
        /// Which, from 1, over all files.
        line: usize,
        /// Its number.
        seq: u64,
    },
}

/// Follows the chain through lines, the oldest first. The first one may follow lines that are not kept
/// any more.
///
/// # Errors
/// The first line that is not what was written.
pub fn verify<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Chain, ChainError> {
    let mut chain: Option<Chain> = None;
    for (number, text) in (1..).zip(lines) {
        let line: Line = serde_json::from_str(text).map_err(|error| ChainError::Form {
            line: number,
            because: error.to_string(),
        })?;
        let follows = chain.as_ref().is_none_or(|before| {
            before.hash == line.prev && before.seq.checked_add(1) == Some(line.seq)
        });
        if !follows {
            let seq = line.seq;
            return Err(ChainError::Broken { line: number, seq });
        }
        chain = Some(Chain {
            seq: line.seq,
            hash: hash(text),
        });
    }
    Ok(chain.unwrap_or_default())
}

/// Which calls are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Not before this.
    pub since: Timestamp,
    /// Of this caller only: `root`, `ann`, `user ann`, `host host-1`; of all if empty.
    pub who: String,
    /// Of methods that have this in their name; of all if empty.
    pub method: String,
    /// The last so many.
    pub limit: usize,
}

/// Calls out of a log that is read from its end: each is one line, with what came of it.
#[derive(Debug)]
pub struct Listing {
    wanted: Wanted,
    /// What came of calls whose beginning was not read yet.
    results: BTreeMap<u64, Entry>,
    /// The number of the line that was read last. Files that were put aside meanwhile are read again.
    read: u64,
    found: Vec<Line>,
}

impl Listing {
    /// Of such calls.
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            results: BTreeMap::new(),
            read: u64::MAX,
            found: Vec::new(),
        }
    }

    /// Takes the line before those that it has; whether one before that is of use. What is no line is
    /// passed over: it is for [`verify`].
    pub fn take(&mut self, text: &str) -> bool {
        let Ok(mut line) = serde_json::from_str::<Line>(text) else {
            return true;
        };
        if line.seq >= self.read {
            return true;
        }
        self.read = line.seq;
        if line.entry.result.is_some() {
            self.results.insert(line.entry.call, line.entry);
            return true;
        }
        if let Some(result) = self.results.remove(&line.entry.call) {
            line.entry.result = result.result;
            for (field, values) in result.about {
                line.entry.about.entry(field).or_insert(values);
            }
        }
        let time: Timestamp = line.time.parse().unwrap_or_default();
        if time < self.wanted.since {
            return false;
        }
        if self.wanted.takes(&line.entry) {
            self.found.push(line);
        }
        self.found.len() < self.wanted.limit
    }

    /// What was found, the oldest first.
    pub fn found(self) -> Vec<Line> {
        self.found.into_iter().rev().collect()
    }
}

impl Wanted {
    fn takes(&self, entry: &Entry) -> bool {
        let Self { who, method, .. } = self;
        let name = entry.who.split_once(' ').map(|(_, name)| name);
        let by = who.is_empty() || entry.who == *who || name == Some(who);
        by && entry.method.contains(method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &str, wanted: Wanted) -> Vec<String> {
        let mut listing = Listing::new(wanted);
        let mut lines = text.lines().rev();
        while lines.next().is_some_and(|line| listing.take(line)) {}
        let found = listing.found().into_iter();
        let shown = found.map(|Line { entry, .. }| {
            let result = entry.result.unwrap_or_default();
            format!("{} {} {:?}", entry.who, result, entry.about)
        });
        shown.collect()
    }

    #[test]
    fn a_call_is_listed_once_with_what_came_of_it() {
        let mut chain = Chain::default();
        let mut text = String::new();
        let mut say = |time, call, who: &str, about: &str, result: Option<&str>| {
            let mut entry = Entry {
                call,
                who: who.to_owned(),
                method: "berth.v1.SetService/Scale".to_owned(),
                result: result.map(ToOwned::to_owned),
                ..Entry::default()
            };
            if !about.is_empty() {
                entry.tell("name", about);
            }
            text.push_str(&chain.line(Timestamp(time), entry).unwrap());
        };
        say(1_000, 1, "user ann", "before", None);
        // It ended before that was done; the numbers of calls begin anew.
        say(2_000, 1, "user ann", "web", None);
        say(3_000, 2, "user bob", "", None);
        say(3_500, 2, "user bob", "db", Some("OK"));
        say(4_000, 1, "user ann", "", Some("GONE"));
        say(5_000, 3, "root", "", None);
        text.push_str("no line\n");
        let all = || Wanted {
            limit: 10,
            ..Wanted::default()
        };
        let [first, ann, bob, root] = [
            r#"user ann  {"name": ["before"]}"#,
            r#"user ann GONE {"name": ["web"]}"#,
            r#"user bob OK {"name": ["db"]}"#,
            "root  {}",
        ];
        assert_eq!(listed(&text, all()), [first, ann, bob, root]);
        let who = |who: &str| Wanted {
            who: who.to_owned(),
            ..all()
        };
        assert_eq!(listed(&text, who("ann")), [first, ann]);
        assert_eq!(listed(&text, who("user bob")), [bob]);
        assert_eq!(listed(&text, who("an")).len(), 0);
        let since = Timestamp(3_000);
        assert_eq!(listed(&text, Wanted { since, ..all() }), [bob, root]);
        let limit = 2;
        assert_eq!(listed(&text, Wanted { limit, ..all() }), [bob, root]);
        let method = "Delete".to_owned();
        assert_eq!(listed(&text, Wanted { method, ..all() }).len(), 0);
        // What is read again, as its file was put aside, is not told again.
        let twice = format!("{text}{text}");
        assert_eq!(listed(&twice, all()).len(), 4);
    }

    fn entry(name: &str) -> Entry {
        let mut entry = Entry {
            call: 1,
            who: "user ann".to_owned(),
            role: "operator".to_owned(),
            from: "192.0.2.1:5000".to_owned(),
            method: "berth.v1.SetService/Scale".to_owned(),
            ..Entry::default()
        };
        entry.tell("name", name);
        entry
    }

    fn log(names: &[&str]) -> (String, Chain) {
        let mut chain = Chain::default();
        let lines = names.iter();
        let lines = lines.map(|name| chain.line(Timestamp(0), entry(name)).unwrap());
        (lines.collect(), chain.clone())
    }

    #[test]
    fn a_line_says_who_did_what_to_what_from_where() {
        let (text, _) = log(&["web"]);
        assert_eq!(
            text,
            "{\"seq\":1,\"time\":\"1970-01-01T00:00:00Z\",\"prev\":\"\",\"call\":1,\
             \"who\":\"user ann\",\"role\":\"operator\",\"from\":\"192.0.2.1:5000\",\
             \"method\":\"berth.v1.SetService/Scale\",\"about\":{\"name\":[\"web\"]}}\n"
        );
    }

    #[test]
    fn what_is_forged_into_a_name_stays_in_its_line_and_colours_nothing() {
        let forged = "web\n{\"seq\":9}\r\u{1b}[2K\u{9b}31m\u{202e}\u{2028}\u{7f}\u{1f600}";
        let (text, chain) = log(&["before", forged, "after"]);
        assert_eq!(text.lines().count(), 3);
        let plain = |c: char| c == '\n' || (c.is_ascii() && !c.is_ascii_control());
        assert!(text.chars().all(plain), "{text:?}");
        assert_eq!(verify(text.lines()), Ok(chain));
        let line: Line = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        assert_eq!(line.entry.about["name"], [forged], "nothing is lost");
    }

    #[test]
    fn a_line_that_is_changed_added_moved_or_taken_away_is_found() {
        let (text, chain) = log(&["a", "b", "c", "d"]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(verify(lines.iter().copied()), Ok(chain.clone()));
        // Those that rotation removed are missed by nobody.
        assert_eq!(verify(lines[2..].iter().copied()), Ok(chain));
        let changed = lines[1].replace("\"b\"", "\"x\"");
        let broken = |lines: &[&str]| verify(lines.iter().copied()).unwrap_err();
        let found = ChainError::Broken { line: 3, seq: 3 };
        assert_eq!(broken(&[lines[0], &changed, lines[2]]), found);
        let found = ChainError::Broken { line: 2, seq: 3 };
        assert_eq!(broken(&[lines[0], lines[2], lines[3]]), found);
        assert!(verify([lines[0], lines[2], lines[1]].into_iter()).is_err());
        assert!(verify([lines[0], lines[1], lines[1]].into_iter()).is_err());
        assert!(matches!(
            broken(&[lines[0], "{}"]),
            ChainError::Form { line: 2, .. }
        ));
    }

    #[test]
    fn a_chain_goes_on_after_a_restart() {
        let (text, chain) = log(&["a", "b"]);
        let mut again = Chain::after(text.lines().last().unwrap());
        assert_eq!(again, chain);
        let next = again.line(Timestamp(1), entry("c")).unwrap();
        let whole = format!("{text}{next}");
        assert_eq!(verify(whole.lines()), Ok(again));
    }

    #[test]
    fn a_flood_of_names_makes_no_long_line() {
        let mut entry = entry(&"x".repeat(100_000));
        for n in 0..100_000 {
            entry.tell("name", &n.to_string());
        }
        let line = Chain::default().line(Timestamp(0), entry).unwrap();
        assert!(line.len() < 4096, "{}", line.len());
    }
}
