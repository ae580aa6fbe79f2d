//! Starting a keeper: names are resolved and directories made here, then the launcher is spawned
//! with posix_spawn (the agent may be large: a fork would copy its page tables).

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use berth_core::{rendered::RenderedMember, waiting::Reason};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{
    Inner, KeeperHandle, KeeperLaunch, LinuxHost, config, connect, dir_name, path_failed,
    pidfd::PidFd, runs, step_failed, strays, users,
};
use crate::{
    host::DnsSettings,
    keeper::{
        scope_name,
        spec::{LaunchDirs, LaunchMessage, LaunchSpec},
    },
};

/// How long a launch may take; a volume that hangs must not hold an agent for ever.
const LAUNCH: Duration = Duration::from_secs(60);

/// What the launcher is given.
struct Prepared {
    spec: Vec<u8>,
    /// The keeper's own log.
    log: File,
    run: PathBuf,
    /// What its configuration directory begins with.
    seed: Option<config::Seed>,
}

/// Starts a keeper.
pub(super) async fn start(host: &LinuxHost, launch: KeeperLaunch) -> Result<KeeperHandle, Reason> {
    let member = launch.rendered.member.clone();
    let prepared = host.blocking(move |inner| prepare(inner, launch)).await?;
    let run = prepared.run.clone();
    let program = &host.inner.config.keeper_program;
    let Prepared {
        spec, log, seed, ..
    } = prepared;
    if let Some(seed) = seed {
        config::seed(host, seed).await?;
    }
    let mut child = spawn(program, &strays::name(host, &member), log)?;
    // It waits for what to do: whatever it starts is in its scope.
    if let Some((pid, name)) = child
        .id()
        .and_then(|pid| Some((pid, scope_name(&run, pid)?)))
    {
        let scopes = &host.inner.config.scopes;
        scopes.put(&name, &member.to_string(), pid).await;
    }
    let mut progress = Progress::default();
    let launch = async {
        hand_over(&mut child, &spec).await;
        progress.follow(&mut child).await;
    };
    let in_time = timeout(LAUNCH, launch).await.is_ok();
    if !in_time {
        // What hangs is in it, or in the launcher.
        drop(child.start_kill());
        progress.kill();
    }
    // The launcher ends as soon as it has forked.
    let waited = child.wait().await;
    let reason = match progress.outcome.take() {
        Some(Ok(())) => None,
        Some(Err(reason)) => Some(reason),
        None if !in_time => Some(progress.overdue()),
        None => {
            let status = waited.map_or_else(|e| e.to_string(), |status| status.to_string());
            let log = host.inner.log_dir(&member).join(KEEPER_LOG);
            let error = format!("it ended early ({status}); see {}", log.display());
            Some(step_failed("launch the keeper", error))
        }
    };
    if let Some(reason) = reason {
        progress.gone().await;
        return Err(reason);
    }
    let gone = || step_failed("launch the keeper", "it is gone already");
    let record = runs::read(&run)?.ok_or_else(gone)?;
    let keeper = runs::keeper_of(host, &record)?.ok_or_else(gone)?;
    connect::connect(&run, &record, keeper).await
}

/// What the host looks up where.
const NSSWITCH: &str = "/etc/nsswitch.conf";
/// The keeper's own messages.
const KEEPER_LOG: &str = "keeper.log";

/// Makes what a keeper needs on the host.
fn prepare(host: &Inner, launch: KeeperLaunch) -> Result<Prepared, Reason> {
    let rendered = &launch.rendered;
    host.config.policy.member(rendered)?;
    let member = &rendered.member;
    let mut identities = BTreeMap::new();
    let processes = || rendered.init_processes.iter().chain(&rendered.processes);
    for process in processes() {
        let group = process.group.as_deref();
        let policy = &host.config.policy;
        policy.capabilities(&process.name, &process.capabilities)?;
        let identity = users::resolve(
            policy,
            &process.name,
            &process.user,
            group,
            &process.supplemental_groups,
        )?;
        identities.insert(process.name.clone(), identity);
    }
    let name = dir_name(member);
    let configs = host.config.data_dir.join("config");
    let dirs = LaunchDirs {
        run: host.run_dir(member),
        log: host.log_dir(member),
        once: configs.join(format!("{name}.once")),
        config: configs.join(&name),
        protected: protected(host),
    };
    make_private(&dirs.run)?;
    fs::create_dir_all(&dirs.log).map_err(|e| path_failed("make", &dirs.log, e))?;
    make_private(&configs)?;
    let first = rendered.processes.first();
    let owner = first.and_then(|process| identities.get(&process.name));
    let seed = config::prepare(&dirs.config, rendered.config_copy_from.as_deref(), owner)?;
    write_public(&dirs.run.join("resolv.conf"), &resolv_conf(&launch.dns))?;
    write_public(&dirs.run.join("hosts"), &hosts(rendered))?;
    // Where the host has none, programs go by those two files anyway.
    if let Ok(host) = fs::read_to_string(NSSWITCH) {
        write_public(&dirs.run.join("nsswitch.conf"), &nsswitch(&host))?;
    }
    let log = dirs.log.join(KEEPER_LOG);
    let mut options = OpenOptions::new();
    let options = options.create(true).append(true).mode(0o640);
    let log = options
        .open(&log)
        .map_err(|e| path_failed("open", &log, e))?;
    let run = dirs.run.clone();
    if let Some(lease) = &launch.lease {
        lease.check_host(host.config.self_reboot.is_some())?;
    }
    let spec = LaunchSpec {
        launch,
        identities,
        reboot: host.config.self_reboot.clone(),
        dirs,
    };
    let spec = serde_json::to_vec(&spec).map_err(|e| step_failed("encode the launch", e))?;
    Ok(Prepared {
        spec,
        log,
        run,
        seed,
    })
}

