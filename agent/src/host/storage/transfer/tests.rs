//! Data that goes from one directory pool to another; images are in `real_moves`.

use std::{fs, fs::File, path::PathBuf};

use berth_core::{
    ids::{HistoryId, Term, Uid},
    state::BoundClaim,
    volume::{
        VolumeSource,
        work::{VolumeTask, VolumeWork},
    },
};

use super::{
    super::{
        place::{Place, PoolPlace},
        work::work,
    },
    *,
};

const PLACE: &str = "default_data-web-0";
const MOVE: Epoch = Epoch {
    term: Term(1),
    counter: 7,
};

/// Two pools of two hosts, and what is on its way between them.
struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    /// A volume of the first host that a member ran on.
    fn new() -> Self {
        let bed = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let volume = bed.path("a").join(PLACE);
        let data = volume.join(DATA);
        fs::create_dir_all(data.join("sub")).unwrap();
        fs::create_dir_all(volume.join(OWNER)).unwrap();
        fs::create_dir(bed.path("b")).unwrap();
        fs::write(data.join("sub/file"), "mine").unwrap();
        fs::hard_link(data.join("sub/file"), data.join("twin")).unwrap();
        bed.record(3, None);
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn record(&self, counter: u64, departed: Option<Epoch>) {
        self.record_in("a", counter, departed);
    }

    fn record_in(&self, pool: &str, counter: u64, departed: Option<Epoch>) {
        let record = OwnerRecord {
            history: HistoryId("h".to_owned()),
            claim: "default/data-web-0".parse().unwrap(),
            claim_uid: Uid("u-1".to_owned()),
            epoch: Epoch { counter, ..MOVE },
            user: "nobody".to_owned(),
            uid: 65534,
            gid: 65534,
            project: None,
            departed,
        };
        let records = self.path(pool).join(PLACE).join(OWNER);
        fs::create_dir_all(&records).unwrap();
        owner::advance(&Dir::open(&records).unwrap(), &record).unwrap();
    }

    fn request(&self, pool: &str, task: VolumeTask) -> WorkRequest {
        let source = |host: &str| VolumeSource::Local {
            host: host.parse().unwrap(),
            pool: "default".to_owned(),
            dir: PLACE.to_owned(),
        };
        let from = CopySource {
            source: source("a"),
            owners: vec![Uid("u-1".to_owned())],
            snapshot: None,
            claim: BoundClaim {
                key: "default/data-web-0".parse().unwrap(),
                uid: Uid("u-1".to_owned()),
            },
        };
        WorkRequest {
            work: VolumeWork {
                volume: format!("default/pvc-{pool}").parse().unwrap(),
                owners: vec![Uid("u-1".to_owned())],
                filled: true,
                source: source(pool),
                deletion: 0,
                task,
                from: (pool == "b").then_some(from),
            },
            place: Place::Directory {
                pool: PoolPlace {
                    name: "default".to_owned(),
                    path: self.path(pool),
                    id: None,
                },
                dir: PLACE.to_owned(),
                bytes: 0,
            },
        }
    }

    fn weigh(&self) -> Result<Weight, Reason> {
        let request = self.request("a", VolumeTask::Send { epoch: MOVE });
        weigh(&request, MOVE).map_err(|refused| refused.reason)
    }

    fn send(&self) {
        let request = self.request("a", VolumeTask::Send { epoch: MOVE });
        let file = File::create(self.path("archive")).unwrap();
        send(&request, file.into()).unwrap();
    }

    fn receive(&self, weight: &Weight) -> Result<(), Reason> {
        let task = VolumeTask::Receive {
            epoch: MOVE,
            bytes: 0,
        };
        let file = File::open(self.path("archive")).unwrap();
        let received = receive(&self.request("b", task), weight, (MOVE, 0), file.into());
        received.map_err(|refused| refused.reason)
    }

    fn arrived(&self) -> bool {
        self.path("b").join(PLACE).exists()
    }

    fn staged(&self) -> usize {
        fs::read_dir(self.path("b").join(SNAPSHOTS)).map_or(0, Iterator::count)
    }
}

#[test]
fn what_arrives_is_the_same_and_its_claims() {
    let bed = Bed::new();
    let weight = bed.weigh().unwrap();
    assert_eq!(bed.weigh().unwrap(), weight, "it may be asked again");
    bed.send();
    for _ in 0..2 {
        bed.receive(&weight).unwrap();
        let volume = bed.path("b").join(PLACE);
        let twin = volume.join(DATA).join("twin");
        assert_eq!(fs::read_to_string(twin).unwrap(), "mine");
        let volume = Dir::open(&volume).unwrap();
        let record = owner::of_volume(&volume).unwrap().unwrap();
        assert_eq!((record.claim_uid.0.as_str(), record.epoch), ("u-1", MOVE));
        assert_eq!((record.user.as_str(), record.departed), ("nobody", None));
        assert!(volume.sub(OWNER).unwrap().unwrap().has(DATA_SEEN).unwrap());
        assert_eq!(bed.staged(), 0);
    }
}

