//! Volumes of one host on a real NFS server: prepared by helpers, mounted by a keeper, and what becomes
//! of them when the server does not answer. The rest of Berth is not needed for that.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::{collections::BTreeMap, fs, os::unix::fs::chown, path::Path, time::Duration};

use berth_agent::host::{
    DnsSettings, Host, KeeperEvent, KeeperHandle, KeeperLaunch, PrepareVolumes, PreparedVolume,
    VolumeOwner,
    linux::{LinuxConfig, LinuxHost, UserPolicy},
};
use berth_core::{
    ids::{Epoch, HistoryId, MemberId, RunId, RunNumber, Term, Uid},
    order::VolumeOrder,
    rendered::{RenderedMember, RenderedMount, RenderedProcess},
    volume::{NfsOptions, NfsSource, NfsVersion, VolumeHealth, VolumeSource},
    waiting::Reason,
};
use berth_tests::{
    machine::program,
    nfs::{Bed, SERVER, nfs_mounts},
};
use tokio::time::timeout;

const NOBODY: u32 = 65534;
/// An emulated machine is slow.
const SOON: Duration = Duration::from_secs(60);

struct Machine {
    bed: Bed,
    host: LinuxHost,
}

impl Machine {
    fn new() -> Self {
        let bed = Bed::new(1);
        let dir = bed.dir();
        let host = LinuxHost::new(LinuxConfig {
            data_dir: dir.join("data"),
            run_dir: dir.join("run"),
            log_dir: dir.join("log"),
            pools: BTreeMap::new(),
            policy: UserPolicy::default(),
            keeper_program: program("berth-agent"),
        });
        Self {
            host: host.unwrap(),
            bed,
        }
    }

    async fn prepare(
        &self,
        source: &NfsSource,
        counter: u64,
        filled: bool,
    ) -> Result<Vec<PreparedVolume>, Reason> {
        let claim = member().claim("data").unwrap();
        let uid = Uid("u-1".to_owned());
        let mut order = VolumeOrder::local("data", claim, uid, "h".parse().unwrap(), "none");
        order.source = VolumeSource::Nfs(source.clone());
        order.filled = filled;
        let owner = VolumeOwner {
            process: "main".parse().unwrap(),
            user: NOBODY.to_string(),
            group: None,
        };
        let request = PrepareVolumes {
            member: member(),
            epoch: epoch(counter),
            history: HistoryId("h".to_owned()),
            volumes: vec![(order, owner)],
        };
        self.host.prepare_volumes(request).await
    }

    fn launch(&self, script: &str, volumes: Vec<PreparedVolume>) -> KeeperLaunch {
        let member = member();
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let rendered = RenderedMember {
            hostname: member.name(),
            fqdn: "web-0.web.default.svc.berth.internal".to_owned(),
            address: "127.0.0.1".to_owned(),
            config_dir: self.host.config_dir(&member).to_string_lossy().into_owned(),
            config_copy_from: None,
            init_processes: Vec::new(),
            processes: vec![process(argv)],
            grace_seconds: 5,
            member,
        };
        KeeperLaunch {
            run: RunId {
                epoch: epoch(1),
                boot: self.host.facts().boot,
                number: RunNumber(1),
            },
            rendered,
            volumes,
            dns: DnsSettings {
                server: [127, 0, 0, 153].into(),
                search: Vec::new(),
            },
        }
    }

    async fn stop(&self, mut handle: KeeperHandle) {
        handle.client.stop(None).await.unwrap();
        gone(&mut handle).await;
    }

    async fn health(&self, run: &RunId) -> VolumeHealth {
        let mut seen = self.host.look_at_volumes(&member(), run).await;
        seen.remove("data").unwrap()
    }
}

async fn gone(handle: &mut KeeperHandle) {
    let ended = async {
        while let Some(event) = handle.events.recv().await {
            if event == KeeperEvent::Gone {
                return;
            }
        }
        panic!("the keeper was lost");
    };
    timeout(SOON, ended).await.unwrap();
}

fn member() -> MemberId {
    "default/web-0".parse().unwrap()
}

fn epoch(counter: u64) -> Epoch {
    let term = Term(1);
    Epoch { term, counter }
}

fn process(argv: Vec<String>) -> RenderedProcess {
    RenderedProcess {
        name: "main".parse().unwrap(),
        argv,
        env: BTreeMap::new(),
        working_dir: "/".to_owned(),
        user: NOBODY.to_string(),
        group: None,
        capabilities: Vec::new(),
        rlimits: BTreeMap::new(),
        memory_limit: None,
        cpu_limit_milli: None,
        mounts: vec![RenderedMount {
            volume: "data".to_owned(),
            mount_path: "/srv/data".to_owned(),
            read_only: false,
            sub_path: None,
        }],
        files: Vec::new(),
        ports: Vec::new(),
        startup_probe: None,
        readiness_probe: None,
        liveness_probe: None,
        pre_stop_exec: None,
        pre_stop_http: None,
        kill_signal: "SIGTERM".to_owned(),
    }
}

