//! Limits over a file system that is made up: which directory has which project, and what each may
//! hold.

use std::{cell::RefCell, collections::BTreeMap, fs, path::Path};

use rustix::fs::fstat;

use super::*;
use crate::host::storage::quota::Use;

/// Counts only what was given a project: nothing is inherited here.
#[derive(Default)]
struct Fake {
    off: bool,
    projects: RefCell<BTreeMap<u64, u32>>,
    limits: RefCell<BTreeMap<u32, u64>>,
    /// Files of others, by project.
    others: BTreeMap<u32, u64>,
}

fn inode(file: &impl AsFd) -> u64 {
    fstat(file).unwrap().st_ino
}

impl Quota for Fake {
    fn is_enforced(&self, _: &Dir) -> bool {
        !self.off
    }

    fn project(&self, file: &impl AsFd) -> rustix::io::Result<u32> {
        Ok(self
            .projects
            .borrow()
            .get(&inode(file))
            .copied()
            .unwrap_or(0))
    }

    fn give(&self, file: &impl AsFd, _: bool, project: u32) -> rustix::io::Result<()> {
        self.projects.borrow_mut().insert(inode(file), project);
        Ok(())
    }

    fn used(&self, _: &Dir, project: u32) -> rustix::io::Result<Use> {
        let own = self.projects.borrow();
        let own = own.values().filter(|one| **one == project).count();
        let others = self.others.get(&project).copied().unwrap_or(0);
        Ok(Use {
            inodes: u64::try_from(own).unwrap() + others,
            limit: self.limits.borrow().get(&project).copied().unwrap_or(0),
        })
    }

    fn limit(&self, _: &Dir, project: u32, bytes: u64) -> rustix::io::Result<()> {
        self.limits.borrow_mut().insert(project, bytes);
        Ok(())
    }
}

struct Volume {
    volume: Dir,
    data: Dir,
}

impl Volume {
    fn new(pool: &Path, name: &str) -> Self {
        let data = pool.join(name).join("data");
        fs::create_dir_all(&data).unwrap();
        Self {
            volume: Dir::open(&pool.join(name)).unwrap(),
            data: Dir::open(&data).unwrap(),
        }
    }

    fn held<'a>(&'a self, quota: &'a Fake) -> Held<'a, Fake> {
        Held {
            quota,
            volume: &self.volume,
            data: &self.data,
            recorded: None,
        }
    }
}

#[test]
fn each_volume_has_a_number_of_its_own_and_keeps_it() {
    let pool = tempfile::tempdir().unwrap();
    let quota = Fake::default();
    let (a, b) = (Volume::new(pool.path(), "a"), Volume::new(pool.path(), "b"));
    assert!(a.held(&quota).hold(10).unwrap().is_some());
    assert!(b.held(&quota).hold(20).unwrap().is_some());
    let of = |volume: &Volume| volume.held(&quota).own().unwrap().unwrap();
    let (first, second) = (of(&a), of(&b));
    assert_ne!(first, second);
    let limit = |project| quota.limits.borrow()[&project];
    assert_eq!((limit(first), limit(second)), (10, 20));
    a.held(&quota).hold(30).unwrap();
    assert_eq!((of(&a), limit(first)), (first, 30), "the same number");
    a.held(&quota).raise(25).unwrap();
    assert_eq!(limit(first), 30, "growing makes nothing smaller");
    a.held(&quota).raise(40).unwrap();
    assert_eq!((limit(first), limit(second)), (40, 20));
}

#[test]
fn a_number_that_anything_has_is_not_given() {
    let pool = tempfile::tempdir().unwrap();
    let volume = Volume::new(pool.path(), "a");
    let first = first_number(volume.data.path());
    let quota = Fake {
        others: [(first, 1), (next_number(first), 3)].into(),
        ..Fake::default()
    };
    volume.held(&quota).hold(10).unwrap();
    let own = volume.held(&quota).own().unwrap();
    assert_eq!(own, Some(next_number(next_number(first))));
    assert!(!quota.limits.borrow().contains_key(&first), "not touched");
    let all = (0..TRIES).scan(first, |number, _| {
        let now = *number;
        *number = next_number(now);
        Some((now, 1))
    });
    let full = Fake {
        others: all.collect(),
        ..Fake::default()
    };
    let refused = volume.held(&full).hold(10).unwrap_err().reason.to_string();
    assert!(refused.contains("in use"), "{refused}");
    assert_eq!(next_number(LAST), FIRST);
}

