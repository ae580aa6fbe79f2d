//! The guard of volumes that hold no record: what the order says is all that is known.

use berth_core::{ids::Uid, volume::Ownership};

use super::*;

fn judge(
    change: impl FnOnce(&mut VolumeOrder),
    filled: bool,
    still_empty: bool,
) -> Result<(), String> {
    let mut volume = VolumeOrder::local(
        "data",
        "default/data-web-0".parse().unwrap(),
        Uid("u".to_owned()),
        "host-1".parse().unwrap(),
        "default",
    );
    change(&mut volume);
    let wish = Wish {
        volume: &volume,
        epoch: Epoch::default(),
        owner: &VolumeOwner {
            process: "web".parse().unwrap(),
            user: "www".to_owned(),
            group: None,
        },
        identity: &Identity {
            uid: 33,
            gid: 33,
            groups: Vec::new(),
        },
    };
    let judged = wish.judge_unrecorded(filled, still_empty);
    judged.map_err(|reason| reason.rule().to_string())
}

fn told(rule: &str) -> Result<(), String> {
    Err(rule.to_owned())
}

#[test]
fn what_was_filled_must_hold_something() {
    assert_eq!(judge(|v| v.filled = true, true, false), Ok(()));
    assert_eq!(
        judge(|v| v.filled = true, false, false),
        told("VolumeEmpty")
    );
    assert_eq!(judge(|v| v.filled = true, false, true), Ok(()));
    let adopted = |v: &mut VolumeOrder| (v.filled, v.adopt) = (true, true);
    assert_eq!(judge(adopted, false, false), told("VolumeEmpty"));
}

#[test]
fn what_is_new_must_be_empty_unless_it_is_adopted() {
    assert_eq!(judge(|_| (), false, false), Ok(()));
    assert_eq!(judge(|_| (), true, false), told("VolumeNotEmpty"));
    assert_eq!(judge(|v| v.adopt = true, true, false), Ok(()));
}

#[test]
fn the_user_has_the_number_that_it_had() {
    let owned = |user: &str, uid| {
        let owner = Ownership {
            user: user.to_owned(),
            uid,
            gid: uid,
        };
        move |v: &mut VolumeOrder| (v.filled, v.owner) = (true, Some(owner))
    };
    assert_eq!(judge(owned("www", 33), true, false), Ok(()));
    assert_eq!(judge(owned("www", 34), true, false), told("UserIdMismatch"));
    assert_eq!(judge(owned("other", 34), true, false), Ok(()));
}

#[test]
fn nobody_starts_beside_data_that_went_elsewhere() {
    let epoch = |counter| Epoch {
        counter,
        ..Epoch::default()
    };
    let told = |record: (u64, Option<u64>), order: (u64, Option<u64>)| {
        let mut volume = VolumeOrder::local(
            "data",
            "default/data-web-0".parse().unwrap(),
            Uid("u".to_owned()),
            "host-1".parse().unwrap(),
            "default",
        );
        volume.departed = order.1.map(epoch);
        let owner = VolumeOwner {
            process: "web".parse().unwrap(),
            user: "www".to_owned(),
            group: None,
        };
        let identity = Identity {
            uid: 33,
            gid: 33,
            groups: Vec::new(),
        };
        let wish = Wish {
            volume: &volume,
            epoch: epoch(order.0),
            owner: &owner,
            identity: &identity,
        };
        let record = OwnerRecord {
            history: berth_core::ids::HistoryId::default(),
            claim: "default/data-web-0".parse().unwrap(),
            claim_uid: Uid("u".to_owned()),
            epoch: epoch(record.0),
            user: "www".to_owned(),
            uid: 33,
            gid: 33,
            project: None,
            departed: record.1.map(epoch),
        };
        wish.judge_record(Some(&record), Path::new("/v")).is_ok()
    };
    assert!(told((3, None), (4, None)));
    assert!(!told((5, Some(5)), (4, None)), "from before the move");
    assert!(!told((5, Some(5)), (9, None)), "of a store without it");
    assert!(told((5, Some(5)), (6, Some(5))), "it came to nothing");
    assert!(told((6, Some(5)), (7, Some(5))));
    assert!(!told((6, Some(5)), (7, None)));
    assert!(told((3, None), (7, Some(5))), "it never came so far");
}
