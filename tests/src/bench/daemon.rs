//! The coordinator as a process of its own, from its exec to the moment in which it serves.

use std::{
    fs, io,
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::machine;

/// How long a start may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A coordinator that runs. It is killed when dropped.
#[derive(Debug)]
pub struct Daemon(Child);

impl Daemon {
    /// Starts one with a configuration, and waits until it says that it is ready, as it says to systemd.
    ///
    /// # Errors
    /// If it does not say so.
    pub fn start(config: &Path, folder: &Path) -> io::Result<Self> {
        let notify = folder.join("notify.sock");
        fs::remove_file(&notify).ok();
        let ready = UnixDatagram::bind(&notify)?;
        ready.set_read_timeout(Some(PATIENCE))?;
        let child = Command::new(machine::program("berth-coordinator"))
            .arg("--config")
            .arg(config)
            .env("NOTIFY_SOCKET", &notify)
            .env("BERTH_LOG", "warn")
            .spawn()?;
        let daemon = Self(child);
        let mut buffer = [0; 512];
        loop {
            let length = ready.recv(&mut buffer)?;
            if String::from_utf8_lossy(&buffer[..length]).contains("READY=1") {
                return Ok(daemon);
            }
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Stops it as an upgrade does.
    ///
    /// # Errors
    /// If it is gone.
    pub fn stop(self) -> anyhow::Result<()> {
        self.end(Signal::SIGTERM)
    }

    /// Kills it.
    ///
    /// # Errors
    /// If it is gone.
    pub fn kill(self) -> anyhow::Result<()> {
        self.end(Signal::SIGKILL)
    }

    fn end(mut self, signal: Signal) -> anyhow::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.0.id())?), signal)?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended already, unless something failed.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
