//! The first message of a stream: who it is, whether what its agent has is what the store recorded
//! as sent, and the host's record.
//!
//! A hello is judged on one view, and what follows from it is one commit under the condition that
//! nothing it was judged by has changed: who has the name, what was sent, which history is in force.

use std::collections::BTreeSet;

use berth_core::{
    access::{AccessError, Caller},
    history::{Mismatched, answered, forgot, take_in},
    ids::{HistoryId, HostName, SetKey},
    network::{AddressRefusal, check_address},
    order::OrderHead,
    session::{Base, Mismatch, check_machine, match_hello},
    state::{HostRecord, State, lost::returned},
    store::{Batch, RecordKind},
};
use berth_proto::convert::{ConvertError, hello::Hello};
use thiserror::Error;

use super::{
    Opener,
    host::{self, Changed, HostError},
};
use crate::{
    context::Context,
    notes::{self, NORMAL, WARNING},
    state::{
        View,
        keys::{host_key, zone_key},
        records::{OrderRecord, changes, claim_changes, history_changes, put},
    },
    store::{RecordError, StoreError},
};

/// Sets of which a host that is taken in may change members in one commit.
const SETS: usize = 10;

/// Why a stream is not accepted.
#[derive(Debug, Error)]
pub enum HelloError {
    /// The first message was none, or did not come.
    #[error("the stream did not begin with a hello; install the same release on both ends")]
    None,
    /// It cannot be read.
    #[error(transparent)]
    Form(#[from] ConvertError),
    /// The name is in use by another machine, or by another boot of what says to be the same.
    #[error(
        "the name {host} is in use by {taken}, which is connected; give this machine ({ours}) \
         another name and an empty dataDir if it is a copy, or stop the other agent"
    )]
    NameTaken {
        /// The name.
        host: HostName,
        /// Who is connected.
        taken: String,
        /// Who is refused.
        ours: String,
    },
    /// A host speaks for itself only.
    #[error(
        "the certificate is of another host than {said}, which the agent says to be; correct 'host' in \
         its configuration, or join it as {said}"
    )]
    OtherHost {
        /// Who the agent says to be.
        said: HostName,
    },
    /// It says to have an address that is not its own.
    #[error(transparent)]
    Address(#[from] AddressRefusal),
    /// Its certificate is not taken any more.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// What the agent has is not what was sent.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The history of the store changed since the hello.
    #[error("the history of the store was changed by an operator; connect again")]
    Overtaken,
    /// The host cannot be recorded.
    #[error(transparent)]
    Record(#[from] HostError),
}

impl From<RecordError> for HelloError {
    fn from(error: RecordError) -> Self {
        Self::Record(error.into())
    }
}

impl From<StoreError> for HelloError {
    fn from(error: StoreError) -> Self {
        Self::Record(error.into())
    }
}

/// What comes of a hello once its batch is committed.
enum Verdict {
    /// Its first order is sent as this.
    Accepted(Base),
    /// Part of what the host has was taken in; the rest is to follow.
    More,
    Refused(Mismatch),
}

/// Judges a hello and makes durable what follows from it. What comes back is what the agent's first
/// order is sent as.
pub(super) async fn accept(
    context: &Context,
    opener: &Opener,
    hello: &Hello,
) -> Result<Base, HelloError> {
    let host = &hello.host.name;
    if let Some(error) = context.sessions.taken(hello) {
        warn(context, hello, "HostNameTaken", &error);
        return Err(error);
    }
    loop {
        let (batch, verdict) = judge(context, opener, hello)?;
        let news = !batch.puts.is_empty();
        if context.commit(batch).await?.is_none() {
            continue;
        }
        match verdict {
            Verdict::Accepted(base) => return Ok(base),
            Verdict::More => {}
            Verdict::Refused(mismatch) => {
                let error = HelloError::Mismatch(mismatch);
                if news {
                    tracing::error!(%host, %error, "nothing is started or moved any more");
                }
                warn(context, hello, "HostMismatch", &error);
                return Err(error);
            }
        }
    }
}

/// Whether whoever says a hello speaks for that host.
pub(super) fn check_caller(view: &View, caller: &Caller, hello: &Hello) -> Result<(), HelloError> {
    let rights = view.access.rights(caller)?;
    if rights.speak_for(&hello.host.name) {
        return Ok(());
    }
    let said = hello.host.name.clone();
    Err(HelloError::OtherHost { said })
}

fn judge(
    context: &Context,
    opener: &Opener,
    hello: &Hello,
) -> Result<(Batch, Verdict), HelloError> {
    let view = context.view.read();
    check_caller(&view, &opener.caller, hello)?;
    check_name(context, &view, hello)?;
    check_place(context, &view, opener, hello)?;
    let host = &hello.host.name;
    let mut batch = Batch::default();
    let heard = &hello.heard;
    let sent = view.sent_orders(host, heard);
    let order = host_key(RecordKind::Order, host).map_err(RecordError::from)?;
    let recorded = view.as_known(&order);
    batch.preconditions.insert(order, recorded);
    let revoked = host_key(RecordKind::Revocation, host).map_err(RecordError::from)?;
    let recorded = view.as_known(&revoked);
    batch.preconditions.insert(revoked, recorded);
    let base = match match_hello(&sent, &heard.head, &heard.highest_epochs) {
        Ok(base) => base,
        Err(mismatch) => {
            latch(context, &view, hello, &mismatch, &mut batch)?;
            return Ok((batch, Verdict::Refused(mismatch)));
        }
    };
    let told = Told::by(&view.state, hello);
    if let Some(Told { after, .. }) = &told {
        // What follows is judged on that.
        for set in touched(&view.state, after, hello).iter().take(SETS) {
            changes(&view, after, set, &mut batch)?;
        }
    }
    let state = told.as_ref().map_or(&view.state, |told| &told.after);
    let known = state.hosts.get(host).map(|host| &host.record);
    let message = match known {
        None => format!(
            "it joined with the address {}",
            hello.host.advertise_address
        ),
        Some(_) => {
            let changed = "its address, labels, pools or machine changed";
            told.as_ref().map_or(changed, |told| told.what).to_owned()
        }
    };
    let registered = Changed {
        record: said(hello, known),
        reason: "HostRegistered",
        messages: vec![message],
    };
    host::put_record(context, &view, registered, &mut batch)?;
    let follows = [&HistoryId::default(), &view.state.history].contains(&&heard.head.history);
    let verdict = if told.is_some() {
        Verdict::More
    } else if follows && !view.state.past.awaited.contains(host) {
        Verdict::Accepted(base)
    } else if known.is_none() {
        // First the host, then what it has.
        Verdict::More
    } else if hear(context, &view, hello, &mut batch)? {
        Verdict::Accepted(base)
    } else {
        Verdict::More
    };
    Ok((batch, verdict))
}

/// What a hello tells before anything else of it counts.
struct Told {
    after: State,
    /// For the operator.
    what: &'static str,
}

impl Told {
    fn by(state: &State, hello: &Hello) -> Option<Self> {
        let host = &hello.host.name;
        let back = returned(state, host).map(|after| Self {
            after,
            what: "it is back: what was said of it while it was away does not count any more",
        });
        back.or_else(|| {
            let after = forgot(state, host, &hello.heard.head)?;
            let what = "its agent has lost its ledger: founders that it was ordered to run do not \
                        found again";
            Some(Self { after, what })
        })
    }
}

/// The host's record, as its agent says it.
fn said(hello: &Hello, known: Option<&HostRecord>) -> HostRecord {
    let mut said = hello.host.clone();
    if let Some(known) = known.filter(|_| !hello.pools_known) {
        said.pools.clone_from(&known.pools);
    }
    said.said_by_agent(known)
}

/// Writes what is known of an awaited host now that it was heard of; whether that is all.
fn hear(
    context: &Context,
    view: &View,
    hello: &Hello,
    batch: &mut Batch,
) -> Result<bool, HelloError> {
    let (host, now) = (&hello.host.name, context.clock.now());
    let after = take_in(&view.state, host, &hello.heard, now);
    let sets = touched(&view.state, &after, hello);
    for set in sets.iter().take(SETS) {
        changes(view, &after, set, batch)?;
        let moved = after.claims_of(set);
        let moved = moved.filter(|(key, claim)| view.state.claims.get(key) != Some(claim));
        let moved = moved.map(|(key, _)| key.clone()).collect();
        claim_changes(view, &after, &moved, BTreeSet::new(), batch)?;
    }
    // With every part: what one part takes over is on another host too, which is awaited from then on.
    history_changes(view, &after, batch)?;
    if sets.len() > SETS {
        return Ok(false);
    }
    if after.zone != view.state.zone {
        let key = zone_key().map_err(RecordError::from)?;
        batch.preconditions.insert(key.clone(), view.as_known(&key));
        put(batch, key, &after.zone)?;
    }
    if let Some(record) = counts_as_sent(view, &after, hello) {
        let key = host_key(RecordKind::Order, host).map_err(RecordError::from)?;
        put(batch, key, &record)?;
    }
    let text = "what it has was taken in after the restore".to_owned();
    batch
        .notes
        .push(notes::host(now, host, NORMAL, "HostHeard", text));
    Ok(true)
}

/// What is recorded as sent to a host that is taken in, if that is not recorded yet: what it has
/// counts as sent by this store, in its history. To one that has lost its ledger, what was recorded is
/// sent again, and it is to answer that.
fn counts_as_sent(view: &View, after: &State, hello: &Hello) -> Option<OrderRecord> {
    let had = &hello.heard.head;
    let none = OrderRecord::default();
    let recorded = view.sent.get(&hello.host.name).unwrap_or(&none);
    let in_force = |head: &OrderHead| OrderHead {
        history: after.history.clone(),
        term: after.term,
        ..head.clone()
    };
    if !had.has_order() {
        let known = recorded.head.history != after.history && *recorded != none;
        return known.then(|| OrderRecord {
            head: in_force(&recorded.head),
            ..recorded.clone()
        });
    }
    (had.history != after.history).then(|| none.with(in_force(had), had.generation))
}

/// Writes down that a host has answered, if it was awaited and has nothing but what is granted to it.
pub(super) async fn take_answer(context: &Context, host: &HostName) -> Result<(), HostError> {
    let decide = |view: &View| {
        let mut batch = Batch::default();
        if let Some(after) = answered(&view.state, host) {
            history_changes(view, &after, &mut batch)?;
        }
        Ok(batch)
    };
    context.settle(decide).await
}

/// The sets of which something was found on a host.
fn touched(before: &State, after: &State, hello: &Hello) -> BTreeSet<SetKey> {
    let index = before.index();
    let here = index.on_host.of(&hello.host.name);
    let said = hello.heard.highest_epochs.keys();
    let sets: BTreeSet<&SetKey> = here.chain(said).map(|id| &id.set).collect();
    let differs = |set: &&&SetKey| {
        before.sets.get(**set) != after.sets.get(**set)
            || before.foundings.get(**set) != after.foundings.get(**set)
    };
    sets.iter()
        .filter(differs)
        .map(|set| (*set).clone())
        .collect()
}

/// Writes down that an agent has what was never sent: nothing is started or moved from then on.
fn latch(
    context: &Context,
    view: &View,
    hello: &Hello,
    mismatch: &Mismatch,
    batch: &mut Batch,
) -> Result<(), HelloError> {
    let (host, now) = (&hello.host.name, context.clock.now());
    let known = view.state.past.mismatched.get(host);
    let entry = Mismatched {
        since: known.map_or(now, |known| known.since),
        why: mismatch.to_string(),
        history: hello.heard.head.history.clone(),
        term: hello.heard.term(),
    };
    if known == Some(&entry) {
        return Ok(());
    }
    let mut after = view.state.clone();
    after.past.mismatched.insert(host.clone(), entry);
    Ok(history_changes(view, &after, batch)?)
}

/// Whether this machine may have the host's name, as far as the record tells. Asked again when the
/// stream joins: members may have been ordered, or the record changed, in between.
pub(super) fn check_name(context: &Context, view: &View, hello: &Hello) -> Result<(), HelloError> {
    let checked = check_machine(&view.state, &hello.host);
    checked.map_err(|mismatch| {
        let error = HelloError::Mismatch(mismatch);
        warn(context, hello, "HostNameTaken", &error);
        error
    })
}

/// Whether this host may have the address that it says.
fn check_place(
    context: &Context,
    view: &View,
    opener: &Opener,
    hello: &Hello,
) -> Result<(), HelloError> {
    let allowed = &context.host_networks;
    check_address(&view.state, &hello.host, opener.from, allowed).map_err(|refusal| {
        let error = HelloError::Address(refusal);
        warn(context, hello, "HostAddressRefused", &error);
        error
    })
}

/// Tells of a refusal. Agents try again and again; one event per reason is enough.
fn warn(context: &Context, hello: &Hello, reason: &'static str, error: &HelloError) {
    let (host, text) = (&hello.host.name, error.to_string());
    let generation = hello.heard.head.generation;
    if context.sessions.is_news(host, reason, generation, &text) {
        let now = context.clock.now();
        context.note(vec![notes::host(now, host, WARNING, reason, text)]);
    }
}
