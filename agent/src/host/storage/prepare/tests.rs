//! Every guard of a volume, without root: the directories belong to whoever runs the test.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use berth_core::ids::{Term, Uid as ClaimUid};

use super::*;
use crate::host::storage::pool::MARKER;

struct Pool {
    dir: tempfile::TempDir,
}

/// What is asked of a volume.
struct Ask {
    uid: &'static str,
    counter: u64,
    change: fn(&mut VolumeOrder),
}

impl Pool {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.dir.path().join("default_data-web-0").join(inner)
    }

    fn place(&self) -> Place {
        Place::Directory {
            pool: PoolPlace {
                name: "default".to_owned(),
                path: self.dir.path().to_owned(),
                id: None,
            },
            dir: "default_data-web-0".to_owned(),
            bytes: 1 << 20,
        }
    }

    fn prepare(&self, uid: &'static str, counter: u64, filled: bool) -> Result<PathBuf, Reason> {
        let change = |order: &mut VolumeOrder| order.filled = true;
        let ask = Ask {
            uid,
            counter,
            change: if filled { change } else { |_| () },
        };
        self.ask(&ask, me()).map(|_| self.path("data"))
    }

    fn ask(&self, ask: &Ask, identity: Identity) -> Result<PreparedVolume, Reason> {
        let mut order = VolumeOrder::local(
            "data",
            "default/data-web-0".parse().unwrap(),
            ClaimUid(ask.uid.to_owned()),
            "host-1".parse().unwrap(),
            "default",
        );
        (ask.change)(&mut order);
        let request = PrepareRequest {
            history: HistoryId("h".to_owned()),
            epoch: Epoch {
                term: Term(1),
                counter: ask.counter,
            },
            notes: self.dir.path().join("notes"),
            volumes: Vec::new(),
        };
        let task = VolumeTask {
            order,
            owner: VolumeOwner {
                process: "web".parse().unwrap(),
                user: "www".to_owned(),
                group: None,
            },
            identity,
            place: self.place(),
        };
        prepare(&request, &task)
    }

    fn records(&self) -> Vec<String> {
        let mut records: Vec<_> = fs::read_dir(self.path("owner"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        records.sort();
        records
    }
}

fn me() -> Identity {
    Identity {
        uid: nix::unistd::getuid().as_raw(),
        gid: nix::unistd::getgid().as_raw(),
        groups: Vec::new(),
    }
}

#[test]
fn a_new_volume_is_made_and_found_again_by_later_epochs() {
    let pool = Pool::new();
    let data = pool.prepare("a", 1, false).unwrap();
    let mode = fs::metadata(&data).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    fs::write(data.join("x"), "kept").unwrap();
    for epoch in [1, 2, 2, 5] {
        let again = pool.prepare("a", epoch, epoch > 1).unwrap();
        assert_eq!(fs::read_to_string(again.join("x")).unwrap(), "kept");
    }
    assert_eq!(pool.records(), ["epoch-1.1", "epoch-1.2", "epoch-1.5"]);
}

#[test]
fn another_claims_volume_and_an_older_epoch_are_refused() {
    let pool = Pool::new();
    pool.prepare("a", 4, false).unwrap();
    for filled in [false, true] {
        let error = pool.prepare("b", 9, filled).unwrap_err();
        let Reason::VolumeForeign { owner, .. } = error else {
            panic!("{error}");
        };
        assert!(
            owner.contains("default/data-web-0 with uid a, in /"),
            "{owner}"
        );
    }
    let error = pool.prepare("a", 3, true).unwrap_err();
    assert!(matches!(error, Reason::VolumeForeign { owner, .. } if owner.contains("epoch 1.4")));
}

#[test]
fn a_volume_that_is_given_away_keeps_its_old_records() {
    let pool = Pool::new();
    let data = pool.prepare("a", 7, false).unwrap();
    fs::write(data.join("x"), "kept").unwrap();
    fs::write(pool.path("owner").join(DATA_SEEN), "").unwrap();
    let given = Ask {
        uid: "b",
        counter: 2,
        change: |order| order.adopt = true,
    };
    for _ in 0..2 {
        pool.ask(&given, me()).unwrap();
    }
    assert_eq!(pool.records(), [DATA_SEEN, "epoch-1.2"]);
    assert!(pool.path("owner.before-b/epoch-1.7").exists());
    assert_eq!(fs::read_to_string(data.join("x")).unwrap(), "kept");
    pool.prepare("b", 3, true).unwrap();
    pool.prepare("a", 8, true).unwrap_err();
    // Nobody has looked at it yet under its new owner, and still its loss is seen.
    fs::remove_file(data.join("x")).unwrap();
    let lost = pool.prepare("b", 4, false).unwrap_err();
    assert!(matches!(lost, Reason::VolumeEmpty { .. }), "{lost}");
}

#[test]
fn several_members_use_a_shared_volume_in_any_order_of_their_epochs() {
    let pool = Pool::new();
    for counter in [5, 2, 9] {
        let ask = Ask {
            uid: "a",
            counter,
            change: |order| order.shared = true,
        };
        pool.ask(&ask, me()).unwrap();
    }
    assert_eq!(pool.records(), ["epoch-0.0"]);
}

#[test]
fn the_record_of_another_claim_in_a_directory_that_an_operator_named_is_seen() {
    let pool = Pool::new();
    pool.prepare("u-1", 1, false).unwrap();
    let dir = Dir::open(&pool.dir.path().join("default_data-web-0")).unwrap();
    let other = |uid: &str| other_owner(&dir, &ClaimUid(uid.to_owned()));
    assert_eq!(other("u-1"), None);
    let owner = other("u-2").unwrap();
    assert!(owner.contains("u-1"), "{owner}");
    // An application may have a directory, or a file, of that name.
    fs::remove_dir_all(pool.path("owner")).unwrap();
    fs::create_dir(pool.path("owner")).unwrap();
    assert_eq!(other("u-2"), None);
    fs::remove_dir(pool.path("owner")).unwrap();
    fs::write(pool.path("owner"), "").unwrap();
    assert_eq!(other("u-2"), None);
}

#[test]
fn a_filled_volume_that_is_missing_or_unknown_is_refused_and_not_made() {
    let pool = Pool::new();
    let error = pool.prepare("a", 1, true).unwrap_err();
    assert!(matches!(error, Reason::VolumeEmpty { .. }));
    assert!(!pool.path("").exists(), "nothing is made");

    fs::create_dir_all(pool.path("data")).unwrap();
    let error = pool.prepare("a", 1, true).unwrap_err();
    assert!(matches!(error, Reason::VolumeEmpty { .. }));
    fs::write(pool.path("data/x"), "x").unwrap();
    let error = pool.prepare("a", 1, true).unwrap_err();
    assert!(matches!(error, Reason::VolumeForeign { owner, .. } if owner.contains("nobody")));
}

#[test]
fn a_new_volume_that_holds_data_is_refused_unless_it_is_adopted() {
    for inner in ["data/x", "x"] {
        let pool = Pool::new();
        let file = pool.path(inner);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "x").unwrap();
        let error = pool.prepare("a", 1, false).unwrap_err();
        assert!(matches!(error, Reason::VolumeNotEmpty { .. }), "{inner}");
        assert!(!pool.path("owner").exists(), "nothing is made");
        let adopt = Ask {
            uid: "a",
            counter: 1,
            change: |order| order.adopt = true,
        };
        pool.ask(&adopt, me()).unwrap();
        assert!(file.exists());
    }
}

