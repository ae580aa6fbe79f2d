//! grpc: one question to the health service (`grpc.health.v1`) on a connection of its own, without
//! TLS, as Kubernetes does it: `SERVING` is a success.

use berth_core::{
    probe::Outcome,
    spec::{GrpcAction, PortRef},
};
use berth_proto::transport::plain;
use tonic::{Code, Request};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// Asks, and judges the answer.
pub(super) async fn check(action: &GrpcAction, host: &str) -> Outcome {
    let PortRef::Number(port) = &action.port else {
        return Outcome::NotTried("its port was not resolved".to_owned());
    };
    let channel = match plain(host, *port).await {
        Ok(channel) => channel,
        Err(error) => return Outcome::Failure(format!("{host}:{port}: {error}")),
    };
    let service = action.service.clone().unwrap_or_default();
    let asked = HealthCheckRequest { service };
    let answer = HealthClient::new(channel).check(Request::new(asked)).await;
    match answer.map(|answer| answer.into_inner().status()) {
        Ok(ServingStatus::Serving) => Outcome::Success,
        Ok(
            status @ (ServingStatus::Unknown
            | ServingStatus::NotServing
            | ServingStatus::ServiceUnknown),
        ) => Outcome::Failure(format!("it says {}", status.as_str_name())),
        Err(status) if status.code() == Code::Unimplemented => {
            Outcome::Failure("it has no grpc.health.v1 service".to_owned())
        }
        Err(status) if status.code() == Code::NotFound => {
            Outcome::Failure("its health service does not know the service".to_owned())
        }
        Err(status) => Outcome::Failure(format!("{}: {}", status.code(), status.message())),
    }
}
