//! The RPCs. Each converts what came in, asks the parts that decide, and converts what goes out;
//! [`status`] is the one table from errors to gRPC codes.

mod access;
mod accesses;
mod admin;
mod agent;
mod apply;
mod audit;
mod bounds;
mod classes;
mod condition;
mod delete;
mod drain;
mod events;
mod exec;
mod foresee;
mod health;
mod hosts;
mod identity;
mod labels;
mod leaving;
mod lost;
mod members;
mod moves;
mod objects;
mod offline;
mod persistent;
mod plan;
mod progress;
mod render;
mod restart;
mod rollout;
mod sets;
mod snapshots;
pub mod status;
mod transfer;
mod usage;
mod view;
mod volume_changes;
mod volumes;
mod watch;

use std::{io, pin::Pin};

use berth_proto::{
    transport::{
        Incoming,
        http2::{self, MESSAGE, SMALL},
    },
    v1::{
        FILE_DESCRIPTOR_SET, access_service_server::AccessServiceServer,
        admin_service_server::AdminServiceServer, agent_service_server::AgentServiceServer,
        event_service_server::EventServiceServer, host_service_server::HostServiceServer,
        identity_service_server::IdentityServiceServer, member_service_server::MemberServiceServer,
        object_service_server::ObjectServiceServer, set_service_server::SetServiceServer,
        volume_service_server::VolumeServiceServer,
    },
};
use thiserror::Error;
use tokio_stream::Stream;
use tonic::{Status, service::Routes};

use crate::context::Context;

/// What server-streaming RPCs give back.
type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Why the services cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The descriptors that reflection shows are damaged.
    #[error("the schema for reflection cannot be read; install the release again")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// A listener failed.
    #[error("a listener failed; look at the system's log")]
    Listener(#[from] tonic::transport::Error),
    /// Connections cannot be accepted.
    #[error("connections cannot be accepted; look at the system's log")]
    Accept(#[from] io::Error),
}

/// All services, with reflection and health.
///
/// # Errors
/// If reflection's schema is damaged.
pub async fn routes(context: &Context) -> Result<Routes, ServeError> {
    let schema = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let reflection = schema().build_v1().map_err(ServeError::Reflection)?;
    // What clients ask for that are older than the other, among them the one for Python.
    let alpha = schema().build_v1alpha().map_err(ServeError::Reflection)?;
    let objects = ObjectServiceServer::new(objects::Objects(context.clone()));
    let agents = AgentServiceServer::new(agent::Agents(context.clone()));
    let sets = SetServiceServer::new(sets::Sets(context.clone()));
    let members = MemberServiceServer::new(members::Members(context.clone()));
    let hosts = HostServiceServer::new(hosts::Hosts(context.clone()));
    let events = EventServiceServer::new(events::Events(context.clone()));
    let admin = AdminServiceServer::new(admin::Admin(context.clone()));
    let accesses = AccessServiceServer::new(accesses::Accesses(context.clone()));
    let identities = identity::Identities::new(context.clone());
    let identities = IdentityServiceServer::new(identities);
    let volumes = VolumeServiceServer::new(volumes::Volumes(context.clone()));
    Ok(Routes::new(reflection)
        .add_service(alpha)
        .add_service(health::service(context).await)
        .add_service(objects.max_decoding_message_size(MESSAGE))
        .add_service(agents.max_decoding_message_size(MESSAGE))
        .add_service(sets.max_decoding_message_size(MESSAGE))
        .add_service(members.max_decoding_message_size(MESSAGE))
        .add_service(hosts.max_decoding_message_size(MESSAGE))
        .add_service(events.max_decoding_message_size(MESSAGE))
        .add_service(accesses.max_decoding_message_size(SMALL))
        .add_service(identities.max_decoding_message_size(SMALL))
        .add_service(admin.max_decoding_message_size(MESSAGE))
        .add_service(volumes.max_decoding_message_size(MESSAGE)))
}

/// Serves on one listener until the coordinator ends.
///
/// # Errors
/// If the listener fails.
pub async fn serve(context: Context, routes: Routes, incoming: Incoming) -> Result<(), ServeError> {
    http2::server()
        .layer(bounds::Quota::new(&context))
        .layer(bounds::Deadline::new(&context))
        .layer(audit::Audit(context.clone()))
        .layer(access::Guard(context.clone()))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, context.shutdown.clone().cancelled_owned())
        .await?;
    Ok(())
}

#[cfg(test)]
pub(crate) use apply::{Known, to_batch};
#[cfg(test)]
pub(crate) use delete::marked;
