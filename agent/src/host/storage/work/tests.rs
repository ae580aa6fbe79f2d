//! The trash on plain directories; images and their devices are in `real_volumes_life`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use berth_core::{
    ids::{Epoch, HistoryId, Uid},
    volume::VolumeSource,
};

use super::{
    super::{owner::OwnerRecord, place::PoolPlace},
    *,
};

struct Bed {
    pool: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        Self {
            pool: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.pool.path().join(path)
    }

    fn request(&self, task: VolumeTask, claim_uid: Option<&str>) -> WorkRequest {
        let dir = "default_data-web-0".to_owned();
        WorkRequest {
            work: VolumeWork {
                volume: "default/pvc-1".parse().unwrap(),
                owners: claim_uid
                    .map(|uid| Uid(uid.to_owned()))
                    .into_iter()
                    .collect(),
                filled: true,
                source: VolumeSource::Local {
                    host: "host-1".parse().unwrap(),
                    pool: "default".to_owned(),
                    dir: dir.clone(),
                },
                deletion: 1,
                task,
                from: None,
            },
            place: Place::Directory {
                pool: PoolPlace {
                    name: "default".to_owned(),
                    path: self.pool.path().to_owned(),
                    id: None,
                },
                dir,
                bytes: 0,
            },
        }
    }

    fn trash(&self) -> Result<(), Reason> {
        work(&self.request(VolumeTask::Trash, Some("u-1")))
    }

    fn restore(&self) -> Result<(), Reason> {
        work(&self.request(VolumeTask::Restore, Some("u-1")))
    }

    /// A volume with data; without an owner it has no record.
    fn volume(&self, owner: Option<&str>, content: &str) {
        let dir = self.path("default_data-web-0");
        fs::create_dir_all(dir.join("data")).unwrap();
        fs::write(dir.join("data/file"), content).unwrap();
        let Some(owner) = owner else { return };
        fs::create_dir_all(dir.join("owner")).unwrap();
        let record = OwnerRecord {
            history: HistoryId("h".to_owned()),
            claim: "default/data-web-0".parse().unwrap(),
            claim_uid: Uid(owner.to_owned()),
            epoch: Epoch::default(),
            user: "nobody".to_owned(),
            uid: 65534,
            gid: 65534,
            project: None,
            departed: None,
        };
        owner::advance(&Dir::open(&dir.join("owner")).unwrap(), &record).unwrap();
    }

    fn content(&self, dir: &str) -> Option<String> {
        fs::read_to_string(self.path(dir).join("data/file")).ok()
    }
}

const PLACE: &str = "default_data-web-0";
const THROWN: &str = ".berth-trash/pvc-1.1";

#[test]
fn a_volume_goes_to_the_trash_and_comes_back_as_it_was() {
    let bed = Bed::new();
    bed.volume(Some("u-1"), "mine");
    for _ in 0..2 {
        bed.trash().unwrap();
        assert_eq!(bed.content(THROWN).as_deref(), Some("mine"));
        assert!(!bed.path(PLACE).exists());
    }
    for _ in 0..2 {
        bed.restore().unwrap();
        assert_eq!(bed.content(PLACE).as_deref(), Some("mine"));
        assert!(bed.path(PLACE).join("owner").is_dir());
        assert!(!bed.path(THROWN).join("data").exists());
    }
}

#[test]
fn a_move_to_the_trash_that_comes_after_the_return_finds_no_way() {
    let bed = Bed::new();
    bed.volume(Some("u-1"), "mine");
    bed.restore().unwrap();
    // Once without having been there, once after it was.
    for _ in 0..2 {
        let told = bed.trash().unwrap_err().to_string();
        assert!(told.contains("there already"), "{told}");
        assert_eq!(bed.content(PLACE).as_deref(), Some("mine"));
    }
    // Deleted anew, it has another name there.
    let mut again = bed.request(VolumeTask::Trash, Some("u-1"));
    again.work.deletion = 2;
    work(&again).unwrap();
    assert_eq!(bed.content(".berth-trash/pvc-1.2").as_deref(), Some("mine"));
    bed.restore().unwrap();
    assert_eq!(bed.content(PLACE), None, "a late return is none");
    again.work.task = VolumeTask::Restore;
    work(&again).unwrap();
    assert_eq!(bed.content(PLACE).as_deref(), Some("mine"));
}

#[test]
fn a_return_finds_what_went_to_the_trash_on_any_trip() {
    let bed = Bed::new();
    bed.volume(Some("u-1"), "mine");
    bed.trash().unwrap();
    let mut later = bed.request(VolumeTask::Restore, Some("u-1"));
    later.work.deletion = 3;
    work(&later).unwrap();
    assert_eq!(bed.content(PLACE).as_deref(), Some("mine"));
}

