//! A coordinator and an agent with canned answers, on one unix socket in a directory of its own.

use std::{
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
    thread,
};

use berth_proto::{
    transport,
    v1::{
        self, admin_service_server as admin_service, event_service_server as event,
        host_service_server as host, local_service_server as local,
        member_service_server as member, object_service_server as object,
        set_service_server as set, volume_service_server as volume,
    },
};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::{Stream, StreamExt as _, iter, wrappers::UnboundedReceiverStream};
use tonic::{Request, Response, Status};

use super::{admin, data, exec, objects, rollouts, volumes};

type Answer<T> = Result<Response<T>, Status>;
pub(crate) type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Runs until it is dropped.
pub(crate) struct Server {
    dir: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("berth").tempdir().unwrap();
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let endpoint = endpoint_in(dir.path());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let incoming = transport::listen(&endpoint.parse().unwrap()).await.unwrap();
                ready.send(()).unwrap();
                let fake = Fake::default();
                tonic::transport::Server::builder()
                    .add_service(object::ObjectServiceServer::new(fake.clone()))
                    .add_service(set::SetServiceServer::new(fake.clone()))
                    .add_service(member::MemberServiceServer::new(fake.clone()))
                    .add_service(host::HostServiceServer::new(fake.clone()))
                    .add_service(event::EventServiceServer::new(fake.clone()))
                    .add_service(volume::VolumeServiceServer::new(volumes::Volumes))
                    .add_service(admin_service::AdminServiceServer::new(admin::Admin))
                    .add_service(local::LocalServiceServer::new(fake))
                    .serve_with_incoming_shutdown(incoming, async {
                        stopped.await.ok();
                    })
                    .await
                    .unwrap();
            });
        });
        is_ready.recv().unwrap();
        Self {
            dir,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        endpoint_in(self.dir.path())
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(thread::panicking() || ended.is_ok(), "the server failed");
        }
    }
}

fn endpoint_in(dir: &Path) -> String {
    format!("unix:{}", dir.join("s").display())
}

/// The answers. Sets that change do so step by step: each time their status is read, the next step
/// happens and is sent to whoever watches, so that a client that waits sees every step.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    step: usize,
    members: Option<mpsc::UnboundedSender<Result<v1::MemberEvent, Status>>>,
    objects: Option<mpsc::UnboundedSender<Result<v1::WatchEvent, Status>>>,
}

impl Script {
    fn member(&self, deleted: bool, member: v1::MemberStatus) {
        let event = v1::MemberEvent {
            deleted,
            member: Some(member),
            synced: false,
        };
        if let Some(watch) = &self.members {
            watch.send(Ok(event)).ok();
        }
    }

    fn object_deleted(&self, name: &str) {
        let event = v1::WatchEvent {
            r#type: v1::watch_event::Type::Deleted.into(),
            r#ref: Some(v1::ObjectRef {
                kind: "StatefulSet".into(),
                namespace: "default".into(),
                name: name.into(),
            }),
            ..Default::default()
        };
        if let Some(watch) = &self.objects {
            watch.send(Ok(event)).ok();
        }
    }
}

/// The members of `slow` at a step.
fn slow(step: usize) -> [v1::MemberStatus; 2] {
    let first = match step {
        0 => data::placed("slow", 0, "Starting"),
        _ => data::running("slow", 0),
    };
    let second = match step {
        0 | 1 => v1::MemberStatus {
            waiting: data::waiting("PredecessorNotReady", "ordinal 0 is not ready", ""),
            ..data::member("slow", 1, "Declared")
        },
        2 => data::placed("slow", 1, "Preparing"),
        _ => data::running("slow", 1),
    };
    [first, second]
}

fn slow_status(script: &mut Script) -> v1::SetStatus {
    let step = script.step;
    if step < 3 {
        script.step += 1;
        let [first, second] = slow(step + 1);
        script.member(false, if step == 0 { first } else { second });
    }
    let ready = [0, 1, 1, 2][step];
    v1::SetStatus {
        namespace: "default".into(),
        name: "slow".into(),
        replicas: 2,
        current_replicas: [1, 1, 2, 2][step],
        ready_replicas: ready,
        available_replicas: ready,
        updated_replicas: [1, 1, 2, 2][step],
        rolled_out: step > 1,
        rollout: Some(rollouts::slow(ready)),
        members: slow(step).to_vec(),
        ..Default::default()
    }
}

