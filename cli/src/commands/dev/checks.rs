//! What `berth dev` needs, checked before anything is started. Each lack is one line.

use std::{
    env,
    io::ErrorKind,
    net::UdpSocket,
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use super::layout::Layout;
use crate::error::CliError;

/// The programs that are started.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// `berth-coordinator`.
    pub(crate) coordinator: PathBuf,
    /// `berth-agent`.
    pub(crate) agent: PathBuf,
}

/// Agents mount volumes and start processes as other users.
pub(crate) fn root() -> Result<(), CliError> {
    if geteuid().is_root() {
        return Ok(());
    }
    Err(CliError::Missing {
        message: "berth dev needs root: its agents mount volumes and switch users".to_owned(),
        hint: "run it with sudo".to_owned(),
    })
}

/// Finds the programs beside this one, so that all are of one build.
pub(crate) fn programs() -> Result<Programs, CliError> {
    let own = env::current_exe().map_err(CliError::Runtime)?;
    let dir = own.parent().unwrap_or_else(|| Path::new("/"));
    Ok(Programs {
        coordinator: program(dir, "berth-coordinator")?,
        agent: program(dir, "berth-agent")?,
    })
}

fn program(dir: &Path, name: &str) -> Result<PathBuf, CliError> {
    let path = dir.join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(CliError::Missing {
        message: format!("{} is missing", path.display()),
        hint: "install or build all of Berth's programs into one directory".to_owned(),
    })
}

/// That the addresses of the DNS servers are free.
pub(crate) fn names(layout: &Layout) -> Result<(), CliError> {
    for host in &layout.hosts {
        let Err(error) = UdpSocket::bind(host.dns) else {
            continue;
        };
        let what = if error.kind() == ErrorKind::AddrInUse {
            "is busy"
        } else {
            "cannot be used"
        };
        return Err(CliError::Missing {
            message: format!(
                "{}, the DNS server of {}, {what}: {error}",
                host.dns, host.name
            ),
            hint: "end the other `berth dev` or DNS server that listens there, or use fewer \
                   --hosts"
                .to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = program(dir.path(), "berth-agent").unwrap_err();
        assert!(error.to_string().ends_with("berth-agent is missing"));
    }

    #[test]
    fn a_busy_address_is_named() {
        let mut layout = Layout::new(Path::new("/x"), 1).unwrap();
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let std::net::SocketAddr::V4(address) = taken.local_addr().unwrap() else {
            panic!("IPv4 was asked for");
        };
        layout.hosts[0].dns = address;
        let error = names(&layout).unwrap_err().to_string();
        assert!(error.contains("is busy"), "{error}");
    }
}
