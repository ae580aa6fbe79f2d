//! An agent's stream, by somebody who is no agent.

use berth_proto::{
    transport::Remote,
    v1::{
        AgentMessage, CoordinatorMessage, Hello, OrderHead, agent_message::Message,
        agent_service_client::AgentServiceClient,
    },
};
use tonic::{Status, Streaming};

/// What the agent of a new host says first.
pub fn hello(name: &str) -> Hello {
    Hello {
        host: name.to_owned(),
        advertise_address: "127.77.0.1".to_owned(),
        machine_id: name.to_owned(),
        boot_id: "boot".to_owned(),
        head: Some(OrderHead::default()),
        ..Hello::default()
    }
}

/// Opens an agent's stream that begins so, and stays open for as long as the test runs.
///
/// # Errors
/// If it is refused.
///
/// # Panics
/// Never: there is room for the first message.
pub async fn session(
    remote: &Remote,
    hello: Hello,
) -> Result<Streaming<CoordinatorMessage>, Status> {
    let channel = remote.connect().await;
    let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
    let first = AgentMessage {
        message: Some(Message::Hello(hello)),
    };
    let (keep, messages) = tokio::sync::mpsc::channel(1);
    keep.send(first).await.expect("room");
    std::mem::forget(keep);
    let messages = tokio_stream::wrappers::ReceiverStream::new(messages);
    let answer = AgentServiceClient::new(channel).session(messages).await?;
    Ok(answer.into_inner())
}

/// The first that the coordinator says on the stream of a host.
///
/// # Errors
/// If it is refused.
pub async fn answered(remote: &Remote, name: &str) -> Result<Option<CoordinatorMessage>, Status> {
    session(remote, hello(name)).await?.message().await
}
