//! The socket on which a process says how it is (`sd_notify`). It lies in the member's own `/tmp`,
//! in a directory of root: only the keeper can remove it, and only the process's user can write.
//! What was said is kept here, for agents come and go; what it means is decided in core.
//!
//! A datagram counts if the kernel says that it comes from the process itself, from one of its
//! session, or from a descendant of it. Who sends and ends at once may be gone before that is looked
//! up, and is not heard: `sd_notify` with a barrier, which `systemd-notify` uses, waits.

use std::{
    fs::{self, Permissions},
    io::IoSliceMut,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::{fs::PermissionsExt, net::UnixDatagram},
    },
    path::{Path, PathBuf},
};

use berth_core::{
    notify::Said,
    rendered::RenderedProcess,
    spec::{Probe, Sealed},
    waiting::Reason,
};
use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt, sockopt::PassCred,
    },
    unistd::Pid,
};

use super::{processes, spec::Identity};
use crate::host::path_failed;

/// The directory of the sockets, in the member's mount namespace.
const DIR: &str = "/tmp/.berth-notify";
/// The longest datagram that is taken, that of systemd.
const MAX_DATAGRAM: usize = 4096;
/// How many datagrams are taken before the others of the member have their turn.
const AT_ONCE: usize = 64;

/// The socket of one process, and what it has said since its last start.
#[derive(Debug)]
pub(crate) struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
    said: Said,
}

impl NotifySocket {
    /// Makes the socket of a process, if any of its probes listens.
    pub(crate) fn new(
        process: &RenderedProcess,
        identity: &Identity,
    ) -> Result<Option<Self>, Reason> {
        if !process.notifies() {
            return Ok(None);
        }
        let dir = Path::new(DIR);
        let path = dir.join(process.name.as_str());
        let failed = |e: std::io::Error| path_failed("listen at", &path, e);
        fs::create_dir_all(dir).map_err(failed)?;
        fs::set_permissions(dir, Permissions::from_mode(0o755)).map_err(failed)?;
        // A volume may be mounted at /tmp, and have one of an earlier run.
        if path.exists() {
            fs::remove_file(&path).map_err(failed)?;
        }
        let socket = UnixDatagram::bind(&path).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        setsockopt(&socket, PassCred, &true).map_err(|e| failed(e.into()))?;
        std::os::unix::fs::chown(&path, Some(identity.uid), Some(identity.gid)).map_err(failed)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
        let said = Said::default();
        Ok(Some(Self { socket, path, said }))
    }

    /// What the process finds in its environment.
    pub(crate) fn environment(&self, process: &RenderedProcess) -> Vec<(&'static str, Sealed)> {
        let path = self.path.to_string_lossy().into_owned();
        let mut env = vec![("NOTIFY_SOCKET", Sealed::new(path))];
        let watchdog = |probe: &&Probe| probe.notify.is_some();
        if let Some(probe) = process.liveness_probe.as_ref().filter(watchdog) {
            let micros = u64::from(probe.timeout_seconds.max(1)) * 1_000_000;
            env.push(("WATCHDOG_USEC", Sealed::new(micros.to_string())));
        }
        env
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What was said since the last start.
    pub(crate) fn said(&self) -> &Said {
        &self.said
    }

    /// Forgets what was said: the process starts anew.
    pub(crate) fn reset(&mut self) {
        while self.receive().is_some() {}
        self.said = Said::default();
    }

    /// Takes what is there; whether anything of the process with this id was.
    pub(crate) fn take(&mut self, main: Option<Pid>) -> bool {
        let before = self.said.clone();
        for _ in 0..AT_ONCE {
            let Some((datagram, sender)) = self.receive() else {
                break;
            };
            if let (Some(main), Some(sender)) = (main, sender)
                && processes::belongs(sender, main)
            {
                self.said.take(&datagram);
            }
        }
        self.said != before
    }

    /// The next datagram and who sent it, if the kernel says.
    fn receive(&self) -> Option<(Vec<u8>, Option<Pid>)> {
        loop {
            let mut buffer = [0; MAX_DATAGRAM];
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let mut control = cmsg_space!(UnixCredentials, [std::os::fd::RawFd; 8]);
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
            let fd = self.socket.as_raw_fd();
            let message = match recvmsg::<()>(fd, &mut slices, Some(&mut control), flags) {
                Ok(message) => message,
                Err(Errno::EINTR) => continue,
                Err(_) => return None,
            };
            let mut sender = None;
            for part in message.cmsgs().into_iter().flatten() {
                if let ControlMessageOwned::ScmCredentials(who) = &part {
                    // Of a process of another namespace it is 0.
                    sender = Some(Pid::from_raw(who.pid())).filter(|pid| pid.as_raw() > 0);
                }
                if let ControlMessageOwned::ScmRights(fds) = part {
                    // A barrier: its sender waits until nobody has the other end.
                    for fd in fds {
                        let _ = nix::unistd::close(fd);
                    }
                }
            }
            let length = message.bytes;
            return Some((buffer.get(..length)?.to_vec(), sender));
        }
    }
}
