//! Following objects: all that are there, a mark, then every change in order and without a gap; or
//! only the changes after a revision.

use std::sync::Arc;

use berth_core::{
    ids::Revision,
    spec::Kind,
    store::{Change, Key, RecordKind},
};
use berth_proto::v1::{WatchEvent, WatchRequest, watch_event::Type};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{
    persistent, render, snapshots,
    status::{ServiceError, watch_status},
    view::Look,
};
use crate::{context::Context, store::Watch};

/// Changes that may wait for a client to read them, each with a whole object; more of them stay in the
/// history, which a client that is too slow for it has to read anew.
const QUEUE: usize = 16;

type Send = mpsc::Sender<Result<WatchEvent, Status>>;

/// What is followed.
struct Filter {
    kind: Option<Kind>,
    namespace: String,
}

impl Filter {
    /// The kind that a record is shown as, if it is asked for.
    fn takes(&self, key: &Key) -> Option<Kind> {
        let kind = render::shown_as(key.kind)?;
        let namespace = kind.is_in(&self.namespace, &key.object);
        (namespace && self.kind.is_none_or(|wanted| wanted == kind)).then_some(kind)
    }
}

/// Begins to follow.
pub(super) fn start(
    context: &Context,
    request: WatchRequest,
) -> Result<ReceiverStream<Result<WatchEvent, Status>>, ServiceError> {
    let kind = match request.kind.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|source| {
            let field = "kind";
            ServiceError::from(berth_proto::convert::ConvertError::Id { field, source })
        })?),
    };
    let filter = Filter {
        kind,
        namespace: request.namespace,
    };
    let first = request
        .after_revision
        .is_none()
        .then(|| existing(context, &filter));
    let after = match &first {
        Some(first) => first.at,
        None => Revision(request.after_revision.unwrap_or_default()),
    };
    let watch = context.store.watch(after)?;
    let (send, receive) = mpsc::channel(QUEUE);
    let context = context.clone();
    tokio::spawn(async move {
        let ended = context.shutdown.clone();
        tokio::select! {
            () = follow(&context, &filter, first, watch, &send) => {}
            () = ended.cancelled() => {}
            () = send.closed() => {}
        }
    });
    Ok(ReceiverStream::new(receive))
}

/// Everything that is there. Records are shared with the store; what a client is shown of them is made
/// one by one, as it reads.
struct Existing {
    records: Vec<(Kind, Change, Revision)>,
    at: Revision,
}

fn existing(context: &Context, filter: &Filter) -> Existing {
    let model = context.store.read();
    let kinds = Kind::ALL.into_iter();
    let entries = kinds.flat_map(|kind| persistent::entries(&model, kind));
    let records = entries.filter_map(|(key, entry)| {
        let kind = filter.takes(&key)?;
        let change = Change {
            key,
            value: Some(entry.value),
            created: true,
        };
        Some((kind, change, entry.revision))
    });
    Existing {
        records: records.collect(),
        at: model.revision(),
    }
}

fn event(
    context: &Context,
    (kind, event_type): (Kind, Type),
    change: &Change,
    revision: Revision,
) -> Result<WatchEvent, ServiceError> {
    let board = Arc::clone(&context.board.borrow());
    let view = context.view.read();
    let look = Look {
        state: &view.state,
        board: &board,
        now: context.clock.now(),
    };
    let value = change.value.as_ref();
    let object = value.map(|value| {
        let sealed = render::Secrets::Sealed;
        render::object(&look, &view, &change.key, revision, value, sealed)
    });
    Ok(WatchEvent {
        r#type: event_type.into(),
        r#ref: Some(render::reference(kind, &change.key.object)),
        object: object.transpose()?,
        revision: revision.0,
    })
}

/// What a change of a commit is to whoever follows; `None` if it is nothing to them.
fn told(
    context: &Context,
    filter: &Filter,
    change: &Change,
    (revision, commit): (Revision, &[Change]),
) -> Result<Option<WatchEvent>, ServiceError> {
    let followed = if change.key.kind == RecordKind::Snapshot {
        snapshots::followed(&context.view.read(), change, commit)?
    } else {
        Some(change.clone())
    };
    let Some(change) = followed else {
        return Ok(None);
    };
    let Some(kind) = filter.takes(&change.key) else {
        return Ok(None);
    };
    let what = persistent::change_type(&change, commit)?;
    what.map(|what| event(context, (kind, what), &change, revision))
        .transpose()
}

/// Follows until the history is left behind, the store closes, or nobody listens.
async fn follow(
    context: &Context,
    filter: &Filter,
    first: Option<Existing>,
    mut watch: Watch,
    send: &Send,
) {
    if let Some(first) = first {
        for (kind, change, at) in first.records {
            let added = event(context, (kind, Type::Added), &change, at);
            let failed = added.is_err();
            if send.send(added.map_err(Status::from)).await.is_err() || failed {
                return;
            }
        }
        let synced = WatchEvent {
            r#type: Type::Synced.into(),
            revision: first.at.0,
            ..WatchEvent::default()
        };
        if send.send(Ok(synced)).await.is_err() {
            return;
        }
    }
    loop {
        let (revision, changes) = match watch.next().await {
            Ok(changed) => changed,
            Err(end) => {
                // Whoever listened may have gone.
                send.send(Err(watch_status(end))).await.ok();
                return;
            }
        };
        for change in changes.iter() {
            let Some(event) = told(context, filter, change, (revision, &changes)).transpose()
            else {
                continue;
            };
            if send.send(event.map_err(Status::from)).await.is_err() {
                return;
            }
        }
    }
}
