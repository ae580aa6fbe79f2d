//! Is an agent's loop ever held up? Its members are listed again and again over its own socket, and the
//! longest time without an answer is kept. An answer goes through the loop and every member's task.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use berth_proto::{
    transport::{self, Endpoint},
    v1::{LocalListRequest, MemberStatus, local_service_client::LocalServiceClient},
};
use tokio::task::JoinHandle;

use crate::{cluster::summary, wait};

/// Between an answer and the next question: questions without a pause would be all that an emulated
/// host does.
const PAUSE: Duration = Duration::from_millis(200);
/// How many answers show that it goes on.
const MORE: u32 = 10;

#[derive(Debug)]
struct Seen {
    members: BTreeMap<String, MemberStatus>,
    last: Instant,
    longest: Duration,
    answers: u32,
}

/// Asks an agent without end. Needs no network: the host's cable may be cut.
#[derive(Debug)]
pub struct Pulse {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Pulse {
    /// Begins to ask the agent whose folder this is.
    pub async fn of(home: &Path) -> Self {
        let endpoint = Endpoint::Unix(home.join("agent.sock"));
        let channel = wait::until("the agent to answer", async || {
            transport::connect(&endpoint).await
        });
        let mut client = LocalServiceClient::new(channel.await);
        let seen = Arc::new(Mutex::new(Seen {
            members: BTreeMap::new(),
            last: Instant::now(),
            longest: Duration::ZERO,
            answers: 0,
        }));
        let ours = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(PAUSE).await;
                let Ok(reply) = client.list(LocalListRequest {}).await else {
                    continue;
                };
                let members = reply.into_inner().members.into_iter();
                let mut seen = ours.lock().unwrap();
                seen.members = members.map(|m| (m.name.clone(), m)).collect();
                seen.longest = seen.longest.max(seen.last.elapsed());
                seen.last = Instant::now();
                seen.answers += 1;
            }
        });
        Self { seen, task }
    }

    /// Waits until the host says this of one of its members.
    pub async fn member(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&MemberStatus) -> bool,
    ) -> MemberStatus {
        wait::until(&format!("{name} on its host: {what}"), async || {
            let seen = self.seen.lock().unwrap();
            match seen.members.get(name) {
                Some(member) if holds(member) => Ok(member.clone()),
                Some(member) => Err(summary(member)),
                None => Err("it is not there".to_owned()),
            }
        })
        .await
    }

    /// Waits until the host shows this reason for one of its members.
    pub async fn reason(&self, name: &str, rules: &[&str]) -> MemberStatus {
        let shown = |m: &MemberStatus| {
            let waiting = m.waiting.as_ref();
            waiting.is_some_and(|waiting| rules.contains(&waiting.rule.as_str()))
        };
        self.member(name, &format!("{rules:?}"), shown).await
    }

    /// Waits until a member is ready.
    pub async fn ready(&self, name: &str) -> MemberStatus {
        self.member(name, "ready", |m| m.ready).await
    }

    /// What the host says now.
    ///
    /// # Panics
    /// If it has no such member.
    pub fn now(&self, name: &str) -> MemberStatus {
        let seen = self.seen.lock().unwrap();
        seen.members
            .get(name)
            .expect("a member of the host")
            .clone()
    }

    /// Waits for more answers: asked while something hangs, and for as long as it does, it says that
    /// the loop is not held up by it.
    pub async fn goes_on(&self) {
        let enough = self.longest_gap().1 + MORE;
        wait::until("the agent to go on answering", async || {
            let (gap, answers) = self.longest_gap();
            if answers >= enough { Ok(()) } else { Err(gap) }
        })
        .await;
    }

    /// The longest time without an answer so far, and the number of answers.
    pub fn longest_gap(&self) -> (Duration, u32) {
        let seen = self.seen.lock().unwrap();
        (seen.longest.max(seen.last.elapsed()), seen.answers)
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}
