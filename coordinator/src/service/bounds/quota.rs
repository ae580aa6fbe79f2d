//! One caller has so many calls and so many streams. It is the outermost layer: what is refused here costs
//! nothing else, no line of the audit log and no look at the store.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context as Poller, Poll},
    time::Duration,
};

use berth_core::access::{Account, Exhausted};
use futures_util::future::{Either, Ready, ready};
use http_body_util::BodyExt as _;
use tonic::{Code, Status, body::Body, codegen::http};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::{Layer, Service};

use crate::{
    context::Context,
    limits::{Callers, Who},
    metrics::{Counters, Refusal},
    service::access::{is_counted, is_long},
};

/// When to try again if a stream has to end first: nobody knows when one does.
const LATER: Duration = Duration::from_secs(5);

/// Counts what all services are asked.
#[derive(Debug, Clone)]
pub(in crate::service) struct Quota {
    callers: Arc<Callers>,
    counters: Arc<Counters>,
}

impl Quota {
    pub(in crate::service) fn new(context: &Context) -> Self {
        Self {
            callers: Arc::clone(&context.callers),
            counters: Arc::clone(&context.counters),
        }
    }
}

impl<S> Layer<S> for Quota {
    type Service = Counted<S>;
    fn layer(&self, inner: S) -> Counted<S> {
        Counted {
            quota: self.clone(),
            inner,
        }
    }
}

/// Services whose callers are counted.
#[derive(Debug, Clone)]
pub(in crate::service) struct Counted<S> {
    quota: Quota,
    inner: S,
}

/// A stream that is open, until it is dropped.
struct Open {
    callers: Arc<Callers>,
    account: Account<Who>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.callers.close(&self.account);
    }
}

type Boxed<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl<S> Service<http::Request<Body>> for Counted<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<
        S::Future,
        Either<Boxed<S::Response, S::Error>, Ready<Result<S::Response, S::Error>>>,
    >;

    fn poll_ready(&mut self, cx: &mut Poller<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path();
        self.quota.counters.called();
        if !is_counted(path) {
            return Either::Left(self.inner.call(request));
        }
        let who = Who::of(request.extensions().get());
        match self.quota.callers.call(&who, is_long(path)) {
            Ok(None) => Either::Left(self.inner.call(request)),
            Ok(Some(account)) => {
                let open = Open {
                    callers: Arc::clone(&self.quota.callers),
                    account,
                };
                let answer = self.inner.call(request);
                Either::Right(Either::Left(Box::pin(held(answer, open))))
            }
            Err(why) => {
                let (refusal, status) = refused(why);
                self.quota.counters.refused(refusal);
                Either::Right(Either::Right(ready(Ok(status.into_http()))))
            }
        }
    }
}

/// The stream is open until its last message was sent, or nobody listens.
async fn held<E>(
    answer: impl Future<Output = Result<http::Response<Body>, E>> + Send,
    open: Open,
) -> Result<http::Response<Body>, E> {
    let (parts, body) = answer.await?.into_parts();
    let body = body.map_frame(move |frame| {
        let _open = &open;
        frame
    });
    Ok(http::Response::from_parts(parts, Body::new(body)))
}

fn refused(why: Exhausted) -> (Refusal, Status) {
    let (refusal, again, what) = match why {
        Exhausted::Calls { again, .. } => {
            let again = again.max(Duration::from_millis(1));
            let text = format!("wait {} ms, and ask less often", again.as_millis());
            (Refusal::Rate, again, text)
        }
        Exhausted::Streams { .. } => {
            let text = "end one of yours, or wait until one has ended".to_owned();
            (Refusal::Streams, LATER, text)
        }
    };
    let text = format!("{why} for one caller; {what} (limits in the coordinator's configuration)");
    let details = ErrorDetails::with_retry_info(Some(again));
    let status = Status::with_error_details(Code::ResourceExhausted, text, details);
    (refusal, status)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use berth_core::access::Allowance;
    use tower::service_fn;

    use super::*;

    const WATCH: &str = "/berth.v1.EventService/Watch";
    const LIST: &str = "/berth.v1.EventService/List";
    const SESSION: &str = "/berth.v1.AgentService/Session";

    fn quota() -> Quota {
        let allowance = Allowance {
            per_second: 1,
            at_once: 4,
            streams: 2,
        };
        Quota {
            callers: Arc::new(Callers::new(allowance)),
            counters: Arc::default(),
        }
    }

    async fn ask(quota: &Quota, path: &str) -> http::Response<Body> {
        let inner = service_fn(|_: http::Request<Body>| async {
            let more = http_body_util::Full::from("more");
            Ok::<_, Infallible>(http::Response::new(Body::new(more)))
        });
        let request = http::Request::builder().uri(path);
        let request = request.body(Body::empty()).unwrap();
        quota.layer(inner).call(request).await.unwrap()
    }

    fn status(response: &http::Response<Body>) -> Status {
        Status::from_header_map(response.headers()).unwrap_or_else(|| Status::ok(""))
    }

    #[tokio::test]
    async fn a_stream_is_open_until_its_answer_is_gone() {
        let quota = quota();
        let first = ask(&quota, WATCH).await;
        let second = ask(&quota, WATCH).await;
        assert_eq!(quota.callers.streams(), 2);
        let third = status(&ask(&quota, WATCH).await);
        assert_eq!(third.code(), Code::ResourceExhausted);
        assert!(third.message().starts_with("2 streams"), "{third}");
        let again = third.get_details_retry_info().unwrap();
        assert_eq!(again.retry_delay, Some(LATER));
        drop((first, second));
        assert_eq!(quota.callers.streams(), 0);
        assert_eq!(status(&ask(&quota, WATCH).await).code(), Code::Ok);
    }

    #[tokio::test]
    async fn who_calls_too_often_is_told_when_to_call_again_and_agents_report_all_the_same() {
        let quota = quota();
        for _ in 0..4 {
            assert_eq!(status(&ask(&quota, LIST).await).code(), Code::Ok);
        }
        let refused = status(&ask(&quota, LIST).await);
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let again = refused.get_details_retry_info().unwrap();
        assert!(again.retry_delay.unwrap() <= Duration::from_secs(1));
        for _ in 0..100 {
            assert_eq!(status(&ask(&quota, SESSION).await).code(), Code::Ok);
        }
        assert_eq!(quota.callers.streams(), 0);
    }
}
