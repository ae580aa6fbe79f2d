//! httpGet: one HTTP/1.1 request on a connection of its own, as Kubernetes does it: 200 to 399 is a
//! success, a redirect is not followed, the body is not read.

use berth_core::{
    probe::Outcome,
    spec::{HttpGetAction, PortRef},
};
use http_body_util::Empty;
use hyper::{
    Request,
    body::Bytes,
    client::conn::http1,
    header::{CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;

/// Sends the request and judges the answer's status.
pub(super) async fn get(action: &HttpGetAction, host: &str) -> Outcome {
    let request = match request(action, host) {
        Ok(request) => request,
        Err(error) => return Outcome::NotTried(error),
    };
    match send(action, host, request).await {
        Ok(status) if (200..400).contains(&status) => Outcome::Success,
        Ok(status) => Outcome::Failure(format!("HTTP status {status}")),
        Err(error) => Outcome::Failure(error),
    }
}

fn request(action: &HttpGetAction, host: &str) -> Result<Request<Empty<Bytes>>, String> {
    let path = if action.path.is_empty() {
        "/".to_owned()
    } else if action.path.starts_with('/') {
        action.path.clone()
    } else {
        format!("/{}", action.path)
    };
    let PortRef::Number(port) = &action.port else {
        return Err("its port was not resolved".to_owned());
    };
    let authority = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let mut request = Request::get(path)
        .header(HOST, authority)
        .header(CONNECTION, "close")
        .header(USER_AGENT, "berth-probe")
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    for header in &action.http_headers {
        let name: HeaderName = header
            .name
            .parse()
            .map_err(|_| format!("'{}' is no header", header.name))?;
        let value = HeaderValue::from_str(&header.value)
            .map_err(|_| format!("header {name} has a value that cannot be sent"))?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

async fn send(
    action: &HttpGetAction,
    host: &str,
    request: Request<Empty<Bytes>>,
) -> Result<u16, String> {
    let stream = super::open(host, &action.port).await?;
    let told = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
    let answer = sender.send_request(request);
    tokio::pin!(answer, connection);
    // The connection is driven only as long as the answer is waited for. It may end together with
    // the answer, which is then still to be taken.
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = &mut connection => answer.await,
    };
    answer.map(|answer| answer.status().as_u16()).map_err(told)
}
