//! Every call with one answer has an end: the caller's own (`grpc-timeout`), and the operator's
//! (`limits.callTimeout`) at the latest.
//!
//! What changes something is never broken off in the middle: it goes on by itself when nobody waits for it
//! any more, and the audit log has what came of it. What only looks is dropped.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context as Poller, Poll},
    time::Duration,
};

use futures_util::future::Either;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body, codegen::http};
use tower::{Layer, Service};

use crate::{
    context::Context,
    metrics::{Counters, Refusal},
    service::{access::is_long, audit::is_written},
};

/// The caller's own bound, in the form of gRPC.
const TIMEOUT: &str = "grpc-timeout";
/// What goes on while the coordinator ends has so long.
const GRACE: Duration = Duration::from_secs(2);

/// Gives calls an end.
#[derive(Debug, Clone)]
pub(in crate::service) struct Deadline {
    limit: Duration,
    counters: Arc<Counters>,
    shutdown: CancellationToken,
}

impl Deadline {
    pub(in crate::service) fn new(context: &Context) -> Self {
        Self {
            limit: context.call_timeout,
            counters: Arc::clone(&context.counters),
            shutdown: context.shutdown.clone(),
        }
    }
}

impl<S> Layer<S> for Deadline {
    type Service = Bounded<S>;
    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded {
            deadline: self.clone(),
            inner,
        }
    }
}

/// Services whose calls end.
#[derive(Debug, Clone)]
pub(in crate::service) struct Bounded<S> {
    deadline: Deadline,
    inner: S,
}

type Boxed<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl<S> Service<http::Request<Body>> for Bounded<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Boxed<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Poller<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path();
        if is_long(path) {
            return Either::Left(self.inner.call(request));
        }
        let asked = request.headers().get(TIMEOUT);
        let asked = asked.and_then(|value| value.to_str().ok().and_then(parse));
        let limit = asked.map_or(self.deadline.limit, |asked| asked.min(self.deadline.limit));
        let over = Over {
            // Begun here, so that it ends before that of the library, which calls it CANCELLED.
            end: Box::pin(sleep(limit)),
            limit,
            changes: is_written(path),
            method: path.trim_start_matches('/').to_owned(),
            counters: Arc::clone(&self.deadline.counters),
        };
        let answer = self.inner.call(request);
        let shutdown = self.deadline.shutdown.clone();
        Either::Right(Box::pin(bounded(answer, over, shutdown)))
    }
}

/// When a call has taken too long, and what is said then.
struct Over {
    end: Pin<Box<Sleep>>,
    limit: Duration,
    changes: bool,
    method: String,
    counters: Arc<Counters>,
}

impl Over {
    fn status(&self) -> Status {
        self.counters.refused(Refusal::Deadline);
        let Self { limit, method, .. } = self;
        Status::deadline_exceeded(match self.changes {
            true => format!(
                "{method} is not answered within {limit:?}, and goes on: look whether it is done ('berth \
                 get'; 'berth admin audit list' says what came of it), and ask again if it is not"
            ),
            false => format!(
                "{method} is not answered within {limit:?}; ask for less, or again with a longer deadline"
            ),
        })
    }
}

async fn bounded<E: Send + 'static>(
    answer: impl Future<Output = Result<http::Response<Body>, E>> + Send + 'static,
    mut over: Over,
    shutdown: CancellationToken,
) -> Result<http::Response<Body>, E> {
    if !over.changes {
        return tokio::select! {
            biased;
            answered = answer => answered,
            () = &mut over.end => Ok(over.status().into_http()),
        };
    }
    let ended = async move {
        shutdown.cancelled().await;
        sleep(GRACE).await;
    };
    let going = tokio::spawn(async move {
        tokio::select! {
            answered = answer => Some(answered),
            () = ended => None,
        }
    });
    tokio::select! {
        biased;
        answered = going => match answered {
            Ok(Some(answered)) => answered,
            Ok(None) => Ok(Status::unavailable("the coordinator is ending").into_http()),
            Err(_) => Ok(Status::internal("the call failed; the coordinator's log says why").into_http()),
        },
        () = &mut over.end => Ok(over.status().into_http()),
    }
}

/// What gRPC writes of a length of time: at most eight digits, and a unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::pending};

    use tokio::{
        sync::oneshot,
        time::{Instant, timeout},
    };
    use tonic::Code;
    use tower::service_fn;

    use super::*;

    const SCALE: &str = "/berth.v1.SetService/Scale";
    const LIST: &str = "/berth.v1.HostService/List";
    const WATCH: &str = "/berth.v1.EventService/Watch";

    /// Told when the call that has it is dropped or has ended.
    struct Ends(Option<oneshot::Sender<&'static str>>);

    impl Drop for Ends {
        fn drop(&mut self) {
            if let Some(told) = self.0.take() {
                told.send("dropped").ok();
            }
        }
    }

    fn deadline() -> Deadline {
        Deadline {
            limit: Duration::from_secs(30),
            counters: Arc::default(),
            shutdown: CancellationToken::new(),
        }
    }

    /// Calls a method that takes a minute; its answer, and what became of the work.
    async fn ask(path: &str, asked: Option<&str>) -> (Status, Duration, &'static str) {
        let (told, ended) = oneshot::channel();
        let told = std::sync::Mutex::new(Some(Ends(Some(told))));
        let inner = service_fn(move |_: http::Request<Body>| {
            let told = told.lock().unwrap().take();
            async move {
                let minute = timeout(Duration::from_secs(60), pending::<()>());
                minute.await.unwrap_err();
                if let Some(told) = told.and_then(|mut ends| ends.0.take()) {
                    told.send("done").ok();
                }
                Ok::<_, Infallible>(http::Response::new(Body::empty()))
            }
        });
        let mut request = http::Request::builder().uri(path);
        if let Some(asked) = asked {
            request = request.header(TIMEOUT, asked);
        }
        let request = request.body(Body::empty()).unwrap();
        let began = Instant::now();
        let answer = deadline().layer(inner).call(request).await.unwrap();
        let took = began.elapsed();
        let status = Status::from_header_map(answer.headers());
        let status = status.unwrap_or_else(|| Status::ok(""));
        (status, took, ended.await.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn what_looks_is_dropped_at_the_end_of_its_time() {
        let (status, took, work) = ask(LIST, None).await;
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(
            status.message().contains("within 30s; ask for less"),
            "{status}"
        );
        assert_eq!((took.as_secs(), work), (30, "dropped"));
        let (status, took, work) = ask(LIST, Some("1500m")).await;
        assert!(status.message().contains("within 1.5s"), "{status}");
        assert_eq!((took.as_millis(), work), (1500, "dropped"));
        let (_, took, _) = ask(LIST, Some("8H")).await;
        assert_eq!(took.as_secs(), 30, "the operator's is the longest");
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_something_is_done_though_nobody_waits() {
        let (status, took, work) = ask(SCALE, Some("1S")).await;
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(status.message().contains("goes on: look"), "{status}");
        assert_eq!((took.as_secs(), work), (1, "done"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_has_no_end_of_its_own() {
        let (status, took, _) = ask(WATCH, None).await;
        assert_eq!((status.code(), took.as_secs()), (Code::Ok, 60));
    }

    #[test]
    fn times_of_grpc_are_read() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("5u", Some(Duration::from_micros(5))),
            ("5n", Some(Duration::from_nanos(5))),
            ("", None),
            ("S", None),
            ("5", None),
            ("-5S", None),
            ("123456789S", None),
            ("5ü", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
