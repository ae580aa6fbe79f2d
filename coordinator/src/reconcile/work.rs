//! Work on volumes to the agents: what follows from the state and was not sent on this stream, or
//! failed some time ago, on whichever host. A stream that is lost forgets what it was sent, so the
//! next one gets it again.

use std::collections::{BTreeMap, BTreeSet};

use berth_core::{
    ids::{HostName, MemberId},
    plan::Report,
    time::Timestamp,
    volume::work::VolumeWork,
    waiting::Reason,
};
use berth_proto::{
    convert::work::Numbered,
    v1::{self, coordinator_message::Message},
};

use super::orders::synced;
use crate::{
    context::{Board, Context},
    sessions::{Failures, Link, Progress},
    volume_work,
};

/// Sends what is due; when the next retry is.
pub(super) fn push(context: &Context) -> Option<Timestamp> {
    let now = context.clock.now();
    // In this order: what fails in between is seen as under way or as failed, never as neither.
    let links = context.sessions.links();
    let failures = context.sessions.work_failures();
    let (mut all, hosts) = {
        let view = context.view.read();
        let all = volume_work::by_host(&view, &failures.hosts());
        (all, view.state.hosts.clone())
    };
    let connected = |name| hosts.get(name).is_some_and(|host| host.contact.connected);
    let open = all.values().flatten().map(|work| work.of.volume.clone());
    context.sessions.keep_failures(&open.collect());
    let mut wake = None;
    for (host, link) in synced(&links) {
        let all = all.remove(host).unwrap_or_default();
        if all.is_empty() && link.work.is_empty() || !connected(host) {
            continue;
        }
        let retries = all
            .iter()
            .filter_map(|work| retry_at(&failures, (host, link), work));
        wake = wake.into_iter().chain(retries.filter(|at| *at > now)).min();
        send(context, &failures, (host, link), all, now);
    }
    wake
}

/// Says on a board how far the data of members is that move, whether the round was about them or not.
pub(super) fn tell_progress(context: &Context, board: &mut Board) {
    let mut sums: BTreeMap<MemberId, Progress> = BTreeMap::new();
    for (member, one) in context.sessions.transfers() {
        let sum = sums.entry(member).or_default();
        sum.copied = sum.copied.saturating_add(one.copied);
        sum.total = sum.total.saturating_add(one.total);
    }
    for (member, progress) in sums {
        if let Some(waiting) = board.waiting.get_mut(&member)
            && let Reason::MemberMoving(moving) = &mut waiting.reason
        {
            (moving.copied, moving.total) = (progress.copied, progress.total);
        }
    }
}

/// Says of volumes that are to grow, and of data that is to be copied, what their hosts failed with.
pub(super) fn explain(context: &Context, report: &mut Report) {
    let failures = context.sessions.work_failures();
    let view = context.view.read();
    for (claim, reason) in &mut report.claims {
        let claim = view.state.claims.get(claim);
        let volume = claim.and_then(|claim| claim.volume.as_ref());
        if let (Some(volume), Reason::VolumeGrowing(growth)) = (volume, reason)
            && let Some((host, failed)) = failures.last(volume)
        {
            growth.error = Some(format!("{host}: {failed}"));
        }
    }
    for (member, reason) in &mut report.waiting {
        let set = view.state.sets.get(&member.set);
        if let Reason::MemberMoving(moving) = reason
            && let Some(copying) =
                set.and_then(|set| set.moves.get(&member.ordinal)?.copying.as_ref())
        {
            let mut last = copying
                .volumes
                .values()
                .filter_map(|name| failures.last(name));
            let error = last.next();
            moving.error = error.map(|(host, failed)| format!("{host}: {failed}"));
        }
    }
}

/// When a work that failed is tried again.
fn retry_at(
    failures: &Failures,
    (host, link): (&HostName, &Link),
    work: &Numbered<VolumeWork>,
) -> Option<Timestamp> {
    failures.retry_at(&work.of.volume, work.id, (host, link.stream))
}

/// Whether a work is to be sent now.
fn is_due(
    failures: &Failures,
    (host, link): (&HostName, &Link),
    work: &Numbered<VolumeWork>,
    now: Timestamp,
) -> bool {
    let under_way = link.work.get(&work.of.volume) == Some(&work.id);
    !under_way && retry_at(failures, (host, link), work).is_none_or(|at| at <= now)
}

fn send(
    context: &Context,
    failures: &Failures,
    (host, link): (&HostName, &Link),
    all: Vec<Numbered<VolumeWork>>,
    now: Timestamp,
) {
    let wanted: BTreeSet<_> = all.iter().map(|work| work.of.volume.clone()).collect();
    let due: Vec<_> = all
        .into_iter()
        .filter(|work| is_due(failures, (host, link), work, now))
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
                link.work.insert(volume, id);
            }
        });
}
