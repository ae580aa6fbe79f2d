//! A host in memory: volumes, keepers and processes that exist only as values, events on demand,
//! and a failure of the n-th call of each kind.
//!
//! Clones share one host, as several agents in a row share a machine: a dropped handle leaves the
//! run alive, and [`Host::adopt`] finds it. Behind the feature `fake`, never chosen by `cfg(test)`.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use berth_core::{
    ids::{ClaimKey, MemberId, ObjectKey, ProcessName, RunId},
    keeper::Exit,
    machine::MachineIds,
    prerequisite::{Fact, Prerequisite},
    rendered::RenderedMember,
    spec::{Port, Protocol},
    time::Timestamp,
    volume::{PoolInfo, Pools, VolumeHealth, work::VolumeWork},
    waiting::Reason,
};

use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::{
    AttachOrder, AttachedProgram, ExecResult, Host, HostFacts, KeeperHandle, KeeperLaunch,
    PrepareVolumes, PreparedVolume, RunRecord, VolumePart, step_failed,
};

mod life;
mod run;
mod state;

use state::State;

/// The calls of [`Host`] that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// [`Host::prepare_volumes`], for each volume
    PrepareVolume,
    /// [`Host::volume_work`]
    VolumeWork,
    /// [`Host::send_volume`]
    SendVolume,
    /// [`Host::receive_volume`]
    ReceiveVolume,
    /// [`Host::check_ports`]
    CheckPorts,
    /// [`Host::start_keeper`]
    StartKeeper,
    /// [`Host::adopt`]
    Adopt,
    /// [`Host::list_runs`]
    ListRuns,
    /// [`Host::cleanup`]
    Cleanup,
}

impl Call {
    /// All of them, for tests that fail each in turn.
    pub const ALL: [Self; 9] = [
        Self::PrepareVolume,
        Self::VolumeWork,
        Self::SendVolume,
        Self::ReceiveVolume,
        Self::CheckPorts,
        Self::StartKeeper,
        Self::Adopt,
        Self::ListRuns,
        Self::Cleanup,
    ];
}

/// A host in memory.
#[derive(Debug, Clone)]
pub struct FakeHost {
    state: Arc<Mutex<State>>,
}

impl FakeHost {
    /// A host with these pools, just booted.
    pub fn new(pools: &[&str]) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(pools))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the n-th call of a kind, counted from 1 from the host's making, fail.
    pub fn fail(&self, call: Call, nth: usize, reason: Reason) {
        self.lock().failures.insert((call, nth), reason);
    }

    /// How often a call was made.
    pub fn count(&self, call: Call) -> usize {
        self.lock().counts.get(&call).copied().unwrap_or(0)
    }

    /// What happened so far, a line each: `start default/etcd-0 1.1`, `stop ...`, `gone ...`.
    pub fn log(&self) -> Vec<String> {
        self.lock().log.clone()
    }

    /// The members whose keeper is alive, and their runs.
    pub fn alive(&self) -> BTreeMap<MemberId, RunId> {
        self.lock().alive()
    }

    /// The launch of a member's latest run.
    pub fn launched(&self, member: &MemberId) -> Option<KeeperLaunch> {
        self.lock().runs.get(member).map(|run| run.launch.clone())
    }

    /// Lets a process end, and leaves it in back-off for `restart_in_ms`.
    pub fn exit(&self, member: &MemberId, process: &ProcessName, exit: Exit, restart_in_ms: u64) {
        self.lock()
            .process_exits(member, process, exit, Some(restart_in_ms));
    }

    /// Starts a process that ended again.
    pub fn start_again(&self, member: &MemberId, process: &ProcessName) {
        self.lock().process_starts(member, process);
    }

    /// The keeper dies, and everything with it.
    pub fn kill_keeper(&self, member: &MemberId) {
        self.lock().end(member);
    }

    /// The connection to a living keeper breaks.
    pub fn lose_connection(&self, member: &MemberId) {
        self.lock().lose_connection(member);
    }

    /// Power cut and boot: every keeper is gone, the boot id is another one, volumes stay.
    pub fn reboot(&self) {
        self.lock().reboot();
    }

    /// What it has is on another machine from now on, which has just booted.
    pub fn move_to(&self, machine: &str) {
        let mut state = self.lock();
        state.machine = machine.to_owned();
        state.reboot();
    }

    /// The machine sleeps for so long, and wakes up: only the clock of leases has gone on.
    pub fn suspend(&self, length: Duration) {
        self.lock().asleep.send_modify(|asleep| *asleep += length);
    }

    /// From now on stops of the member do not end before [`Self::finish_stop`].
    pub fn hold_stop(&self, member: &MemberId) {
        self.lock().held_stops.insert(member.clone());
    }

    /// Ends a held stop, and holds no further one.
    pub fn finish_stop(&self, member: &MemberId) {
        self.lock().finish_stop(member);
    }

    /// What [`KeeperClient::exec`](super::KeeperClient::exec) answers in this member from now on;
    /// exit 0 otherwise.
    pub fn exec_answers(&self, member: &MemberId, result: ExecResult) {
        self.lock().exec.insert(member.clone(), result);
    }

    /// Lets another program hold a port.
    pub fn take_port(&self, address: &str, port: u32, by: &str, pid: u32) {
        let socket = (address.to_owned(), port);
        self.lock().taken.insert(socket, (by.to_owned(), pid));
    }

    /// Frees a port taken by [`Self::take_port`].
    pub fn free_port(&self, address: &str, port: u32) {
        self.lock().taken.remove(&(address.to_owned(), port));
    }

    /// What looks at the volumes of a member show from now on.
    pub fn volumes_are(&self, member: &MemberId, health: BTreeMap<String, VolumeHealth>) {
        self.lock().health.insert(member.clone(), health);
    }

    /// Loses a volume's directory, owner record included.
    pub fn lose_volume(&self, claim: &ClaimKey) {
        self.lock().volumes.remove(claim);
    }

    /// From now on works on a volume do not end before [`Self::finish_work`].
    pub fn hold_work(&self, volume: &ObjectKey) {
        let (gate, _) = watch::channel(false);
        self.lock().held_works.insert(volume.clone(), gate);
    }

    /// Ends held works, and holds no further one.
    pub fn finish_work(&self, volume: &ObjectKey) {
        if let Some(gate) = self.lock().held_works.remove(volume) {
            gate.send_replace(true);
        }
    }

    /// The size of a claim's volume in bytes; `None` if there is none, such as after it went to the
    /// trash.
    pub fn capacity(&self, claim: &ClaimKey) -> Option<u64> {
        let state = self.lock();
        state.volumes.get(claim).map(|volume| volume.capacity)
    }

    /// Whether looks at the pools do not end: a disk does not answer.
    pub fn hold_pools(&self, held: bool) {
        self.lock().held_pools.send_replace(held);
    }

    /// Makes a pool appear: its disk was mounted.
    pub fn add_pool(&self, pool: &str) {
        let mut state = self.lock();
        state.pools.insert(pool.to_owned());
        state.mounts.send_modify(|count| *count += 1);
    }
}

