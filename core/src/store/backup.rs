//! The form of a backup: every record of a store as of one moment, in a text file.
//!
//! The first line names the format, the second says of what it is ([`Header`]), then there is one
//! record per line, and the last line has the hash of all before it: a file that was cut off or
//! changed is told from a whole one, and nothing of it is used.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::{Key, Value};
use crate::{
    ids::{HistoryId, Revision, Term},
    order::hex,
    time::Timestamp,
};

/// The newest format that this release reads, and the one that it writes. In the first, values of
/// Secrets were plain.
pub const FORMAT: u32 = 2;
const MAGIC: &str = "berth-backup";
const END: &str = "end ";

/// Of what a backup is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// The cluster: two stores of it have this in common, whatever their histories.
    pub cluster: String,
    /// The history that the store was made with.
    pub history: HistoryId,
    /// How often the store was opened.
    pub opened: Term,
    /// The revision as of which it is.
    pub revision: Revision,
    /// When it was made.
    pub made: Timestamp,
    /// How many records it has.
    pub records: usize,
    /// What the key goes by that its secrets are sealed with; none if they are plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_with: Option<String>,
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Of what it is.
    pub header: Header,
    /// The records, sorted by key.
    pub records: Vec<(Key, Revision, Value)>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    key: Key,
    revision: Revision,
    /// The value's bytes, two digits each: they are what was stored, whatever that is.
    value: String,
}

/// Why a file is no backup that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BackupError {
    /// The first line is another.
    #[error("this is no backup of Berth; give the file that 'berth admin backup' wrote")]
    Foreign,
    /// Written by a newer release.
    #[error("the backup has format {found}, this release reads up to {FORMAT}; install the newer")]
    Format {
        /// The format found.
        found: String,
    },
    /// It has no end.
    #[error("the backup is cut off: its last line is missing; take another one")]
    Cut,
    /// Its hash is another.
    #[error(
        "the backup is damaged: its content does not have the hash of its last line; take another one"
    )]
    Damaged,
    /// A line has not the form of the format.
    #[error("line {line} of the backup cannot be read ({because}); take another one")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        because: String,
    },
    /// There are more or fewer records than its header says.
    #[error("the backup says that it has {stated} records and has {found}; take another one")]
    Count {
        /// What it says.
        stated: usize,
        /// What there is.
        found: usize,
    },
}

/// Writes a backup, line by line.
#[derive(Debug, Clone, Default)]
pub struct Writer(Sha256);

impl Writer {
    fn hashed(&mut self, text: String) -> Vec<u8> {
        let bytes = text.into_bytes();
        self.0.update(&bytes);
        bytes
    }

    /// The beginning.
    ///
    /// # Errors
    /// If the header cannot be written as JSON, which none can cause.
    pub fn begin(&mut self, header: &Header) -> Result<Vec<u8>, serde_json::Error> {
        let json = serde_json::to_string(header)?;
        Ok(self.hashed(format!("{MAGIC} {FORMAT}\n{json}\n")))
    }

    /// One record.
    ///
    /// # Errors
    /// If it cannot be written as JSON, which none can cause.
    pub fn record(
        &mut self,
        key: &Key,
        revision: Revision,
        value: &[u8],
    ) -> Result<Vec<u8>, serde_json::Error> {
        let line = Line {
            key: key.clone(),
            revision,
            value: hex(value),
        };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        Ok(self.hashed(text))
    }

    /// The last line.
    pub fn end(self) -> Vec<u8> {
        format!("{END}{}\n", hex(&self.0.finalize())).into_bytes()
    }
}

