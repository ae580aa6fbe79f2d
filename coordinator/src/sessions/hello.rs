//! The first message of a stream: who it is, whether what its agent has is what the store recorded
//! as sent, and the host's record.

use berth_core::{
    ids::HostName,
    session::{Base, Mismatch, check_machine, match_hello},
    state::HostRecord,
};
use berth_proto::convert::{ConvertError, hello::Hello};
use thiserror::Error;

use super::host::{self, Changed, HostError};
use crate::{
    context::Context,
    notes::{self, WARNING},
};

/// Why a stream is not accepted.
#[derive(Debug, Error)]
pub enum HelloError {
    /// The first message was none, or did not come.
    #[error("the stream did not begin with a hello; install the same release on both ends")]
    None,
    /// It cannot be read.
    #[error(transparent)]
    Form(#[from] ConvertError),
    /// The name is taken by another machine.
    #[error(
        "the name {host} is in use by the machine {taken}, which is connected; give this machine \
         ({ours}) another name, or stop the other agent"
    )]
    NameTaken {
        /// The name.
        host: HostName,
        /// The machine id of the one that is connected.
        taken: String,
        /// The machine id of the one that is refused.
        ours: String,
    },
    /// What the agent has is not what was sent.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The host cannot be recorded.
    #[error(transparent)]
    Record(#[from] HostError),
}

/// Judges a hello and makes the host's record. What comes back is what the agent's first order is
/// sent as.
pub(super) async fn accept(context: &Context, hello: &Hello) -> Result<Base, HelloError> {
    let host = &hello.host.name;
    if let Some(taken) = context.sessions.other_machine(host, &hello.host.machine_id) {
        let error = HelloError::NameTaken {
            host: host.clone(),
            taken,
            ours: hello.host.machine_id.clone(),
        };
        warn(context, hello, "HostNameTaken", &error);
        return Err(error);
    }
    check_name(context, hello)?;
    let sent = context.view.read().sent_orders(host, &context.history);
    let base = match match_hello(&sent, &hello.head, &hello.highest_epochs) {
        Ok(base) => base,
        Err(mismatch) => {
            let error = HelloError::Mismatch(mismatch);
            context.sessions.set_mismatch(host, error.to_string());
            latch(context, host, true);
            warn(context, hello, "HostMismatch", &error);
            return Err(error);
        }
    };
    latch(context, host, false);
    register(context, &hello.host).await?;
    Ok(base)
}

/// Whether this machine may have the host's name, as far as the record tells. Asked again when the
/// stream joins: members may have been ordered, or the record changed, in between.
pub(super) fn check_name(context: &Context, hello: &Hello) -> Result<(), HelloError> {
    let checked = {
        let view = context.view.read();
        check_machine(&view.state, &hello.host.name, &hello.host.machine_id)
    };
    checked.map_err(|mismatch| {
        let error = HelloError::Mismatch(mismatch);
        warn(context, hello, "HostNameTaken", &error);
        error
    })
}

/// Notes whether a host has what the store never sent: while one has, nothing starts anywhere. It
/// stays noted when the agent goes away, because what it has stays.
fn latch(context: &Context, host: &HostName, mismatched: bool) {
    let changed = {
        let hosts = &mut context.view.write().state.mismatched;
        if mismatched {
            hosts.insert(host.clone())
        } else {
            hosts.remove(host)
        }
    };
    if changed {
        context.trigger.fire();
    }
}

/// Tells of a refusal. Agents try again and again; one event per reason is enough.
fn warn(context: &Context, hello: &Hello, reason: &'static str, error: &HelloError) {
    let (host, text) = (&hello.host.name, error.to_string());
    let generation = hello.head.generation;
    if context.sessions.is_news(host, reason, generation, &text) {
        let now = context.clock.now();
        context.note(vec![notes::host(now, host, WARNING, reason, text)]);
    }
}

/// Makes the host's record durable if it is new or changed. What operators decided of the host
/// stays.
async fn register(context: &Context, said: &HostRecord) -> Result<(), HelloError> {
    let recorded = host::record(context, &said.name, |known| {
        let message = match known {
            None => format!("it joined with the address {}", said.advertise_address),
            Some(_) => "its address, labels, pools or machine changed".to_owned(),
        };
        let after = Changed {
            record: said.clone().said_by_agent(known),
            reason: "HostRegistered",
            messages: vec![message],
        };
        Some(after)
    });
    Ok(recorded.await?)
}
