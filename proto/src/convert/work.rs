//! What an agent is to do with a volume beside running members on it, and what came of it.
//!
//! Not part of an order: it is about volumes that no member uses, or that grow under one, and it ends.

use berth_core::volume::{
    transfer::Weight,
    work::{VolumeDone, VolumeWork},
};

use super::{ConvertError, from_json, to_json};
use crate::v1;

/// A work with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered<T> {
    /// Tells the works about one volume apart: what was done for an earlier one proves nothing.
    pub id: u64,
    /// The work, or what came of it.
    pub of: T,
}

impl TryFrom<Numbered<VolumeWork>> for v1::VolumeWork {
    type Error = ConvertError;
    fn try_from(work: Numbered<VolumeWork>) -> Result<Self, ConvertError> {
        let json = to_json("volume_work", &work.of)?;
        Ok(Self { id: work.id, json })
    }
}

impl TryFrom<v1::VolumeWork> for Numbered<VolumeWork> {
    type Error = ConvertError;
    fn try_from(work: v1::VolumeWork) -> Result<Self, ConvertError> {
        let of = from_json("volume_work", &work.json)?;
        Ok(Self { id: work.id, of })
    }
}

impl TryFrom<&Weight> for v1::TransferHead {
    type Error = ConvertError;
    fn try_from(weight: &Weight) -> Result<Self, ConvertError> {
        let json = to_json("weight", weight)?;
        let bytes = weight.bytes;
        Ok(Self { bytes, json })
    }
}

impl TryFrom<v1::TransferHead> for Weight {
    type Error = ConvertError;
    fn try_from(head: v1::TransferHead) -> Result<Self, ConvertError> {
        from_json("weight", &head.json)
    }
}

/// What a host is asked to send, and the ticket to send it with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// Lets the coordinator know whose data it is.
    pub ticket: String,
    /// What is to be sent.
    pub work: VolumeWork,
}

impl TryFrom<Sending> for v1::SendOrder {
    type Error = ConvertError;
    fn try_from(sending: Sending) -> Result<Self, ConvertError> {
        let json = to_json("volume_work", &sending.work)?;
        let ticket = sending.ticket;
        Ok(Self { ticket, json })
    }
}

impl TryFrom<v1::SendOrder> for Sending {
    type Error = ConvertError;
    fn try_from(order: v1::SendOrder) -> Result<Self, ConvertError> {
        let work = from_json("volume_work", &order.json)?;
        let ticket = order.ticket;
        Ok(Self { ticket, work })
    }
}

impl TryFrom<Numbered<VolumeDone>> for v1::VolumeDone {
    type Error = ConvertError;
    fn try_from(done: Numbered<VolumeDone>) -> Result<Self, ConvertError> {
        let json = to_json("volume_done", &done.of)?;
        Ok(Self { id: done.id, json })
    }
}

impl TryFrom<v1::VolumeDone> for Numbered<VolumeDone> {
    type Error = ConvertError;
    fn try_from(done: v1::VolumeDone) -> Result<Self, ConvertError> {
        let of = from_json("volume_done", &done.json)?;
        Ok(Self { id: done.id, of })
    }
}

#[cfg(test)]
mod tests {
    use berth_core::{
        ids::{ObjectKey, Uid},
        volume::{VolumeSource, work::VolumeTask},
    };

    use super::*;

    #[test]
    fn work_and_what_came_of_it_arrive_as_they_were_sent() {
        for task in [
            VolumeTask::Trash,
            VolumeTask::Restore,
            VolumeTask::Grow { bytes: 7 },
        ] {
            let volume: ObjectKey = "default/pvc-1".parse().unwrap();
            let work = Numbered {
                id: 4,
                of: VolumeWork {
                    volume: volume.clone(),
                    source: VolumeSource::Local {
                        host: "host-1".parse().unwrap(),
                        pool: "default".to_owned(),
                        dir: "default_data-web-0".to_owned(),
                    },
                    owners: vec![Uid("u".to_owned())],
                    filled: true,
                    deletion: 3,
                    from: None,
                    task,
                },
            };
            let wire = v1::VolumeWork::try_from(work.clone()).unwrap();
            assert_eq!(Numbered::try_from(wire).unwrap(), work);
            let done = Numbered {
                id: 4,
                of: VolumeDone {
                    volume,
                    task,
                    error: Some("no".to_owned()),
                },
            };
            let wire = v1::VolumeDone::try_from(done.clone()).unwrap();
            assert_eq!(Numbered::try_from(wire).unwrap(), done);
        }
    }
}
