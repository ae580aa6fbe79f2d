//! What clients of other makes rely on: reflection, health, and limits that are told.

use berth_proto::v1::{ApplyRequest, Source};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::common::Coordinator;

/// The services that reflection lists.
async fn services(channel: &Channel) -> Vec<String> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel.clone());
    let requests = tokio_stream::iter([request]);
    let replies = client.server_reflection_info(requests).await;
    let reply = replies.unwrap().into_inner().message().await;
    let reply = reply.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = reply.message_response else {
        panic!("{reply:?}");
    };
    list.service
        .into_iter()
        .map(|service| service.name)
        .collect()
}

fn health_of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

#[tokio::test]
async fn every_service_is_listed_and_says_how_it_is_until_the_end() {
    let coordinator = Coordinator::start().await;
    let channel = coordinator.channel().await;
    let names = services(&channel).await;
    for service in ["Object", "Set", "Member", "Host", "Event", "Agent"] {
        let name = format!("berth.v1.{service}Service");
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    let mut health = HealthClient::new(channel);
    // Served by agents on their own sockets.
    let here = |name: &&String| *name != "berth.v1.LocalService";
    for name in names.iter().filter(here).map(String::as_str).chain([""]) {
        let answer = health.check(health_of(name)).await;
        let status = answer.map(|answer| answer.into_inner().status);
        assert_eq!(status.unwrap(), 1, "{name}: SERVING");
    }
    let unknown = health.check(health_of("no.Such")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let watched = health.watch(health_of("berth.v1.ObjectService")).await;
    let mut watched = watched.unwrap().into_inner();
    let first = watched.message().await.unwrap().unwrap();
    assert_eq!(first.status, 1, "SERVING");
    let told = async move {
        let last = watched.message().await.unwrap().unwrap();
        assert_eq!(last.status, 2, "NOT_SERVING");
    };
    tokio::join!(coordinator.stop(), told);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_told_so_and_the_connection_lives() {
    let coordinator = Coordinator::start().await;
    let mut objects = coordinator.objects().await;
    let source = |size: usize| ApplyRequest {
        sources: vec![Source {
            file: "f.yaml".to_owned(),
            text: "#".repeat(size),
        }],
        ..ApplyRequest::default()
    };
    for _ in 0..3 {
        let refused = objects.apply(source(2 << 20)).await.unwrap_err();
        assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
        let told = refused.message();
        assert!(told.contains("the limit is: 1114112 bytes"), "{told}");
    }
    // A manifest of the largest size is a manifest's matter.
    let refused = objects.apply(source((1 << 20) + 1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    coordinator.stop().await;
}
