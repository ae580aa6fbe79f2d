//! MemberService: members, how they change, and their logs.

use std::{collections::BTreeMap, sync::Arc};

use berth_core::{
    ids::{HostName, MemberId, SetKey},
    state::{Ordered, Set},
    time::Timestamp,
};
use berth_proto::{
    convert::object::namespace,
    v1::{
        CancelMoveRequest, CancelMoveResponse, ExecOutput, ExecRequest, ForceMemberRequest,
        ForceMemberResponse, ListMembersRequest, ListMembersResponse, LogChunk, LogRequest,
        LogsRequest, MemberEvent, MemberStatus, MoveMemberRequest, MoveMemberResponse,
        ReplaceMemberRequest, ReplaceMemberResponse, RestartMemberRequest, RestartMemberResponse,
        SetMemberConditionRequest, SetMemberConditionResponse, SetOfflineRequest,
        SetOfflineResponse, WatchMembersRequest, member_service_server::MemberService,
    },
};
use futures_util::{StreamExt as _, stream};
use tokio::{sync::mpsc, time::sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    Streamed, access, condition, exec, leaving, lost, moves, offline, restart,
    status::ServiceError, view::Look,
};
use crate::{context::Context, sessions::LogChunks, state::View};

/// Changes that may wait for a client to read them.
const QUEUE: usize = 256;

/// The service.
#[derive(Debug)]
pub(super) struct Members(pub(super) Context);

/// The member of a request.
pub(super) fn id(namespace_: &str, name: &str) -> Result<MemberId, ServiceError> {
    let namespace = namespace(namespace_)?;
    let text = format!("{namespace}/{name}");
    text.parse().map_err(|_| not_found(&text))
}

/// No member has this name.
pub(super) fn not_found(name: &str) -> ServiceError {
    ServiceError::NotFound {
        what: format!("member {name}"),
    }
}

/// Which members are asked for. An empty namespace with an empty set means all; an empty namespace
/// with a set means `default`.
#[derive(Debug, Clone)]
struct Filter {
    namespace: String,
    set: String,
}

impl Filter {
    fn new(namespace: String, set: String) -> Self {
        let namespace = if namespace.is_empty() && !set.is_empty() {
            "default".to_owned()
        } else {
            namespace
        };
        Self { namespace, set }
    }

    fn takes(&self, key: &SetKey) -> bool {
        (self.namespace.is_empty() || key.namespace.as_str() == self.namespace)
            && (self.set.is_empty() || key.name.as_str() == self.set)
    }

    fn sets<'a>(&'a self, view: &'a View) -> impl Iterator<Item = (&'a SetKey, &'a Set)> {
        view.state.sets.iter().filter(|(key, _)| self.takes(key))
    }
}

/// The members as they are, and when one becomes available by time alone.
fn look(context: &Context, filter: &Filter) -> (Vec<MemberStatus>, Option<Timestamp>) {
    let board = Arc::clone(&context.board.borrow());
    let view = context.view.read();
    let look = Look {
        state: &view.state,
        board: &board,
        now: context.clock.now(),
    };
    let members = filter
        .sets(&view)
        .flat_map(|(key, set)| look.members(key, set))
        .collect();
    let next = filter
        .sets(&view)
        .filter_map(|(key, set)| look.next_available(key, set))
        .min();
    (members, next)
}

type Known = BTreeMap<(String, String), MemberStatus>;

/// What changed since the last look. Who is gone comes first: what the others do may follow from it,
/// and a look may see both at once.
fn changes(known: &mut Known, members: Vec<MemberStatus>) -> Vec<MemberEvent> {
    let mut changed = Vec::new();
    let mut old = std::mem::take(known);
    for member in members {
        let key = (member.namespace.clone(), member.name.clone());
        if old.remove(&key).as_ref() != Some(&member) {
            changed.push(event(member.clone(), false));
        }
        known.insert(key, member);
    }
    let gone = old.into_values().map(|member| event(member, true));
    gone.chain(changed).collect()
}

fn event(member: MemberStatus, deleted: bool) -> MemberEvent {
    MemberEvent {
        deleted,
        member: Some(member),
        synced: false,
    }
}

