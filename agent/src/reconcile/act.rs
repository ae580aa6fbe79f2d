//! Carries out what a member machine asks for. Each effect is a task of its own; none decides
//! anything.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use berth_core::{
    ids::{Epoch, MemberId, ProcessName, RunId, Uid},
    keeper::LeasedRun,
    ledger::Record,
    member::{Action, AttemptId, Done, Event},
    order::MemberOrder,
    probe::Outcome,
    rendered::{RenderedMember, RenderedProcess},
    spec::Port,
    template::render_member,
    time::Timestamp,
    waiting::Reason,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Command, keeper, names::Names};
use crate::{
    host::{
        DnsSettings, Host, KeeperClient, KeeperHandle, KeeperLaunch, PrepareVolumes,
        PreparedVolume, VolumeOwner, step_failed,
    },
    ledger::LedgerStore,
    probe::{self, Target},
};

/// After which a keeper does not answer. A start has no limit here: the host has its own, and kills
/// what does not get ready; to stop waiting would leave it behind.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What a member was rendered to, and where its volumes are.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) rendered: Arc<RenderedMember>,
    volumes: Vec<PreparedVolume>,
    /// The claims of these volumes.
    claims: BTreeSet<Uid>,
}

/// What came of an action that succeeded.
pub(super) enum Acted {
    Done,
    Prepared(Arc<Prepared>),
    /// Adopted or started.
    Up {
        client: Option<KeeperClient>,
        rendered: Option<Arc<RenderedMember>>,
        done: Box<Done>,
        /// When the newest acknowledged renewal was sent, as its keeper knows it.
        renewed: Option<Timestamp>,
    },
}

/// What an action may need of the member.
#[derive(Default)]
pub(super) struct Needs {
    pub(super) prepared: Option<Arc<Prepared>>,
    pub(super) client: Option<KeeperClient>,
    pub(super) run: Option<RunId>,
    /// The lease as it was when the action began: what is acknowledged later is for later orders.
    pub(super) lease: Option<LeasedRun>,
}

