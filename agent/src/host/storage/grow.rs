//! Growing an image that nothing shows, for agents that may not grow a mounted one: the kernel
//! lets only who has the capability `SYS_RESOURCE` do that, and in many containers root has not.
//!
//! Where the agent may, it never does it this way: the check of the whole file system that must
//! come first takes long.

use std::{
    fs::File,
    process::{Command, Stdio},
};

use berth_core::waiting::Reason;
use rustix::thread::{CapabilitySet, capabilities};

use super::{
    dir::{Dir, Refused, failed, os},
    image::{IMAGE, allocate, check_room, missing},
    loops::{LoopDevice, lock},
};
use crate::host::path_failed;

/// What checks a file system, and corrects what an interruption left.
const CHECK: &str = "e2fsck";
/// What makes one as large as its file.
const RESIZE: &str = "resize2fs";

/// Whether the kernel lets this process grow a file system that is mounted.
pub(crate) fn may_grow_mounted() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE))
}

/// Makes the image of a volume's directory at least this large with its file system, if it cannot
/// be done while it is mounted. One that something shows is left as it is.
///
/// # Errors
/// `VolumeNoSpace`, `StepFailed`.
pub(crate) fn grow_detached(volume: &Dir, name: &str, size: u64) -> Result<(), Refused> {
    if may_grow_mounted() {
        return Ok(());
    }
    let Some(image) = volume.file(IMAGE)? else {
        return Ok(());
    };
    let path = volume.path().join(IMAGE);
    let io = |e: std::io::Error| failed("grow", &path, os(&e));
    let has = image.metadata().map_err(io)?.len();
    let size = size.max(has);
    if missing(&image, size)
        .map_err(|e| failed("grow", &path, e))?
        .is_none()
    {
        return Ok(());
    }
    // Nobody sets up a device for it until this is dropped.
    let _lock = lock(&image).map_err(|e| failed("lock", &path, e))?;
    let shown = LoopDevice::showing(&image).map_err(|e| failed("look at", &path, e))?;
    if !shown.is_empty() {
        return Ok(());
    }
    check_room(volume, name, &image, size)?;
    allocate(volume, name, &image, size)?;
    image.sync_all().map_err(io)?;
    let step = |error: String| -> Reason { path_failed("grow the file system of", &path, error) };
    // 1: something was corrected.
    run(&image, CHECK, &["-f", "-p"], &[0, 1]).map_err(step)?;
    run(&image, RESIZE, &[], &[0]).map_err(step)?;
    image.sync_all().map_err(io)
}

/// Runs a program of the host on the image.
fn run(image: &File, program: &str, args: &[&str], good: &[i32]) -> Result<(), String> {
    let image = image.try_clone().map_err(|e| e.to_string())?;
    let output = Command::new(program)
        .args(args)
        .arg("/proc/self/fd/0")
        .env_clear()
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .stdin(Stdio::from(image))
        .output()
        .map_err(|e| format!("{program}: {e}; install e2fsprogs"))?;
    if output
        .status
        .code()
        .is_some_and(|code| good.contains(&code))
    {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let more = String::from_utf8_lossy(&output.stdout);
    Err(format!(
        "{program}: {}: {} {}",
        output.status,
        said.trim(),
        more.trim()
    ))
}
