//! A coordinator in this process on a temporary directory, clients to it, and an agent that does
//! what a test tells it to.

use std::{ops::Deref, path::PathBuf, sync::Arc, time::Duration};

use berth_coordinator::{config::Config, secrets::KeySource};
use berth_core::lease::Leases;
use berth_proto::{
    transport::{Endpoint, connect},
    v1::{
        ApplyRequest, Event, ListEventsRequest, ListHostsRequest, ListMembersRequest, MemberStatus,
        PlanRequest, PlanResponse, ScaleRequest, Source, event_service_client::EventServiceClient,
        host_service_client::HostServiceClient, member_service_client::MemberServiceClient,
        object_service_client::ObjectServiceClient, set_service_client::SetServiceClient,
    },
};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::Channel};

/// How long anything in these tests may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A client's end.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    endpoint: Endpoint,
}

/// A coordinator that runs in this process.
pub(crate) struct Coordinator {
    directory: Arc<TempDir>,
    client: Client,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Deref for Coordinator {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Coordinator {
    pub(crate) async fn start() -> Self {
        Self::on(Arc::new(tempfile::tempdir().unwrap())).await
    }

    async fn on(directory: Arc<TempDir>) -> Self {
        let socket: PathBuf = directory.path().join("c.sock");
        let endpoint = Endpoint::Unix(socket);
        let config = Config {
            listen: vec![endpoint.clone()],
            data_dir: directory.path().join("data"),
            zone: "berth.internal".to_owned(),
            trash_keep: Some(Duration::from_secs(7 * 24 * 3600)),
            leases: Leases {
                // So short that a test can wait for them to end.
                fast: Duration::from_secs(1),
                kill_margin: Duration::from_millis(500),
                ..Leases::default()
            },
            fencing: berth_coordinator::fencing::Fencing::default(),
            host_networks: Vec::new(),
            metrics: Vec::new(),
            tls: berth_coordinator::pki::TlsConfig::default(),
            secrets: KeySource::Made(directory.path().join("data/secrets.key")),
            limits: berth_coordinator::limits::Limits::default(),
        };
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let task = tokio::spawn(async move {
            let fatal = Box::new(|error: &_| panic!("the store failed: {error}"));
            let ready = |_: &[Endpoint]| ();
            let run = berth_coordinator::run(config, token, fatal, ready);
            run.await.unwrap();
        });
        let started = Self {
            directory,
            client: Client::new(endpoint),
            shutdown,
            task,
        };
        started.channel().await;
        started
    }

    /// Ends it, and starts it again on what it left.
    pub(crate) async fn restart(self) -> Self {
        self.restart_after(|| ()).await
    }

    /// Ends it, does something, and starts it again.
    pub(crate) async fn restart_after(self, between: impl FnOnce()) -> Self {
        let directory = Arc::clone(&self.directory);
        self.stop().await;
        between();
        Self::on(directory).await
    }

    /// Where its store is.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        timeout(DEADLINE, self.task)
            .await
            .expect("it ends")
            .unwrap();
    }
}

impl Client {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    pub(crate) async fn channel(&self) -> Channel {
        until("the coordinator to answer", async || {
            connect(&self.endpoint)
                .await
                .map_err(|error| error.to_string())
        })
        .await
    }

    pub(crate) async fn objects(&self) -> ObjectServiceClient<Channel> {
        ObjectServiceClient::new(self.channel().await)
    }

    pub(crate) async fn try_apply(&self, text: &str, confirmed: bool) -> Result<u64, Status> {
        let request = ApplyRequest {
            sources: vec![Source {
                file: "test.yaml".to_owned(),
                text: text.to_owned(),
            }],
            confirmed,
            ..ApplyRequest::default()
        };
        let reply = self.objects().await.apply(request).await?;
        Ok(reply.into_inner().revision)
    }

    pub(crate) async fn apply(&self, text: &str) -> u64 {
        self.try_apply(text, false).await.unwrap()
    }

    /// Applies what may be refused for a while.
    pub(crate) async fn apply_again(&self, text: &str) -> Result<u64, Status> {
        self.try_apply(text, false).await
    }

