//! Setting a condition of a member, for its readiness gates: a note on its record, which ends with
//! the grant. The plan sees to what follows.

use berth_core::{
    ids::MemberId,
    manifest::Violation,
    spec::validate::condition_type,
    state::{Member, MemberCondition, Set},
    store::Batch,
    time::Timestamp,
};
use berth_proto::{convert::status::millis, v1};

use super::{members, status::ServiceError};
use crate::{
    context::Context,
    notes::{self, NORMAL},
    state::{View, records::changes},
};

/// The longest reason that is kept, in bytes.
const MAX_MESSAGE: usize = 1024;

/// Sets a condition; the revision of the change, or the current one if nothing changes.
pub(super) async fn set(
    context: &Context,
    request: v1::SetMemberConditionRequest,
) -> Result<u64, ServiceError> {
    let id = members::id(&request.namespace, &request.member)?;
    check(&request)?;
    loop {
        let batch = prepare(&context.view.read(), &id, &request, context.clock.now())?;
        if let Some(revision) = context.commit(batch).await? {
            return Ok(revision);
        }
    }
}

fn check(request: &v1::SetMemberConditionRequest) -> Result<(), ServiceError> {
    let invalid = |field: &str, message: String| {
        ServiceError::Invalid(vec![Violation {
            file: None,
            line: None,
            column: None,
            object: Some(format!("Member/{}", request.member)),
            field: field.to_owned(),
            message,
        }])
    };
    condition_type(&request.r#type).map_err(|message| invalid("type", message))?;
    if request.message.len() > MAX_MESSAGE {
        let message = format!("the reason has more than {MAX_MESSAGE} bytes; shorten it");
        return Err(invalid("message", message));
    }
    Ok(())
}

fn prepare(
    view: &View,
    id: &MemberId,
    request: &v1::SetMemberConditionRequest,
    now: Timestamp,
) -> Result<Batch, ServiceError> {
    let missing = || members::not_found(&id.to_string());
    let set = view.state.sets.get(&id.set).ok_or_else(missing)?;
    let Some(member) = set.members.get(&id.ordinal) else {
        if !set.is_declared(id.ordinal) {
            return Err(missing());
        }
        return Err(ServiceError::Refused {
            rule: "UNASSIGNED",
            subject: format!("Member/{}", id.name()),
            message: format!(
                "{id} has no host yet, and a condition belongs to its epoch; 'berth status' says \
                 why it waits"
            ),
        });
    };
    let mut batch = Batch::default();
    let known = member.conditions.get(&request.r#type);
    let same = known.filter(|known| known.status == request.status);
    if same.is_some_and(|known| known.message == request.message) {
        return Ok(batch);
    }
    let condition = MemberCondition {
        status: request.status,
        message: request.message.clone(),
        since: same.map_or(now, |known| known.since),
    };
    let mut after = view.state.clone();
    let set = after.sets.get_mut(&id.set);
    if let Some(member) = set.and_then(|set| set.members.get_mut(&id.ordinal)) {
        member.conditions.insert(request.r#type.clone(), condition);
    }
    changes(view, &after, &id.set, &mut batch)?;
    let status = if request.status { "true" } else { "false" };
    let text = format!("{} is {status}: {}", request.r#type, request.message);
    let text = text.trim_end_matches([':', ' ']).to_owned();
    batch
        .notes
        .push(notes::member(now, id, NORMAL, "Condition", text));
    Ok(batch)
}

/// The conditions of a member for the wire: those that its gates wait for first.
pub(super) fn shown(set: &Set, member: &Member) -> Vec<v1::MemberCondition> {
    let template = set.template_of(&member.revision);
    let gates = template.into_iter().flat_map(|t| &t.spec.readiness_gates);
    let gates: Vec<&String> = gates.map(|gate| &gate.condition_type).collect();
    let others = member
        .conditions
        .keys()
        .filter(|name| !gates.contains(name));
    let all = gates.iter().copied().chain(others);
    all.map(|name| {
        let known = member.conditions.get(name);
        v1::MemberCondition {
            r#type: name.clone(),
            status: known.is_some_and(|known| known.status),
            message: known.map(|known| known.message.clone()).unwrap_or_default(),
            since_ms: millis(known.map(|known| known.since)),
            gate: gates.contains(&name),
            known: known.is_some(),
        }
    })
    .collect()
}
