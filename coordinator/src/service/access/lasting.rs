//! Streams end when their operator is not known any more: what he may do was looked up when he asked, and a
//! stream can outlive that by days.

use berth_core::access::Caller;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, BodyStream, StreamBody};
use tokio::sync::oneshot;
use tonic::{
    Status,
    body::Body,
    codegen::http::{HeaderMap, Response},
};

use crate::context::Context;

/// The answer to an operator, which ends with the reason when his certificate is not taken any more.
pub(super) fn while_known(
    context: Context,
    caller: Caller,
    answer: Response<Body>,
) -> Response<Body> {
    let (say, mut why) = oneshot::channel();
    let over = async move {
        // Whoever listened may be gone.
        say.send(unknown(&context, &caller).await).ok();
    };
    answer.map(|body| {
        let frames = BodyStream::new(body).take_until(over);
        let last = async move {
            let status = why.try_recv().ok()?;
            let mut trailers = HeaderMap::new();
            let written = status.add_header(&mut trailers);
            Some(written.map(|()| trailers))
        };
        Body::new(StreamBody::new(frames).with_trailers(last))
    })
}

/// Waits until a caller's certificate is not taken any more.
async fn unknown(context: &Context, caller: &Caller) -> Status {
    let mut changed = context.users.subscribe();
    loop {
        let rights = context.view.read().access.rights(caller);
        if let Err(why) = rights {
            return Status::unauthenticated(why.to_string());
        }
        if changed.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