impl FakeHost {
    /// What is found of something that a set requires; nothing is there without it.
    pub fn fact(&self, of: Prerequisite, fact: Fact) {
        self.lock().facts.insert(of, fact);
    }
}

impl Host for FakeHost {
    fn facts(&self) -> HostFacts {
        let state = self.lock();
        HostFacts {
            boot: state.boot.clone(),
            machine: MachineIds {
                machine_id: state.machine.clone(),
                product_uuid: String::new(),
            },
            controllers: std::collections::BTreeSet::new(),
            self_fences: true,
            watchdog: false,
            reboot_takes: Duration::ZERO,
        }
    }

    fn boottime(&self) -> Timestamp {
        let state = self.lock();
        let asleep = *state.asleep.borrow();
        Timestamp(0).plus(state.booted.elapsed() + asleep)
    }

    async fn wait_until(&self, at: Timestamp) {
        let mut asleep = self.lock().asleep.subscribe();
        loop {
            let left = at.since(self.boottime());
            tokio::select! {
                () = sleep(left) => return,
                // The other end is in the host.
                _ = asleep.changed() => {}
            }
        }
    }

    fn reboot(&self) -> Result<(), Reason> {
        self.lock().log.push("reboot".to_owned());
        Ok(())
    }

    fn mounts(&self) -> watch::Receiver<u64> {
        self.lock().mounts.subscribe()
    }

    async fn look_at_pools(&self) -> Pools {
        let mut held = self.lock().held_pools.subscribe();
        // One that is dropped holds nothing.
        drop(held.wait_for(|held| !held).await);
        let state = self.lock();
        let pools = state.pools.iter();
        pools
            .map(|pool| (pool.clone(), PoolInfo::default()))
            .collect()
    }

    fn config_dir(&self, member: &MemberId) -> PathBuf {
        PathBuf::from(format!("/fake/config/{member}"))
    }

    fn log_dir(&self, member: &MemberId) -> PathBuf {
        PathBuf::from(format!("/fake/log/{member}"))
    }

    async fn prepare_volumes(
        &self,
        request: PrepareVolumes,
    ) -> Result<Vec<PreparedVolume>, Reason> {
        let mut state = self.lock();
        let mut ready = Vec::new();
        for (volume, owner) in &request.volumes {
            state.call(Call::PrepareVolume)?;
            ready.push(state.prepare_volume(request.epoch, volume, owner)?);
        }
        Ok(ready)
    }