fn going_status(script: &mut Script) -> Result<v1::SetStatus, Status> {
    let step = script.step;
    script.step += 1;
    match step {
        0 => script.member(true, data::member("going", 0, "Stopped")),
        1 => script.object_deleted("going"),
        _ => return Err(Status::not_found("StatefulSet/going does not exist")),
    }
    Ok(v1::SetStatus {
        name: "going".into(),
        deleting: true,
        ..Default::default()
    })
}

#[tonic::async_trait]
impl set::SetService for Fake {
    async fn scale(&self, request: Request<v1::ScaleRequest>) -> Answer<v1::ScaleResponse> {
        let request = request.into_inner();
        match request.name.as_str() {
            "etcd" if request.replicas > 3 => Err(Status::failed_precondition(
                "StatefulSet/etcd: membership is Static, the application would not learn of it",
            )),
            "etcd" if request.replicas < 3 && !request.confirmed => {
                Err(objects::unconfirmed("StatefulSet/etcd", "etcd-2 stops"))
            }
            "etcd" | "slow" => Ok(Response::new(v1::ScaleResponse {
                previous_replicas: 3,
                revision: 18,
            })),
            name => Err(Status::not_found(format!(
                "StatefulSet/{name} does not exist"
            ))),
        }
    }

    async fn refound(&self, request: Request<v1::RefoundRequest>) -> Answer<v1::RefoundResponse> {
        let request = request.into_inner();
        match request.name.as_str() {
            "etcd" if request.typed_name == "etcd" => {
                Ok(Response::new(v1::RefoundResponse { revision: 18 }))
            }
            "etcd" => Err(objects::untyped("StatefulSet/etcd")),
            name => Err(Status::not_found(format!("set {name} does not exist"))),
        }
    }

    async fn status(&self, request: Request<v1::SetStatusRequest>) -> Answer<v1::SetStatus> {
        let script = &mut *self.0.lock().unwrap();
        let status = match request.into_inner().name.as_str() {
            "etcd" => data::etcd(),
            "slow" => slow_status(script),
            "going" => going_status(script)?,
            name => {
                let message = format!("StatefulSet/{name} does not exist");
                return Err(Status::not_found(message));
            }
        };
        Ok(Response::new(status))
    }

    async fn history(&self, request: Request<v1::HistoryRequest>) -> Answer<v1::HistoryResponse> {
        rollouts::history(&request.into_inner()).map(Response::new)
    }

    async fn undo(&self, request: Request<v1::UndoRequest>) -> Answer<v1::RolloutResponse> {
        rollouts::undo(&request.into_inner()).map(Response::new)
    }

    async fn rollout_restart(
        &self,
        request: Request<v1::RolloutRestartRequest>,
    ) -> Answer<v1::RolloutResponse> {
        let request = request.into_inner();
        rollouts::change(request.confirmed, request.dry_run).map(Response::new)
    }

    async fn rollout_pause(
        &self,
        _: Request<v1::RolloutPauseRequest>,
    ) -> Answer<v1::RolloutResponse> {
        Ok(Response::new(v1::RolloutResponse::default()))
    }

    async fn list_status(
        &self,
        request: Request<v1::ListSetStatusRequest>,
    ) -> Answer<v1::ListSetStatusResponse> {
        let namespace = request.into_inner().namespace;
        let mut sets = vec![data::etcd(), data::shop()];
        sets.retain(|set| namespace.is_empty() || set.namespace == namespace);
        Ok(Response::new(v1::ListSetStatusResponse { sets }))
    }
}

#[tonic::async_trait]
impl member::MemberService for Fake {
    async fn list(
        &self,
        request: Request<v1::ListMembersRequest>,
    ) -> Answer<v1::ListMembersResponse> {
        let namespace = request.into_inner().namespace;
        let mut members = data::etcd().members;
        members.extend(data::shop().members);
        members.retain(|one| namespace.is_empty() || one.namespace == namespace);
        Ok(Response::new(v1::ListMembersResponse { members }))
    }

    type WatchStream = Streamed<v1::MemberEvent>;

