//! The daemon itself, killed while it works.

use std::{
    fs,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use berth_proto::{
    transport::Endpoint,
    v1::{ApplyRequest, GetRequest, ObjectRef, Source, object_service_client::ObjectServiceClient},
};
use tempfile::TempDir;
use tokio::sync::Notify;
use tonic::transport::Channel;

use crate::common::Client;

/// Clients that apply at the same time, so that commits are under way whenever the kill comes.
const CLIENTS: usize = 8;

struct Daemon {
    directory: TempDir,
    child: Option<Child>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Daemon {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = format!(
            "listen: [\"{}\"]\ndataDir: {}\n",
            Self::endpoint(&directory),
            directory.path().join("data").display()
        );
        fs::write(directory.path().join("c.yaml"), config).unwrap();
        Self {
            directory,
            child: None,
        }
    }

    fn endpoint(directory: &TempDir) -> Endpoint {
        Endpoint::Unix(directory.path().join("c.sock"))
    }

    fn start(&mut self) -> Client {
        let child = Command::new(env!("CARGO_BIN_EXE_berth-coordinator"))
            .arg("--config")
            .arg(self.directory.path().join("c.yaml"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        Client::new(Self::endpoint(&self.directory))
    }

    /// SIGKILL.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

fn config_map(name: &str) -> ApplyRequest {
    let text = format!("kind: ConfigMap\napiVersion: v1\nmetadata: {{name: {name}}}\n");
    let file = "test.yaml".to_owned();
    ApplyRequest {
        sources: vec![Source { file, text }],
        ..ApplyRequest::default()
    }
}

async fn exists(client: &Client, name: &str) -> bool {
    let request = GetRequest {
        r#ref: Some(ObjectRef {
            kind: "cm".to_owned(),
            namespace: String::new(),
            name: name.to_owned(),
        }),
        show_secrets: false,
    };
    client.objects().await.get(request).await.is_ok()
}

/// Applies one object after the other until the daemon is gone; those that were acknowledged.
async fn apply(
    mut client: ObjectServiceClient<Channel>,
    who: String,
    count: Arc<AtomicUsize>,
    more: Arc<Notify>,
) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        let name = format!("{who}-{n}");
        if client.apply(config_map(&name)).await.is_err() {
            break;
        }
        acknowledged.push(name);
        count.fetch_add(1, Ordering::SeqCst);
        more.notify_one();
    }
    acknowledged
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let mut daemon = Daemon::new();
    let mut acknowledged: Vec<String> = Vec::new();
    for (round, kill_after) in [1, 10, 35].into_iter().enumerate() {
        let client = daemon.start();
        let objects = client.objects().await;
        for name in &acknowledged {
            assert!(
                exists(&client, name).await,
                "{name} was acknowledged before the kill"
            );
        }
        let (count, more) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let appliers: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let who = format!("r{round}-c{n}");
                tokio::spawn(apply(
                    objects.clone(),
                    who,
                    Arc::clone(&count),
                    Arc::clone(&more),
                ))
            })
            .collect();
        while count.load(Ordering::SeqCst) < kill_after {
            more.notified().await;
        }
        daemon.kill();
        for applier in appliers {
            acknowledged.extend(applier.await.unwrap());
        }
    }
    let client = daemon.start();
    for name in &acknowledged {
        assert!(
            exists(&client, name).await,
            "{name} was acknowledged before the kill"
        );
    }
}