#[test]
fn an_interrupted_first_use_is_taken_up() {
    let pool = Pool::new();
    fs::create_dir_all(pool.path("data")).unwrap();
    fs::create_dir_all(pool.path("owner")).unwrap();
    fs::create_dir_all(pool.path("lost+found")).unwrap();
    fs::write(pool.path("owner/.epoch-1.1.0.new"), "half a rec").unwrap();
    pool.prepare("a", 1, false).unwrap();
    pool.prepare("a", 1, true).unwrap();
}

#[test]
fn a_volume_that_never_held_data_may_be_empty_and_one_that_did_may_not() {
    let pool = Pool::new();
    pool.prepare("a", 1, false).unwrap();
    pool.prepare("a", 1, true).unwrap();
    fs::write(pool.path("owner").join(DATA_SEEN), "").unwrap();
    for filled in [false, true] {
        let error = pool.prepare("a", 2, filled).unwrap_err();
        assert!(matches!(error, Reason::VolumeEmpty { .. }));
    }
    fs::remove_dir(pool.path("data")).unwrap();
    fs::remove_file(pool.path("owner").join(DATA_SEEN)).unwrap();
    let error = pool.prepare("a", 2, true).unwrap_err();
    assert!(matches!(error, Reason::VolumeEmpty { .. }));
}