    async fn watch(&self, request: Request<v1::WatchMembersRequest>) -> Answer<Self::WatchStream> {
        let members = match request.into_inner().set.as_str() {
            "slow" => slow(0).to_vec(),
            "going" => vec![data::placed("going", 0, "Stopping")],
            "etcd" => data::etcd().members,
            _ => Vec::new(),
        };
        let mut first: Vec<_> = members
            .into_iter()
            .map(|member| {
                Ok(v1::MemberEvent {
                    member: Some(member),
                    ..Default::default()
                })
            })
            .collect();
        first.push(Ok(v1::MemberEvent {
            synced: true,
            ..Default::default()
        }));
        let (sender, later) = mpsc::unbounded_channel();
        self.0.lock().unwrap().members = Some(sender);
        let stream = iter(first).chain(UnboundedReceiverStream::new(later));
        Ok(Response::new(Box::pin(stream)))
    }

    type ExecStream = Streamed<v1::ExecOutput>;

    async fn exec(
        &self,
        request: Request<tonic::Streaming<v1::ExecRequest>>,
    ) -> Answer<Self::ExecStream> {
        let requests = request.into_inner();
        Ok(Response::new(exec::played(requests).await?))
    }

    async fn set_condition(
        &self,
        request: Request<v1::SetMemberConditionRequest>,
    ) -> Answer<v1::SetMemberConditionResponse> {
        let request = request.into_inner();
        if request.r#type.contains(' ') {
            return Err(Status::invalid_argument("type: it is not a name"));
        }
        Ok(Response::new(v1::SetMemberConditionResponse {
            revision: 8,
        }))
    }

    async fn restart(
        &self,
        request: Request<v1::RestartMemberRequest>,
    ) -> Answer<v1::RestartMemberResponse> {
        let request = request.into_inner();
        match request.member.as_str() {
            "etcd-0" if request.confirmed => {
                Ok(Response::new(v1::RestartMemberResponse { revision: 18 }))
            }
            "etcd-0" => {
                let text = "etcd-0 stops and starts again on host-1, where its data is";
                Err(objects::unconfirmed("Member/etcd-0", text))
            }
            "etcd-1" => Err(Status::failed_precondition(
                "host-2 is out of contact: what runs there can neither be stopped nor proven gone",
            )),
            name => Err(Status::not_found(format!("member {name} does not exist"))),
        }
    }

    async fn set_offline(
        &self,
        request: Request<v1::SetOfflineRequest>,
    ) -> Answer<v1::SetOfflineResponse> {
        let request = request.into_inner();
        if request.member != "etcd-0" {
            let message = format!("member {} does not exist", request.member);
            return Err(Status::not_found(message));
        }
        if request.offline && !request.confirmed {
            return Err(objects::unconfirmed("Member/etcd-0", "etcd-0 stops"));
        }
        let changed = request.offline && !request.reason.is_empty();
        Ok(Response::new(v1::SetOfflineResponse { changed }))
    }

    async fn replace(
        &self,
        request: Request<v1::ReplaceMemberRequest>,
    ) -> Answer<v1::ReplaceMemberResponse> {
        let request = request.into_inner();
        match request.member.as_str() {
            "etcd-0" if request.typed_name == "etcd-0" => {
                Ok(Response::new(v1::ReplaceMemberResponse { revision: 18 }))
            }
            "etcd-0" => Err(objects::untyped("Member/etcd-0")),
            "etcd-1" => Err(Status::failed_precondition(
                "host-2 is out of contact: what runs there can neither be stopped nor proven gone",
            )),
            name => Err(Status::not_found(format!("member {name} does not exist"))),
        }
    }

    async fn r#move(
        &self,
        request: Request<v1::MoveMemberRequest>,
    ) -> Answer<v1::MoveMemberResponse> {
        let request = request.into_inner();
        match (request.member.as_str(), request.host.as_str()) {
            ("etcd-0", "host-9") => Err(Status::not_found("host host-9 does not exist")),
            ("etcd-0", _) if !request.confirmed => {
                Err(objects::unconfirmed("Member/etcd-0", "etcd-0 stops"))
            }
            ("etcd-0", _) => Ok(Response::new(v1::MoveMemberResponse { revision: 18 })),
            ("etcd-1", "") => Err(Status::failed_precondition(
                "data of default/etcd-1 is on host-2: 'berth member move' takes it along",
            )),
            (name, _) => Err(Status::not_found(format!("member {name} does not exist"))),
        }
    }

    async fn cancel_move(
        &self,
        request: Request<v1::CancelMoveRequest>,
    ) -> Answer<v1::CancelMoveResponse> {
        match request.into_inner().member.as_str() {
            "etcd-0" => Ok(Response::new(v1::CancelMoveResponse { revision: 18 })),
            name => Err(Status::failed_precondition(format!(
                "default/{name} is not being moved"
            ))),
        }
    }

    async fn force(
        &self,
        request: Request<v1::ForceMemberRequest>,
    ) -> Answer<v1::ForceMemberResponse> {
        let request = request.into_inner();
        if request.typed_name == format!("default/{}", request.member) {
            return Ok(Response::new(v1::ForceMemberResponse { revision: 18 }));
        }
        Err(objects::untyped("Member/etcd-0"))
    }

    type LogsStream = Streamed<v1::LogChunk>;

    async fn logs(&self, request: Request<v1::LogsRequest>) -> Answer<Self::LogsStream> {
        logs(&request.into_inner())
    }
}

