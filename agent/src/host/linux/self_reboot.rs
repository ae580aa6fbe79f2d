//! What reboots the host when a member is not gone at the end of its lease. That at most one epoch
//! runs may rest on it, so a file that only looks like it is refused when the agent starts.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
};

use berth_core::waiting::Reason;
use rustix::fs::{PROC_SUPER_MAGIC, fstatfs};

use crate::host::{path_failed, step_failed};

/// The name of the kernel's file.
const TRIGGER: &str = "sysrq-trigger";

/// What is written to, to reboot the host at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelfReboot {
    /// The kernel's file in procfs: `policy.selfReboot` of the configuration.
    Sysrq(PathBuf),
    /// A file that only shows what was written: for tests, of hosts that share a machine. No
    /// configuration file says this.
    Recorded(PathBuf),
}

impl SelfReboot {
    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Sysrq(path) | Self::Recorded(path) => path,
        }
    }

    /// Whether the host would be rebooted. Better found out now than when it is needed.
    ///
    /// # Errors
    /// `StepFailed`, with the field and the path.
    pub(super) fn check(&self) -> Result<(), Reason> {
        let path = self.path();
        let failed = |e| path_failed("open policy.selfReboot", path, e);
        let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
        let is_trigger = match self {
            Self::Recorded(_) => true,
            Self::Sysrq(_) => {
                let kind = fstatfs(&file).map_err(|e| failed(e.into()))?.f_type;
                let real = path.canonicalize().map_err(failed)?;
                kind == PROC_SUPER_MAGIC && real.ends_with(TRIGGER)
            }
        };
        if is_trigger {
            Ok(())
        } else {
            let path = path.display();
            let error = format!("{path} is not a sysrq trigger; write /proc/{TRIGGER}");
            Err(step_failed("policy.selfReboot", error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_reboot_nothing_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join(TRIGGER);
        std::fs::write(&plain, "").unwrap();
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
}
