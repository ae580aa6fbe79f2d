//! The listener of the local service, with health and reflection as on every listener.

use berth_proto::{
    transport::{Endpoint, ListenError, PeerInfo, http2, listen},
    v1::{self, local_service_server::LocalServiceServer},
};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, service::InterceptorLayer};

use super::Local;
use crate::host::Host;

/// Why the local service does not serve.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Its socket cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Its descriptors cannot be read.
    #[error("the service's descriptors are damaged; install the agent again")]
    Descriptors(#[source] tonic_reflection::server::Error),
    /// The server failed.
    #[error("the local service failed; start the agent again")]
    Serve(#[source] tonic::transport::Error),
}

/// Opens the socket; the future that comes back serves it until the token is cancelled.
///
/// # Errors
/// If the socket cannot be opened.
pub async fn serve<H: Host>(
    local: Local<H>,
    at: &Endpoint,
    shutdown: CancellationToken,
) -> Result<impl Future<Output = Result<(), ServeError>> + Send + use<H>, ServeError> {
    let incoming = listen(at).await?;
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<LocalServiceServer<Local<H>>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(ServeError::Descriptors)?;
    Ok(async move {
        http2::server()
            .layer(InterceptorLayer::new(owner_only))
            .add_service(health_service)
            .add_service(reflection)
            .add_service(LocalServiceServer::new(local))
            .serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned())
            .await
            .map_err(ServeError::Serve)
    })
}

/// Members run beside this socket, as users of the host.
fn owner_only(request: Request<()>) -> Result<Request<()>, Status> {
    match request.extensions().get() {
        Some(peer) if PeerInfo::is_owner(peer) => Ok(request),
        _ => Err(Status::unauthenticated(
            "this host is looked after by root; use sudo",
        )),
    }
}