fn logs(request: &v1::LogsRequest) -> Answer<Streamed<v1::LogChunk>> {
    if request.member == "etcd-2" {
        return Err(Status::failed_precondition(
            "default/etcd-2 has no host yet",
        ));
    }
    if request.member != "etcd-0" {
        let message = format!("member {} does not exist", request.member);
        return Err(Status::not_found(message));
    }
    let run = if request.previous {
        "previous"
    } else {
        "current"
    };
    let lines = [
        format!("{run} run of {:?}\n", request.process),
        format!("tail {:?}, ", request.tail_lines),
        format!("follow {}\n", request.follow),
    ];
    let chunks = lines.map(|line| {
        Ok(v1::LogChunk {
            data: line.into_bytes(),
        })
    });
    Ok(Response::new(Box::pin(iter(chunks))))
}

#[tonic::async_trait]
impl host::HostService for Fake {
    async fn list(&self, _: Request<v1::ListHostsRequest>) -> Answer<v1::ListHostsResponse> {
        Ok(Response::new(v1::ListHostsResponse {
            hosts: data::hosts(),
        }))
    }

    async fn set_unschedulable(
        &self,
        request: Request<v1::SetUnschedulableRequest>,
    ) -> Answer<v1::SetUnschedulableResponse> {
        let request = request.into_inner();
        if request.host != "host-1" {
            let message = format!("host {} does not exist", request.host);
            return Err(Status::not_found(message));
        }
        Ok(Response::new(v1::SetUnschedulableResponse {
            changed: request.unschedulable,
            members: vec!["default/etcd-0".into()],
        }))
    }

    async fn drain(&self, request: Request<v1::DrainHostRequest>) -> Answer<v1::DrainHostResponse> {
        let request = request.into_inner();
        if request.host == "host-9" {
            return Err(Status::not_found("host host-9 does not exist"));
        }
        Ok(Response::new(v1::DrainHostResponse {
            changed: !request.dry_run,
            members: vec![v1::DrainedMember {
                member: "default/etcd-0".into(),
                fate: "Stays".into(),
                waiting: Some(v1::Waiting {
                    message: "host-1 is being drained; it stays".into(),
                    ..Default::default()
                }),
            }],
        }))
    }

    async fn confirm_dead(
        &self,
        request: Request<v1::ConfirmHostDeadRequest>,
    ) -> Answer<v1::ConfirmHostDeadResponse> {
        let request = request.into_inner();
        admin::word(&request.host, &request.typed_name)?;
        Ok(Response::new(v1::ConfirmHostDeadResponse {
            changed: true,
            members: vec!["default/etcd-1".into()],
        }))
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveHostRequest>,
    ) -> Answer<v1::RemoveHostResponse> {
        let request = request.into_inner();
        admin::word(&request.host, &request.typed_name)?;
        Ok(Response::new(v1::RemoveHostResponse::default()))
    }

    async fn label(&self, request: Request<v1::LabelHostRequest>) -> Answer<v1::LabelHostResponse> {
        let request = request.into_inner();
        if !request.remove.is_empty() && !request.confirmed {
            let text = "default/web-0 stops: its set has a member only on hosts with its labels";
            return Err(objects::unconfirmed("Host/host-1", text));
        }
        Ok(Response::new(v1::LabelHostResponse {
            changed: true,
            labels: request.set,
        }))
    }
}

