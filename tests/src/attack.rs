//! A coordinator in this process that is reached over TLS, and those who attack it.

mod session;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::SystemTime};

use berth_agent::identity::{self, JoinError, Joined, Wish};
use berth_coordinator::{
    config::Config,
    pki::{Pki, TlsConfig},
    secrets::KeySource,
};
use berth_core::{lease::Leases, time::Timestamp};
use berth_pki::{Credentials, Subject, Token, request::Request, tls};
use berth_proto::{
    transport::{self, ClientTls, Endpoint, Remote},
    v1::{CreateTokenRequest, FILE_DESCRIPTOR_SET, access_service_client::AccessServiceClient},
};
use prost::Message as _;
use prost_types::{FileDescriptorSet, MethodDescriptorProto};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, transport::Channel};

pub use session::{answered, hello, session};

/// A coordinator. Dropping it ends it.
#[derive(Debug)]
pub struct Bed {
    dir: Arc<TempDir>,
    shutdown: CancellationToken,
    task: Option<JoinHandle<()>>,
    address: SocketAddr,
}

impl Bed {
    /// Starts one.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// Starts one whose operator changed its configuration.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on(Arc::new(tempfile::tempdir().expect("directory")), change).await
    }

    async fn on(dir: Arc<TempDir>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            metrics: Vec::new(),
            listen: vec![
                Endpoint::Unix(dir.path().join("c.sock")),
                Endpoint::Tcp(([127, 0, 0, 1], 0).into()),
            ],
            data_dir: dir.path().join("data"),
            zone: "berth.internal".to_owned(),
            trash_keep: None,
            leases: Leases::default(),
            fencing: berth_coordinator::fencing::Fencing::default(),
            host_networks: Vec::new(),
            tls: TlsConfig::default(),
            secrets: KeySource::Made(dir.path().join("data/secrets.key")),
            limits: berth_coordinator::limits::Limits::default(),
        };
        change(&mut config);
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let (there, listens) = oneshot::channel();
        let task = tokio::spawn(async move {
            let fatal = Box::new(|error: &_| panic!("the store failed: {error}"));
            let ready = |at: &[Endpoint]| {
                let tcp = at.iter().find_map(|at| match at {
                    Endpoint::Tcp(address) => Some(*address),
                    Endpoint::Unix(_) => None,
                });
                there.send(tcp).expect("somebody waits");
            };
            let run = berth_coordinator::run(config, token, fatal, ready);
            run.await.expect("it runs");
        });
        let address = listens.await.expect("it starts").expect("a port");
        Self {
            dir,
            shutdown,
            task: Some(task),
            address,
        }
    }

    /// Ends it, and starts it again on what it left, after something was done to that.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn restart(mut self, between: impl FnOnce(&std::path::Path)) -> Self {
        self.shutdown.cancel();
        let task = self.task.take().expect("a task");
        task.await.expect("it ends");
        between(self.dir.path());
        Self::on(Arc::clone(&self.dir), |_| ()).await
    }

    /// Where it listens for TLS.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a test may keep things.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Root's own connection.
    ///
    /// # Panics
    /// If nobody answers.
    pub async fn root(&self) -> Channel {
        let socket = Endpoint::Unix(self.path("c.sock"));
        transport::connect(&socket).await.expect("the socket")
    }

    /// A new token.
    ///
    /// # Panics
    /// If none is made.
    pub async fn token(&self, host: &str) -> Token {
        let request = CreateTokenRequest {
            ttl_s: 60,
            host: host.to_owned(),
        };
        let mut access = AccessServiceClient::new(self.root().await);
        let made = access.create_token(request).await.expect("a token");
        made.into_inner().token.parse().expect("a token")
    }

    /// Joins as a host, as the agent's command does.
    ///
    /// # Errors
    /// Why not.
    ///
    /// # Panics
    /// If the name is none.
    pub async fn join(&self, token: Token, name: &str) -> Result<Joined, JoinError> {
        let wish = Wish {
            coordinator: self.address,
            token,
            name: name.parse().expect("a name"),
            advertise_address: None,
        };
        identity::join(wish, &self.path(name)).await
    }

    /// The authority's own copy, for a test that forges certificates of other times.
    ///
    /// # Panics
    /// If there is none.
    pub fn authority(&self) -> Pki {
        Pki::open(TlsConfig::default(), &self.path("data"), now()).expect("an authority")
    }

    /// Somebody with a certificate of this authority, issued at a time.
    ///
    /// # Panics
    /// If none is made.
    pub fn certified(&self, subject: &Subject, at: Timestamp) -> Remote {
        let request = Request::new().expect("a key");
        let issued = self.authority().issue(subject, request.csr(), at);
        let issued = issued.expect("a certificate");
        let credentials =
            Credentials::new(&request.key_pem(), &issued.certificate, &issued.authority);
        self.with(&credentials.expect("credentials"))
    }

    /// Somebody with these credentials.
    ///
    /// # Panics
    /// If they are none.
    pub fn with(&self, credentials: &Credentials) -> Remote {
        Remote {
            endpoint: Endpoint::Tcp(self.address),
            tls: Some(ClientTls::new(tls::client(credentials).expect("settings"))),
        }
    }

    /// Somebody without a certificate, who knows the authority.
    ///
    /// # Panics
    /// If the settings are none.
    pub fn stranger(&self) -> Remote {
        Remote {
            endpoint: Endpoint::Tcp(self.address),
            tls: Some(ClientTls::new(
                tls::joining(self.authority().hash()).expect("settings"),
            )),
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// The time now.
pub fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(0).plus(now.unwrap_or_default())
}

/// Calls a method with an empty message, whatever it is; what comes of it.
///
/// # Errors
/// Why nobody could be asked.
pub async fn call(remote: &Remote, path: &str) -> Result<Code, String> {
    let channel = remote.connect().await.map_err(|error| error.to_string())?;
    Ok(call_on(channel, path).await.code())
}

/// The same on a connection that there is; the whole status.
///
/// # Panics
/// If the path is none.
pub async fn call_on(channel: Channel, path: &str) -> Status {
    let mut grpc = tonic::client::Grpc::new(channel);
    if let Err(error) = grpc.ready().await {
        return Status::unavailable(error.to_string());
    }
    let path = path.parse().expect("a path");
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let answer = grpc.unary(tonic::Request::new(()), path, codec).await;
    answer.err().unwrap_or_else(|| Status::ok(""))
}

/// Every method that the coordinator serves, from the compiled descriptor.
///
/// # Panics
/// If that cannot be read.
pub fn methods() -> Vec<String> {
    let all = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("a descriptor");
    let services = all.file.iter().flat_map(|file| &file.service);
    let served = services.filter(|service| service.name() != "LocalService");
    served
        .flat_map(|service| {
            let name = service.name().to_owned();
            let of =
                move |method: &MethodDescriptorProto| format!("/berth.v1.{name}/{}", method.name());
            service.method.iter().map(of)
        })
        .collect()
}

/// Whether somebody is let in to a method, asked with an empty message: what is about a namespace is
/// then about `default`, or about all.
///
/// # Panics
/// If nobody answers.
pub async fn is_let_in(remote: &Remote, path: &str) -> bool {
    let channel = remote.connect().await.expect("a connection");
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.expect("a connection");
    let path = path.parse().expect("a path");
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    // Its beginning tells, also of a stream on which nothing comes.
    let answer = grpc
        .server_streaming(tonic::Request::new(()), path, codec)
        .await;
    let refused = [Code::PermissionDenied, Code::Unauthenticated];
    answer
        .err()
        .is_none_or(|status| !refused.contains(&status.code()))
}
