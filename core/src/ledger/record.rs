//! How the ledger is written: a header line, then one frame per line. A frame is all that one
//! decision writes, so that it is there whole or not at all.
//!
//! A frame is `<checksum> <JSON array of records>`. A last line that is not whole is what a power
//! cut leaves behind: it was never acted on, and is dropped. A line that is not whole before others
//! means that the disk lost what was acted on: that is an error, never repaired silently.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::Ledger;
use crate::{
    ids::{BootId, Epoch, HistoryId, MemberId, RunId, Term, Uid},
    machine::MachineIds,
    order::{MemberOrder, OrderDelta, hex},
    spec::Sealed,
};

/// The first line of the file; another version gets another number.
const HEADER: &str = "berth-ledger 2";
/// Characters of the checksum that stand in front of a frame.
const CHECKSUM: usize = 16;

/// One durable fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "record",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Record {
    /// Everything before, in one record: what compaction writes.
    Snapshot(Box<Ledger>),
    /// An order was accepted.
    Order(OrderDelta),
    /// The history that the host follows was ended, and another one took its place, which has the order
    /// as it is. Or it is the first one.
    NewHistory {
        /// The new one.
        history: HistoryId,
        /// The term of its coordinator.
        term: Term,
    },
    /// An operator stopped a member on this host, or let go of it.
    Held {
        /// The member.
        member: MemberId,
        /// Whether it is held now.
        held: bool,
    },
    /// The members of the host are stopped because it goes down, or may run again.
    Shutdown {
        /// The boot that is being ended; none once they may run again.
        boot: Option<BootId>,
    },
    /// A start is about to be tried.
    Run {
        /// The member.
        member: MemberId,
        /// The start.
        run: RunId,
    },
    /// A member is about to be started on the volumes of these claims: written with the run, so that
    /// no program ever wrote to a volume that counts as new.
    Filled {
        /// The claims.
        claims: BTreeSet<Uid>,
    },
    /// A member was ready: it founds nothing any more.
    PassedGate {
        /// The member.
        member: MemberId,
        /// In which epoch.
        epoch: Epoch,
    },
    /// A member that left the order is gone from this host.
    Forgotten {
        /// The member.
        member: MemberId,
    },
    /// The machine that the ledger is of from now on.
    Machine {
        /// What tells it from others.
        ids: MachineIds,
    },
}

impl Record {
    /// The secrets in it. Where the ledger is kept, they are sealed.
    pub fn secrets_mut(&mut self) -> Vec<&mut Sealed> {
        match self {
            Self::Snapshot(ledger) => ledger.secrets_mut().collect(),
            Self::Order(delta) => {
                let orders = delta.upserts.iter_mut();
                orders.flat_map(MemberOrder::secrets_mut).collect()
            }
            Self::NewHistory { .. }
            | Self::Held { .. }
            | Self::Shutdown { .. }
            | Self::Run { .. }
            | Self::Filled { .. }
            | Self::PassedGate { .. }
            | Self::Forgotten { .. }
            | Self::Machine { .. } => Vec::new(),
        }
    }
}

/// Why a ledger cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The header is not ours.
    #[error("line 1 is '{found}', not '{HEADER}'; use the agent that wrote the ledger")]
    Header {
        /// What is there.
        found: String,
    },
    /// A frame that others follow is not whole.
    #[error(
        "line {line} is damaged ({because}); the disk lost what was written: \
         restore the ledger, or remove it and let the coordinator send the order again"
    )]
    Corrupt {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        because: String,
    },
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// What the frames come to.
    pub ledger: Ledger,
    /// How many bytes are good. What follows is a torn frame: cut it off before writing.
    pub good: usize,
    /// How many frames there are, to decide on compaction.
    pub frames: usize,
}

/// A new file with everything in one frame.
///
/// # Errors
/// If a value cannot be written as JSON, which no value of these types should cause.
pub fn encode_new(ledger: &Ledger) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = format!("{HEADER}\n").into_bytes();
    let records = [Record::Snapshot(Box::new(ledger.clone()))];
    bytes.extend(encode_frame(&records)?);
    Ok(bytes)
}

/// One frame, to be appended in one write.
///
/// # Errors
/// If a value cannot be written as JSON, which no value of these types should cause.
pub fn encode_frame(records: &[Record]) -> Result<Vec<u8>, serde_json::Error> {
    let json = serde_json::to_string(records)?;
    Ok(format!("{} {json}\n", checksum(json.as_bytes())).into_bytes())
}

/// Reads a whole file. An empty file is an empty ledger.
///
/// # Errors
/// If it is not a ledger of this version, or damaged before its last frame.
pub fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let mut decoded = Decoded {
        ledger: Ledger::default(),
        good: 0,
        frames: 0,
    };
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate();
    let Some((_, header)) = lines.next() else {
        return Ok(decoded);
    };
    if header != format!("{HEADER}\n").as_bytes() {
        return Err(DecodeError::Header {
            found: String::from_utf8_lossy(header).trim_end().to_owned(),
        });
    }
    decoded.good = header.len();
    for (index, line) in lines {
        let last = decoded.good + line.len() == bytes.len();
        match decode_frame(line) {
            Ok(records) => {
                records.iter().for_each(|r| decoded.ledger.apply(r));
                decoded.good += line.len();
                decoded.frames += 1;
            }
            Err(Damage::Torn(_)) if last => break,
            Err(Damage::Torn(because) | Damage::Unreadable(because)) => {
                return Err(DecodeError::Corrupt {
                    line: index + 1,
                    because,
                });
            }
        }
    }
    Ok(decoded)
}

/// What is wrong with a frame.
enum Damage {
    /// It is not what was written.
    Torn(String),
    /// It is what was written, by another version of the program: never dropped.
    Unreadable(String),
}

fn decode_frame(line: &[u8]) -> Result<Vec<Record>, Damage> {
    let torn = |because: &str| Damage::Torn(because.to_owned());
    let line = line
        .strip_suffix(b"\n")
        .ok_or_else(|| torn("no end of line"))?;
    let (sum, json) = line
        .split_at_checked(CHECKSUM)
        .ok_or_else(|| torn("too short"))?;
    let json = json.strip_prefix(b" ").ok_or_else(|| torn("no checksum"))?;
    if sum != checksum(json).as_bytes() {
        return Err(torn("its checksum does not match"));
    }
    serde_json::from_slice(json).map_err(|error| Damage::Unreadable(error.to_string()))
}

fn checksum(bytes: &[u8]) -> String {
    let mut text = hex(&Sha256::digest(bytes));
    text.truncate(CHECKSUM);
    text
}
