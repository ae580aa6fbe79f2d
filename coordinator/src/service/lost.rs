//! Words of operators about hosts and members that are lost; what they mean is decided in [`lost`].
//! Each needs a name typed, because no other proof stands behind it.

use std::collections::BTreeSet;

use berth_core::{
    access::Revocation,
    ids::{HostName, ObjectKey},
    state::{
        State,
        lost::{self, NotLost, left_on},
    },
    store::{Batch, RecordKind},
};
use berth_proto::v1::{ConfirmHostDeadResponse, ForceMemberRequest, RemoveHostResponse};

use super::{members, status::ServiceError};
use crate::{
    context::Context,
    notes::{self, NORMAL, WARNING},
    state::{
        View,
        claims::write_as_known,
        keys::host_key,
        records::{changes, claim_changes, history_changes},
    },
    store::RecordError,
};

/// Says that a host is dead.
pub(super) async fn confirm_dead(
    context: &Context,
    host: &HostName,
    typed: &str,
) -> Result<ConfirmHostDeadResponse, ServiceError> {
    loop {
        let now = context.clock.now();
        let (batch, members) = {
            let view = context.view.read();
            not_there(context, host)?;
            let after = lost::confirm_dead(&view.state, host, now).map_err(refused)?;
            let what = format!("that {host} is dead and never comes back as it was");
            confirmed(&format!("Host/{host}"), (host.as_str(), typed), &what)?;
            let index = view.state.index();
            let members: Vec<String> = index.on_host.of(host).map(ToString::to_string).collect();
            let mut batch = dead(&view, &after, host)?;
            if !batch.puts.is_empty() {
                let text = "an operator confirmed it dead; its members are placed anew".to_owned();
                let note = notes::host(now, host, WARNING, "ConfirmedDead", text);
                batch.notes.push(note);
            }
            (batch, members)
        };
        let changed = !batch.puts.is_empty();
        if !changed || context.commit(batch).await?.is_some() {
            return Ok(ConfirmHostDeadResponse { changed, members });
        }
    }
}

fn dead(view: &View, after: &State, host: &HostName) -> Result<Batch, ServiceError> {
    let mut batch = Batch::default();
    history_changes(view, after, &mut batch)?;
    let before = view.state.hosts.get(host).map(|host| &host.record);
    if let Some(known) = after.hosts.get(host).filter(|h| before != Some(&h.record)) {
        let key = host_key(RecordKind::Host, host).map_err(RecordError::from)?;
        write_as_known(view, key, &known.record, &mut batch)?;
    }
    Ok(batch)
}

/// Has a member placed anew although nothing proves it gone; the revision of the request.
pub(super) async fn force(
    context: &Context,
    request: ForceMemberRequest,
) -> Result<u64, ServiceError> {
    let id = members::id(&request.namespace, &request.member)?;
    let subject = format!("Member/{}", id.name());
    loop {
        let now = context.clock.now();
        let batch = {
            let view = context.view.read();
            let set = view.state.sets.get(&id.set);
            if let Some(member) = set.and_then(|set| set.members.get(&id.ordinal)) {
                not_there(context, &member.host)?;
            }
            let after = lost::force(&view.state, &id, now).map_err(refused)?;
            let what = format!("that {id} does not run; nothing proves it");
            confirmed(&subject, (&id.to_string(), &request.typed_name), &what)?;
            let mut batch = Batch::default();
            changes(&view, &after, &id.set, &mut batch)?;
            if !batch.puts.is_empty() {
                let text = "an operator answers for it that it does not run".to_owned();
                batch
                    .notes
                    .push(notes::member(now, &id, WARNING, "Forced", text));
            }
            batch
        };
        if let Some(revision) = context.commit(batch).await? {
            return Ok(revision);
        }
    }
}

/// Forgets a host. What was recorded as sent to it stays, to hold its agent's hello against.
pub(super) async fn remove(
    context: &Context,
    host: &HostName,
    typed: &str,
) -> Result<RemoveHostResponse, ServiceError> {
    loop {
        let now = context.clock.now();
        let (batch, volumes) = {
            let view = context.view.read();
            let after = lost::remove_host(&view.state, host).map_err(refused)?;
            let volumes = left_on(&view.state, host);
            let forgotten = forgotten(host, &volumes);
            let what = format!("that {forgotten}");
            confirmed(&format!("Host/{host}"), (host.as_str(), typed), &what)?;
            let mut batch = Batch::default();
            let gone = volumes.iter().cloned().collect();
            claim_changes(&view, &after, &BTreeSet::new(), gone, &mut batch)?;
            let key = host_key(RecordKind::Host, host).map_err(RecordError::from)?;
            batch.preconditions.insert(key.clone(), view.as_known(&key));
            batch.deletes.insert(key);
            // Whoever has its certificate is not that host any more.
            let revoked = host_key(RecordKind::Revocation, host).map_err(RecordError::from)?;
            write_as_known(&view, revoked, &Revocation { until: now }, &mut batch)?;
            batch
                .notes
                .push(notes::host(now, host, NORMAL, "HostRemoved", forgotten));
            let volumes = volumes.iter().map(|name| name.name.to_string()).collect();
            (batch, volumes)
        };
        if context.commit(batch).await?.is_some() {
            context.sessions.revoke(host, "this host was removed");
            return Ok(RemoveHostResponse { volumes });
        }
    }
}

fn forgotten(host: &HostName, volumes: &[ObjectKey]) -> String {
    let volumes: Vec<&str> = volumes.iter().map(|volume| volume.name.as_str()).collect();
    if volumes.is_empty() {
        return format!("{host} is forgotten");
    }
    format!(
        "{host} is forgotten, and with it the volumes of no claim there, whose data stays where it is: {}",
        volumes.join(", ")
    )
}

/// Whether an agent has a stream and is about to say what its host has: then it is not lost.
fn not_there(context: &Context, host: &HostName) -> Result<(), ServiceError> {
    if context.sessions.has_stream(host) {
        let host = host.clone();
        return Err(refused(NotLost::InContact { host }));
    }
    Ok(())
}

fn confirmed(subject: &str, (name, typed): (&str, &str), what: &str) -> Result<(), ServiceError> {
    if typed == name {
        return Ok(());
    }
    Err(ServiceError::Refused {
        rule: "CONFIRMATION",
        subject: subject.to_owned(),
        message: format!("saying {what} needs the name typed; give '{name}'"),
    })
}

fn refused(why: NotLost) -> ServiceError {
    let (rule, subject) = match &why {
        NotLost::NoHost(host) => {
            let what = format!("host {host}");
            return ServiceError::NotFound { what };
        }
        NotLost::NoMember(id) => ("UNASSIGNED", format!("Member/{}", id.name())),
        NotLost::InContact { host } => ("IN_CONTACT", format!("Host/{host}")),
        NotLost::Mismatched { host } => ("MISMATCHED", format!("Host/{host}")),
        NotLost::NeverOrdered { member, .. } => {
            ("NEVER_ORDERED", format!("Member/{}", member.name()))
        }
        NotLost::Orphaned { member } => ("ORPHANED", format!("Member/{}", member.name())),
        NotLost::HasMembers { host, .. } => ("HAS_MEMBERS", format!("Host/{host}")),
        NotLost::HasData { host, .. } => ("HAS_DATA", format!("Host/{host}")),
    };
    ServiceError::Refused {
        rule,
        subject,
        message: why.to_string(),
    }
}
