//! `GET /metrics` over HTTP. Nothing about it may keep a daemon from its work: an address that cannot be
//! opened is told and tried again, and few scrapers are heard at a time, each for a short time.

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Family, render};

/// Scrapers that are heard at a time; more wait.
const SCRAPERS: usize = 8;
/// How long one may take to ask and to take the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// After so long an address, or a connection that could not be taken, is tried again.
const RETRY: Duration = Duration::from_secs(5);
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves what is gathered for each answer, for as long as it is polled.
pub async fn serve<G, F>(address: SocketAddr, gather: G)
where
    G: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = Vec<Family>> + Send + 'static,
{
    let listener = bind(address).await;
    let room = Arc::new(Semaphore::new(SCRAPERS));
    // They end with this.
    let mut scrapers = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let gather = gather.clone();
                scrapers.spawn(async move {
                    answer(stream, gather).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Mostly too many open files: others end theirs meanwhile.
                tracing::warn!(%address, %error, "a scraper cannot be heard");
                sleep(RETRY).await;
            }
        }
        while scrapers.try_join_next().is_some() {}
    }
}

async fn bind(address: SocketAddr) -> TcpListener {
    let mut told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if !told => {
                told = true;
                tracing::warn!(
                    %address, %error,
                    "metrics are not served; free the address or set another one at metrics.listen"
                );
            }
            Err(_) => {}
        }
        sleep(RETRY).await;
    }
}

async fn answer<G, F>(stream: TcpStream, gather: G)
where
    G: Fn() -> F + Clone,
    F: Future<Output = Vec<Family>>,
{
    let service = service_fn(move |request| {
        let gather = gather.clone();
        async move { Ok::<_, Infallible>(respond(request, gather).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a scraper went away"),
        Err(_) => tracing::debug!("a scraper took too long"),
    }
}

async fn respond<G, F>(request: Request<Incoming>, gather: G) -> Response<Full<Bytes>>
where
    G: Fn() -> F,
    F: Future<Output = Vec<Family>>,
{
    let plain = |status: StatusCode, text: &'static str| {
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        response
    };
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "ask for /metrics\n");
    }
    if request.method() != Method::GET {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        let get = hyper::header::HeaderValue::from_static("GET");
        response.headers_mut().insert(ALLOW, get);
        return response;
    }
    let Ok(text) = render(gather().await) else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "cannot be printed\n");
    };
    let mut response = Response::new(Full::from(text));
    let kind = hyper::header::HeaderValue::from_static(OPENMETRICS);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::metrics::{Metric, lint};

    static UP: Metric = Metric::gauge("up", &[], "Whether it is.");

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = loop {
            match TcpStream::connect(address).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let request = format!("{request} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_scraper_gets_the_metrics_and_nothing_else() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let serving = tokio::spawn(serve(address, || async { vec![UP.is(1.0)] }));
        let talk = async {
            let answer = ask(address, "GET /metrics").await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(
                head.starts_with("HTTP/1.1 200") && head.contains(OPENMETRICS),
                "{head}"
            );
            assert_eq!(lint(body).unwrap()["up"].samples, 1);
            assert!(ask(address, "GET /").await.starts_with("HTTP/1.1 404"));
            assert!(
                ask(address, "POST /metrics")
                    .await
                    .starts_with("HTTP/1.1 405")
            );
            // One that says nothing keeps nobody waiting.
            let silent = TcpStream::connect(address).await.unwrap();
            assert!(ask(address, "GET /metrics").await.contains("up 1"));
            drop(silent);
        };
        timeout(PATIENCE, talk).await.unwrap();
        serving.abort();
    }
}