#[test]
fn an_unreadable_record_is_no_permission() {
    let pool = Pool::new();
    pool.prepare("a", 1, false).unwrap();
    fs::write(pool.path("owner/epoch-1.2"), "{").unwrap();
    let error = pool.prepare("a", 3, true).unwrap_err();
    assert!(matches!(error, Reason::StepFailed { .. }));
}

#[test]
fn a_user_whose_number_changed_is_refused() {
    let pool = Pool::new();
    pool.prepare("a", 1, false).unwrap();
    let other = Identity {
        uid: me().uid + 1,
        ..me()
    };
    let ask = Ask {
        uid: "a",
        counter: 2,
        change: |order| order.filled = true,
    };
    let error = pool.ask(&ask, other).unwrap_err();
    let here = me().uid + 1;
    assert!(
        matches!(&error, Reason::UserIdMismatch(ids) if ids.here == here),
        "{error}"
    );
}

#[test]
fn a_pool_whose_disk_is_not_there_is_not_made_and_not_used() {
    let pool = Pool::new();
    pool.prepare("a", 1, false).unwrap();
    let place = |path: PathBuf| PoolPlace {
        name: "default".to_owned(),
        path,
        id: Some("known".to_owned()),
    };
    let gone = pool.dir.path().join("gone");
    for path in [pool.dir.path().to_owned(), gone.clone()] {
        let error = place(path).open().unwrap_err().reason;
        assert!(matches!(error, Reason::PoolNotMounted { .. }), "{error}");
    }
    assert!(!gone.exists());
    assert!(pool.dir.path().join(MARKER).exists());
}

#[test]
fn links_in_the_place_of_a_volumes_directories_are_refused() {
    for name in ["", "data", "owner"] {
        let (pool, outside) = (Pool::new(), tempfile::tempdir().unwrap());
        let link = pool.path(name);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        if name.is_empty() {
            symlink(outside.path(), pool.dir.path().join("default_data-web-0")).unwrap();
        } else {
            symlink(outside.path(), &link).unwrap();
        }
        pool.prepare("a", 1, false).unwrap_err();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn a_read_only_volume_is_not_touched_and_must_be_there() {
    let pool = Pool::new();
    let ask = Ask {
        uid: "a",
        counter: 1,
        change: |order| order.read_only = true,
    };
    let error = pool.ask(&ask, me()).unwrap_err();
    assert!(matches!(error, Reason::VolumeEmpty { .. }), "{error}");
    assert!(!pool.path("").exists());
    let data = pool.prepare("a", 1, false).unwrap();
    let later = Ask { counter: 2, ..ask };
    assert!(pool.ask(&later, me()).unwrap().read_only);
    assert_eq!(pool.records(), ["epoch-1.1"]);
    assert!(data.exists());
}

#[test]
fn a_class_that_must_limit_starts_nothing_where_the_file_system_does_not() {
    let pool = Pool::new();
    let root = Dir::open(pool.dir.path()).unwrap();
    let limited = Ask {
        uid: "a",
        counter: 1,
        change: |order| order.limited = true,
    };
    let asked = pool.ask(&limited, me());
    // Where the file system of the tests has quota, the guest's test is the one.
    if !Kernel.is_enforced(&root) {
        let reason = asked.unwrap_err();
        assert!(
            matches!(reason, Reason::VolumeNotLimited { .. }),
            "{reason}"
        );
        assert!(!pool.path("").exists(), "nothing is made");
    }
    let read_only = Ask {
        change: |order| (order.limited, order.read_only, order.filled) = (true, true, true),
        ..limited
    };
    pool.prepare("a", 1, false).unwrap();
    pool.ask(&read_only, me()).unwrap();
}