#[test]
fn data_that_is_there_already_is_held_too_and_links_are_not_followed() {
    let outer = tempfile::tempdir().unwrap();
    let pool = outer.path().join("pool");
    let volume = Volume::new(&pool, "a");
    let data = pool.join("a/data");
    fs::create_dir(data.join("dir")).unwrap();
    fs::write(data.join("dir/file"), "x").unwrap();
    let outside = outer.path().join("outside");
    fs::write(&outside, "x").unwrap();
    std::os::unix::fs::symlink(&outside, data.join("link")).unwrap();
    let quota = Fake::default();
    volume.held(&quota).hold(10).unwrap();
    let own = volume.held(&quota).own().unwrap().unwrap();
    let of = |path: &Path| quota.project(&fs::File::open(path).unwrap()).unwrap();
    assert_eq!(of(&data.join("dir")), own);
    assert_eq!(of(&data.join("dir/file")), own);
    assert_eq!(of(&outside), 0);
}

#[test]
fn the_project_of_a_whole_pool_is_no_volumes_own() {
    let pool = tempfile::tempdir().unwrap();
    let volume = Volume::new(pool.path(), "a");
    let quota = Fake::default();
    for dir in [&volume.volume, &volume.data] {
        quota.give(dir, true, 5).unwrap();
    }
    assert_eq!(volume.held(&quota).own().unwrap(), None);
    volume.held(&quota).hold(10).unwrap();
    let own = volume.held(&quota).own().unwrap().unwrap();
    assert!(own >= FIRST);
    assert!(!quota.limits.borrow().contains_key(&5));
}

#[test]
fn data_that_its_user_gave_to_another_project_comes_back_with_the_next_start() {
    let pool = tempfile::tempdir().unwrap();
    let quota = Fake::default();
    let (a, b) = (Volume::new(pool.path(), "a"), Volume::new(pool.path(), "b"));
    let theirs = b.held(&quota).hold(20).unwrap().unwrap();
    let recorded = a.held(&quota).hold(10).unwrap();
    let mine = recorded.unwrap();
    let held = Held {
        recorded,
        ..a.held(&quota)
    };
    assert_eq!(held.hold(10).unwrap(), recorded);
    let file = pool.path().join("a/data/file");
    fs::write(&file, "x").unwrap();
    for away in [theirs, 0] {
        let opened = fs::File::open(&file).unwrap();
        quota.give(&opened, false, away).unwrap();
        quota.give(&a.data, true, away).unwrap();
        held.raise(30).unwrap();
        let limit = |project| quota.limits.borrow()[&project];
        assert_eq!(limit(theirs), 20, "the neighbour's is not touched");
        assert_eq!(held.hold(15).unwrap(), recorded);
        assert_eq!((limit(mine), limit(theirs)), (15, 20));
        for project in [quota.project(&opened), quota.project(&a.data)] {
            assert_eq!(project.unwrap(), mine);
        }
    }
    quota.give(&a.data, true, 0).unwrap();
    let off = Fake {
        off: true,
        ..Fake::default()
    };
    let unmounted = Held {
        recorded,
        ..a.held(&off)
    };
    assert_eq!(unmounted.hold(10).unwrap(), recorded, "kept for later");
}

#[test]
fn without_quota_and_without_a_size_nothing_is_limited() {
    let pool = tempfile::tempdir().unwrap();
    let volume = Volume::new(pool.path(), "a");
    let off = Fake {
        off: true,
        ..Fake::default()
    };
    assert_eq!(volume.held(&off).hold(10).unwrap(), None);
    volume.held(&off).raise(10).unwrap();
    let on = Fake::default();
    assert_eq!(volume.held(&on).hold(0).unwrap(), None);
    volume.held(&on).raise(10).unwrap();
    for quota in [&off, &on] {
        assert!(quota.projects.borrow().is_empty());
        assert!(quota.limits.borrow().is_empty());
    }
}

#[test]
fn a_limit_goes_with_the_last_file_of_its_project() {
    let pool = tempfile::tempdir().unwrap();
    let dir = Dir::open(pool.path()).unwrap();
    let mut quota = Fake {
        others: [(FIRST, 1)].into(),
        limits: RefCell::new([(FIRST, 10)].into()),
        ..Fake::default()
    };
    forget(&quota, &dir, FIRST).unwrap();
    assert_eq!(quota.limits.borrow()[&FIRST], 10, "something is left");
    quota.others.clear();
    forget(&quota, &dir, FIRST).unwrap();
    assert_eq!(quota.limits.borrow()[&FIRST], 0);
}