fn source(path: &Path, sub_dir: Option<&str>, version: NfsVersion) -> NfsSource {
    NfsSource {
        server: SERVER.to_owned(),
        path: path.to_str().unwrap().to_owned(),
        sub_dir: sub_dir.map(str::to_owned),
        version,
        options: NfsOptions::default(),
        read_only: false,
    }
}

const WRITE: &str = "echo line >> /srv/data/lines; while :; do sleep 60; done";

/// Waits until the server has so many lines of the member.
async fn lines(file: &Path, count: usize) {
    let written = async {
        while fs::read_to_string(file).unwrap_or_default().lines().count() != count {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, written).await.unwrap();
}

#[tokio::test]
async fn a_member_finds_its_data_again_on_every_version_static_or_managed() {
    let machine = Machine::new();
    for version in [NfsVersion::V3, NfsVersion::V4_2] {
        for sub_dir in [None, Some("default_data-web-0")] {
            let export = format!("vol-{version}-{}", sub_dir.is_some());
            let path = machine.bed.server().export(&export, "");
            let data = sub_dir.map_or_else(|| path.clone(), |dir| path.join(dir).join("data"));
            let source = source(&path, sub_dir, version);
            for counter in [1, 2] {
                let ready = machine
                    .prepare(&source, counter, counter > 1)
                    .await
                    .unwrap();
                assert_eq!(ready[0].report.recorded, sub_dir.is_some(), "{export}");
                assert!(
                    nfs_mounts().is_empty(),
                    "a helper mounts nothing that is seen"
                );
                let launch = machine.launch(WRITE, ready);
                let run = launch.run.clone();
                let handle = machine.host.start_keeper(launch).await.unwrap();
                lines(&data.join("lines"), counter.try_into().unwrap()).await;
                assert!(nfs_mounts().is_empty(), "{export}: nothing on the host");
                let health = machine.health(&run).await;
                assert!(
                    matches!(health, VolumeHealth::Fine(_)),
                    "{export}: {health:?}"
                );
                machine.stop(handle).await;
                machine.host.cleanup(&member()).await.unwrap();
            }
            fs::remove_file(data.join("lines")).unwrap();
            let error = machine.prepare(&source, 3, true).await.unwrap_err();
            assert!(
                matches!(error, Reason::VolumeEmpty { .. }),
                "{export}: {error}"
            );
        }
    }
}

#[tokio::test]
async fn where_root_is_nobody_the_volumes_user_does_it() {
    let machine = Machine::new();
    let path = machine.bed.server().export("squashed", "root_squash");
    chown(&path, Some(NOBODY - 1), Some(NOBODY - 1)).unwrap();
    let source = source(&path, Some("v"), NfsVersion::V4_2);
    // Neither root nor the user may write there.
    let error = machine.prepare(&source, 1, false).await.unwrap_err();
    assert!(error.to_string().contains("ermission denied"), "{error}");
    chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    let ready = machine.prepare(&source, 1, false).await.unwrap();
    let handle = machine
        .host
        .start_keeper(machine.launch(WRITE, ready))
        .await
        .unwrap();
    lines(&path.join("v/data/lines"), 1).await;
    machine.stop(handle).await;
    machine.host.cleanup(&member()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_hangs_is_noticed_holds_nobody_up_and_is_used_again() {
    let machine = Machine::new();
    let path = machine.bed.server().export("hangs", "");
    let source = source(&path, None, NfsVersion::V4_2);
    let ready = machine.prepare(&source, 1, false).await.unwrap();
    let launch = machine.launch(WRITE, ready);
    let run = launch.run.clone();
    let handle = machine.host.start_keeper(launch).await.unwrap();
    lines(&path.join("lines"), 1).await;

    machine.bed.server().freeze();
    let health = timeout(SOON, machine.health(&run)).await.unwrap();
    assert!(matches!(health, VolumeHealth::Hung { .. }), "{health:?}");
    machine.bed.server().thaw();
    let answers = async { while !matches!(machine.health(&run).await, VolumeHealth::Fine(_)) {} };
    timeout(SOON, answers).await.unwrap();

    // A stop ends in bounded time too; the volume is used again only when the kernel has let go.
    machine.bed.server().freeze();
    machine.stop(handle).await;
    if let Err(reason) = machine.host.cleanup(&member()).await {
        assert!(matches!(reason, Reason::VolumeBusy { .. }), "{reason}");
    }
    machine.bed.server().thaw();
    let free = async { while machine.host.cleanup(&member()).await.is_err() {} };
    timeout(SOON, free).await.unwrap();
    let ready = machine.prepare(&source, 2, true).await.unwrap();
    let handle = machine
        .host
        .start_keeper(machine.launch(WRITE, ready))
        .await
        .unwrap();
    lines(&path.join("lines"), 2).await;
    machine.stop(handle).await;
    machine.host.cleanup(&member()).await.unwrap();
}
