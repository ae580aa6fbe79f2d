//! `grpc.health.v1`: each service by its name, and all together by none. A listener answers when what was
//! stored is loaded, and a store that fails ends the process; so that the one time at which somebody is
//! answered and nothing is served is the end, while open calls have their grace.

use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::health_reporter,
};

use super::access;
use crate::context::Context;

/// Says of every service that it serves, until the coordinator ends.
pub(super) async fn service(context: &Context) -> HealthServer<impl Health> {
    let (reporter, service) = health_reporter();
    for name in access::services() {
        reporter
            .set_service_status(name, ServingStatus::Serving)
            .await;
    }
    let shutdown = context.shutdown.clone();
    tokio::spawn(async move {
        shutdown.cancelled().await;
        for name in access::services().chain([""]) {
            let ended = ServingStatus::NotServing;
            reporter.set_service_status(name, ended).await;
        }
    });
    service
}
