//! HostService: the machines, whether members come to them or leave them, and their labels.

use berth_core::{
    ids::HostName,
    state::HostRecord,
    store::{Batch, Key, RecordKind},
};
use berth_proto::{
    convert::ConvertError,
    v1::{
        ConfirmHostDeadRequest, ConfirmHostDeadResponse, DrainHostRequest, DrainHostResponse,
        HostStatus, LabelHostRequest, LabelHostResponse, ListHostsRequest, ListHostsResponse,
        RemoveHostRequest, RemoveHostResponse, SetUnschedulableRequest, SetUnschedulableResponse,
        host_service_server::HostService,
    },
};
use tonic::{Request, Response, Status};

use super::{drain, labels, lost, status::ServiceError, view};
use crate::{
    context::Context,
    notes::{self, NORMAL},
    state::{View, claims::write_as_known, keys::host_key},
};

/// The service.
#[derive(Debug)]
pub(super) struct Hosts(pub(super) Context);

/// What becomes of a host's record, and how it is told.
pub(super) struct Decision {
    /// The record from now on.
    pub(super) record: HostRecord,
    /// The event's reason.
    pub(super) reason: &'static str,
    /// The event's text.
    pub(super) text: String,
}

impl Hosts {
    fn all(&self) -> Vec<HostStatus> {
        let links = self.0.sessions.statuses();
        let view = self.0.view.read();
        let hosts = view
            .state
            .hosts
            .iter()
            .map(|(name, host)| view::host(&view, host, links.get(name)));
        hosts.collect()
    }

    /// Changes what is decided of a host. Whether it was otherwise before.
    async fn decide(
        &self,
        name: &HostName,
        decide: impl Fn(&View, &HostRecord) -> Result<Decision, ServiceError>,
    ) -> Result<bool, ServiceError> {
        loop {
            let batch = {
                let view = self.0.view.read();
                let known = record(&view, name)?;
                let decision = decide(&view, known)?;
                if decision.record == *known {
                    return Ok(false);
                }
                self.batch(&view, name, decision)?
            };
            if self.0.commit(batch).await?.is_some() {
                return Ok(true);
            }
        }
    }

    fn batch(
        &self,
        view: &View,
        name: &HostName,
        decision: Decision,
    ) -> Result<Batch, ServiceError> {
        let mut batch = Batch::default();
        let key: Key = host_key(RecordKind::Host, name).map_err(crate::store::RecordError::from)?;
        write_as_known(view, key, &decision.record, &mut batch)?;
        let now = self.0.clock.now();
        let note = notes::host(now, name, NORMAL, decision.reason, decision.text);
        batch.notes.push(note);
        Ok(batch)
    }
}

/// What is recorded of a host.
pub(super) fn record<'a>(view: &'a View, name: &HostName) -> Result<&'a HostRecord, ServiceError> {
    let host = view.state.hosts.get(name);
    host.map(|host| &host.record)
        .ok_or_else(|| ServiceError::NotFound {
            what: format!("host {name}"),
        })
}

fn name(text: &str) -> Result<HostName, ServiceError> {
    text.parse().map_err(|source| {
        let field = "host";
        ServiceError::from(ConvertError::Id { field, source })
    })
}

fn cordoned(
    view: &View,
    known: &HostRecord,
    unschedulable: bool,
) -> Result<Decision, ServiceError> {
    let host = view.state.hosts.get(&known.name);
    let alive = host.is_some_and(|host| host.contact.connected);
    if known.directives.dead.is_some() && !unschedulable && !alive {
        let name = &known.name;
        return Err(ServiceError::Refused {
            rule: "CONFIRMED_DEAD",
            subject: format!("Host/{name}"),
            message: format!(
                "{name} was confirmed dead and is out of contact; start its agent first, or run \
                 'berth host remove {name}'"
            ),
        });
    }
    let mut record = known.clone();
    record.unschedulable = unschedulable;
    let (reason, text) = if unschedulable {
        let text = "it takes no new members; those that are there stay";
        ("Cordoned", text)
    } else {
        record.directives.draining = None;
        record.directives.dead = None;
        ("Uncordoned", "it takes members again")
    };
    Ok(Decision {
        record,
        reason,
        text: text.to_owned(),
    })
}

#[tonic::async_trait]
impl HostService for Hosts {
    async fn list(
        &self,
        _request: Request<ListHostsRequest>,
    ) -> Result<Response<ListHostsResponse>, Status> {
        let hosts = self.all();
        Ok(Response::new(ListHostsResponse { hosts }))
    }

    async fn set_unschedulable(
        &self,
        request: Request<SetUnschedulableRequest>,
    ) -> Result<Response<SetUnschedulableResponse>, Status> {
        let request = request.into_inner();
        let unschedulable = request.unschedulable;
        let decide = |view: &View, known: &HostRecord| cordoned(view, known, unschedulable);
        let changed = self.decide(&name(&request.host)?, decide).await?;
        let hosts = self.all().into_iter();
        let mut members = hosts.filter(|host| host.name == request.host);
        let members = members.next().map(|host| host.members);
        Ok(Response::new(SetUnschedulableResponse {
            changed,
            members: members.unwrap_or_default(),
        }))
    }

    async fn drain(
        &self,
        request: Request<DrainHostRequest>,
    ) -> Result<Response<DrainHostResponse>, Status> {
        let request = request.into_inner();
        let host = name(&request.host)?;
        let now = self.0.clock.now();
        let (members, disruptions) = {
            let view = self.0.view.read();
            let known = record(&view, &host)?;
            let decision = drain::decide(known, request.stop_pinned, now);
            let fates = drain::fates(&view.state, &decision.record, now);
            let news = decision.record != *known;
            let leaving = fates.iter().filter(|_| news);
            let leaving: Vec<String> = leaving.filter_map(drain::Fated::disruption).collect();
            let members: Vec<_> = fates.into_iter().map(|one| one.member).collect();
            (members, leaving)
        };
        let changed = if request.dry_run {
            false
        } else if !disruptions.is_empty() && !request.confirmed {
            return Err(ServiceError::Unconfirmed { disruptions }.into());
        } else {
            let decide =
                |_: &View, known: &HostRecord| Ok(drain::decide(known, request.stop_pinned, now));
            self.decide(&host, decide).await?
        };
        Ok(Response::new(DrainHostResponse { changed, members }))
    }

    async fn confirm_dead(
        &self,
        request: Request<ConfirmHostDeadRequest>,
    ) -> Result<Response<ConfirmHostDeadResponse>, Status> {
        let request = request.into_inner();
        let host = name(&request.host)?;
        let answer = lost::confirm_dead(&self.0, &host, &request.typed_name).await?;
        Ok(Response::new(answer))
    }

    async fn remove(
        &self,
        request: Request<RemoveHostRequest>,
    ) -> Result<Response<RemoveHostResponse>, Status> {
        let request = request.into_inner();
        let host = name(&request.host)?;
        let answer = lost::remove(&self.0, &host, &request.typed_name).await?;
        Ok(Response::new(answer))
    }

    async fn label(
        &self,
        request: Request<LabelHostRequest>,
    ) -> Result<Response<LabelHostResponse>, Status> {
        let request = request.into_inner();
        let host = name(&request.host)?;
        labels::check(&request)?;
        let decide = |view: &View, known: &HostRecord| labels::decide(view, known, &request);
        let changed = self.decide(&host, decide).await?;
        let labels = record(&self.0.view.read(), &host)?.labels.clone();
        let labels = labels.into_iter().collect();
        Ok(Response::new(LabelHostResponse { changed, labels }))
    }
}
