//! Every guard of a volume, without root: the directories belong to whoever runs the test.

use std::os::unix::fs::PermissionsExt;

use berth_core::{
    ids::{Epoch, HistoryId, Term, Uid},
    order::VolumeOrder,
};

use super::{super::super::VolumeOwner, *};

struct Pool {
    dir: tempfile::TempDir,
    pools: BTreeMap<String, PathBuf>,
}

impl Pool {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pools = BTreeMap::from([("default".to_owned(), dir.path().to_owned())]);
        Self { dir, pools }
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.dir.path().join("default_data-web-0").join(inner)
    }

    fn prepare(&self, uid: &str, counter: u64, filled: bool) -> Result<PreparedVolume, Reason> {
        self.prepare_as(uid, counter, filled, me())
    }

    fn prepare_as(
        &self,
        uid: &str,
        counter: u64,
        filled: bool,
        identity: Identity,
    ) -> Result<PreparedVolume, Reason> {
        let request = PrepareVolume {
            member: "default/web-0".parse().unwrap(),
            epoch: Epoch {
                term: Term(1),
                counter,
            },
            history: HistoryId("h".to_owned()),
            volume: VolumeOrder {
                filled,
                ..VolumeOrder::local(
                    "data",
                    "default/data-web-0".parse().unwrap(),
                    Uid(uid.to_owned()),
                    "host-1".parse().unwrap(),
                    "default",
                )
            },
            owner: VolumeOwner {
                process: "web".parse().unwrap(),
                user: "www".to_owned(),
                group: None,
            },
        };
        prepare(&self.pools, &request, &identity)
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
    let made = pool.prepare("a", 1, false).unwrap();
    assert_eq!(made.path, pool.path("data"));
    let mode = fs::metadata(&made.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    fs::write(made.path.join("x"), "kept").unwrap();
    for epoch in [1, 2, 2, 5] {
        let again = pool.prepare("a", epoch, epoch > 1).unwrap();
        assert_eq!(fs::read_to_string(again.path.join("x")).unwrap(), "kept");
    }
    let mut records: Vec<_> = fs::read_dir(pool.path("owner"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    records.sort();
    assert_eq!(records, ["epoch-1.1", "epoch-1.2", "epoch-1.5"]);
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
fn a_new_volume_that_holds_data_is_refused() {
    for inner in ["data/x", "x"] {
        let pool = Pool::new();
        let file = pool.path(inner);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "x").unwrap();
        let error = pool.prepare("a", 1, false).unwrap_err();
        assert!(matches!(error, Reason::VolumeNotEmpty { .. }), "{inner}");
        assert!(!pool.path("owner").exists(), "nothing is made");
    }
}

#[test]
fn an_interrupted_first_use_is_taken_up() {
    let pool = Pool::new();
    fs::create_dir_all(pool.path("data")).unwrap();
    fs::create_dir_all(pool.path("owner")).unwrap();
    fs::create_dir_all(pool.path("lost+found")).unwrap();
    fs::write(pool.path("owner/new"), "half a rec").unwrap();
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
    let error = pool.prepare_as("a", 2, true, other).unwrap_err();
    assert!(error.to_string().contains("give it that number"), "{error}");
}

#[test]
fn a_pool_whose_disk_is_not_there_is_not_made() {
    let mut pool = Pool::new();
    let gone = pool.dir.path().join("gone");
    pool.pools.insert("default".to_owned(), gone.clone());
    let error = pool.prepare("a", 1, false).unwrap_err();
    assert!(matches!(error, Reason::StepFailed { .. }), "{error}");
    assert!(!gone.exists());
    pool.pools.clear();
    let error = pool.prepare("a", 1, false).unwrap_err();
    assert!(matches!(error, Reason::PoolMissing { pool } if pool == "default"));
}
