//! Members at the end of `berth dev`, and at its next start.
//!
//! The agents are asked through their local sockets, so it works without a coordinator too. A
//! local stop is durable, as it should be; so what was stopped here, and only that, is written
//! down first and started again next time. What an operator stopped stays stopped.

use std::{collections::BTreeMap, time::Duration};

use berth_proto::v1::{self, local_service_client::LocalServiceClient};
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status, transport::Channel};

use super::{
    layout::{HostLayout, Layout},
    record::{Resume, Stopped},
};
use crate::{client, output};

/// How long an agent that is being started again may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Between two looks at something that has no event.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// An agent and its host's name.
type Agents = BTreeMap<String, LocalServiceClient<Channel>>;

/// Stops all members: sets side by side, within a set from the highest ordinal down.
pub(crate) async fn stop(layout: &Layout, resume: &Resume) {
    let agents = connect(layout.hosts.iter()).await;
    let mut sets: BTreeMap<(String, String), Vec<(u32, Stopped)>> = BTreeMap::new();
    for (host, agent) in &agents {
        for member in running(host, agent.clone()).await {
            let stopped = Stopped {
                on: host.clone(),
                namespace: member.namespace.clone(),
                member: member.name,
            };
            let set = sets.entry((member.namespace, member.set)).or_default();
            set.push((member.ordinal, stopped));
        }
    }
    for members in sets.values_mut() {
        members.sort_by_key(|(ordinal, _)| std::cmp::Reverse(*ordinal));
    }
    let mut all = resume.read();
    for (_, stopped) in sets.values().flatten() {
        if !all.contains(stopped) {
            all.push(stopped.clone());
        }
    }
    if let Err(error) = resume.write(&all) {
        output::warning(&format!(
            "cannot write down which members to start next time ({error}); \
             use `berth local start` for each"
        ));
    }
    join_all(sets.values().map(|members| stop_set(&agents, members))).await;
}

async fn stop_set(agents: &Agents, members: &[(u32, Stopped)]) {
    for (_, stopped) in members {
        let Some(agent) = agents.get(&stopped.on) else {
            continue;
        };
        match stop_one(agent.clone(), stopped).await {
            Ok(()) => output::note(&format!("  {:<14} stopped", stopped.member)),
            Err(status) => output::warning(&format!(
                "{} on {} is not stopped: {}",
                stopped.member,
                stopped.on,
                status.message()
            )),
        }
    }
}

async fn stop_one(mut agent: LocalServiceClient<Channel>, stopped: &Stopped) -> Result<(), Status> {
    agent.stop(request(stopped)).await?;
    loop {
        let status = v1::LocalStatusRequest {
            member: Some(request(stopped)),
        };
        match agent.status(status).await {
            Err(status) if status.code() == Code::NotFound => return Ok(()),
            Err(status) => return Err(status),
            Ok(response) => {
                let member = response.into_inner().member.unwrap_or_default();
                if is_stopped(&member) {
                    return Ok(());
                }
            }
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn is_stopped(member: &v1::MemberStatus) -> bool {
    member.phase == "Stopped" && member.processes.iter().all(|process| process.pid == 0)
}

/// The members of a host that run, or would, and that nobody holds.
async fn running(host: &str, mut agent: LocalServiceClient<Channel>) -> Vec<v1::MemberStatus> {
    let listed = match agent.list(v1::LocalListRequest {}).await {
        Ok(response) => response.into_inner().members,
        Err(status) => {
            output::warning(&format!(
                "the members of {host} are not known: {}",
                status.message()
            ));
            return Vec::new();
        }
    };
    let mut running = Vec::new();
    for member in listed.into_iter().filter(|member| !is_stopped(member)) {
        let request = v1::LocalStatusRequest {
            member: Some(v1::LocalMemberRequest {
                namespace: member.namespace.clone(),
                member: member.name.clone(),
            }),
        };
        let held = match agent.status(request).await {
            Ok(response) => response.into_inner().held_by_operator,
            Err(_) => false,
        };
        if !held {
            running.push(member);
        }
    }
    running
}

/// Starts the members again that the last run stopped. Those of hosts that are not there this time
/// stay written down.
pub(crate) async fn resume(layout: &Layout, resume: &Resume) {
    let members = resume.read();
    let hosts = layout
        .hosts
        .iter()
        .filter(|host| members.iter().any(|stopped| stopped.on == host.name));
    let agents = connect(hosts).await;
    let mut later = Vec::new();
    for stopped in &members {
        let Some(agent) = agents.get(&stopped.on) else {
            later.push(stopped.clone());
            continue;
        };
        match agent.clone().start(request(stopped)).await {
            Ok(_) => {}
            // It was deleted or moved in the meantime.
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => output::warning(&format!(
                "{} on {} is not started: {}",
                stopped.member,
                stopped.on,
                status.message()
            )),
        }
    }
    if later.is_empty() {
        resume.remove();
    } else if let Err(error) = resume.write(&later) {
        output::warning(&format!("cannot write down what is still stopped: {error}"));
    }
}

fn request(stopped: &Stopped) -> v1::LocalMemberRequest {
    v1::LocalMemberRequest {
        namespace: stopped.namespace.clone(),
        member: stopped.member.clone(),
    }
}

async fn connect(hosts: impl Iterator<Item = &HostLayout>) -> Agents {
    let connected = hosts.map(|host| async move { (host.name.clone(), connect_one(host).await) });
    let connected = join_all(connected).await.into_iter();
    let answering = connected.filter_map(|(name, agent)| {
        if agent.is_none() {
            output::warning(&format!("the agent of {name} does not answer"));
        }
        Some((name, agent?))
    });
    answering.collect()
}

/// Connects to an agent; waits a little for one that is being started again.
async fn connect_one(host: &HostLayout) -> Option<LocalServiceClient<Channel>> {
    let endpoint = host.socket().parse().ok()?;
    let attempts = async {
        loop {
            if let Ok(agent) = client::agent(&endpoint).await {
                return agent;
            }
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(ANSWER_LIMIT, attempts).await.ok()
}
