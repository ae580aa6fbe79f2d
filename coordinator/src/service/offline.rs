//! Taking a member offline, and letting it come back: a mark on its record, which the plan reads.

use berth_core::{
    ids::MemberId,
    state::{Offline, Ordered},
    store::Batch,
    time::Timestamp,
};
use berth_proto::v1::SetOfflineRequest;

use super::{members, sets::refuse_orphaned, status::ServiceError};
use crate::{
    context::Context,
    notes::{self, NORMAL},
    state::{View, records::changes},
};

/// The longest reason that is kept.
const MAX_REASON: usize = 200;

/// Sets or removes the mark; whether it was otherwise before.
pub(super) async fn set(
    context: &Context,
    request: &SetOfflineRequest,
) -> Result<bool, ServiceError> {
    let id = members::id(&request.namespace, &request.member)?;
    if request.reason.chars().count() > MAX_REASON {
        return Err(ServiceError::Refused {
            rule: "REASON_TOO_LONG",
            subject: format!("Member/{}", id.name()),
            message: format!("the reason is too long; write at most {MAX_REASON} characters"),
        });
    }
    let wanted = request.offline.then(|| Offline {
        since: context.clock.now(),
        reason: request.reason.clone(),
    });
    loop {
        let batch = prepare(
            &context.view.read(),
            &id,
            wanted.as_ref(),
            request.confirmed,
            context.clock.now(),
        )?;
        if batch.is_empty() {
            return Ok(false);
        }
        if context.commit(batch).await?.is_some() {
            return Ok(true);
        }
    }
}

fn prepare(
    view: &View,
    id: &MemberId,
    wanted: Option<&Offline>,
    confirmed: bool,
    now: Timestamp,
) -> Result<Batch, ServiceError> {
    let mut batch = Batch::default();
    let missing = || members::not_found(&id.to_string());
    let set = view.state.sets.get(&id.set).ok_or_else(missing)?;
    let known = set.offline.get(&id.ordinal);
    if known.is_none() && !set.is_declared(id.ordinal) {
        return Err(missing());
    }
    let reason = |offline: Option<&Offline>| offline.map(|offline| offline.reason.clone());
    if reason(known) == reason(wanted) {
        return Ok(batch);
    }
    if wanted.is_some() && known.is_none() {
        refuse_orphaned(&id.set, set)?;
        let member = set.members.get(&id.ordinal);
        if !confirmed && member.is_some_and(|member| member.ordered == Ordered::Run) {
            let name = id.name();
            let text = format!("{name} stops, and stays down until 'berth member online {name}'");
            let disruptions = vec![text];
            return Err(ServiceError::Unconfirmed { disruptions });
        }
    }
    let mut after = view.state.clone();
    if let Some(set) = after.sets.get_mut(&id.set) {
        match wanted {
            Some(offline) => set.offline.insert(id.ordinal, offline.clone()),
            None => set.offline.remove(&id.ordinal),
        };
    }
    changes(view, &after, &id.set, &mut batch)?;
    let (what, text) = match wanted {
        Some(offline) if offline.reason.is_empty() => {
            ("Offline", "an operator took it offline".to_owned())
        }
        Some(offline) => (
            "Offline",
            format!("an operator took it offline: {}", offline.reason),
        ),
        None => ("Online", "an operator lets it come back".to_owned()),
    };
    batch.notes.push(notes::member(now, id, NORMAL, what, text));
    Ok(batch)
}
