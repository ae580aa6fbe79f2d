//! Restarting a member: a request on its record. The plan stops it when the budget allows, proves it
//! gone and assigns it anew; here it is only said whether that can come to anything.

use berth_core::{
    ids::MemberId,
    state::{Member, Ordered, Set, State},
    store::Batch,
    time::Timestamp,
};
use berth_proto::v1::RestartMemberRequest;

use super::{members, sets::refuse_orphaned, status::ServiceError};
use crate::{
    context::Context,
    notes::{self, NORMAL},
    state::{View, records::changes},
};

/// Asks for a restart; the revision of the request.
pub(super) async fn restart(
    context: &Context,
    request: RestartMemberRequest,
) -> Result<u64, ServiceError> {
    let id = members::id(&request.namespace, &request.member)?;
    loop {
        let batch = prepare(
            &context.view.read(),
            &id,
            request.confirmed,
            context.clock.now(),
        )?;
        if let Some(revision) = context.commit(batch).await? {
            return Ok(revision);
        }
    }
}

fn prepare(
    view: &View,
    id: &MemberId,
    confirmed: bool,
    now: Timestamp,
) -> Result<Batch, ServiceError> {
    let (set, member) = runs(&view.state, id)?;
    let mut batch = Batch::default();
    if member.restart_asked.is_some() {
        return Ok(batch);
    }
    if !confirmed {
        let disruptions = vec![disruption(&view.state, set, id, member)];
        return Err(ServiceError::Unconfirmed { disruptions });
    }
    let mut after = view.state.clone();
    let set = after.sets.get_mut(&id.set);
    if let Some(member) = set.and_then(|set| set.members.get_mut(&id.ordinal)) {
        member.restart_asked = Some(now);
    }
    changes(view, &after, &id.set, &mut batch)?;
    let text = "its restart was asked for".to_owned();
    let note = notes::member(now, id, NORMAL, "RestartAsked", text);
    batch.notes.push(note);
    Ok(batch)
}

/// The member, if it was ordered to run and can be stopped.
fn runs<'a>(state: &'a State, id: &MemberId) -> Result<(&'a Set, &'a Member), ServiceError> {
    let missing = || members::not_found(&id.to_string());
    let set = state.sets.get(&id.set).ok_or_else(missing)?;
    let refuse = |rule, message: String| ServiceError::Refused {
        rule,
        subject: format!("Member/{}", id.name()),
        message,
    };
    refuse_orphaned(&id.set, set)?;
    let Some(member) = set.members.get(&id.ordinal) else {
        if !set.is_declared(id.ordinal) {
            return Err(missing());
        }
        let message = format!("{id} has no host yet; 'berth status' says why");
        return Err(refuse("UNASSIGNED", message));
    };
    let host = &member.host;
    if set.is_offline(id.ordinal) {
        let name = id.name();
        let message = format!("{id} is offline; 'berth member online {name}' brings it back");
        return Err(refuse("OFFLINE", message));
    }
    let message = match member.ordered {
        Ordered::Nothing => format!("{id} has not been started yet; 'berth status' says why"),
        Ordered::Stop => format!("{id} is being stopped already"),
        Ordered::Run if !set.is_declared(id.ordinal) => format!("{id} is about to be stopped"),
        Ordered::Run => {
            let there = state.hosts.get(host);
            if there.is_some_and(|host| host.contact.connected) {
                return Ok((set, member));
            }
            let message = format!(
                "{host} is out of contact: what runs there can neither be stopped nor proven \
                 gone; try again when its agent is back"
            );
            return Err(refuse("HOST_UNKNOWN", message));
        }
    };
    Err(refuse("NOT_RUNNING", message))
}

/// What a restart stops, and where the member will be then.
fn disruption(state: &State, set: &Set, id: &MemberId, member: &Member) -> String {
    let host = &member.host;
    let mut templates = set.spec.volume_claim_templates.iter();
    let has_data = templates.any(|template| {
        let claim = id.claim(&template.metadata.name).ok();
        let claim = claim.and_then(|key| state.claims.get(&key));
        claim.is_some_and(|claim| state.host_of(claim) == Some(host))
    });
    let cordoned = state
        .hosts
        .get(host)
        .is_some_and(|host| host.record.unschedulable);
    let place = match (cordoned, has_data) {
        (_, true) => format!("and starts again on {host}, where its data is"),
        (false, false) => format!("and starts again, on {host} if it still fits"),
        (true, false) => format!("and starts again on another host: {host} is cordoned"),
    };
    format!("{} stops {place}", id.name())
}
