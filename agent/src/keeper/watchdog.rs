//! The kernel's watchdog devices, as far as a host needs them to reboot itself: opened, given a short
//! time, and never fed.
#![expect(
    unsafe_code,
    reason = "the time of a watchdog has no interface but ioctl"
)]

use std::{
    io,
    os::fd::{IntoRawFd as _, OwnedFd},
    time::Duration,
};

use rustix::ioctl::{self, Updater, opcode};

const WDIOC_SETTIMEOUT: ioctl::Opcode = opcode::read_write::<i32>(b'W', 6);

/// How long the machine runs on: devices count whole seconds.
pub(crate) const RESET: Duration = Duration::from_secs(SECONDS as u64);
const SECONDS: u8 = 1;

/// Lets an open device run out. It is open from now on: closing it would give it new time.
///
/// # Errors
/// What the kernel says. It runs out all the same, after the time that it had.
pub(super) fn run_out(device: OwnedFd) -> io::Result<()> {
    let mut seconds = i32::from(SECONDS);
    // SAFETY: the kernel reads one int and writes one int, which `seconds` is, and keeps no pointer.
    let set = unsafe { ioctl::ioctl(&device, Updater::<WDIOC_SETTIMEOUT, _>::new(&mut seconds)) };
    let _ = device.into_raw_fd();
    Ok(set?)
}
