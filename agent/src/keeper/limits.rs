//! Writes to a cgroup what a process may use. What cannot be written is told, with why.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use berth_core::keeper::cgroup::Setting;
use rustix::fs::{FileType, major, minor, stat};

use super::hierarchy::write;

/// Writes settings to the cgroup of this directory. Returns the fields that are not enforced there,
/// each with why.
pub(crate) fn apply(dir: &Path, settings: &[Setting]) -> Vec<String> {
    let failed = settings.iter().filter_map(|setting| {
        let file = dir.join(setting.file);
        if file.exists() {
            let error = value(setting)
                .and_then(|value| write(&file, &value))
                .err()?;
            Some((setting.field, error.to_string()))
        } else if setting.extra {
            None
        } else {
            Some((setting.field, missing(setting)))
        }
    });
    told(failed)
}

/// The fields of settings, none of which is enforced, for one reason.
pub(crate) fn none(settings: &[Setting], why: &str) -> Vec<String> {
    told(settings.iter().map(|s| (s.field, why.to_owned())))
}

fn told(fields: impl Iterator<Item = (&'static str, String)>) -> Vec<String> {
    let fields: BTreeMap<_, _> = fields.collect();
    let texts = fields.iter().map(|(field, why)| format!("{field} ({why})"));
    texts.collect()
}

fn missing(setting: &Setting) -> String {
    format!("no {} of cgroup v2", setting.file)
}

/// What is to be written: of a disk, with its numbers.
fn value(setting: &Setting) -> io::Result<String> {
    match &setting.device {
        None => Ok(setting.value.clone()),
        Some(device) => Ok(format!("{} {}", numbers(device)?, setting.value)),
    }
}

/// The numbers of a disk; of a partition, those of the disk that it is on: only these are limited.
fn numbers(device: &str) -> io::Result<String> {
    let in_words = |error: io::Error| io::Error::other(format!("{device}: {error}"));
    let about = stat(device).map_err(|e| in_words(e.into()))?;
    if FileType::from_raw_mode(about.st_mode) != FileType::BlockDevice {
        return Err(in_words(io::Error::other("it is not a block device")));
    }
    let own = format!("{}:{}", major(about.st_rdev), minor(about.st_rdev));
    let place = PathBuf::from(format!("/sys/dev/block/{own}"));
    if !place.join("partition").exists() {
        return Ok(own);
    }
    let disk = fs::read_to_string(place.join("../dev")).map_err(in_words)?;
    Ok(disk.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use berth_core::{keeper::cgroup::settings, rendered::Limits};

    use super::*;

    #[test]
    fn what_has_no_file_is_told_and_what_is_extra_is_not_missed() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["memory.max", "cpu.max"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let limits = Limits {
            memory: Some(4096),
            cpu_milli: Some(100),
            pids: Some(3),
            ..Limits::default()
        };
        let lacks = apply(dir.path(), &settings(&limits));
        assert_eq!(lacks, ["limits.pids (no pids.max of cgroup v2)"]);
        let memory = fs::read_to_string(dir.path().join("memory.max")).unwrap();
        assert_eq!(memory, "4096");
        assert_eq!(
            none(&settings(&limits), "no cgroup v2"),
            [
                "limits.cpu (no cgroup v2)",
                "limits.memory (no cgroup v2)",
                "limits.pids (no cgroup v2)"
            ]
        );
    }

    #[test]
    fn what_is_no_disk_is_told_by_its_name() {
        let error = numbers("/dev/null").unwrap_err().to_string();
        assert_eq!(error, "/dev/null: it is not a block device");
        assert!(numbers("/dev/berth-none").is_err());
    }
}
