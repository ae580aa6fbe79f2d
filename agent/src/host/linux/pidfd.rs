//! Waiting for the end of a process that is not our child. When the process is PID 1 of a PID
//! namespace, its descriptor becomes readable only after the kernel has killed and taken every
//! other process of the namespace: this is the proof that a member is gone.

use std::os::fd::OwnedFd;

use rustix::{
    io::Errno,
    process::{
        Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open, pidfd_send_signal,
    },
};
use tokio::io::{Interest, unix::AsyncFd};

use crate::host::watch::registered;

/// A process on the host.
#[derive(Debug)]
pub(super) struct PidFd(AsyncFd<OwnedFd>);

impl PidFd {
    /// Takes hold of a process; `None` if there is none of this id. Whether it is the one that is
    /// meant must be looked at afterwards: from then on the id is not used again.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn open(pid: u32) -> std::io::Result<Option<Self>> {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        let fd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => fd,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Self(registered(fd, Interest::READABLE)?)))
    }

    /// Kills it, and with it, if it is a keeper, its member.
    pub(super) fn kill(&self) {
        // One that has ended needs none.
        let _ = pidfd_send_signal(self.0.get_ref(), Signal::KILL);
    }

    /// Takes a copy of one of its descriptors.
    pub(super) fn take(&self, fd: i32) -> std::io::Result<OwnedFd> {
        Ok(pidfd_getfd(self.0.get_ref(), fd, PidfdGetfdFlags::empty())?)
    }

    /// Waits until it has ended.
    pub(super) async fn gone(&self) -> std::io::Result<()> {
        self.0.readable().await.map(drop)
    }
}
