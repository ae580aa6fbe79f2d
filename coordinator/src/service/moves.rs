//! Moving a member to another host, and giving that up: a mark on its record, which the plan reads. What
//! may be asked for is decided in [`moving`].

use berth_core::{
    ids::{HostName, MemberId},
    plan::moves::target,
    state::{
        Ordered, State,
        moving::{self, NotMoving},
    },
    store::Batch,
    time::Timestamp,
    waiting::Reason,
};
use berth_proto::v1::{CancelMoveRequest, MoveMemberRequest};

use super::{members, status::ServiceError};
use crate::{
    context::Context,
    moving::give_up,
    notes::{self, NORMAL},
    state::{View, records::changes},
};

/// Asks for a move; the revision of the request.
pub(super) async fn ask(
    context: &Context,
    request: MoveMemberRequest,
) -> Result<u64, ServiceError> {
    let id = members::id(&request.namespace, &request.member)?;
    let to = (!request.host.is_empty()).then(|| request.host.parse::<HostName>());
    let to = to.transpose().map_err(|_| ServiceError::NotFound {
        what: format!("host {}", request.host),
    })?;
    loop {
        let now = context.clock.now();
        let batch = asked(
            &context.view.read(),
            &id,
            to.as_ref(),
            request.confirmed,
            now,
        )?;
        if let Some(revision) = context.commit(batch).await? {
            return Ok(revision);
        }
    }
}

/// Gives a move up because an operator says so; the revision of the request.
pub(super) async fn cancel(
    context: &Context,
    request: CancelMoveRequest,
) -> Result<u64, ServiceError> {
    let id = members::id(&request.namespace, &request.member)?;
    loop {
        let now = context.clock.now();
        let why = "an operator gave the move up";
        let batch = give_up(&context.view.read(), &id, why, now)?;
        let batch = batch.map_err(|why| refused(&id, &why))?;
        if let Some(revision) = context.commit(batch).await? {
            return Ok(revision);
        }
    }
}

fn asked(
    view: &View,
    id: &MemberId,
    to: Option<&HostName>,
    confirmed: bool,
    now: Timestamp,
) -> Result<Batch, ServiceError> {
    let after = moving::ask(&view.state, id, to, now).map_err(|why| refused(id, &why))?;
    let host = target(&after, id, now).map_err(|why| nowhere(id, &why))?;
    let runs = view.state.sets.get(&id.set).is_some_and(|set| {
        let member = set.members.get(&id.ordinal);
        member.is_some_and(|member| member.ordered == Ordered::Run)
    });
    if runs && !confirmed {
        let disruptions = vec![disruption(&after, id, &host)];
        return Err(ServiceError::Unconfirmed { disruptions });
    }
    let mut batch = Batch::default();
    changes(view, &after, &id.set, &mut batch)?;
    let text = format!("an operator wants it on {host}");
    let text = to.map_or_else(
        || "an operator wants it on another host".to_owned(),
        |_| text,
    );
    let note = notes::member(now, id, NORMAL, "MoveAsked", text);
    batch.notes.push(note);
    Ok(batch)
}

/// What a move stops, and for how long.
fn disruption(after: &State, id: &MemberId, host: &HostName) -> String {
    let name = id.name();
    let set = after.sets.get(&id.set);
    let from = set.and_then(|set| set.moves.get(&id.ordinal));
    let local = from.is_some_and(|asked| !after.local_claims(id, &asked.from).is_empty());
    if local {
        format!(
            "{name} stops, stays down while its data is copied to {host}, and starts again there"
        )
    } else {
        format!("{name} stops and starts again on {host}, or another host that fits by then")
    }
}

fn refusal(id: &MemberId, rule: &'static str, message: String) -> ServiceError {
    ServiceError::Refused {
        rule,
        subject: format!("Member/{}", id.name()),
        message,
    }
}

/// No host takes it, or not the one that was named.
fn nowhere(id: &MemberId, why: &Reason) -> ServiceError {
    refusal(id, "NOWHERE", format!("{id} cannot be moved there: {why}"))
}

fn refused(id: &MemberId, why: &NotMoving) -> ServiceError {
    let rule = match why {
        NotMoving::NoMember(id) => return members::not_found(&id.to_string()),
        NotMoving::NoHost(host) => {
            return ServiceError::NotFound {
                what: format!("host {host}"),
            };
        }
        NotMoving::Deleting(_) => "DELETING",
        NotMoving::Orphaned(_) => "ORPHANED",
        NotMoving::OwnHost(_) => "OWN_HOST",
        NotMoving::Unassigned(_) => "UNASSIGNED",
        NotMoving::Founds(_) => "FOUNDING",
        NotMoving::There { .. } => "SAME_HOST",
        NotMoving::Moving { .. } => "MOVING",
        NotMoving::NotMoving(_) => "NOT_MOVING",
        NotMoving::Moved(_) => "MOVED",
        NotMoving::HostUnknown { .. } => "HOST_UNKNOWN",
        NotMoving::Pinned { .. } => "PINNED",
        NotMoving::NotUsable(_) => "VOLUME_NOT_USABLE",
    };
    refusal(id, rule, why.to_string())
}