#[test]
fn a_volume_of_the_time_before_trips_were_counted_comes_back() {
    let bed = Bed::new();
    bed.volume(Some("u-1"), "mine");
    let mut request = bed.request(VolumeTask::Trash, Some("u-1"));
    request.work.deletion = 0;
    work(&request).unwrap();
    assert_eq!(bed.content(".berth-trash/pvc-1").as_deref(), Some("mine"));
    request.work.task = VolumeTask::Restore;
    work(&request).unwrap();
    assert_eq!(bed.content(PLACE).as_deref(), Some("mine"));
}

#[test]
fn what_was_never_made_is_in_the_trash_already_and_back_already() {
    let bed = Bed::new();
    bed.trash().unwrap();
    bed.restore().unwrap();
    assert!(!bed.path(PLACE).exists());
}

#[test]
fn nothing_is_ever_overwritten() {
    let bed = Bed::new();
    bed.volume(Some("u-1"), "first");
    bed.trash().unwrap();
    bed.volume(Some("u-1"), "second");
    for refused in [bed.trash(), bed.restore()] {
        let told = refused.unwrap_err().to_string();
        assert!(told.contains("there already"), "{told}");
    }
    assert_eq!(bed.content(THROWN).as_deref(), Some("first"));
    assert_eq!(bed.content(PLACE).as_deref(), Some("second"));
    // An empty directory is something too: a plain rename would replace it.
    fs::remove_dir_all(bed.path(PLACE)).unwrap();
    fs::create_dir(bed.path(PLACE)).unwrap();
    bed.restore().unwrap_err();
    assert_eq!(bed.content(THROWN).as_deref(), Some("first"));
}

#[test]
fn another_claims_volume_is_not_touched() {
    let bed = Bed::new();
    bed.volume(Some("u-2"), "foreign");
    for refused in [bed.trash(), bed.restore()] {
        let reason = refused.unwrap_err();
        assert!(
            matches!(&reason, Reason::VolumeForeign { owner, .. } if owner.contains("u-2")),
            "{reason}"
        );
    }
    assert_eq!(bed.content(PLACE).as_deref(), Some("foreign"));
    // Released or not: only what one of its own claims left is the volume's.
    let refused = work(&bed.request(VolumeTask::Trash, None)).unwrap_err();
    assert!(matches!(refused, Reason::VolumeForeign { .. }), "{refused}");
    work(&bed.request(VolumeTask::Trash, Some("u-2"))).unwrap();
    assert!(matches!(
        bed.restore().unwrap_err(),
        Reason::VolumeForeign { .. }
    ));
    work(&bed.request(VolumeTask::Restore, Some("u-2"))).unwrap();
    assert_eq!(bed.content(PLACE).as_deref(), Some("foreign"));
}

#[test]
fn data_without_a_record_is_nobodys_but_an_interrupted_first_start_is_ours() {
    let bed = Bed::new();
    bed.volume(None, "found");
    let reason = bed.trash().unwrap_err();
    assert!(
        matches!(&reason, Reason::VolumeForeign { owner, .. } if owner.contains("no owner record")),
        "{reason}"
    );
    fs::remove_file(bed.path(PLACE).join("data/file")).unwrap();
    fs::write(bed.path(PLACE).join("note"), "").unwrap();
    bed.trash().unwrap_err();
    fs::remove_file(bed.path(PLACE).join("note")).unwrap();
    bed.trash().unwrap();
    assert!(bed.path(THROWN).join("data").is_dir());
}

#[test]
fn a_link_in_the_place_of_a_volume_or_of_the_trash_is_not_followed() {
    let bed = Bed::new();
    let other = tempfile::tempdir().unwrap();
    let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, bed.path(name)).unwrap();
    link(other.path(), PLACE);
    bed.trash().unwrap_err();
    fs::remove_file(bed.path(PLACE)).unwrap();
    bed.volume(Some("u-1"), "mine");
    link(other.path(), TRASH);
    bed.trash().unwrap_err();
    assert_eq!(bed.content(PLACE).as_deref(), Some("mine"));
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
}

#[test]
fn a_pool_that_is_not_there_holds_the_work() {
    let bed = Bed::new();
    bed.volume(Some("u-1"), "mine");
    let mut request = bed.request(VolumeTask::Trash, Some("u-1"));
    let Place::Directory { pool, .. } = &mut request.place else {
        panic!("it is a directory");
    };
    pool.id = Some("another disk".to_owned());
    let reason = work(&request).unwrap_err();
    assert!(matches!(reason, Reason::PoolNotMounted { .. }), "{reason}");
    assert_eq!(bed.content(PLACE).as_deref(), Some("mine"));
}

#[test]
fn what_nothing_limits_needs_no_growth() {
    let bed = Bed::new();
    bed.volume(Some("u-1"), "mine");
    let grow = VolumeTask::Grow { bytes: 1 << 60 };
    work(&bed.request(grow, Some("u-1"))).unwrap();
}