pub(super) struct Actor<H> {
    pub(super) host: Arc<H>,
    pub(super) ledger: LedgerStore,
    pub(super) resolver: IpAddr,
    pub(super) names: Names,
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl<H: Host> Actor<H> {
    /// Runs something beside the driver, until the agent ends.
    pub(super) fn spawn<F: Future<Output = ()> + Send + 'static>(&self, work: F) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(work).await;
        });
    }

    pub(super) fn send(&self, command: Command) {
        // A driver that has ended needs no news.
        drop(self.commands.send(command));
    }

    /// Carries out an action and says how it went; for a keeper, then what it tells.
    pub(super) fn act(self: &Arc<Self>, member: MemberId, step: u64, action: Action, needs: Needs) {
        let actor = Arc::clone(self);
        self.spawn(async move {
            let (result, handle) = match actor.carry_out(&member, action, needs).await {
                Ok((acted, handle)) => (Ok(acted), handle),
                Err(reason) => (Err(reason), None),
            };
            if let Err(reason) = &result {
                tracing::warn!(%member, rule = %reason.rule(), "{reason}");
            }
            let command = Command::Acted {
                member: member.clone(),
                step,
                result,
            };
            actor.send(command);
            if let Some(KeeperHandle { run, events, .. }) = handle {
                let commands = actor.commands.clone();
                keeper::pump(member, run, events, commands).await;
            }
        });
    }

    async fn carry_out(
        &self,
        member: &MemberId,
        action: Action,
        needs: Needs,
    ) -> Result<(Acted, Option<KeeperHandle>), Reason> {
        let done = match action {
            Action::Adopt => return self.adopt(member).await,
            Action::Start(run) => return self.start(member, run, needs).await,
            Action::Prepare(epoch) => Acted::Prepared(Arc::new(self.prepare(member, epoch).await?)),
            Action::Cleanup => {
                self.host.cleanup(member).await?;
                Acted::Done
            }
            Action::CheckPorts => {
                self.check_ports(needs.prepared).await?;
                Acted::Done
            }
            Action::Stop => {
                stop(member, needs.client).await?;
                Acted::Done
            }
            Action::Kill => {
                self.kill(member, needs).await?;
                Acted::Done
            }
        };
        Ok((done, None))
    }

    /// Tells the keeper to kill everything. One that does not answer is killed itself.
    async fn kill(&self, member: &MemberId, needs: Needs) -> Result<(), Reason> {
        let (Some(client), Some(run)) = (needs.client, needs.run) else {
            return Err(lost("kill"));
        };
        match timeout(ANSWER_LIMIT, client.kill()).await {
            Ok(told) => told,
            Err(_) => {
                tracing::warn!(%member, "the keeper does not answer; it is killed");
                self.host.kill(member, &run).await
            }
        }
    }

    async fn adopt(&self, member: &MemberId) -> Result<(Acted, Option<KeeperHandle>), Reason> {
        let handle = answer("adopt", self.host.adopt(member)).await?;
        let order = self.ledger.read().effective(member);
        let rendered = match (&handle, order) {
            (Some(handle), Some(order)) if order.epoch == handle.run.epoch => {
                let rendered = self.render(&order).ok().map(Arc::new);
                // It is there already, unless the ledger was lost.
                if let Some(rendered) = &rendered {
                    let claims = mounted(&order, rendered);
                    let noted = self.ledger.note(Record::Filled { claims }).await;
                    noted.map_err(|e| step_failed("write the ledger", e))?;
                }
                rendered
            }
            _ => None,
        };
        let running = handle.as_ref().map(|handle| {
            tracing::info!(%member, pid = handle.pid, "adopted");
            keeper::running(handle, rendered.as_deref())
        });
        let acted = Acted::Up {
            client: handle.as_ref().map(|handle| handle.client.clone()),
            rendered,
            done: Box::new(Done::Adopted(running)),
            renewed: handle.as_ref().and_then(|handle| handle.status.renewed),
        };
        Ok((acted, handle))
    }

    fn render(&self, order: &MemberOrder) -> Result<RenderedMember, Reason> {
        let config_dir = self.host.config_dir(&order.member);
        render_member(order, &config_dir.to_string_lossy()).map_err(|error| Reason::RenderFailed {
            field: error.field,
            error: error.message,
        })
    }

    /// Refuses once another epoch is ordered: what is prepared belongs to the one asked for.
    async fn prepare(&self, member: &MemberId, epoch: Epoch) -> Result<Prepared, Reason> {
        let (order, history) = {
            let ledger = self.ledger.read();
            (ledger.effective(member), ledger.head.history.clone())
        };
        let order = order.filter(|order| order.epoch == epoch);
        let order = order.ok_or_else(|| {
            step_failed("prepare", format!("epoch {epoch} is not ordered any more"))
        })?;
        self.check_requirements(&order).await?;
        let rendered = Arc::new(self.render(&order)?);
        let claims = mounted(&order, &rendered);
        let volumes = order.volumes.iter().filter_map(|volume| {
            let owner = owner(&rendered, &volume.name)?;
            Some((volume.clone(), owner))
        });
        let request = PrepareVolumes {
            member: member.clone(),
            epoch,
            history,
            volumes: volumes.collect(),
        };
        let volumes = self.host.prepare_volumes(request).await?;
        Ok(Prepared {
            rendered,
            volumes,
            claims,
        })
    }

    /// Looks once more for what the set requires: it may be gone since the host was chosen.
    async fn check_requirements(&self, order: &MemberOrder) -> Result<(), Reason> {
        let required: Vec<_> = order.template.requires.each().collect();
        if required.is_empty() {
            return Ok(());
        }
        let facts = self.host.look_at(&required).await.into_iter();
        let unmet: Vec<_> = facts
            .filter_map(|(required, fact)| required.judge(&fact).unmet(required))
            .collect();
        if unmet.is_empty() {
            return Ok(());
        }
        let host = order.values.host.parse();
        let host = host.map_err(|e| step_failed("read the name of the host", e))?;
        Err(Reason::RequirementUnmet { host, unmet })
    }

    async fn check_ports(&self, prepared: Option<Arc<Prepared>>) -> Result<(), Reason> {
        let prepared = prepared.ok_or_else(|| lost("check ports"))?;
        let rendered = &prepared.rendered;
        let sidecars = rendered.init_processes.iter().filter(|p| p.sidecar);
        let processes = sidecars.chain(&rendered.processes);
        let ports: Vec<Port> = processes.flat_map(|p| p.ports.iter().cloned()).collect();
        let address = &prepared.rendered.address;
        self.host.check_ports(address, &ports).await
    }

    /// Writes the run down, then starts it: no two starts ever have the same id, and no start is on
    /// a volume that still counts as new.
    async fn start(
        &self,
        member: &MemberId,
        run: RunId,
        needs: Needs,
    ) -> Result<(Acted, Option<KeeperHandle>), Reason> {
        let prepared = needs.prepared.ok_or_else(|| lost("start"))?;
        let order = self.ledger.read().effective(member);
        let order = order.filter(|order| order.epoch == run.epoch);
        self.names.check(&order.ok_or_else(|| lost("start"))?)?;
        let claims = prepared.claims.clone();
        let records = vec![
            Record::Run {
                member: member.clone(),
                run: run.clone(),
            },
            Record::Filled { claims },
        ];
        let written = self.ledger.write(records).await;
        written.map_err(|e| step_failed("write the ledger", e))?;
        tracing::info!(%member, epoch = %run.epoch, number = %run.number, "starting");
        let launch = KeeperLaunch {
            run,
            rendered: (*prepared.rendered).clone(),
            volumes: prepared.volumes.clone(),
            dns: dns(&prepared.rendered, self.resolver),
            lease: needs.lease,
        };
        let handle = self.host.start_keeper(launch).await?;
        let acted = Acted::Up {
            client: Some(handle.client.clone()),
            rendered: Some(Arc::clone(&prepared.rendered)),
            done: Box::new(Done::Started(keeper::running(
                &handle,
                Some(&prepared.rendered),
            ))),
            renewed: None,
        };
        Ok((acted, Some(handle)))
    }

    /// Renders a member anew and tells its keeper, if it differs from what it has. What fails is
    /// tried again with the next order, record or adoption.
    pub(super) fn refresh(
        self: &Arc<Self>,
        member: MemberId,
        run: RunId,
        known: Option<Arc<RenderedMember>>,
        client: KeeperClient,
    ) {
        let actor = Arc::clone(self);
        self.spawn(async move {
            let order = actor.ledger.read().effective(&member);
            let Some(order) = order.filter(|order| order.epoch == run.epoch) else {
                return;
            };
            let rendered = match actor.render(&order) {
                Ok(rendered) => Arc::new(rendered),
                Err(reason) => return tracing::warn!(%member, "{reason}"),
            };
            if known.as_ref() != Some(&rendered) {
                if let Err(reason) = actor.host.permits(&rendered) {
                    return tracing::warn!(%member, "{reason}");
                }
                let told = client.update((*rendered).clone());
                if let Err(reason) = answer("update", told).await {
                    return tracing::warn!(%member, "{reason}");
                }
            }
            actor.send(Command::Refreshed {
                member,
                run,
                revision: order.revision,
                rendered,
            });
        });
    }

    /// Tries a probe and says how it went.
    pub(super) fn probe(
        self: &Arc<Self>,
        attempt: AttemptId,
        rendered: Option<&RenderedMember>,
        client: Option<KeeperClient>,
        member: MemberId,
    ) {
        let spec = rendered.and_then(|rendered| {
            let mut all = rendered.init_processes.iter().chain(&rendered.processes);
            let process = all.find(|p| p.name == attempt.process)?;
            probe_of(process, &attempt).map(|spec| (spec, rendered.address.clone()))
        });
        let actor = Arc::clone(self);
        let work = async move {
            let outcome = match (spec, client) {
                (Some((spec, address)), Some(keeper)) => {
                    let process = attempt.process.clone();
                    let target = Target {
                        process,
                        address,
                        keeper,
                    };
                    probe::attempt(&spec, &target).await
                }
                _ => Outcome::NotTried("the member is not known well enough".to_owned()),
            };
            actor.send(Command::Event(member, Event::Probed { attempt, outcome }));
        };
        self.spawn(work);
    }

    /// Looks at the volumes of a run and says how they are.
    pub(super) fn look_at_volumes(self: &Arc<Self>, member: MemberId, run: RunId) {
        let actor = Arc::clone(self);
        self.spawn(async move {
            let seen = actor.host.look_at_volumes(&member, &run).await;
            actor.send(Command::Event(member, Event::VolumesSeen { run, seen }));
        });
    }

    /// Tells the keeper to restart a process, and the machine if that fails.
    pub(super) fn restart_process(
        self: &Arc<Self>,
        member: MemberId,
        run: RunId,
        (process, grace, restarts): (ProcessName, Option<Duration>, u32),
        client: KeeperClient,
    ) {
        let actor = Arc::clone(self);
        self.spawn(async move {
            tracing::warn!(%member, %process, "its probe failed; it is restarted");
            let asked = client.restart_failed(process.clone(), grace, restarts);
            if let Err(reason) = answer("restart", asked).await {
                tracing::warn!(%member, %process, "{reason}");
                actor.send(Command::Event(
                    member,
                    Event::RestartFailed { run, process },
                ));
            }
        });
    }

    /// Tells the keeper that a startup probe passed, and the machine if that fails.
    pub(super) fn tell_passed(
        self: &Arc<Self>,
        member: MemberId,
        run: RunId,
        (process, restarts): (ProcessName, u32),
        client: KeeperClient,
    ) {
        let actor = Arc::clone(self);
        self.spawn(async move {
            let told = client.passed(process.clone(), restarts);
            if let Err(reason) = answer("tell of a probe", told).await {
                tracing::warn!(%member, %process, "{reason}");
                let lost = Event::PassedLost { run, process };
                actor.send(Command::Event(member, lost));
            }
        });
    }

    /// Writes a record that nothing waits for, then passes on what follows from it.
    pub(super) fn note(self: &Arc<Self>, record: Record, then: Option<Command>) {
        let actor = Arc::clone(self);
        self.spawn(async move {
            // The driver learns of a failure from the ledger itself.
            if actor.ledger.note(record).await.is_ok() {
                then.into_iter().for_each(|command| actor.send(command));
            }
        });
    }
}

