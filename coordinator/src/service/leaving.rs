//! Giving data up, of a member or of a whole set: a mark on its records. The plan stops who runs on
//! it, proves that nobody does, deletes the claims and starts on fresh ones; what may be asked for is
//! decided in [`leaving`].

use std::collections::BTreeSet;

use berth_core::{
    ids::{ClaimKey, SetKey},
    spec::Kind,
    state::{
        State,
        leaving::{self, NotLeaving},
    },
    store::{Batch, Note},
    time::Timestamp,
};
use berth_proto::v1::{RefoundRequest, ReplaceMemberRequest};

use super::{members, sets, status::ServiceError};
use crate::{
    context::Context,
    notes::{self, NORMAL},
    state::{
        View,
        records::{changes, claim_changes},
    },
};

/// Has a member begin anew on fresh volumes; the revision of the request.
pub(super) async fn replace(
    context: &Context,
    request: ReplaceMemberRequest,
) -> Result<u64, ServiceError> {
    let id = members::id(&request.namespace, &request.member)?;
    let about = About {
        set: &id.set,
        subject: format!("Member/{}", id.name()),
        name: &request.member,
        typed: &request.typed_name,
    };
    let note = |now| {
        let text = "it is to begin anew on fresh volumes; its data goes to the trash".to_owned();
        notes::member(now, &id, NORMAL, "ReplaceAsked", text)
    };
    let decide = |state: &State, now| leaving::replace(state, &id, now);
    give_up(context, &about, decide, note).await
}

/// Has a set begin anew; the revision of the request.
pub(super) async fn refound(
    context: &Context,
    request: RefoundRequest,
) -> Result<u64, ServiceError> {
    let key = sets::key(&request.namespace, &request.name)?;
    let about = About {
        set: &key,
        subject: format!("{}/{}", Kind::StatefulSet, key.name),
        name: &request.name,
        typed: &request.typed_name,
    };
    let note = |now| {
        let text = "it is to be founded anew; all its data goes to the trash".to_owned();
        notes::object(now, Kind::StatefulSet, &key, NORMAL, "RefoundAsked", text)
    };
    let decide = |state: &State, now| leaving::refound(state, &key, now);
    give_up(context, &about, decide, note).await
}

/// What is given up, and what was typed to confirm it.
struct About<'a> {
    set: &'a SetKey,
    subject: String,
    name: &'a str,
    typed: &'a str,
}

async fn give_up(
    context: &Context,
    about: &About<'_>,
    decide: impl Fn(&State, Timestamp) -> Result<State, NotLeaving>,
    note: impl Fn(Timestamp) -> Note,
) -> Result<u64, ServiceError> {
    loop {
        let batch = {
            let view = context.view.read();
            let now = context.clock.now();
            let after = decide(&view.state, now).map_err(|why| refused(about, &why))?;
            confirmed(about)?;
            let mut batch = written(&view, &after, about.set)?;
            if !batch.is_empty() {
                batch.notes.push(note(now));
            }
            batch
        };
        if let Some(revision) = context.commit(batch).await? {
            return Ok(revision);
        }
    }
}

fn confirmed(about: &About<'_>) -> Result<(), ServiceError> {
    let full = format!("{}/{}", about.set.namespace, about.name);
    if about.typed == about.name || about.typed == full {
        return Ok(());
    }
    Err(ServiceError::Refused {
        rule: "CONFIRMATION",
        subject: about.subject.clone(),
        message: format!(
            "giving up the data of {} needs its name typed; give '{0}'",
            about.name
        ),
    })
}

fn refused(about: &About<'_>, why: &NotLeaving) -> ServiceError {
    let rule = match why {
        NotLeaving::NoMember(id) => return members::not_found(&id.to_string()),
        NotLeaving::NoSet(key) => return sets::not_found(key),
        NotLeaving::Deleting(_) => "DELETING",
        NotLeaving::Orphaned(_) => "ORPHANED",
        NotLeaving::HostUnknown { .. } => "HOST_UNKNOWN",
        NotLeaving::NoData(_) => "NO_DATA",
    };
    ServiceError::Refused {
        rule,
        subject: about.subject.clone(),
        message: why.to_string(),
    }
}

/// The difference of a set and its claims between two states.
fn written(view: &View, after: &State, set: &SetKey) -> Result<Batch, ServiceError> {
    let mut batch = Batch::default();
    if *after == view.state {
        return Ok(batch);
    }
    changes(view, after, set, &mut batch)?;
    let claims = view.state.claims_of(set);
    let claims: BTreeSet<ClaimKey> = claims.map(|(key, _)| key.clone()).collect();
    claim_changes(view, after, &claims, BTreeSet::new(), &mut batch)?;
    Ok(batch)
}
