//! One daemon, kept running as a service manager would: started, heard out when it says that it is
//! ready, started again when it dies, stopped when asked.

use std::{
    fs::{self, File},
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    net::UnixDatagram,
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::record::RecordFile;
use crate::output;

/// How long a daemon may take to end after it was asked to.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// A daemon that ran this long did not die of its start.
const SETTLED: Duration = Duration::from_secs(5);
/// The first wait before a daemon that died at its start is started again; it doubles.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest such wait.
const LAST_BACKOFF: Duration = Duration::from_secs(5);
/// How many lines of its log are shown when a daemon fails.
const TAIL: usize = 10;

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// How it is called in messages.
    pub(crate) title: String,
    /// The program.
    pub(crate) program: PathBuf,
    /// Its config file; its log and its notification socket stand beside it.
    pub(crate) config: PathBuf,
}

impl Spec {
    fn log(&self) -> PathBuf {
        self.config.with_extension("log")
    }
}

/// What is wanted of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Run,
    Stop,
    Kill,
}

/// How far a daemon got.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Starting,
    Ready,
    /// It ended before it was ready for the first time. Why.
    Failed(String),
}

/// A daemon that is kept running.
#[derive(Debug)]
pub(crate) struct Daemon {
    title: String,
    wanted: watch::Sender<Wanted>,
    state: watch::Receiver<State>,
    task: JoinHandle<()>,
}

impl Daemon {
    /// Starts it.
    pub(crate) fn start(spec: Spec, record: Arc<RecordFile>) -> Self {
        let (wanted, wants) = watch::channel(Wanted::Run);
        let (states, state) = watch::channel(State::Starting);
        let title = spec.title.clone();
        let keeper = Keeper {
            spec,
            record,
            wants,
            states,
        };
        Self {
            title,
            wanted,
            state,
            task: tokio::spawn(keeper.run()),
        }
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// Why it never will be, or that it took too long.
    pub(crate) async fn ready(&mut self, limit: Duration) -> Result<(), String> {
        let done = self.state.wait_for(|state| *state != State::Starting);
        match timeout(limit, done).await {
            Err(_) => Err(format!("{} is not ready after {limit:?}", self.title)),
            Ok(Err(_)) => Err(format!("{} is not watched any more", self.title)),
            Ok(Ok(state)) => match &*state {
                State::Failed(why) => Err(why.clone()),
                State::Starting | State::Ready => Ok(()),
            },
        }
    }

    /// Asks it to end, and waits for that; kills it after a while.
    pub(crate) async fn stop(&mut self) {
        self.end(Wanted::Stop).await;
    }

    /// Kills it.
    pub(crate) async fn kill(&mut self) {
        self.end(Wanted::Kill).await;
    }

    async fn end(&mut self, wanted: Wanted) {
        // Nobody listens if it has ended already.
        self.wanted.send(wanted).ok();
        if !self.task.is_finished() {
            // A failed task has nothing left to end.
            (&mut self.task).await.ok();
        }
    }
}

/// The task behind a [`Daemon`].
struct Keeper {
    spec: Spec,
    record: Arc<RecordFile>,
    wants: watch::Receiver<Wanted>,
    states: watch::Sender<State>,
}

impl Keeper {
    async fn run(mut self) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let began = Instant::now();
            let end = match self.spawn() {
                Err(error) => format!("cannot be started: {error}"),
                Ok((child, notify)) => match self.watch(child, &notify).await {
                    Some(status) => format!("ended: {status}"),
                    None => return,
                },
            };
            if *self.states.borrow() == State::Starting {
                let why = format!("{} {end}{}", self.spec.title, self.tail());
                self.states.send_replace(State::Failed(why));
                return;
            }
            let settled = began.elapsed() >= SETTLED;
            let tail = if settled { String::new() } else { self.tail() };
            output::note(&format!(
                "{} {end}; starting it again{tail}",
                self.spec.title
            ));
            if settled {
                backoff = FIRST_BACKOFF;
            }
            if self.pause(backoff).await {
                return;
            }
            backoff = (backoff * 2).min(LAST_BACKOFF);
        }
    }

    /// Waits before the next start. Whether the end was asked for meanwhile.
    async fn pause(&mut self, backoff: Duration) -> bool {
        tokio::select! {
            () = sleep(backoff) => false,
            _ = self.wants.wait_for(|wanted| *wanted != Wanted::Run) => true,
        }
    }

    fn spawn(&self) -> io::Result<(Child, UnixDatagram)> {
        let socket = self.spec.config.with_file_name("notify.sock");
        if let Err(error) = fs::remove_file(&socket)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let notify = UnixDatagram::bind(&socket)?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.spec.log())?;
        let child = Command::new(&self.spec.program)
            .arg("--config")
            .arg(&self.spec.config)
            .env("NOTIFY_SOCKET", &socket)
            // Its log is a file, whatever this process writes to.
            .env("NO_COLOR", "1")
            .env_remove("WATCHDOG_USEC")
            .env_remove("LISTEN_FDS")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A group of its own: Ctrl-C on the terminal is for this process alone, which stops
            // the others in order.
            .process_group(0)
            .spawn()?;
        if let Some(pid) = child.id() {
            self.record.set_pid(&self.spec.config, pid)?;
        }
        Ok((child, notify))
    }

    /// Watches it until it ends. Its exit status, or `None` if the end was asked for.
    async fn watch(&mut self, mut child: Child, notify: &UnixDatagram) -> Option<ExitStatus> {
        let mut message = [0; 4096];
        loop {
            tokio::select! {
                status = child.wait() => {
                    // A failing wait means that there is no such child any more.
                    return Some(status.unwrap_or_default());
                }
                // Read on after it is ready, or the watchdog's messages would fill the socket.
                read = notify.recv(&mut message) => {
                    let text = String::from_utf8_lossy(&message[..read.unwrap_or(0)]);
                    if text.lines().any(|line| line == "READY=1") {
                        self.states.send_replace(State::Ready);
                    }
                }
                _ = self.wants.wait_for(|wanted| *wanted != Wanted::Run) => break,
            }
        }
        self.end(&mut child).await;
        None
    }

    /// Ends it: asks first, unless it is to be killed; kills when it takes too long.
    async fn end(&mut self, child: &mut Child) {
        terminate(child);
        let ended = tokio::select! {
            ended = timeout(STOP_LIMIT, child.wait()) => ended.is_ok(),
            _ = self.wants.wait_for(|wanted| *wanted == Wanted::Kill) => false,
        };
        if !ended {
            if *self.wants.borrow() != Wanted::Kill {
                output::warning(&format!(
                    "{} did not end within {STOP_LIMIT:?} and is killed",
                    self.spec.title
                ));
            }
            // It fails only if the child has ended.
            child.kill().await.ok();
        }
    }

    /// The end of the log, for a message.
    fn tail(&self) -> String {
        let path = self.spec.log();
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let mut tail = format!("\n  the end of {}:", path.display());
        for line in lines.iter().skip(lines.len().saturating_sub(TAIL)) {
            tail.push_str("\n  | ");
            tail.push_str(line);
        }
        tail
    }
}