#[test]
fn what_is_not_the_same_is_no_volume() {
    let bed = Bed::new();
    let weight = bed.weigh().unwrap();
    bed.send();
    let whole = fs::read(bed.path("archive")).unwrap();
    let at = whole.windows(4).position(|bytes| bytes == b"mine").unwrap();
    let mut other = whole.clone();
    other[at] ^= 1;
    let ways: [(&str, &[u8]); 3] = [
        ("one bit is another", &other),
        ("the end is missing", &whole[..at]),
        ("nothing comes", &[]),
    ];
    for (what, bytes) in ways {
        fs::write(bed.path("archive"), bytes).unwrap();
        assert!(bed.receive(&weight).is_err(), "{what}");
        assert!(!bed.arrived(), "{what}");
        assert_eq!(bed.staged(), 0, "{what}: nothing is left");
    }
    fs::write(bed.path("archive"), &whole).unwrap();
    bed.receive(&weight).unwrap();
    assert!(bed.arrived());
}

/// The sender is another host, and may be somebody else's by now.
#[test]
fn no_archive_writes_outside_of_its_volume() {
    let bed = Bed::new();
    let weight = bed.weigh().unwrap();
    let outside = bed.path("outside");
    fs::create_dir(&outside).unwrap();
    let evil = bed.path("evil");
    fs::create_dir(&evil).unwrap();
    fs::write(evil.join("file"), "got out").unwrap();
    std::os::unix::fs::symlink(&outside, evil.join("link")).unwrap();
    let far_up = format!(
        "flags=r;s,^file,{}{},",
        "../".repeat(12),
        outside.join("up").display()
    );
    let absolute = format!("flags=r;s,^file,{},", outside.join("absolute").display());
    let through_a_link = "flags=r;s,^file,link/through,".to_owned();
    for (names, transform) in [
        (&["file"][..], far_up),
        (&["file"], absolute),
        (&["link", "file"], through_a_link),
    ] {
        let made = Command::new(TAR)
            .args(["--create", "--absolute-names", "--transform", &transform])
            .arg("--file")
            .arg(bed.path("archive"))
            .arg("--directory")
            .arg(&evil)
            .args(names)
            .status();
        assert!(made.unwrap().success());
        assert!(bed.receive(&weight).is_err(), "{transform}");
        assert!(!bed.arrived(), "{transform}");
        assert_eq!(bed.staged(), 0, "{transform}: nothing is left");
        let got_out = fs::read_dir(&outside).unwrap().count();
        assert_eq!(got_out, 0, "{transform}");
    }
}

#[test]
fn what_an_earlier_move_left_there_is_not_what_this_one_brings() {
    let leftovers: [(&str, u64, Option<Epoch>); 3] = [
        ("an earlier move that came to nothing", 5, None),
        ("the volume itself, in one pool of two hosts", 7, Some(MOVE)),
        ("the volume of a later life", 9, None),
    ];
    for (what, counter, departed) in leftovers {
        let bed = Bed::new();
        let weight = bed.weigh().unwrap();
        bed.send();
        bed.record_in("b", counter, departed);
        let stale = bed.path("b").join(PLACE).join(DATA);
        fs::create_dir(&stale).unwrap();
        fs::write(stale.join("file"), "old").unwrap();
        let refused = bed.receive(&weight).unwrap_err().to_string();
        assert!(refused.contains("there already"), "{what}: {refused}");
        let kept = fs::read_to_string(stale.join("file")).unwrap();
        assert_eq!(kept, "old", "{what}: it is left as it is");
    }
}

#[test]
fn what_departs_says_so_and_what_was_started_since_does_not_depart() {
    let bed = Bed::new();
    bed.weigh().unwrap();
    let volume = Dir::open(&bed.path("a").join(PLACE)).unwrap();
    let record = owner::of_volume(&volume).unwrap().unwrap();
    assert_eq!((record.epoch, record.departed), (MOVE, Some(MOVE)));
    bed.record(8, Some(MOVE));
    let late = bed.weigh().unwrap_err().to_string();
    assert!(late.contains("later than the move"), "{late}");
}

#[test]
fn what_nobody_was_started_on_is_made_by_its_first_start() {
    let bed = Bed::new();
    fs::remove_dir_all(bed.path("a").join(PLACE)).unwrap();
    assert!(
        bed.weigh().is_err(),
        "a member was started on it: it is lost"
    );
    let mut request = bed.request("a", VolumeTask::Send { epoch: MOVE });
    request.work.filled = false;
    let weight = weigh(&request, MOVE).unwrap();
    assert_eq!(weight.owned, None);
    fs::write(bed.path("archive"), "").unwrap();
    bed.receive(&weight).unwrap();
    assert!(!bed.arrived());
    let mut trash = bed.request("b", VolumeTask::Trash);
    trash.work.filled = false;
    work(&trash).unwrap();
}