/// The agent's directories and pools, as they are called and as they really are.
fn protected(host: &Inner) -> Vec<PathBuf> {
    let config = &host.config;
    let own = [&config.data_dir, &config.run_dir, &config.log_dir];
    let pools = config.pools.values().map(|pool| &pool.path);
    let all: Vec<PathBuf> = own.into_iter().chain(pools).cloned().collect();
    let mut real: Vec<PathBuf> = own
        .iter()
        .filter_map(|dir| fs::canonicalize(dir).ok())
        .collect();
    real.extend(all);
    real
}

/// Makes a directory that only root may enter.
fn make_private(dir: &Path) -> Result<(), Reason> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|e| path_failed("make", dir, e))
}

/// Writes a file that every process of the member may read, whatever the umask.
fn write_public(path: &Path, text: &str) -> Result<(), Reason> {
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o644)))
        .map_err(|e| path_failed("write", path, e))
}

fn resolv_conf(dns: &DnsSettings) -> String {
    // As in a pod: names with fewer than five dots are first looked for in the search domains.
    format!(
        "nameserver {}\nsearch {}\noptions ndots:5\n",
        dns.server,
        dns.search.join(" ")
    )
}

/// Names are looked up in the member's own files: modules such as `resolve` and `mdns4` would ask the
/// host, which knows other names, or none.
fn nsswitch(host: &str) -> String {
    let own = host.lines().map(|line| match line.split_once(':') {
        Some((database, _)) if database.trim() == "hosts" => "hosts: files dns",
        Some(_) | None => line,
    });
    own.flat_map(|line| [line, "\n"]).collect()
}

fn hosts(member: &RenderedMember) -> String {
    let own = match member.address.as_str() {
        "" => String::new(),
        address => format!("{address} {} {}\n", member.fqdn, member.hostname),
    };
    format!("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n{own}")
}

fn spawn(program: &Path, name: &[OsString], log: File) -> Result<Child, Reason> {
    Command::new(program)
        .args(name)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|e| step_failed("spawn the keeper", e))
}

/// Tells the launcher what to do.
async fn hand_over(child: &mut Child, spec: &[u8]) {
    if let Some(mut stdin) = child.stdin.take() {
        // A launcher that died early is found out by its silence.
        drop(stdin.write_all(spec).await);
    }
}

/// How far a launch got.
#[derive(Debug, Default)]
struct Progress {
    keeper: Option<PidFd>,
    /// The volume that was to be mounted last, and where it is.
    volume: Option<(String, String)>,
    outcome: Option<Result<(), Reason>>,
}

impl Progress {
    /// Reads the launch's lines until both things are known or there are no more.
    async fn follow(&mut self, child: &mut Child) {
        let Some(stdout) = child.stdout.take() else {
            return;
        };
        let mut lines = BufReader::new(stdout).lines();
        let mut forked = false;
        // The two lines may come in either order: they are written by two processes.
        while !forked || self.outcome.is_none() {
            let Ok(Some(line)) = lines.next_line().await else {
                return;
            };
            match serde_json::from_str(&line) {
                Ok(LaunchMessage::Forked { pid }) => {
                    forked = true;
                    // One that is dead already needs no further look.
                    self.keeper = PidFd::open(pid).ok().flatten();
                }
                Ok(LaunchMessage::Mounting { volume, source }) => {
                    self.volume = Some((volume, source));
                }
                Ok(LaunchMessage::Ready) => self.outcome = Some(Ok(())),
                Ok(LaunchMessage::Failed(reason)) => {
                    self.outcome = Some(Err(reason));
                }
                Err(error) => {
                    tracing::error!(%error, line, "a launch's message is not understood");
                    return;
                }
            }
        }
    }

    fn overdue(&mut self) -> Reason {
        let error = format!("it took more than {} s", LAUNCH.as_secs());
        match self.volume.take() {
            Some((volume, source)) => Reason::VolumeHung {
                volume,
                source,
                step: format!("mount it: {error}"),
            },
            None => step_failed("launch the keeper", error),
        }
    }

    fn kill(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.kill();
        }
    }

    /// Waits for the end of a keeper that gave up, so that nothing of the run is left.
    async fn gone(self) {
        if let Some(keeper) = self.keeper {
            // One that the kernel cannot end is found by the next attempt, through its lock.
            drop(timeout(LAUNCH, keeper.gone()).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resolver_is_told_as_in_a_pod() {
        let dns = DnsSettings {
            server: [127, 0, 0, 153].into(),
            search: vec!["default.svc.x".to_owned(), "svc.x".to_owned()],
        };
        assert_eq!(
            resolv_conf(&dns),
            "nameserver 127.0.0.153\nsearch default.svc.x svc.x\noptions ndots:5\n"
        );
    }

    #[test]
    fn names_are_looked_up_by_the_member_itself() {
        let host = "# as installed\npasswd: files sss\n\n\
                    hosts:   files resolve [!UNAVAIL=return] dns\nnetworks: files\n";
        assert_eq!(
            nsswitch(host),
            "# as installed\npasswd: files sss\n\nhosts: files dns\nnetworks: files\n"
        );
    }
}
