//! Fence commands that say off, on, nothing, or too late: with real programs, because what is run is theirs.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use berth_core::{time::Timestamp, volume::PoolInfo, waiting::Reason};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    audit::AuditLog,
    clock::Clock,
    context::Trigger,
    pki::{Pki, TlsConfig},
    secrets::KeySource,
    sessions::Sessions,
    state::SharedView,
    store,
};

fn script(dir: &TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("fence_test");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn command(program: PathBuf, timeout: Duration) -> FenceCommand {
    FenceCommand {
        program,
        options: [("ip".to_owned(), "10.0.0.9".to_owned())].into(),
        timeout,
    }
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_host_is_switched_off_and_then_asked() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let text = format!(
        "input=$(cat); echo $input >> {}; case $input in *action=status*) exit 2;; esac",
        log.display()
    );
    let program = script(&dir, &text);
    command(program, LONG).confirm().await.unwrap();
    let said = fs::read_to_string(log).unwrap();
    assert_eq!(said, "action=off ip=10.0.0.9\naction=status ip=10.0.0.9\n");
}

#[tokio::test]
async fn what_does_not_say_off_confirms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for (text, expected) in [
        ("cat >/dev/null; exit 0", "action status ended with code 0"),
        (
            "echo no route >&2; exit 1",
            "action off ended with code 1: no route",
        ),
        ("kill -9 $$", "action off ended with a signal"),
    ] {
        let program = script(&dir, text);
        let error = command(program, LONG).confirm().await.unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn one_that_says_much_is_heard_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    // More than a pipe holds, in characters of which one lies across the end of what is told.
    let talks = "input=$(cat); i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); \
                 printf 'x\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}' >&2; done";
    let off = format!("{talks}; case $input in *action=status*) exit 2;; esac");
    command(script(&dir, &off), LONG).confirm().await.unwrap();
    let on = command(script(&dir, talks), LONG).confirm().await;
    let error = on.unwrap_err().to_string();
    let expected = "action status ended with code 0: x\u{fc}\u{fc}";
    assert!(error.starts_with(expected), "{error}");
    assert!(error.len() < SAID + 50, "{}", error.len());
}

#[tokio::test]
async fn one_whose_children_hold_its_output_open_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let leaves = "(exec sleep 1000) & echo $! >> PIDS; echo on >&2; exit 1";
    let pids = dir.path().join("pids");
    let program = script(&dir, &leaves.replace("PIDS", &pids.display().to_string()));
    let error = command(program, LONG).confirm().await.unwrap_err();
    assert_eq!(error.to_string(), "action off ended with code 1: on");
    for pid in fs::read_to_string(pids).unwrap().lines() {
        let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

#[tokio::test]
async fn one_that_does_not_end_is_killed_with_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let (pid, program) = (dir.path().join("pid"), "sleep 1000 & echo $! > PID; wait");
    let program = script(&dir, &program.replace("PID", &pid.display().to_string()));
    let error = command(program, Duration::from_millis(300)).confirm().await;
    assert!(matches!(
        error,
        Err(FenceError::Timeout { action: "off", .. })
    ));
    let child: i32 = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    let child = rustix::process::Pid::from_raw(child).unwrap();
    while rustix::process::test_kill_process(child).is_ok() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_command_that_cannot_be_run_is_refused_where_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    fs::write(&plain, "").unwrap();
    let good = script(&dir, "exit 0").display().to_string();
    let plain = plain.display().to_string();
    let told = |text: &str| {
        let file: FencingFile = serde_json::from_str(text).unwrap();
        file.check().unwrap_err().to_string()
    };
    let power = |rest: &str| format!(r#"{{"hosts": {{"host-1": {{"power": {{{rest}}}}}}}}}"#);
    for (text, expected) in [
        (
            power(r#""command": "/no/such""#),
            "fencing.hosts.host-1.power.command: /no/such cannot be found",
        ),
        (
            power(r#""command": "fence_x""#),
            "fencing.hosts.host-1.power.command: fence_x is not an absolute path",
        ),
        (
            power(&format!(r#""command": "{plain}""#)),
            "fencing.hosts.host-1.power.command: ",
        ),
        (
            power(&format!(
                r#""command": "{good}", "options": {{"action": "reboot"}}"#
            )),
            "fencing.hosts.host-1.power.options.action: Berth gives it",
        ),
        (
            power(&format!(r#""command": "{good}", "timeout": "soon""#)),
            "fencing.hosts.host-1.power.timeout: 'soon' is not a length of time",
        ),
        (
            r#"{"hosts": {"Host 1": {}}}"#.to_owned(),
            "fencing.hosts: 'Host 1' is no name",
        ),
    ] {
        let found = told(&text);
        assert!(found.starts_with(expected), "{found}");
    }
    assert!(told(&power(&format!(r#""command": "{plain}""#))).contains("is not executable"));
    let file: FencingFile =
        serde_json::from_str(&power(&format!(r#""command": "{good}""#))).unwrap();
    let fencing = file.check().unwrap();
    let fences = known(&fencing).into_values().next().unwrap();
    assert!(fences.power && !fences.storage);
}

/// A coordinator without a loop whose host, out of contact, can be switched off; the command notes
/// that it ran.
struct World {
    context: Context,
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = "echo ran >> $0.log; case $(cat) in *action=status*) exit 2;; esac";
        let power = command(script(&dir, text), LONG);
        let fencing = HostFencing {
            power: Some(power),
            storage: None,
        };
        let fencing = Fencing::from([(host(), fencing)]);
        let mut view = crate::fixture::World::new(PoolInfo::default()).view;
        view.state.fences = known(&fencing);
        let keys = KeySource::Made(dir.path().join("key"));
        let (store, _) = store::open(&dir.path().join(store::FILE), store::KEEP, &keys)
            .unwrap()
            .start(Box::new(|_| ()), Box::new(|error| panic!("{error}")))
            .unwrap();
        let context = Context {
            store,
            view: SharedView::new(view),
            sessions: Sessions::default(),
            trigger: Trigger::default(),
            board: watch::channel(Arc::default()).1,
            clock: Clock::start(),
            audit: AuditLog::open(dir.path(), Clock::start()).unwrap(),
            counters: Arc::default(),
            fencer: Fencer::new(fencing),
            pki: Pki::open(TlsConfig::default(), dir.path(), Timestamp(0)).unwrap(),
            host_networks: Arc::default(),
            users: watch::Sender::default(),
            callers: Arc::new(crate::limits::Callers::new(
                crate::limits::Limits::default().allowance,
            )),
            call_timeout: crate::limits::Limits::default().call_timeout,
            shutdown: CancellationToken::new(),
        };
        Self { context, dir }
    }

    /// Pushes what was found of the state of now, changes the host's contact before anything is run,
    /// and waits for the end of it.
    async fn fence(&self, change: impl FnOnce(&mut Contact)) {
        let member = "default/db-0".parse().unwrap();
        let report = Report {
            waiting: [(member, Reason::FenceNotConfirmed { host: host() })].into(),
            ..Report::default()
        };
        let state = self.context.view.read().state.clone();
        assert_eq!(push(&self.context, &state, &report, Timestamp(5)), None);
        change(self.context.view.write().contact(&host()).unwrap());
        self.context.trigger.fired().await;
        assert!(self.context.fencer.work().running.is_empty());
    }

    fn ran(&self) -> bool {
        self.dir.path().join("fence_test.log").exists()
    }

    fn fenced(&self) -> Option<Fenced> {
        let view = self.context.view.read();
        view.state.hosts[&host()].contact.fenced
    }
}

fn host() -> HostName {
    "host-1".parse().unwrap()
}

#[tokio::test]
async fn a_host_that_stays_away_is_switched_off() {
    let world = World::new();
    world.fence(|_| ()).await;
    assert!(world.ran());
    assert_eq!(world.fenced(), Some(Fenced::Off));
}

#[tokio::test]
async fn a_host_that_came_back_is_not_switched_off() {
    let world = World::new();
    world.fence(|contact| contact.connected = true).await;
    assert!(!world.ran());
    assert_eq!(world.fenced(), None);
}

#[tokio::test]
async fn a_host_that_came_back_and_went_is_not_switched_off_for_what_was_found_before() {
    let world = World::new();
    world.fence(|contact| contact.since = Timestamp(9)).await;
    assert!(!world.ran());
    assert_eq!(world.fenced(), None);
}

#[tokio::test]
async fn a_host_that_opened_a_stream_is_not_switched_off_before_it_reports() {
    let world = World::new();
    world
        .fence(|contact| contact.join(7, None, contact.since))
        .await;
    assert!(!world.ran());
    assert_eq!(world.fenced(), None);
}
