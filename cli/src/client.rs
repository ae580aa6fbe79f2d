//! Opens connections, all through the one transport module.

use berth_proto::{
    transport::{self, Endpoint, Remote, http2::ANSWER},
    v1::{
        access_service_client::AccessServiceClient, admin_service_client::AdminServiceClient,
        event_service_client::EventServiceClient, host_service_client::HostServiceClient,
        local_service_client::LocalServiceClient, member_service_client::MemberServiceClient,
        object_service_client::ObjectServiceClient, set_service_client::SetServiceClient,
        volume_service_client::VolumeServiceClient,
    },
};
use tonic::transport::Channel;

use crate::error::CliError;

/// The coordinator's services, over one connection.
#[derive(Debug, Clone)]
pub(crate) struct Coordinator {
    channel: Channel,
}

impl Coordinator {
    /// Connects.
    pub(crate) async fn connect(remote: &Remote) -> Result<Self, CliError> {
        let hint = match remote.endpoint {
            Endpoint::Unix(_) => {
                "check that berth-coordinator runs and that you may use its socket (root), or name \
                 another one with --endpoint or BERTH_ENDPOINT, or a context with --context"
            }
            Endpoint::Tcp(_) => {
                "check that berth-coordinator runs there; `berth config show` shows as whom you ask"
            }
        };
        let channel = remote.connect().await;
        let channel = channel.map_err(|error| CliError::Unreachable {
            peer: "the coordinator".to_owned(),
            source: Box::new(error),
            hint: hint.to_owned(),
        })?;
        Ok(Self { channel })
    }

    /// Objects.
    pub(crate) fn objects(&self) -> ObjectServiceClient<Channel> {
        ObjectServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER)
    }

    /// Sets.
    pub(crate) fn sets(&self) -> SetServiceClient<Channel> {
        SetServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER)
    }

    /// Members.
    pub(crate) fn members(&self) -> MemberServiceClient<Channel> {
        MemberServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER)
    }

    /// Hosts.
    pub(crate) fn hosts(&self) -> HostServiceClient<Channel> {
        HostServiceClient::new(self.channel.clone())
    }

    /// Volumes.
    pub(crate) fn volumes(&self) -> VolumeServiceClient<Channel> {
        VolumeServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER)
    }

    /// The coordinator's store.
    pub(crate) fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER)
    }

    /// Tokens and operators.
    pub(crate) fn access(&self) -> AccessServiceClient<Channel> {
        AccessServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER)
    }

    /// Events.
    pub(crate) fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER)
    }
}

/// Connects to an agent's local socket.
pub(crate) async fn agent(endpoint: &Endpoint) -> Result<LocalServiceClient<Channel>, CliError> {
    let channel = transport::connect(endpoint)
        .await
        .map_err(|error| CliError::Unreachable {
            peer: "the agent of this host".to_owned(),
            source: Box::new(error),
            hint: "check that berth-agent runs and that you may use its socket (root), or name \
                   another one with --socket or BERTH_AGENT_SOCKET"
                .to_owned(),
        })?;
    Ok(LocalServiceClient::new(channel).max_decoding_message_size(ANSWER))
}
