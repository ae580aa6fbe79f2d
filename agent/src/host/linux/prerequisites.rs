//! What sets require of a host, as far as it is looked for here; what it comes to is judged in core.
//!
//! A path may lie on storage that does not answer, and a name service may hang: both are asked in
//! helpers, a path in one of its own, so that one that hangs says nothing of the others.

use std::{
    fs, io::ErrorKind, os::unix::fs::PermissionsExt, path::Path, process::Stdio, time::Duration,
};

use berth_core::prerequisite::{Fact, FoundPath, Prerequisite};
use futures_util::{StreamExt as _, stream};
use tokio::{process::Command, time::timeout};

use super::{LinuxHost, helpers, ports};
use crate::host::storage::helper::{HelperLine, HelperRequest};

/// How long one of them may take.
const LIMIT: Duration = Duration::from_secs(5);
/// So many are looked for at the same time.
const AT_ONCE: usize = 4;
/// What systemd makes in its first moments, if it is PID 1.
const SYSTEMD: &str = "/run/systemd/system";

/// Looks for all of them.
pub(super) async fn look(host: &LinuxHost, required: &[Prerequisite]) -> Vec<(Prerequisite, Fact)> {
    let facts = required.iter().cloned().map(|one| async move {
        let fact = fact(host, &one).await;
        (one, fact)
    });
    stream::iter(facts).buffered(AT_ONCE).collect().await
}

async fn fact(host: &LinuxHost, required: &Prerequisite) -> Fact {
    match required {
        Prerequisite::Sysctl { name, .. } => sysctl(name),
        Prerequisite::Port { port, protocol } => match u16::try_from(*port) {
            Ok(port) => ports::held_anywhere(port, *protocol).map_or(Fact::Absent, Fact::Value),
            Err(_) => Fact::Unknown(format!("{port} is no port")),
        },
        Prerequisite::Unit { name, .. } => unit(name).await,
        Prerequisite::User { .. } | Prerequisite::Path { .. } => in_helper(host, required).await,
    }
}

/// Reads `/proc/sys`, where dots and slashes have changed places.
fn sysctl(name: &str) -> Fact {
    let swapped = name.chars().map(|c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    });
    let path = Path::new("/proc/sys").join(swapped.collect::<String>());
    match fs::read_to_string(path) {
        Ok(text) => Fact::Value(text.split_whitespace().collect::<Vec<_>>().join(" ")),
        Err(error) if error.kind() == ErrorKind::NotFound => Fact::Absent,
        Err(error) => Fact::Unknown(format!("no answer: {error}")),
    }
}

/// Asks systemd for the state of a unit.
async fn unit(name: &str) -> Fact {
    if !Path::new(SYSTEMD).is_dir() {
        return Fact::Unknown("no systemd: units are not known on this host".to_owned());
    }
    let asked = Command::new("systemctl")
        .args(["show", "--property=LoadState,ActiveState", "--", name])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    match timeout(LIMIT, asked).await {
        Ok(Ok(output)) => unit_state(&String::from_utf8_lossy(&output.stdout)),
        Ok(Err(error)) => Fact::Unknown(format!("systemctl cannot be run: {error}")),
        Err(_) => Fact::Unknown(format!("no answer of systemctl in {} s", LIMIT.as_secs())),
    }
}

/// What `systemctl show` says.
fn unit_state(text: &str) -> Fact {
    let value = |key: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    };
    match (value("LoadState"), value("ActiveState")) {
        (Some("not-found"), _) => Fact::Absent,
        (_, Some(state)) => Fact::Value(state.to_owned()),
        (_, None) => Fact::Unknown("systemctl does not say its state".to_owned()),
    }
}

async fn in_helper(host: &LinuxHost, required: &Prerequisite) -> Fact {
    let about = [helpers::About {
        volume: required.to_string(),
        source: required.to_string(),
        step: "look for it",
    }];
    let request = HelperRequest::Require(required.clone());
    let program = &host.inner.config.keeper_program;
    let lines = helpers::ask(program, &host.inner.stuck, &about, &request, LIMIT).await;
    match lines.as_deref() {
        Ok([HelperLine::Fact(fact)]) => fact.clone(),
        Ok(_) => Fact::Unknown("no answer of the helper".to_owned()),
        Err(_) => Fact::Unknown(format!("no answer in {} s", LIMIT.as_secs())),
    }
}

/// In a helper: looks for a user or a path.
pub(crate) fn look_here(required: &Prerequisite) -> Fact {
    match required {
        Prerequisite::User { name } => user(name),
        Prerequisite::Path { path, .. } => path_is(Path::new(path)),
        Prerequisite::Sysctl { .. } | Prerequisite::Port { .. } | Prerequisite::Unit { .. } => {
            Fact::Unknown("it is not asked in a helper".to_owned())
        }
    }
}

fn user(name: &str) -> Fact {
    use nix::unistd::{Uid, User};
    let found = match name.parse::<u32>() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(name),
    };
    match found {
        Ok(Some(user)) => Fact::Value(user.uid.to_string()),
        Ok(None) => Fact::Absent,
        Err(error) => Fact::Unknown(format!("the name service fails: {}", error.desc())),
    }
}

fn path_is(path: &Path) -> Fact {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Fact::Kind(FoundPath::Directory),
        Ok(meta) if !meta.is_file() => Fact::Kind(FoundPath::Other),
        Ok(meta) if meta.permissions().mode() & 0o111 == 0 => Fact::Kind(FoundPath::File),
        Ok(_) => Fact::Kind(FoundPath::Executable),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Fact::Absent
        }
        Err(error) => Fact::Unknown(format!("it cannot be looked at: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use berth_core::spec::Protocol;

    use super::*;

    #[test]
    fn sysctls_are_read_as_the_kernel_has_them() {
        let Fact::Value(text) = sysctl("kernel.ostype") else {
            panic!("every Linux has it");
        };
        assert_eq!(text, "Linux");
        assert_eq!(sysctl("kernel.no_such_parameter"), Fact::Absent);
    }

    #[test]
    fn paths_and_users_are_what_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("program");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(path_is(dir.path()), Fact::Kind(FoundPath::Directory));
        assert_eq!(path_is(&file), Fact::Kind(FoundPath::File));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(path_is(&file), Fact::Kind(FoundPath::Executable));
        assert_eq!(
            path_is(Path::new("/dev/null")),
            Fact::Kind(FoundPath::Other)
        );
        assert_eq!(path_is(&file.join("beneath")), Fact::Absent);
        assert_eq!(user("root"), Fact::Value("0".to_owned()));
        assert_eq!(user("no-such-user"), Fact::Absent);
    }

    #[test]
    fn a_port_is_held_whatever_the_address() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let by = ports::held_anywhere(port, Protocol::Tcp).unwrap();
        let pid = format!("(pid {})", std::process::id());
        assert!(by.ends_with(&pid), "{by}");
        assert_eq!(ports::held_anywhere(port, Protocol::Udp), None);
    }

    #[test]
    fn the_state_of_a_unit_is_read_from_what_systemctl_prints() {
        let text = "LoadState=loaded\nActiveState=active\n";
        assert_eq!(unit_state(text), Fact::Value("active".to_owned()));
        let text = "LoadState=not-found\nActiveState=inactive\n";
        assert_eq!(unit_state(text), Fact::Absent);
        assert!(matches!(unit_state(""), Fact::Unknown(_)));
    }
}
