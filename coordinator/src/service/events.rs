//! EventService: what happened.

use berth_core::{
    spec::Kind,
    store::{Event, Note},
};
use berth_proto::{
    convert::status::millis,
    v1::{
        self, ListEventsRequest, ListEventsResponse, WatchEventsRequest,
        event_service_server::EventService,
    },
};
use futures_util::stream;
use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status};

use super::{Streamed, access, status::ServiceError};
use crate::context::Context;

/// Events that a list gives when it names no limit.
const LIMIT: usize = 500;

/// The service.
#[derive(Debug)]
pub(super) struct Events(pub(super) Context);

/// Which events are asked for.
#[derive(Debug, Clone)]
struct Filter {
    namespace: String,
    subject: String,
    /// Whether they are for somebody whose role is for some namespaces only.
    limited: bool,
}

impl Filter {
    fn takes(&self, event: &Event) -> bool {
        let note = &event.note;
        // Events of hosts belong to no namespace, and so to every one.
        let namespace = self.namespace.is_empty()
            || note.namespace.is_empty()
            || note.namespace == self.namespace;
        let subject = self.subject.is_empty() || note.subject == self.subject;
        namespace && subject && !(self.limited && is_of_cluster(note))
    }
}

/// Whether a note is about what belongs to the whole cluster: a host, or an object without a namespace.
fn is_of_cluster(note: &Note) -> bool {
    let kind = note.subject.split_once('/').map_or("", |(kind, _)| kind);
    let kind = kind.parse::<Kind>();
    note.namespace.is_empty() || kind.is_ok_and(Kind::is_cluster_scoped)
}

fn to_wire(event: Event) -> v1::Event {
    let note = event.note;
    v1::Event {
        sequence: event.sequence,
        time_ms: millis(Some(note.time)),
        namespace: note.namespace,
        subject: note.subject,
        r#type: note.kind.as_str().to_owned(),
        reason: note.reason,
        message: note.message,
    }
}

#[tonic::async_trait]
impl EventService for Events {
    async fn list(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        access::about_all(&request, &request.get_ref().namespace)?;
        let limited = access::rights(&request).limited();
        let request = request.into_inner();
        let filter = Filter {
            namespace: request.namespace,
            subject: request.subject,
            limited,
        };
        let limit = usize::try_from(request.limit).unwrap_or(LIMIT);
        let limit = if limit == 0 { LIMIT } else { limit };
        let mut events: Vec<v1::Event> = {
            let model = self.0.store.read();
            let newest = model.events().rev().filter(|event| filter.takes(event));
            newest.take(limit).cloned().map(to_wire).collect()
        };
        events.reverse();
        Ok(Response::new(ListEventsResponse { events }))
    }

    type WatchStream = Streamed<v1::Event>;

    async fn watch(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        access::about_all(&request, &request.get_ref().namespace)?;
        let limited = access::rights(&request).limited();
        let request = request.into_inner();
        let filter = Filter {
            namespace: request.namespace,
            subject: request.subject,
            limited,
        };
        let last = || {
            let model = self.0.store.read();
            model.events().next_back().map_or(0, |event| event.sequence)
        };
        let after = request.after_sequence.unwrap_or_else(last);
        let watch = self.0.store.watch_events(after);
        let batches = stream::unfold(Some(watch), |watch| async move {
            let mut watch = watch?;
            match watch.next().await {
                Ok(events) => Some((Ok(events), Some(watch))),
                Err(error) => Some((Err(Status::from(ServiceError::from(error))), None)),
            }
        });
        let events = futures_util::StreamExt::flat_map(batches, move |batch| {
            let items: Vec<Result<v1::Event, Status>> = match batch {
                Ok(events) => {
                    let wanted = events.into_iter().filter(|event| filter.takes(event));
                    wanted.map(|event| Ok(to_wire(event))).collect()
                }
                Err(status) => vec![Err(status)],
            };
            stream::iter(items)
        });
        let ended = self.0.shutdown.clone().cancelled_owned();
        let events = futures_util::StreamExt::take_until(events, ended);
        Ok(Response::new(Box::pin(events.fuse())))
    }
}
