//! A scope of systemd for each keeper: in `berth.slice`, with a cgroup of its own that systemd leaves
//! alone, so that nothing which happens to the agent's unit reaches a member.
//!
//! systemd is asked over its D-Bus, with the launcher's process id, while the launcher still waits for
//! what to do: the keeper and everything of the member are born in the scope. Where systemd does not
//! answer, the member starts all the same, in a cgroup below the agent's own.

use std::{path::Path, time::Duration};

use futures_util::StreamExt as _;
use thiserror::Error;
use tokio::time::timeout;
use zbus::{ObjectPath, OwnedObjectPath, Variant, connection};

/// The slice of all members.
const SLICE: &str = "berth.slice";
/// What stops the members in order before the host goes down: their scopes stop after it.
const MEMBERS: &str = "berth-members.service";
/// After which systemd does not answer. A busy one takes milliseconds.
const ANSWER: Duration = Duration::from_secs(5);

/// Who gives keepers their scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scopes {
    /// Nobody: the agent was not started by systemd.
    None,
    /// systemd, over this bus; the system's if it is not said.
    Systemd {
        /// A D-Bus address.
        bus: Option<String>,
    },
}

/// Why there is no scope.
#[derive(Debug, Error)]
pub(super) enum ScopeError {
    #[error("systemd cannot be asked over D-Bus")]
    Bus(#[from] zbus::Error),
    #[error("systemd does not answer")]
    Overdue,
    #[error("the job of the scope ended with '{0}'")]
    Job(String),
}

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn subscribe(&self) -> zbus::Result<()>;

    fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        properties: &[(&str, Variant<'_>)],
        aux: &[(&str, Vec<(&str, Variant<'_>)>)],
    ) -> zbus::Result<OwnedObjectPath>;

    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: ObjectPath<'_>, unit: &str, result: &str);
}

impl Scopes {
    /// systemd, if it started this process.
    pub fn here() -> Self {
        let started_by_it = std::env::var("SYSTEMD_EXEC_PID")
            .is_ok_and(|pid| pid == std::process::id().to_string());
        match started_by_it && Path::new("/run/systemd/system").is_dir() {
            true => Self::Systemd { bus: None },
            false => Self::None,
        }
    }

    /// Puts a process into a scope of its own, if there is who gives one. Returns whether it is in it:
    /// the launcher finds out by itself, from its cgroup.
    pub(super) async fn put(&self, name: &str, of: &str, pid: u32) -> bool {
        let Self::Systemd { bus } = self else {
            return false;
        };
        let made = timeout(ANSWER, make(bus.as_deref(), name, of, pid)).await;
        match made.unwrap_or(Err(ScopeError::Overdue)) {
            Ok(()) => true,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    name,
                    "no scope; the member lives in the agent's cgroup"
                );
                false
            }
        }
    }
}

async fn make(bus: Option<&str>, name: &str, of: &str, pid: u32) -> Result<(), ScopeError> {
    let builder = match bus {
        Some(address) => connection::Builder::address(address),
        None => connection::Builder::system(),
    };
    let connection = builder.build().await?;
    let systemd = ManagerProxy::new(&connection).await?;
    systemd.subscribe().await?;
    // Listened to before the job is there: its end cannot be missed.
    let mut ended = systemd.receive_job_removed().await?;
    let description = format!("Berth member {of}");
    let properties = [
        ("Description", Variant::from(description.as_str())),
        ("Slice", Variant::from(SLICE)),
        ("Before", Variant::new(vec![MEMBERS])),
        // The keeper makes a cgroup for each process, with its limits.
        ("Delegate", Variant::from(true)),
        ("TasksMax", Variant::from(u64::MAX)),
        ("CollectMode", Variant::from("inactive-or-failed")),
        ("PIDs", Variant::new(vec![pid])),
    ];
    let job = systemd
        .start_transient_unit(name, "fail", &properties, &[])
        .await?;
    while let Some(signal) = ended.next().await {
        let told = signal.args()?;
        if told.job() == &*job {
            return match *told.result() {
                "done" => Ok(()),
                other => Err(ScopeError::Job(other.to_owned())),
            };
        }
    }
    Err(ScopeError::Overdue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_systemd_that_cannot_be_reached_gives_no_scope() {
        let nowhere = Scopes::Systemd {
            bus: Some("unix:path=/nowhere/bus".to_owned()),
        };
        assert!(!nowhere.put("x.scope", "default/x-0", 1).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_systemd_that_does_not_answer_gives_no_scope() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("bus");
        let _silent = tokio::net::UnixListener::bind(&socket).unwrap();
        let silent = Scopes::Systemd {
            bus: Some(format!("unix:path={}", socket.display())),
        };
        assert!(!silent.put("x.scope", "default/x-0", 1).await);
    }

    #[tokio::test]
    async fn without_systemd_nobody_is_asked() {
        assert!(!Scopes::None.put("x.scope", "default/x-0", 1).await);
    }
}
