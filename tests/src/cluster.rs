//! A client's view of a running coordinator: members by name, waits, and a record of what happened.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io::Write as _,
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use berth_proto::{
    transport::{self, Endpoint},
    v1::{
        self, ListEventsRequest, ListMembersRequest, MemberStatus, WatchMembersRequest,
        event_service_client::EventServiceClient, member_service_client::MemberServiceClient,
    },
};
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use crate::{machine, wait};

/// A running coordinator.
#[derive(Debug, Clone)]
pub struct Cluster {
    endpoint: Endpoint,
}

impl Cluster {
    /// The coordinator that listens there.
    pub fn at(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }

    /// A program that finds it: `berth`, or one that runs `berth`.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("BERTH_ENDPOINT", self.endpoint.to_string())
            .current_dir(machine::checkout());
        command
    }

    /// Runs `berth` against it.
    pub fn try_berth(&self, args: &[&str]) -> Output {
        let mut command = self.command(machine::program("berth"));
        command.args(args).output().expect("berth runs")
    }

    /// Runs `berth` against it and gives back what it printed on stdout.
    ///
    /// # Panics
    /// If it fails.
    pub fn berth(&self, args: &[&str]) -> String {
        let output = self.try_berth(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "berth {args:?}: {}\n{stderr}",
            output.status
        );
        String::from_utf8(output.stdout).expect("text")
    }

    /// Applies a manifest and does not wait.
    ///
    /// # Panics
    /// If it is refused.
    pub fn apply(&self, manifest: &str) {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        file.write_all(manifest.as_bytes()).expect("file");
        let path = file.path().to_str().expect("text");
        self.berth(&["apply", "--yes", "-f", path]);
    }

    /// Opens a connection of one's own, as soon as the coordinator answers.
    pub async fn channel(&self) -> Channel {
        wait::until("the coordinator to answer", async || {
            transport::connect(&self.endpoint).await
        })
        .await
    }

    /// The members of a set, by name.
    ///
    /// # Errors
    /// If the coordinator does not answer.
    pub async fn members(
        &self,
        set: &str,
    ) -> Result<BTreeMap<String, MemberStatus>, tonic::Status> {
        let request = ListMembersRequest {
            namespace: "default".into(),
            set: set.into(),
        };
        let reply = MemberServiceClient::new(self.channel().await)
            .list(request)
            .await?;
        Ok(reply
            .into_inner()
            .members
            .into_iter()
            .map(|m| (m.name.clone(), m))
            .collect())
    }

    /// Waits until exactly these members are there and ready, and gives them back.
    pub async fn ready(&self, set: &str, count: usize) -> BTreeMap<String, MemberStatus> {
        wait::until(&format!("{count} ready members of {set}"), async || {
            let members = self
                .members(set)
                .await
                .map_err(|status| status.to_string())?;
            if members.len() == count && members.values().all(|m| m.ready) {
                Ok(members)
            } else {
                Err(format!(
                    "{:?}",
                    members.values().map(summary).collect::<Vec<_>>()
                ))
            }
        })
        .await
    }

    /// Waits for a condition on one member.
    pub async fn member(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&MemberStatus) -> bool,
    ) -> MemberStatus {
        let set = name.rsplit_once('-').expect("a member's name").0;
        wait::until(&format!("{name}: {what}"), async || {
            let members = self
                .members(set)
                .await
                .map_err(|status| status.to_string())?;
            match members.get(name) {
                Some(member) if holds(member) => Ok(member.clone()),
                Some(member) => Err(summary(member)),
                None => Err("it does not exist".to_owned()),
            }
        })
        .await
    }

    /// The stops and releases of a set's members so far, in the order in which they were decided, as
    /// `Stopping web-1`. A watch may see several changes as one, and so in no order.
    pub async fn departures(&self, set: &str) -> Vec<String> {
        let request = ListEventsRequest {
            namespace: "default".into(),
            ..ListEventsRequest::default()
        };
        let mut client = EventServiceClient::new(self.channel().await);
        let answer = client.list(request).await.expect("events").into_inner();
        let told = answer.events.into_iter().filter_map(|event| {
            let member = event.subject.strip_prefix("Member/")?;
            let leaves = ["Stopping", "Released"].contains(&&*event.reason);
            let is_of_set = member.rsplit_once('-')?.0 == set;
            (leaves && is_of_set).then(|| format!("{} {member}", event.reason))
        });
        told.collect()
    }

    /// Records every status of a set's members from now on.
    pub async fn record(&self, set: &str) -> Recording {
        let request = WatchMembersRequest {
            namespace: "default".into(),
            set: set.into(),
        };
        let mut stream = MemberServiceClient::new(self.channel().await)
            .watch(request)
            .await
            .expect("watch")
            .into_inner();
        let log = Arc::new(Mutex::new(Vec::new()));
        let writer = log.clone();
        let task = tokio::spawn(async move {
            loop {
                match stream.message().await {
                    Ok(Some(v1::MemberEvent {
                        member: Some(member),
                        deleted,
                        ..
                    })) => writer.lock().unwrap().push(Seen { member, deleted }),
                    Ok(Some(_)) => {}
                    // Whoever waits for it waits in vain, and is told why.
                    end => return eprintln!("the record of the members ended: {end:?}"),
                }
            }
        });
        Recording { log, task }
    }
}

/// What [`Cluster::departures`] tells of members that go one after the other, the first one first.
pub fn one_by_one(members: &[&str]) -> Vec<String> {
    let each = members.iter();
    each.flat_map(|member| ["Stopping", "Released"].map(|reason| format!("{reason} {member}")))
        .collect()
}

/// One line on a member, for failures.
pub fn summary(member: &MemberStatus) -> String {
    let why = member
        .waiting
        .as_ref()
        .map(|w| format!(" {}: {}", w.rule, w.message));
    format!(
        "{} {} ready={}{}",
        member.name,
        member.phase,
        member.ready,
        why.unwrap_or_default()
    )
}

/// One status of one member.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Whether the member ceased to exist.
    pub deleted: bool,
    /// Its status.
    pub member: MemberStatus,
}

/// What happened since [`Cluster::record`].
#[derive(Debug)]
pub struct Recording {
    log: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Recording {
    /// Waits until the record so far satisfies a condition, and gives it back.
    pub async fn until(&self, what: &str, holds: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        wait::until(what, async || {
            let log = self.log.lock().unwrap().clone();
            if holds(&log) {
                Ok(log)
            } else {
                Err(log
                    .iter()
                    .map(|seen| summary(&seen.member))
                    .collect::<Vec<_>>())
            }
        })
        .await
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.task.abort();
    }
}
