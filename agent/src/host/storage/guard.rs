//! The start guard of promise I4, without any I/O: may this epoch use what was found? It refuses
//! what is missing, unexpectedly empty, or another's.

use std::path::Path;

use berth_core::{
    ids::Epoch,
    order::VolumeOrder,
    waiting::{Reason, UserIds},
};

use super::owner::OwnerRecord;
use crate::{host::VolumeOwner, keeper::spec::Identity};

/// Who wants to use a volume.
#[derive(Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) volume: &'a VolumeOrder,
    pub(crate) epoch: Epoch,
    pub(crate) owner: &'a VolumeOwner,
    pub(crate) identity: &'a Identity,
}

/// Whose a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// No record is there.
    Nobodys,
    /// The claim's.
    Ours,
    /// Another claim's, and given to this one.
    Given,
}

/// What was found of a volume that holds its own record.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Found {
    /// The directory of the data is there.
    pub(crate) there: bool,
    /// And holds something.
    pub(crate) filled: bool,
    /// Beside data and record lies something else.
    pub(crate) others: bool,
    /// It is on record that it once held something.
    pub(crate) seen: bool,
}

impl Wish<'_> {
    /// The epoch that the record has.
    pub(crate) fn recorded_epoch(&self) -> Epoch {
        if self.volume.shared {
            Epoch::default()
        } else {
            self.epoch
        }
    }

    fn foreign(&self, owner: String) -> Reason {
        Reason::VolumeForeign {
            volume: self.volume.name.clone(),
            owner,
        }
    }

    fn empty(&self) -> Reason {
        Reason::VolumeEmpty {
            volume: self.volume.name.clone(),
        }
    }

    /// Judges the owner record.
    ///
    /// # Errors
    /// `VolumeForeign`, `UserIdMismatch`.
    pub(crate) fn judge_record(
        &self,
        record: Option<&OwnerRecord>,
        at: &Path,
    ) -> Result<Whose, Reason> {
        let Some(record) = record else {
            return Ok(Whose::Nobodys);
        };
        if record.claim_uid != self.volume.claim_uid {
            if self.volume.adopt {
                return Ok(Whose::Given);
            }
            let whose = if record.claim == self.volume.claim {
                "a deleted claim of the same name"
            } else {
                "another claim"
            };
            let (claim, uid) = (&record.claim, &record.claim_uid);
            let owner = format!("{whose}: {claim} with uid {uid}, in {}", at.display());
            return Err(self.foreign(owner));
        }
        if record.departed <= self.volume.departed && record.epoch > self.recorded_epoch() {
            let owner = format!("epoch {} of claim {}", record.epoch, record.claim);
            return Err(self.foreign(owner));
        }
        if record.departed > self.volume.departed {
            let move_ = record.departed.unwrap_or_default();
            let owner = format!(
                "a move to another host (epoch {move_}) that the coordinator does not know of, in {}",
                at.display()
            );
            return Err(self.foreign(owner));
        }
        self.judge_number(&record.user, record.uid)?;
        Ok(Whose::Ours)
    }

    /// The same user name with another number (a restored disk, another host) would read or write
    /// nothing, or somebody else's files.
    fn judge_number(&self, user: &str, recorded: u32) -> Result<(), Reason> {
        if user != self.owner.user || recorded == self.identity.uid {
            return Ok(());
        }
        Err(Reason::UserIdMismatch(UserIds {
            volume: self.volume.name.clone(),
            user: user.to_owned(),
            recorded,
            here: self.identity.uid,
        }))
    }

    /// Judges the data of a volume that holds its own record, or should.
    ///
    /// # Errors
    /// `VolumeForeign`, `VolumeEmpty`, `VolumeNotEmpty`.
    pub(crate) fn judge_data(&self, whose: Whose, found: Found) -> Result<(), Reason> {
        let volume = self.volume;
        match whose {
            // What the coordinator knows of the owner, it knows because nothing could be written
            // here: then the missing record says nothing.
            Whose::Nobodys if volume.owner.is_some() => self.judge_unrecorded(found.filled, false),
            Whose::Nobodys => match (volume.filled, found.filled || found.others) {
                (true, false) => Err(self.empty()),
                (_, true) if volume.adopt => Ok(()),
                (true, true) => Err(self.foreign("nobody (it has no owner record)".to_owned())),
                (false, true) => Err(Reason::VolumeNotEmpty {
                    volume: volume.name.clone(),
                }),
                (false, false) => Ok(()),
            },
            Whose::Ours | Whose::Given => {
                let lost = found.seen && !found.filled;
                let gone = volume.filled && !found.there;
                if lost || gone {
                    Err(self.empty())
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Judges a volume that holds no record: what the order says is all that is known.
    /// `still_empty`: it was empty before the last start, and nothing was made in it since.
    ///
    /// # Errors
    /// `VolumeEmpty`, `VolumeNotEmpty`, `UserIdMismatch`.
    pub(crate) fn judge_unrecorded(&self, filled: bool, still_empty: bool) -> Result<(), Reason> {
        let volume = self.volume;
        match (volume.filled, filled) {
            (true, false) if !still_empty => return Err(self.empty()),
            (false, true) if !volume.adopt => {
                return Err(Reason::VolumeNotEmpty {
                    volume: volume.name.clone(),
                });
            }
            (true, _) | (false, _) => {}
        }
        let owner = volume.owner.as_ref();
        owner.map_or(Ok(()), |owner| self.judge_number(&owner.user, owner.uid))
    }
}

#[cfg(test)]
mod tests;