#[tonic::async_trait]
impl event::EventService for Fake {
    async fn list(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Answer<v1::ListEventsResponse> {
        let request = request.into_inner();
        let mut events = data::events();
        events.retain(|one| request.subject.is_empty() || one.subject == request.subject);
        Ok(Response::new(v1::ListEventsResponse { events }))
    }

    type WatchStream = Streamed<v1::Event>;

    /// Breaks off after the next event, as a coordinator that is restarted does; the second time
    /// it refuses.
    async fn watch(&self, request: Request<v1::WatchEventsRequest>) -> Answer<Self::WatchStream> {
        let after = request.into_inner().after_sequence.unwrap_or(0);
        if after > 6 {
            return Err(Status::permission_denied("the test ends here"));
        }
        let next = v1::Event {
            sequence: after + 1,
            message: format!("after {after}"),
            ..data::events().swap_remove(0)
        };
        let stream = iter([Ok(next), Err(Status::unavailable("restarted"))]);
        Ok(Response::new(Box::pin(stream)))
    }
}

#[tonic::async_trait]
impl object::ObjectService for Fake {
    async fn apply(&self, request: Request<v1::ApplyRequest>) -> Answer<v1::ApplyResponse> {
        let request = request.into_inner();
        if !request.take_replicas && request.sources[0].text.contains("# scaled") {
            return Err(Status::failed_precondition(
                "StatefulSet/etcd: replicas was set to 2 by `berth scale`, the manifest says 3; \
                 correct it, or --take replicas",
            ));
        }
        objects::judge(&request.sources, request.confirmed)?;
        Ok(Response::new(v1::ApplyResponse {
            objects: objects::outcome(&request.sources),
            revision: 18,
            warnings: vec!["serviceName 'etcd' matches no Service".into()],
        }))
    }

    async fn plan(&self, request: Request<v1::PlanRequest>) -> Answer<v1::PlanResponse> {
        let sources = request.into_inner().sources;
        objects::judge(&sources, true)?;
        let step = |step: &str, text: &str| v1::PlannedStep {
            step: step.into(),
            subject: "Member/etcd-0".into(),
            text: text.into(),
            why: "its member is wanted".into(),
            json: format!("{{\"step\":\"{}\"}}", step.to_lowercase()),
            round: 0,
        };
        let later = |step: v1::PlannedStep| v1::PlannedStep { round: 1, ..step };
        if sources.iter().any(|one| one.text.contains("# same")) {
            return Ok(Response::new(v1::PlanResponse::default()));
        }
        let shrinks = sources.iter().any(|one| one.text.contains("# shrinking"));
        Ok(Response::new(v1::PlanResponse {
            objects: objects::outcome(&sources),
            steps: if shrinks {
                vec![step("Stop", "stop etcd-2 on host-3")]
            } else {
                vec![step("Assign", "assign etcd-0 to host-1 (127.77.1.0)")]
            },
            forecast: if shrinks {
                Vec::new()
            } else {
                vec![later(step("Start", "start etcd-0 on host-1"))]
            },
            forecast_cut: false,
            waiting: vec!["default/etcd-2 waits: there is no host (NoEligibleHost)".into()],
            changes: true,
            warnings: vec!["OrderedReady without a bootstrapPolicy".into()],
            disruptions: if shrinks {
                vec![objects::DISRUPTION.into()]
            } else {
                Vec::new()
            },
        }))
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Answer<v1::Object> {
        let reference = request.into_inner().r#ref.unwrap();
        if reference.name == objects::UNREADABLE {
            return Err(Status::data_loss("the record has another form"));
        }
        let found = objects::of_kind(&reference.kind)
            .into_iter()
            .find(|one| one["metadata"]["name"] == reference.name.as_str());
        match found {
            Some(object) => Ok(Response::new(v1::Object {
                manifest: Some(objects::wire(object)),
                revision: 17,
            })),
            None => Err(Status::not_found(format!(
                "{}/{} does not exist",
                reference.kind, reference.name
            ))),
        }
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Answer<v1::ListResponse> {
        let objects = objects::of_kind(&request.into_inner().kind);
        Ok(Response::new(v1::ListResponse {
            objects: objects
                .into_iter()
                .map(|object| v1::Object {
                    manifest: Some(objects::wire(object)),
                    revision: 17,
                })
                .collect(),
            revision: 17,
        }))
    }

    type WatchStream = Streamed<v1::WatchEvent>;

    async fn watch(&self, _: Request<v1::WatchRequest>) -> Answer<Self::WatchStream> {
        let (sender, events) = mpsc::unbounded_channel();
        self.0.lock().unwrap().objects = Some(sender);
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(
            events,
        ))))
    }

