//! The real machine: directories, namespaces, processes. Everything that may block runs off the
//! agent's own threads.
//!
//! On disk: `<dataDir>/config/<member>` is a member's configuration, `<logDir>/<member>` its logs,
//! `<runDir>/<member>` belongs to its keeper, `<pool>/<claim>` holds a volume's `data` or `image` and
//! its `owner` records,
//! `<pool>/.berth-trash/<volume>` is one that was deleted, `<dataDir>/pools.json` tells known pools from empty directories,
//! `<dataDir>/volumes` has notes about volumes that hold none; `<member>` and `<claim>` begin with the namespace and an underscore.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use berth_core::{
    ids::{BootId, MemberId, RunId},
    machine::MachineIds,
    prerequisite::{Fact, Prerequisite},
    rendered::RenderedMember,
    spec::Port,
    time::Timestamp,
    volume::{Pools, VolumeHealth, work::VolumeWork},
    waiting::Reason,
};

use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::{
    AttachOrder, AttachedProgram, Host, HostFacts, KeeperHandle, KeeperLaunch, PrepareVolumes,
    PreparedVolume, RunRecord, VolumePart, dir_name, path_failed, step_failed, storage::Pool,
};
use crate::{
    clock::{Alarm, boottime},
    keeper::{Trigger, host_controllers},
};

mod attach;
mod cleanup;
mod config;
mod connect;
mod helpers;
mod launch;
mod pidfd;
mod policy;
mod pools;
mod ports;
mod prerequisites;
mod runs;
mod scope;
mod self_reboot;
mod strays;
mod transfer;
mod users;
mod volumes;
mod work;

pub(crate) use config::{Seed, seed_here};
pub use policy::LocalPolicy;
pub(crate) use prerequisites::look_here;
pub use scope::Scopes;
pub use self_reboot::SelfReboot;

/// Where a member's configuration appears to its processes.
const CONFIG_MOUNTS: &str = "/run/berth/config";

/// What the host needs to know of the agent's configuration.
#[derive(Debug, Clone)]
pub struct LinuxConfig {
    /// `dataDir`
    pub data_dir: PathBuf,
    /// `runDir`; best on a file system that a reboot empties.
    pub run_dir: PathBuf,
    /// `logDir`
    pub log_dir: PathBuf,
    /// Volume pools.
    pub pools: BTreeMap<String, Pool>,
    /// What processes may have here.
    pub policy: LocalPolicy,
    /// What reboots the host when a member is not gone at the end of its lease.
    pub self_reboot: Option<SelfReboot>,
    /// Who gives keepers their scopes.
    pub scopes: Scopes,
    /// The program that becomes a keeper or a helper; this one, [`LinuxConfig::OWN_PROGRAM`], but in tests.
    pub keeper_program: PathBuf,
}

impl LinuxConfig {
    /// The running program, also if its file was replaced meanwhile.
    pub const OWN_PROGRAM: &str = "/proc/self/exe";
}

/// The real machine.
#[derive(Debug, Clone)]
pub struct LinuxHost {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: LinuxConfig,
    facts: HostFacts,
    pools: volumes::KnownPools,
    stuck: helpers::Stuck,
    found: strays::Found,
}

impl LinuxHost {
    /// Reads the machine's facts and makes the agent's directories.
    ///
    /// # Errors
    /// `StepFailed`, with the path.
    pub fn new(config: LinuxConfig) -> Result<Self, Reason> {
        let boot_file = Path::new("/proc/sys/kernel/random/boot_id");
        let boot = fs::read_to_string(boot_file).map_err(|e| path_failed("read", boot_file, e))?;
        for dir in [&config.data_dir, &config.run_dir, &config.log_dir] {
            fs::create_dir_all(dir).map_err(|e| path_failed("make", dir, e))?;
        }
        let reboot = config.self_reboot.as_ref();
        reboot.map_or(Ok(()), SelfReboot::check)?;
        let facts = HostFacts {
            boot: BootId(boot.trim().to_owned()),
            machine: machine_ids(),
            controllers: host_controllers(config.scopes != Scopes::None),
            self_fences: config.self_reboot.is_some(),
            watchdog: reboot.is_some_and(SelfReboot::is_watchdog),
            reboot_takes: reboot.map_or(Duration::ZERO, SelfReboot::takes),
        };
        let pools = volumes::KnownPools::read(&config.data_dir)?;
        let found = strays::Found::now(&config.data_dir);
        Ok(Self {
            inner: Arc::new(Inner {
                found,
                config,
                facts,
                pools,
                stuck: helpers::Stuck::default(),
            }),
        })
    }

