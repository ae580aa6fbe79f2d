//! The names in the trash, and how one is closed for good.
//!
//! A work that hung is given up, and another host may bring the volume back; yet the rename of the
//! first may still be on its way to the server. So each trip to the trash has a name of its own there,
//! and a return closes the names of all trips so far with a directory that is not empty: no rename puts
//! anything in its place, on any file system, whenever it comes. No look beforehand can do that.

use super::dir::{Dir, Refused};

/// What makes a directory in the trash a closed name.
const CLOSED: &str = "brought-back";
/// For who looks into the trash.
const TEXT: &[u8] = b"The volume was brought back. This directory keeps late moves away.\n";

/// The name of a volume in the trash, on one of its trips there. Before trips were counted it was the
/// volume's.
pub(super) fn trip(volume: &str, number: u64) -> String {
    if number == 0 {
        volume.to_owned()
    } else {
        format!("{volume}.{number}")
    }
}

/// Whether nothing comes to this name any more.
pub(super) fn is_closed(thrown: &Dir) -> Result<bool, Refused> {
    thrown.has(CLOSED)
}

/// Closes a name in the trash that nothing has, durably. Where something came to it meanwhile, this
/// fails, and that is found by the next try.
pub(super) fn close(trash: &Dir, name: &str) -> Result<(), Refused> {
    let closed = trash.make(name, 0o700)?;
    if is_closed(&closed)? {
        return Ok(());
    }
    closed.publish(CLOSED, TEXT)
}

#[cfg(test)]
mod tests {
    use rustix::{fs::renameat, io::Errno};

    use super::*;

    #[test]
    fn nothing_is_renamed_onto_a_closed_name() {
        let outer = tempfile::tempdir().unwrap();
        let dir = Dir::open(outer.path()).unwrap();
        for name in ["volume", "empty"] {
            dir.make(name, 0o700).unwrap();
        }
        dir.sub("volume")
            .unwrap()
            .unwrap()
            .make("data", 0o700)
            .unwrap();
        std::fs::write(outer.path().join("file"), "").unwrap();
        for _ in 0..2 {
            close(&dir, "volume.1").unwrap();
        }
        assert!(is_closed(&dir.sub("volume.1").unwrap().unwrap()).unwrap());
        for from in ["volume", "empty", "file"] {
            // Without any look, as a late one does.
            let refused = renameat(&dir, from, &dir, "volume.1").unwrap_err();
            let known = [Errno::NOTEMPTY, Errno::EXIST, Errno::ISDIR];
            assert!(known.contains(&refused), "{from}: {refused}");
            assert!(dir.has(from).unwrap());
        }
    }

    #[test]
    fn each_trip_has_a_name() {
        assert_eq!(trip("pvc-1", 0), "pvc-1");
        assert_eq!(trip("pvc-1", 2), "pvc-1.2");
    }
}
