//! Work on volumes to the agents: what follows from the state and was not sent on this stream, or
//! failed some time ago. A stream that is lost forgets what it was sent, so the next one gets it
//! again.

use std::{collections::BTreeSet, time::Duration};

use berth_core::{ids::HostName, time::Timestamp, volume::work::VolumeWork};
use berth_proto::{
    convert::work::Numbered,
    v1::{self, coordinator_message::Message},
};

use super::orders::synced;
use crate::{
    context::Context,
    sessions::{Link, SentWork},
    volume_work,
};

/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// Sends what is due; when the next retry is.
pub(super) fn push(context: &Context) -> Option<Timestamp> {
    let now = context.clock.now();
    let links = context.sessions.links();
    let mut wake = None;
    for (host, link) in synced(&links) {
        let all = {
            let view = context.view.read();
            let contact = view
                .state
                .hosts
                .get(host)
                .map(|host| host.contact.connected);
            if contact != Some(true) {
                continue;
            }
            volume_work::of_host(&view, host)
        };
        if all.is_empty() && link.work.is_empty() {
            continue;
        }
        let retries = all.iter().filter_map(|work| retry_at(link, work));
        wake = wake.into_iter().chain(retries.filter(|at| *at > now)).min();
        send(context, (host, link), all, now);
    }
    wake
}

/// When a work that failed is tried again.
fn retry_at(link: &Link, work: &Numbered<VolumeWork>) -> Option<Timestamp> {
    let sent = link.work.get(&work.of.volume)?;
    let failed = sent.failed_at.filter(|_| sent.id == work.id)?;
    Some(failed.plus(RETRY))
}

/// Whether a work is to be sent now.
fn is_due(link: &Link, work: &Numbered<VolumeWork>, now: Timestamp) -> bool {
    let sent = link.work.get(&work.of.volume);
    let under_way = sent.is_some_and(|sent| sent.id == work.id);
    !under_way || retry_at(link, work).is_some_and(|at| at <= now)
}

fn send(
    context: &Context,
    (host, link): (&HostName, &Link),
    all: Vec<Numbered<VolumeWork>>,
    now: Timestamp,
) {
    let wanted: BTreeSet<_> = all.iter().map(|work| work.of.volume.clone()).collect();
    let due: Vec<_> = all
        .into_iter()
        .filter(|work| is_due(link, work, now))
        .collect();
    let mut messages = Vec::new();
    let mut sent = Vec::new();
    for work in due {
        let (id, volume) = (work.id, work.of.volume.clone());
        match v1::VolumeWork::try_from(work) {
            Ok(message) => {
                messages.push(Message::VolumeWork(message));
                sent.push((id, volume));
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(%host, error, "a work on a volume cannot be written");
            }
        }
    }
    context
        .sessions
        .update(host, link.stream, messages, |link| {
            link.work.retain(|volume, _| wanted.contains(volume));
            for (id, volume) in sent {
                let entry = link.work.entry(volume).or_default();
                // What it failed with last stays: the same again is no news.
                *entry = SentWork {
                    id,
                    failed_at: None,
                    error: std::mem::take(&mut entry.error),
                };
            }
        });
}