    async fn look_at_volumes(
        &self,
        member: &MemberId,
        run: &RunId,
    ) -> BTreeMap<String, VolumeHealth> {
        let state = self.lock();
        if state.alive().get(member) != Some(run) {
            return BTreeMap::new();
        }
        state.health.get(member).cloned().unwrap_or_default()
    }

    async fn volume_work(&self, work: VolumeWork) -> Result<(), Reason> {
        let gate = {
            let mut state = self.lock();
            state.call(Call::VolumeWork)?;
            state
                .held_works
                .get(&work.volume)
                .map(watch::Sender::subscribe)
        };
        if let Some(mut gate) = gate {
            // One that is dropped holds nothing.
            drop(gate.wait_for(|open| *open).await);
        }
        self.lock().volume_work(&work)
    }

    async fn send_volume(
        &self,
        work: VolumeWork,
        parts: mpsc::Sender<VolumePart>,
    ) -> Result<(), Reason> {
        let weight = {
            let mut state = self.lock();
            state.call(Call::SendVolume)?;
            state.depart(&work)?
        };
        // One that nobody takes is told to nobody.
        drop(parts.send(VolumePart::Weight(weight)).await);
        Ok(())
    }

    async fn receive_volume(
        &self,
        work: VolumeWork,
        mut parts: mpsc::Receiver<VolumePart>,
    ) -> Result<(), Reason> {
        self.lock().call(Call::ReceiveVolume)?;
        let mut weight = None;
        loop {
            match parts.recv().await {
                Some(VolumePart::Weight(told)) => weight = Some(told),
                Some(VolumePart::Data(_)) => {}
                Some(VolumePart::End) => break,
                Some(VolumePart::Failed(error)) => return Err(step_failed("receive", error)),
                None => return Err(step_failed("receive", "the other host stopped to send")),
            }
        }
        self.lock().arrive(&work, weight.as_ref())
    }

    async fn look_at(&self, required: &[Prerequisite]) -> Vec<(Prerequisite, Fact)> {
        let state = self.lock();
        let look = |one: &Prerequisite| {
            let fact = state.facts.get(one).cloned().unwrap_or(Fact::Absent);
            (one.clone(), fact)
        };
        required.iter().map(look).collect()
    }

    async fn check_ports(&self, address: &str, ports: &[Port]) -> Result<(), Reason> {
        let mut state = self.lock();
        state.call(Call::CheckPorts)?;
        let tcp = ports.iter().filter(|port| port.protocol == Protocol::Tcp);
        for port in tcp {
            let taken = |at: &str| state.taken.get(&(at.to_owned(), port.container_port));
            if let Some((by, pid)) = taken(address).or_else(|| taken("0.0.0.0")) {
                return Err(Reason::PortTaken {
                    socket: format!("{address}:{}", port.container_port),
                    by: by.clone(),
                    pid: *pid,
                });
            }
        }
        Ok(())
    }

    async fn start_keeper(&self, launch: KeeperLaunch) -> Result<KeeperHandle, Reason> {
        let member = launch.rendered.member.clone();
        {
            let mut state = self.lock();
            state.call(Call::StartKeeper)?;
            if state.alive().contains_key(&member) {
                return Err(step_failed("start the keeper", "the member has one"));
            }
            state.start(launch);
        }
        self.connect(&member)
            .ok_or_else(|| step_failed("start the keeper", "it is gone"))
    }

    fn permits(&self, _rendered: &RenderedMember) -> Result<(), Reason> {
        Ok(())
    }

    async fn attach(
        &self,
        member: &MemberId,
        _order: AttachOrder,
    ) -> Result<AttachedProgram, Reason> {
        let step = format!("run a program in {member}");
        Err(step_failed(step, "the fake host runs no programs"))
    }

    async fn adopt(&self, member: &MemberId) -> Result<Option<KeeperHandle>, Reason> {
        self.lock().call(Call::Adopt)?;
        Ok(self.connect(member))
    }

    async fn kill(&self, member: &MemberId, run: &RunId) -> Result<(), Reason> {
        let mut state = self.lock();
        if state.alive().get(member) == Some(run) {
            state.end(member);
        }
        Ok(())
    }

    async fn list_runs(&self) -> Result<Vec<RunRecord>, Reason> {
        let mut state = self.lock();
        state.call(Call::ListRuns)?;
        Ok(state.records())
    }

    async fn cleanup(&self, member: &MemberId) -> Result<(), Reason> {
        let mut state = self.lock();
        state.call(Call::Cleanup)?;
        if state.alive().contains_key(member) {
            return Err(step_failed("clean up", "the keeper is alive"));
        }
        state.runs.remove(member);
        state.log.push(format!("cleanup {member}"));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