/// Reads a backup: all of it, or nothing.
///
/// # Errors
/// Why it cannot be used.
pub fn read(bytes: &[u8]) -> Result<Backup, BackupError> {
    let first = bytes.split(|byte| *byte == b'\n').next();
    let first = first.and_then(|line| std::str::from_utf8(line).ok());
    let Some(format) = first.and_then(|line| line.strip_prefix(MAGIC)?.strip_prefix(' ')) else {
        return Err(BackupError::Foreign);
    };
    let known = format
        .parse()
        .is_ok_and(|format: u32| (1..=FORMAT).contains(&format));
    if !known {
        let found = format.to_owned();
        return Err(BackupError::Format { found });
    }
    let content = whole(bytes)?;
    let text = std::str::from_utf8(content).map_err(|_| BackupError::Damaged)?;
    let mut lines = text.lines().zip(1..).skip(1);
    let (header, _) = lines.next().ok_or(BackupError::Cut)?;
    let header: Header = parse(header, 2)?;
    let records = lines.map(|(text, line)| {
        let record: Line = parse(text, line)?;
        let value = unhex(&record.value).ok_or_else(|| BackupError::Line {
            line,
            because: "its value is not hexadecimal".to_owned(),
        })?;
        Ok((record.key, record.revision, Value::from(value)))
    });
    let records = records.collect::<Result<Vec<_>, BackupError>>()?;
    let (stated, found) = (header.records, records.len());
    if stated != found {
        return Err(BackupError::Count { stated, found });
    }
    Ok(Backup { header, records })
}

/// Everything before the last line, if that has its hash.
fn whole(bytes: &[u8]) -> Result<&[u8], BackupError> {
    let body = bytes.strip_suffix(b"\n").ok_or(BackupError::Cut)?;
    let begins = body.iter().rposition(|byte| *byte == b'\n');
    let begins = begins.ok_or(BackupError::Cut)? + 1;
    let (content, last) = body.split_at(begins);
    let stated = last.strip_prefix(END.as_bytes()).ok_or(BackupError::Cut)?;
    if stated == hex(&Sha256::digest(content)).as_bytes() {
        Ok(content)
    } else {
        Err(BackupError::Damaged)
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str, line: usize) -> Result<T, BackupError> {
    serde_json::from_str(text).map_err(|error| BackupError::Line {
        line,
        because: error.to_string(),
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |[high, low]: &[u32; 2]| u8::try_from(high * 16 + low).ok();
    rest.is_empty()
        .then(|| pairs.iter().map(byte).collect())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup() -> (Vec<u8>, Backup) {
        let records: Vec<(Key, Revision, Value)> = (1..4)
            .map(|n: u64| {
                let key = format!("host/default/host-{n}").parse().unwrap();
                let value = Value::from(vec![0, 255, b'\n', u8::try_from(n).unwrap()]);
                (key, Revision(n), value)
            })
            .collect();
        let header = Header {
            cluster: "c".to_owned(),
            history: HistoryId("h".to_owned()),
            opened: Term(4),
            revision: Revision(9),
            made: Timestamp(5),
            records: records.len(),
            sealed_with: None,
        };
        let mut writer = Writer::default();
        let mut bytes = writer.begin(&header).unwrap();
        for (key, revision, value) in &records {
            bytes.extend(writer.record(key, *revision, value).unwrap());
        }
        bytes.extend(writer.end());
        (bytes, Backup { header, records })
    }

    #[test]
    fn a_backup_is_read_as_it_was_written() {
        let (bytes, backup) = backup();
        assert_eq!(read(&bytes), Ok(backup));
    }

    #[test]
    fn what_is_cut_anywhere_or_has_another_bit_is_not_used() {
        let (bytes, _) = backup();
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(read(&changed).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn each_fault_is_told() {
        let (bytes, _) = backup();
        assert_eq!(read(b"PK\x03\x04 something"), Err(BackupError::Foreign));
        assert_eq!(read(b""), Err(BackupError::Foreign));
        let found = "3".to_owned();
        let newer = b"berth-backup 3\n{}\n";
        assert_eq!(read(newer), Err(BackupError::Format { found }));
        let cut = bytes.len() - 70;
        assert_eq!(read(&bytes[..cut]), Err(BackupError::Cut));
    }
}