    /// What applying would do.
    pub(crate) async fn plan(&self, text: &str) -> PlanResponse {
        let request = PlanRequest {
            sources: vec![Source {
                file: "test.yaml".to_owned(),
                text: text.to_owned(),
            }],
            ..PlanRequest::default()
        };
        let mut objects = self.objects().await;
        objects.plan(request).await.unwrap().into_inner()
    }

    pub(crate) async fn scale(
        &self,
        set: &str,
        replicas: u32,
        confirmed: bool,
    ) -> Result<u32, Status> {
        let request = ScaleRequest {
            namespace: String::new(),
            name: set.to_owned(),
            replicas,
            confirmed,
        };
        let reply = SetServiceClient::new(self.channel().await)
            .scale(request)
            .await?;
        Ok(reply.into_inner().previous_replicas)
    }

    pub(crate) async fn members(&self, set: &str) -> Vec<MemberStatus> {
        let request = ListMembersRequest {
            namespace: String::new(),
            set: set.to_owned(),
        };
        let reply = MemberServiceClient::new(self.channel().await)
            .list(request)
            .await;
        reply.unwrap().into_inner().members
    }

    /// Waits until a set has so many members, all ready.
    pub(crate) async fn ready(&self, set: &str, count: usize) -> Vec<MemberStatus> {
        until(&format!("{count} ready members of {set}"), async || {
            let members = self.members(set).await;
            let ready = members.iter().filter(|member| member.ready).count();
            if members.len() == count && ready == count {
                Ok(members)
            } else {
                Err(format!("{members:#?}"))
            }
        })
        .await
    }
}

impl Client {
    /// Waits until what a first start leads to is recorded, and every host has acknowledged the
    /// last order that was recorded for it.
    pub(crate) async fn quiet(&self, set: &str) {
        until("the volumes to be recorded as filled", async || {
            let members = self.members(set).await;
            let filled = members
                .iter()
                .flat_map(|member| &member.volumes)
                .all(|v| v.filled);
            filled.then_some(()).ok_or_else(|| format!("{members:#?}"))
        })
        .await;
        let client = HostServiceClient::new(self.channel().await);
        until("the hosts to acknowledge", async || {
            let hosts = client
                .clone()
                .list(ListHostsRequest {})
                .await
                .unwrap()
                .into_inner()
                .hosts;
            let acked = hosts
                .iter()
                .all(|host| host.generation_sent == host.generation_acked);
            acked.then_some(()).ok_or_else(|| format!("{hosts:#?}"))
        })
        .await;
    }

    /// Waits for an event about a subject.
    pub(crate) async fn event(&self, subject: &str, reason: &str) -> Event {
        let client = EventServiceClient::new(self.channel().await);
        until(&format!("the event {reason} of {subject}"), async || {
            let request = ListEventsRequest {
                subject: subject.to_owned(),
                ..ListEventsRequest::default()
            };
            let events = client
                .clone()
                .list(request)
                .await
                .unwrap()
                .into_inner()
                .events;
            let found = events.iter().find(|event| event.reason == reason).cloned();
            found.ok_or_else(|| format!("{events:#?}"))
        })
        .await
    }
}

/// Looks again and again until something holds; fails with what was seen last.
pub(crate) async fn until<T, E: std::fmt::Display>(
    what: &str,
    look: impl AsyncFn() -> Result<T, E>,
) -> T {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    loop {
        ticks.tick().await;
        match look().await {
            Ok(found) => return found,
            Err(last) if tokio::time::Instant::now() > deadline => {
                panic!("waited for {what}, last seen: {last}")
            }
            Err(_) => {}
        }
    }
}

/// A set of plain members.
pub(crate) fn set(name: &str, replicas: u32, more: &str) -> String {
    format!(
        "
kind: StatefulSet
apiVersion: apps/v1
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  spread: Prefer
{more}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      processes:
        - name: main
          command: [/bin/sleep, \"1000\"]
          user: nobody
  volumeClaimTemplates:
    - metadata: {{name: data}}
      spec: {{resources: {{requests: {{storage: 1Gi}}}}}}
"
    )
}
