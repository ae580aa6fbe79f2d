//! What reboots the host when a member is not gone at the end of its lease. That at most one epoch
//! runs may rest on it, so what only looks like it is refused when the agent starts.
//!
//! There are two ways: the kernel's own (sysrq), which is at once, and a watchdog, which is not asked
//! of the kernel: once it is armed and nobody feeds it, the machine is reset, whatever the kernel does.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use berth_core::waiting::Reason;
use rustix::fs::{PROC_SUPER_MAGIC, fstatfs, major, minor};
use serde::{Deserialize, Serialize};

use crate::{
    host::{path_failed, step_failed},
    keeper::watchdog::RESET,
};

/// The name of the kernel's file.
const TRIGGER: &str = "sysrq-trigger";
/// Where the kernel tells of devices by their numbers.
const DEVICES: &str = "/sys/dev/char";
/// Of the options of a watchdog (`WDIOF_SETTIMEOUT`): its time can be set.
const TIME_CAN_BE_SET: u32 = 0x80;

/// What reboots the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SelfReboot {
    /// The kernel's file in procfs: `policy.selfReboot` of the configuration.
    Sysrq(PathBuf),
    /// A watchdog, which nobody has armed: `policy.watchdog` of the configuration.
    Watchdog(PathBuf),
    /// A file that only shows what was written: for tests, of hosts that share a machine. No
    /// configuration file says this.
    Recorded(PathBuf),
}

impl SelfReboot {
    /// How long the host takes to be down.
    pub fn takes(&self) -> Duration {
        match self {
            Self::Sysrq(_) | Self::Recorded(_) => Duration::ZERO,
            Self::Watchdog(_) => RESET,
        }
    }

    /// Whether it is a watchdog.
    pub fn is_watchdog(&self) -> bool {
        matches!(self, Self::Watchdog(_))
    }

    /// Whether the host would be rebooted. Better found out now than when it is needed.
    ///
    /// # Errors
    /// `StepFailed`, with the field and the path.
    pub(super) fn check(&self) -> Result<(), Reason> {
        match self {
            Self::Recorded(path) => written(path).map(drop),
            Self::Sysrq(path) => is_trigger(path),
            Self::Watchdog(path) => is_watchdog(path),
        }
    }
}

fn written(path: &Path) -> Result<fs::File, Reason> {
    let file = OpenOptions::new().write(true).open(path);
    file.map_err(|e| path_failed("open policy.selfReboot", path, e))
}

fn is_trigger(path: &Path) -> Result<(), Reason> {
    let failed = |e| path_failed("open policy.selfReboot", path, e);
    let kind = fstatfs(written(path)?)
        .map_err(|e| failed(e.into()))?
        .f_type;
    let real = path.canonicalize().map_err(failed)?;
    if kind == PROC_SUPER_MAGIC && real.ends_with(TRIGGER) {
        return Ok(());
    }
    let path = path.display();
    let error = format!("{path} is not a sysrq trigger; write /proc/{TRIGGER}");
    Err(step_failed("policy.selfReboot", error))
}

/// It is not opened: that would arm it.
fn is_watchdog(path: &Path) -> Result<(), Reason> {
    let told = |error: &str| {
        let error = format!("{} {error}", path.display());
        Err(step_failed("policy.watchdog", error))
    };
    let device = fs::metadata(path).map_err(|e| path_failed("look at policy.watchdog", path, e))?;
    if !device.file_type().is_char_device() {
        return told("is not a device; name a watchdog such as /dev/watchdog0");
    }
    let number = device.rdev();
    let known = Path::new(DEVICES).join(format!("{}:{}", major(number), minor(number)));
    fit(&known).or_else(|error| told(&error))
}

/// Whether a watchdog can do it, by what the kernel tells of it.
///
/// # Errors
/// Why not, and what to do.
fn fit(known: &Path) -> Result<(), String> {
    let told = |name: &str| {
        let text = fs::read_to_string(known.join(name)).ok()?;
        Some(text.trim().to_owned())
    };
    let state = told("state").ok_or(
        "is no watchdog that the kernel tells of; name one of /sys/class/watchdog, such as \
         /dev/watchdog0",
    )?;
    if state != "inactive" {
        return Err(format!(
            "is {state}: another program has it; take it from that one (of systemd: \
             RuntimeWatchdogSec), or name another"
        ));
    }
    let number = |name| {
        let text = told(name)?;
        let hex = text.strip_prefix("0x");
        let number = hex.map_or_else(|| text.parse(), |hex| u32::from_str_radix(hex, 16));
        number.ok()
    };
    let settable = number("options").is_some_and(|options| options & TIME_CAN_BE_SET != 0);
    let soonest = number("min_timeout").unwrap_or(0);
    if !settable || u64::from(soonest) > RESET.as_secs() {
        return Err(format!(
            "cannot reset the machine after {} s; use another watchdog, or policy.selfReboot",
            RESET.as_secs()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_reboot_nothing_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join(TRIGGER);
        fs::write(&plain, "").unwrap();
        let told = |path: &Path| {
            let checked = SelfReboot::Sysrq(path.to_owned()).check();
            checked.unwrap_err().to_string()
        };
        // One of procfs that can be written to, and is another.
        for path in [plain.as_path(), Path::new("/proc/self/comm")] {
            let expected = format!(
                "policy.selfReboot: {} is not a sysrq trigger; write /proc/sysrq-trigger",
                path.display()
            );
            assert_eq!(told(path), expected);
        }
        let missing = told(&dir.path().join("missing"));
        assert!(missing.starts_with("open policy.selfReboot "), "{missing}");
        SelfReboot::Recorded(plain).check().unwrap();
    }

    #[test]
    fn no_watchdog_is_believed_that_another_program_has_or_that_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("watchdog0");
        fs::write(&plain, "").unwrap();
        for (path, expected) in [
            (plain.as_path(), "is not a device"),
            (Path::new("/dev/null"), "is no watchdog"),
            (Path::new("/dev/missing"), "look at policy.watchdog"),
        ] {
            let checked = SelfReboot::Watchdog(path.to_owned()).check();
            let told = checked.unwrap_err().to_string();
            assert!(told.contains(expected), "{told}");
        }
        let says = |attributes: &[(&str, &str)]| {
            let known = tempfile::tempdir().unwrap();
            for (name, text) in attributes {
                fs::write(known.path().join(name), format!("{text}\n")).unwrap();
            }
            fit(known.path())
        };
        let (idle, settable) = (("state", "inactive"), ("options", "0x8180"));
        assert_eq!(says(&[idle, settable, ("min_timeout", "1")]), Ok(()));
        assert_eq!(says(&[idle, settable]), Ok(()));
        for (attributes, expected) in [
            (vec![settable], "is no watchdog"),
            (vec![("state", "active"), settable], "RuntimeWatchdogSec"),
            (vec![idle, ("options", "0x8000")], "cannot reset"),
            (vec![idle, settable, ("min_timeout", "2")], "cannot reset"),
        ] {
            let told = says(&attributes).unwrap_err();
            assert!(told.contains(expected), "{told}");
        }
    }
}