    async fn delete(&self, request: Request<v1::DeleteRequest>) -> Answer<v1::DeleteResponse> {
        let request = request.into_inner();
        let reference = request.r#ref.unwrap();
        if reference.name == "none" {
            let message = format!("{}/none does not exist", reference.kind);
            return Err(Status::not_found(message));
        }
        if request.dry_run && reference.kind == "StatefulSet" && !request.orphan {
            let text = "etcd-2, etcd-1, etcd-0 stop, the highest first; the volumes are kept";
            return Ok(Response::new(v1::DeleteResponse {
                disruptions: vec![text.into()],
                ..Default::default()
            }));
        }
        if reference.kind == "StatefulSet" && request.typed_name != reference.name {
            return Err(Status::failed_precondition("the name was not typed"));
        }
        Ok(Response::new(v1::DeleteResponse {
            revision: 18,
            ..Default::default()
        }))
    }
}

#[tonic::async_trait]
impl local::LocalService for Fake {
    async fn list(&self, _: Request<v1::LocalListRequest>) -> Answer<v1::LocalListResponse> {
        Ok(Response::new(v1::LocalListResponse {
            host: "host-1".into(),
            coordinator_connected: false,
            members: vec![data::running("etcd", 0)],
        }))
    }

    async fn status(
        &self,
        request: Request<v1::LocalStatusRequest>,
    ) -> Answer<v1::LocalStatusResponse> {
        known(&request.into_inner().member.unwrap())?;
        let held = v1::MemberStatus {
            waiting: data::waiting(
                "HeldByOperator",
                "stopped by an operator on its host",
                "berth local start (on the host)",
            ),
            ..data::placed("etcd", 0, "Stopped")
        };
        Ok(Response::new(v1::LocalStatusResponse {
            member: Some(held),
            held_by_operator: true,
        }))
    }

    type LogsStream = Streamed<v1::LogChunk>;

    async fn logs(&self, request: Request<v1::LogsRequest>) -> Answer<Self::LogsStream> {
        logs(&request.into_inner())
    }

    async fn stop(
        &self,
        request: Request<v1::LocalMemberRequest>,
    ) -> Answer<v1::LocalMemberResponse> {
        known(&request.into_inner())
    }

    async fn start(
        &self,
        request: Request<v1::LocalMemberRequest>,
    ) -> Answer<v1::LocalMemberResponse> {
        known(&request.into_inner())
    }

    async fn restart(
        &self,
        request: Request<v1::LocalMemberRequest>,
    ) -> Answer<v1::LocalMemberResponse> {
        known(&request.into_inner())
    }

    type ShutdownStream = Streamed<v1::LocalShutdownProgress>;

    async fn shutdown(&self, _: Request<v1::LocalShutdownRequest>) -> Answer<Self::ShutdownStream> {
        let progress = |stopped: &[&str], left: &[&str]| v1::LocalShutdownProgress {
            stopped: stopped.iter().map(ToString::to_string).collect(),
            left: left.iter().map(ToString::to_string).collect(),
        };
        let all = [
            progress(&[], &["default/etcd-0", "default/etcd-1"]),
            progress(&["default/etcd-1"], &["default/etcd-0"]),
            progress(&["default/etcd-0"], &[]),
        ];
        Ok(Response::new(Box::pin(iter(all.map(Ok)))))
    }

    async fn names(&self, _: Request<v1::LocalNamesRequest>) -> Answer<v1::LocalNamesResponse> {
        Ok(Response::new(v1::LocalNamesResponse {
            zone: "berth.internal".into(),
            servers: vec!["127.0.0.153".into()],
        }))
    }

    async fn resume(&self, _: Request<v1::LocalResumeRequest>) -> Answer<v1::LocalResumeResponse> {
        Ok(Response::new(v1::LocalResumeResponse {}))
    }
}

fn known(request: &v1::LocalMemberRequest) -> Answer<v1::LocalMemberResponse> {
    if request.member == "etcd-0" && request.namespace == "default" {
        Ok(Response::new(v1::LocalMemberResponse {}))
    } else {
        let message = format!("there is no member {} on this host", request.member);
        Err(Status::not_found(message))
    }
}
