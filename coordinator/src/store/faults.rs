//! A disk for tests that loses what was not synced, and that can fail at its n-th sync.

use std::{
    io,
    sync::{Arc, Mutex},
};

use redb::StorageBackend;

/// The disk's content outlives the database that runs on it.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    /// What survives a power cut.
    synced: Vec<u8>,
    /// What the database reads back.
    cached: Vec<u8>,
    syncs: u64,
    fail_at: Option<u64>,
    failed: bool,
    /// After a power cut the old database reaches the disk no more.
    mount: u64,
}

/// One opening of the disk.
#[derive(Debug)]
pub(super) struct Mounted {
    disk: Disk,
    mount: u64,
}

impl Disk {
    pub(super) fn mount(&self) -> Mounted {
        let mut content = self.0.lock().unwrap();
        content.mount += 1;
        Mounted {
            disk: self.clone(),
            mount: content.mount,
        }
    }

    /// Everything that was not synced is gone, except that some of the 512-byte sectors of what
    /// was being written may have reached the disk: those whose bit in `survivors` is set.
    pub(super) fn cut_power(&self, survivors: u64) {
        let mut content = self.0.lock().unwrap();
        content.mount += 1;
        let mut after = content.synced.clone();
        after.resize(content.cached.len().max(after.len()), 0);
        let changed = content.cached.chunks(512).enumerate();
        let mut index: u32 = 0;
        for (sector, bytes) in changed {
            let range = sector * 512..sector * 512 + bytes.len();
            if after[range.clone()] != *bytes {
                if survivors.rotate_right(index) & 1 == 1 {
                    after[range].copy_from_slice(bytes);
                }
                index += 1;
            }
        }
        content.synced.clone_from(&after);
        content.cached = after;
        content.failed = false;
        content.fail_at = None;
    }

    /// The n-th sync from now fails, and everything after it.
    pub(super) fn fail_sync(&self, nth: u64) {
        let mut content = self.0.lock().unwrap();
        content.fail_at = Some(content.syncs + nth);
    }

    pub(super) fn syncs(&self) -> u64 {
        self.0.lock().unwrap().syncs
    }
}

impl Mounted {
    fn with<T>(&self, run: impl FnOnce(&mut Content) -> io::Result<T>) -> io::Result<T> {
        let mut content = self.disk.0.lock().unwrap();
        if content.mount != self.mount || content.failed {
            return Err(io::Error::other("the disk is gone"));
        }
        run(&mut content)
    }
}

fn place(offset: u64, length: usize) -> std::ops::Range<usize> {
    let start = usize::try_from(offset).unwrap();
    start..start + length
}

impl StorageBackend for Mounted {
    fn len(&self) -> io::Result<u64> {
        self.with(|content| Ok(content.cached.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|content| {
            let bytes = content.cached.get(place(offset, out.len()));
            out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|content| {
            content.cached.resize(place(len, 0).start, 0);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|content| {
            content.syncs += 1;
            if content.fail_at.is_some_and(|at| content.syncs >= at) {
                content.failed = true;
                return Err(io::Error::other("the sync failed"));
            }
            content.synced.clone_from(&content.cached);
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|content| {
            let range = place(offset, data.len());
            let bytes = content.cached.get_mut(range);
            bytes
                .ok_or(io::ErrorKind::UnexpectedEof)?
                .copy_from_slice(data);
            Ok(())
        })
    }
}
