//! A whole agent over the host in memory.

use std::sync::Arc;

use berth_agent::{
    RunError,
    config::Config,
    dns::{DnsConfig, Upstreams},
    host::{fake::FakeHost, linux::LocalPolicy, storage::Pool},
};
use berth_core::volume::PoolKind;
use berth_proto::{transport::connect, v1::local_service_client::LocalServiceClient};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::stub::{DEADLINE, Stub, socket};

/// An agent on a host in memory.
pub(crate) struct Bed {
    pub(crate) dir: TempDir,
    pub(crate) host: FakeHost,
    agent: Option<(CancellationToken, JoinHandle<Result<(), RunError>>)>,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            host: FakeHost::new(&["default"]),
            agent: None,
        }
    }

    pub(crate) fn config(&self) -> Config {
        let dir = self.dir.path();
        Config {
            metrics: Vec::new(),
            host: "host-1".parse().unwrap(),
            coordinator: socket(dir, "coordinator.sock"),
            advertise_address: [127, 0, 0, 1].into(),
            labels: [("rack".to_owned(), "a".to_owned())].into(),
            pools: [(
                "default".to_owned(),
                Pool {
                    path: dir.join("pool"),
                    kind: PoolKind::Directory,
                },
            )]
            .into(),
            data_dir: dir.join("data"),
            self_reboot: None,
            run_dir: dir.join("run"),
            log_dir: dir.join("log"),
            dns: DnsConfig {
                listen: vec![([127, 0, 0, 1], 0).into()],
                upstreams: Upstreams::These(Vec::new()),
                data_dir: dir.join("data"),
                origin: "berth.internal".to_owned(),
            },
            resolver: [127, 0, 0, 1].into(),
            local: socket(dir, "agent.sock"),
            policy: LocalPolicy::default(),
        }
    }

    pub(crate) async fn stub(&self) -> Stub {
        Stub::listen(&socket(self.dir.path(), "coordinator.sock")).await
    }

    pub(crate) async fn start(&mut self) {
        let stop = CancellationToken::new();
        let (opened, open) = oneshot::channel();
        let ready = move |_| opened.send(()).unwrap();
        let host = Arc::new(self.host.clone());
        let run = berth_agent::run(self.config(), host, stop.clone(), ready);
        let task = tokio::spawn(run);
        timeout(DEADLINE, open).await.unwrap().unwrap();
        self.agent = Some((stop, task));
    }

    pub(crate) async fn stop(&mut self) {
        let (stop, task) = self.agent.take().unwrap();
        stop.cancel();
        timeout(DEADLINE, task).await.unwrap().unwrap().unwrap();
    }

    pub(crate) async fn local(&self) -> LocalServiceClient<Channel> {
        let channel = connect(&socket(self.dir.path(), "agent.sock")).await;
        LocalServiceClient::new(channel.unwrap())
    }
}