/// Asks a child to end. The child is not reaped yet, so that the number is surely its own.
fn terminate(child: &Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It fails only if the child has ended.
        kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::{
        super::{layout::Layout, record},
        *,
    };

    const LIMIT: Duration = Duration::from_secs(30);

    /// A daemon that does what a shell script says.
    struct Case {
        dir: TempDir,
        daemon: Daemon,
    }

    impl Case {
        fn start(script: &str) -> Self {
            let dir = tempfile::Builder::new().prefix("b").tempdir().unwrap();
            let layout = Layout::new(dir.path(), 1).unwrap();
            let config = layout.coordinator_config();
            fs::create_dir(config.parent().unwrap()).unwrap();
            fs::write(&config, script).unwrap();
            let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/daemon.sh");
            let spec = Spec {
                title: "the daemon".to_owned(),
                program,
                config,
            };
            let record = Arc::new(RecordFile::new(&layout));
            let daemon = Daemon::start(spec, record);
            Self { dir, daemon }
        }

        fn file(&self, name: &str) -> PathBuf {
            self.dir.path().join("coordinator").join(name)
        }

        fn pid(&self) -> Option<u32> {
            record::left(self.dir.path()).map(|record| record.coordinator.pid)
        }

        /// Says for the daemon that it is ready.
        async fn say_ready(&mut self) {
            let said = UnixDatagram::unbound().unwrap();
            let socket = self.file("notify.sock");
            until(|| said.connect(&socket).ok()).await;
            said.send(b"STATUS=up\nREADY=1\n").await.unwrap();
            self.daemon.ready(LIMIT).await.unwrap();
        }
    }

    /// Looks until there is something, and gives it back.
    async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
        let looks = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            loop {
                ticks.tick().await;
                if let Some(seen) = look() {
                    return seen;
                }
            }
        };
        timeout(LIMIT, looks).await.expect("it never came")
    }

    #[tokio::test]
    async fn a_daemon_that_fails_at_once_is_told_with_its_log() {
        let mut case = Case::start("echo 'error: no such pool' >&2; exit 3");
        let why = case.daemon.ready(LIMIT).await.unwrap_err();
        assert!(why.contains("the daemon ended: exit status: 3"), "{why}");
        assert!(why.ends_with("| error: no such pool"), "{why}");
        case.daemon.stop().await;
    }

    #[tokio::test]
    async fn a_daemon_that_is_killed_is_started_again_until_it_is_stopped() {
        let mut case = Case::start("exec tail -f /dev/null");
        case.say_ready().await;
        let first = case.pid().unwrap();

        kill(
            Pid::from_raw(i32::try_from(first).unwrap()),
            Signal::SIGKILL,
        )
        .unwrap();
        let second = until(|| case.pid().filter(|pid| *pid != first)).await;
        case.daemon.stop().await;

        let gone = !Path::new(&format!("/proc/{second}")).exists();
        assert!(gone, "it runs on");
    }

    #[tokio::test]
    async fn a_daemon_that_ignores_the_signal_is_killed_when_asked() {
        let script = "trap '' TERM; : > \"$(dirname \"$2\")/up\"; while :; do read _ || :; done";
        let mut case = Case::start(script);
        case.say_ready().await;
        let up = case.file("up");
        until(|| up.exists().then_some(())).await;
        let pid = case.pid().unwrap();
        case.daemon.kill().await;
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "it runs on");
    }
}
