//! All daemons together: brought up in order, stopped in the reverse one.

use std::{sync::Arc, time::Duration};

use berth_proto::{
    transport::{Endpoint, Remote},
    v1,
};
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use super::{
    checks::Programs,
    daemon::{Daemon, Spec},
    join,
    layout::{Layout, POOL},
    leftovers, members,
    record::{RecordFile, Resume},
};
use crate::{
    client::Coordinator,
    commands::{Context, host},
    error::CliError,
    output, refusal,
};

/// How long a daemon may take to be ready. Generous: a store may have to be recovered.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at the hosts, should no event tell of them.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The daemons.
#[derive(Debug)]
pub(crate) struct Cluster {
    layout: Layout,
    programs: Programs,
    record: Arc<RecordFile>,
    coordinator: Option<Daemon>,
    agents: Vec<Daemon>,
    up: bool,
}

impl Cluster {
    /// Nothing runs yet.
    pub(crate) fn new(layout: Layout, programs: Programs) -> Self {
        let record = Arc::new(RecordFile::new(&layout));
        Self {
            layout,
            programs,
            record,
            coordinator: None,
            agents: Vec::new(),
            up: false,
        }
    }

    /// Whether all of it came up.
    pub(crate) fn is_up(&self) -> bool {
        self.up
    }

    /// The line that says so.
    pub(crate) fn ready_line(&self) -> String {
        let endpoint = self.layout.endpoint();
        format!(
            "berth dev is ready: {} hosts, endpoint {endpoint} (export BERTH_ENDPOINT={endpoint}), \
             berth local --socket {}",
            self.layout.hosts.len(),
            self.layout.socket_pattern(),
        )
    }

    /// Starts everything, and waits until it works.
    pub(crate) async fn bring_up(&mut self) -> Result<(), CliError> {
        let coordinator = self.coordinator.insert(Daemon::start(
            Spec {
                title: "berth-coordinator".to_owned(),
                program: self.programs.coordinator.clone(),
                config: self.layout.coordinator_config(),
            },
            self.record.clone(),
        ));
        coordinator.ready(START_LIMIT).await.map_err(failed)?;
        let context = self.connect().await?;
        for host in &self.layout.hosts {
            join::join(&context, &self.layout, host, &self.programs.agent).await?;
        }
        for host in &self.layout.hosts {
            let spec = Spec {
                title: format!("berth-agent of {}", host.name),
                program: self.programs.agent.clone(),
                config: host.config(),
            };
            self.agents.push(Daemon::start(spec, self.record.clone()));
        }
        let ready = self.agents.iter_mut().map(|agent| agent.ready(START_LIMIT));
        for outcome in join_all(ready).await {
            outcome.map_err(failed)?;
        }
        self.hosts_in_contact(&context).await?;
        make_pool(&context).await?;
        members::resume(&self.layout, &Resume::of(&self.layout.dir)).await;
        self.up = true;
        Ok(())
    }

    async fn connect(&self) -> Result<Context, CliError> {
        let endpoint: Endpoint =
            self.layout.endpoint().parse().map_err(
                |error: berth_proto::transport::EndpointError| failed(error.to_string()),
            )?;
        let remote = Remote {
            endpoint,
            tls: None,
        };
        Ok(Context {
            coordinator: Coordinator::connect(&remote).await?,
            namespace: "default".to_owned(),
        })
    }

    /// Waits until the coordinator has all hosts in contact. Each event is a reason to look.
    async fn hosts_in_contact(&self, context: &Context) -> Result<(), CliError> {
        let mut missing: Vec<&str> = Vec::new();
        let looks = async {
            let request = v1::WatchEventsRequest::default();
            let watch = context.coordinator.events().watch(request).await;
            let mut events = watch
                .map_err(|status| refusal::from_status("watch events", &status))?
                .into_inner();
            loop {
                let hosts = host::list(context).await?;
                let there = |name: &str| hosts.iter().any(|one| one.connected && one.name == name);
                let all = self.layout.hosts.iter().map(|host| host.name.as_str());
                missing = all.filter(|name| !there(name)).collect();
                if missing.is_empty() {
                    return Ok(());
                }
                tokio::select! {
                    _ = events.message() => {}
                    () = sleep(LOOK_AGAIN) => {}
                }
            }
        };
        match timeout(START_LIMIT, looks).await {
            Ok(outcome) => outcome,
            Err(_) => Err(failed(format!(
                "not in contact after {START_LIMIT:?}: {}",
                missing.join(", ")
            ))),
        }
    }

    /// Stops members, agents and coordinator, in this order. What runs when it is interrupted is
    /// left to [`Cluster::kill`].
    pub(crate) async fn stop(&mut self) {
        if !self.agents.is_empty() {
            members::stop(&self.layout, &Resume::of(&self.layout.dir)).await;
        }
        join_all(self.agents.iter_mut().map(Daemon::stop)).await;
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.stop().await;
        }
        self.record.remove();
    }

    /// Kills everything, members too.
    pub(crate) async fn kill(&mut self) {
        join_all(self.agents.iter_mut().map(Daemon::kill)).await;
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.kill().await;
        }
        leftovers::kill_keepers(&self.layout);
        self.record.remove();
    }
}

/// The pool that gives each member an address of its own.
async fn make_pool(context: &Context) -> Result<(), CliError> {
    let text = format!(
        "apiVersion: berth/v1\nkind: AddressPool\nmetadata:\n  name: dev\n\
         spec:\n  cidr: {POOL}\n  default: true\n"
    );
    let request = v1::ApplyRequest {
        sources: vec![v1::Source {
            file: "berth dev".to_owned(),
            text,
        }],
        ..v1::ApplyRequest::default()
    };
    let answer = context.coordinator.objects().apply(request).await;
    let response = answer
        .map_err(|status| refusal::from_status("make the AddressPool", &status))?
        .into_inner();
    for text in &response.warnings {
        output::warning(text);
    }
    Ok(())
}

pub(super) fn failed(message: String) -> CliError {
    CliError::Failed {
        message,
        source: None,
        hint: "each daemon's log stands beside its config file below --dir".to_owned(),
    }
}