fn probe_of(process: &RenderedProcess, attempt: &AttemptId) -> Option<berth_core::spec::Probe> {
    use berth_core::probe::ProbeKind;
    match attempt.kind {
        ProbeKind::Startup => process.startup_probe.clone(),
        ProbeKind::Readiness => process.readiness_probe.clone(),
        ProbeKind::Liveness => process.liveness_probe.clone(),
    }
}

/// The claims of the volumes that a process mounts: the others are not made, and hold nothing.
fn mounted(order: &MemberOrder, rendered: &RenderedMember) -> BTreeSet<Uid> {
    let volumes = order.volumes.iter();
    let mounted = volumes.filter(|volume| owner(rendered, &volume.name).is_some());
    mounted.map(|volume| volume.claim_uid.clone()).collect()
}

/// Who owns a new volume: the first process that mounts it. A volume that none mounts is not made.
fn owner(rendered: &RenderedMember, volume: &str) -> Option<VolumeOwner> {
    let mut processes = rendered.processes.iter().chain(&rendered.init_processes);
    let process = processes.find(|p| p.mounts.iter().any(|mount| mount.volume == volume))?;
    Some(VolumeOwner {
        process: process.name.clone(),
        user: process.user.clone(),
        group: process.group.clone(),
    })
}

/// The search list of Kubernetes, from the member's own name `<member>.<service>.<ns>.svc.<zone>`.
fn dns(rendered: &RenderedMember, server: IpAddr) -> DnsSettings {
    let namespace = &rendered.member.set.namespace;
    let zone = rendered.fqdn.splitn(5, '.').nth(4);
    let search = zone.map_or_else(Vec::new, |zone| {
        vec![
            format!("{namespace}.svc.{zone}"),
            format!("svc.{zone}"),
            zone.to_owned(),
        ]
    });
    DnsSettings { server, search }
}

/// Tells the keeper to stop. For one that does not answer the time to be killed comes as for one
/// that does: it has the command, and may be slow.
async fn stop(member: &MemberId, client: Option<KeeperClient>) -> Result<(), Reason> {
    let client = client.ok_or_else(|| lost("stop"))?;
    match timeout(ANSWER_LIMIT, client.stop(None)).await {
        Ok(told) => told,
        Err(_) => {
            tracing::warn!(%member, "the keeper does not answer; it has the grace period to stop");
            Ok(())
        }
    }
}

fn lost(step: &str) -> Reason {
    step_failed(step, "what it needs is not there any more")
}

pub(super) async fn answer<T>(
    step: &str,
    asked: impl Future<Output = Result<T, Reason>>,
) -> Result<T, Reason> {
    timeout(ANSWER_LIMIT, asked)
        .await
        .unwrap_or_else(|_| Err(step_failed(step, "the keeper does not answer")))
}
