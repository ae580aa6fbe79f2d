//! The guest as a machine (`tests/guest`): its power switch, and how often it has been switched on.

use std::fs;

use nix::unistd::pause;

/// `tests/guest/init` looks for it: without it, a second boot is a crash of the kernel.
const RESET_EXPECTED: &str = "/var/lib/reset-expected";

/// How often the guest has been started in this run, from 1.
///
/// # Panics
/// Outside of the guest.
pub fn boot() -> u32 {
    let boot = std::env::var("BERTH_GUEST_BOOT").ok();
    boot.and_then(|text| text.parse().ok())
        .expect("this test belongs into the guest; run: tests/run nfs")
}

/// Cuts the power. The guest starts again with the same disk and runs the test program from its
/// beginning: a program that does this has one test, which asks [`boot`] where it is.
///
/// What has not been synced is lost, as it is on a machine.
pub fn power_cut() -> ! {
    assert!(boot() > 0, "not a machine of ours");
    let mark = fs::File::create(RESET_EXPECTED).expect("mark");
    mark.sync_all().expect("mark is on disk");
    fs::File::open("/var/lib")
        .and_then(|folder| folder.sync_all())
        .expect("folder is on disk");
    fs::write("/proc/sysrq-trigger", "b").expect("reset");
    loop {
        pause();
    }
}