    /// Runs something that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Reason> + Send + 'static,
    ) -> Result<T, Reason> {
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.map_err(|e| step_failed("run a step", e))?
    }
}

impl Inner {
    fn run_dir(&self, member: &MemberId) -> PathBuf {
        self.config.run_dir.join(dir_name(member))
    }

    fn log_dir(&self, member: &MemberId) -> PathBuf {
        self.config.log_dir.join(dir_name(member))
    }
}

impl Host for LinuxHost {
    fn facts(&self) -> HostFacts {
        self.inner.facts.clone()
    }

    async fn look_at_pools(&self) -> Pools {
        pools::look(self).await
    }

    fn mounts(&self) -> watch::Receiver<u64> {
        pools::mounts()
    }

    fn boottime(&self) -> Timestamp {
        boottime()
    }

    async fn wait_until(&self, at: Timestamp) {
        let rung = async {
            let alarm = Alarm::new()?;
            alarm.set(Some(at))?;
            alarm.due().await
        };
        if let Err(error) = rung.await {
            // Right but for a suspend.
            tracing::warn!(%error, "there is no timer for the lease");
            sleep(at.since(boottime())).await;
        }
    }

    fn reboot(&self) -> Result<(), Reason> {
        let Some(reboot) = &self.inner.config.self_reboot else {
            return Ok(());
        };
        let mut trigger = Trigger::open(reboot)?;
        trigger.fire().map_err(|e| step_failed("reboot", e))
    }

    fn config_dir(&self, member: &MemberId) -> PathBuf {
        Path::new(CONFIG_MOUNTS).join(dir_name(member))
    }

    fn log_dir(&self, member: &MemberId) -> PathBuf {
        self.inner.log_dir(member)
    }

    async fn prepare_volumes(
        &self,
        request: PrepareVolumes,
    ) -> Result<Vec<PreparedVolume>, Reason> {
        volumes::prepare(self, request).await
    }

    async fn look_at_volumes(
        &self,
        member: &MemberId,
        run: &RunId,
    ) -> BTreeMap<String, VolumeHealth> {
        volumes::look(self, member, run).await
    }

    async fn volume_work(&self, work: VolumeWork) -> Result<(), Reason> {
        work::work(self, work).await
    }

    async fn send_volume(
        &self,
        work: VolumeWork,
        parts: mpsc::Sender<VolumePart>,
    ) -> Result<(), Reason> {
        transfer::send(self, work, &parts).await
    }

    async fn receive_volume(
        &self,
        work: VolumeWork,
        parts: mpsc::Receiver<VolumePart>,
    ) -> Result<(), Reason> {
        transfer::receive(self, work, parts).await
    }

    async fn look_at(&self, required: &[Prerequisite]) -> Vec<(Prerequisite, Fact)> {
        prerequisites::look(self, required).await
    }

    async fn check_ports(&self, address: &str, ports: &[Port]) -> Result<(), Reason> {
        let (address, ports) = (address.to_owned(), ports.to_vec());
        self.blocking(move |_| ports::check(&address, &ports)).await
    }

    async fn start_keeper(&self, launch: KeeperLaunch) -> Result<KeeperHandle, Reason> {
        launch::start(self, launch).await
    }

    fn permits(&self, rendered: &RenderedMember) -> Result<(), Reason> {
        self.inner.config.policy.member(rendered)
    }

    async fn attach(
        &self,
        member: &MemberId,
        order: AttachOrder,
    ) -> Result<AttachedProgram, Reason> {
        attach::attach(self, member, order).await
    }

    async fn adopt(&self, member: &MemberId) -> Result<Option<KeeperHandle>, Reason> {
        runs::adopt(self, member).await
    }

    async fn kill(&self, member: &MemberId, run: &RunId) -> Result<(), Reason> {
        runs::kill(self, member, run)
    }

    async fn list_runs(&self) -> Result<Vec<RunRecord>, Reason> {
        self.blocking(|host| runs::list(&host.config.run_dir)).await
    }

    async fn cleanup(&self, member: &MemberId) -> Result<(), Reason> {
        cleanup::cleanup(self, member).await
    }
}

/// What the system tells of its machine; what it does not tell is empty.
fn machine_ids() -> MachineIds {
    let told = |file: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.trim().to_owned()
    };
    MachineIds {
        machine_id: told("/etc/machine-id"),
        // A copy of a virtual machine has the same machine id, and another one of these.
        product_uuid: told("/sys/class/dmi/id/product_uuid"),
    }
}