async fn follow(context: Context, filter: Filter, send: mpsc::Sender<Result<MemberEvent, Status>>) {
    let mut board = context.board.clone();
    let mut known = Known::new();
    let mut synced = false;
    loop {
        board.borrow_and_update();
        let (members, next) = look(&context, &filter);
        let mut events = changes(&mut known, members);
        if !synced {
            synced = true;
            events.push(MemberEvent {
                synced: true,
                ..MemberEvent::default()
            });
        }
        for event in events {
            if send.send(Ok(event)).await.is_err() {
                return;
            }
        }
        let time = async {
            match next {
                Some(at) => sleep(at.since(context.clock.now())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = board.changed() => if changed.is_err() { return },
            () = time => {}
            () = send.closed() => return,
            () = context.shutdown.cancelled() => return,
        }
    }
}

impl Members {
    /// A member that is to run, and its host.
    pub(super) fn runs(
        &self,
        namespace: &str,
        member: &str,
    ) -> Result<(MemberId, HostName), ServiceError> {
        let (id, host) = self.find(namespace, member)?;
        let view = self.0.view.read();
        let set = view.state.sets.get(&id.set);
        let granted = set.and_then(|set| set.members.get(&id.ordinal));
        if granted.is_some_and(|member| member.ordered == Ordered::Run) {
            return Ok((id, host));
        }
        Err(ServiceError::Refused {
            rule: "NOT_RUNNING",
            subject: format!("member {id}"),
            message: format!("{id} does not run; 'berth explain {}' says why", id.name()),
        })
    }

    /// The member that a log is asked of, and its host.
    fn find(&self, namespace: &str, member: &str) -> Result<(MemberId, HostName), ServiceError> {
        let id = id(namespace, member)?;
        let missing = || not_found(&id.to_string());
        let view = self.0.view.read();
        let set = view.state.sets.get(&id.set).ok_or_else(missing)?;
        match set.members.get(&id.ordinal) {
            Some(member) => {
                let host = member.host.clone();
                Ok((id, host))
            }
            None if set.is_declared(id.ordinal) => Err(ServiceError::Refused {
                rule: "UNASSIGNED",
                subject: format!("member {id}"),
                message: format!("{id} has no host yet; 'berth status' says why"),
            }),
            None => Err(missing()),
        }
    }
}

#[tonic::async_trait]
impl MemberService for Members {
    async fn list(
        &self,
        request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        access::about_set(
            &request,
            &request.get_ref().namespace,
            &request.get_ref().set,
        )?;
        let request = request.into_inner();
        let filter = Filter::new(request.namespace, request.set);
        let (members, _) = look(&self.0, &filter);
        Ok(Response::new(ListMembersResponse { members }))
    }

    type WatchStream = ReceiverStream<Result<MemberEvent, Status>>;

    async fn watch(
        &self,
        request: Request<WatchMembersRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        access::about_set(
            &request,
            &request.get_ref().namespace,
            &request.get_ref().set,
        )?;
        let request = request.into_inner();
        let filter = Filter::new(request.namespace, request.set);
        let (send, receive) = mpsc::channel(QUEUE);
        tokio::spawn(follow(self.0.clone(), filter, send));
        Ok(Response::new(ReceiverStream::new(receive)))
    }

    async fn set_condition(
        &self,
        request: Request<SetMemberConditionRequest>,
    ) -> Result<Response<SetMemberConditionResponse>, Status> {
        access::about_one(&request, &request.get_ref().namespace)?;
        let revision = condition::set(&self.0, request.into_inner()).await?;
        Ok(Response::new(SetMemberConditionResponse { revision }))
    }

    async fn restart(
        &self,
        request: Request<RestartMemberRequest>,
    ) -> Result<Response<RestartMemberResponse>, Status> {
        access::about_one(&request, &request.get_ref().namespace)?;
        let revision = restart::restart(&self.0, request.into_inner()).await?;
        Ok(Response::new(RestartMemberResponse { revision }))
    }

    async fn set_offline(
        &self,
        request: Request<SetOfflineRequest>,
    ) -> Result<Response<SetOfflineResponse>, Status> {
        access::about_one(&request, &request.get_ref().namespace)?;
        let changed = offline::set(&self.0, &request.into_inner()).await?;
        Ok(Response::new(SetOfflineResponse { changed }))
    }

    async fn replace(
        &self,
        request: Request<ReplaceMemberRequest>,
    ) -> Result<Response<ReplaceMemberResponse>, Status> {
        access::about_one(&request, &request.get_ref().namespace)?;
        let revision = leaving::replace(&self.0, request.into_inner()).await?;
        Ok(Response::new(ReplaceMemberResponse { revision }))
    }

    async fn r#move(
        &self,
        request: Request<MoveMemberRequest>,
    ) -> Result<Response<MoveMemberResponse>, Status> {
        access::about_one(&request, &request.get_ref().namespace)?;
        let revision = moves::ask(&self.0, request.into_inner()).await?;
        Ok(Response::new(MoveMemberResponse { revision }))
    }

    async fn cancel_move(
        &self,
        request: Request<CancelMoveRequest>,
    ) -> Result<Response<CancelMoveResponse>, Status> {
        access::about_one(&request, &request.get_ref().namespace)?;
        let revision = moves::cancel(&self.0, request.into_inner()).await?;
        Ok(Response::new(CancelMoveResponse { revision }))
    }

    async fn force(
        &self,
        request: Request<ForceMemberRequest>,
    ) -> Result<Response<ForceMemberResponse>, Status> {
        let revision = lost::force(&self.0, request.into_inner()).await?;
        Ok(Response::new(ForceMemberResponse { revision }))
    }

    type ExecStream = Streamed<ExecOutput>;

    async fn exec(
        &self,
        request: Request<Streaming<ExecRequest>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        let answer = exec::run(self, &access::rights(&request), request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    type LogsStream = Streamed<LogChunk>;

    async fn logs(
        &self,
        request: Request<LogsRequest>,
    ) -> Result<Response<Self::LogsStream>, Status> {
        access::about_one(&request, &request.get_ref().namespace)?;
        let request = request.into_inner();
        let (member, host) = self.find(&request.namespace, &request.member)?;
        let wanted = LogRequest {
            id: 0,
            member: member.to_string(),
            process: request.process,
            follow: request.follow,
            previous: request.previous,
            tail_lines: request.tail_lines,
        };
        let chunks = self
            .0
            .sessions
            .logs(&host, wanted)
            .map_err(ServiceError::from)?;
        let chunks = stream::unfold(chunks, |mut chunks: LogChunks| async move {
            let chunk = chunks.next().await?;
            let chunk = chunk.map(|data| LogChunk { data });
            Some((
                chunk.map_err(|error| ServiceError::from(error).into()),
                chunks,
            ))
        });
        let chunks = chunks.take_until(self.0.shutdown.clone().cancelled_owned());
        Ok(Response::new(Box::pin(chunks)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, ready: bool) -> MemberStatus {
        MemberStatus {
            name: name.to_owned(),
            ready,
            ..MemberStatus::default()
        }
    }

    #[test]
    fn a_watch_tells_what_is_new_changed_and_gone() {
        let mut known = Known::new();
        let told = |events: Vec<MemberEvent>| -> Vec<(String, bool)> {
            let each = events
                .into_iter()
                .map(|e| (e.member.unwrap().name, e.deleted));
            each.collect()
        };
        let first = changes(&mut known, vec![member("a-0", false), member("a-1", false)]);
        assert_eq!(told(first), [("a-0".into(), false), ("a-1".into(), false)]);
        let second = changes(&mut known, vec![member("a-0", true)]);
        assert_eq!(told(second), [("a-1".into(), true), ("a-0".into(), false)]);
        assert!(changes(&mut known, vec![member("a-0", true)]).is_empty());
    }

    #[test]
    fn a_set_without_a_namespace_is_looked_for_in_default() {
        let key = |text: &str| text.parse::<SetKey>().unwrap();
        let one = Filter::new(String::new(), "etcd".to_owned());
        assert!(one.takes(&key("default/etcd")) && !one.takes(&key("other/etcd")));
        let all = Filter::new(String::new(), String::new());
        assert!(all.takes(&key("default/etcd")) && all.takes(&key("other/web")));
    }
}
