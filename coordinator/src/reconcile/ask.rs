//! Questions about prerequisites to the agents: what the last plan wanted to know, and what failed a
//! while ago and is still waited for. What is asked when is decided in core. Who wants to see a plan before
//! it is made has hosts asked, too.

use std::collections::BTreeMap;

use berth_core::{
    ids::HostName,
    plan::Report,
    prerequisite::{self, Prerequisite},
    time::Timestamp,
};
use berth_proto::{
    convert::host::Questions,
    v1::{self, coordinator_message::Message},
};

use super::orders::synced;
use crate::context::Context;

/// Asks what is due; when the next question is.
pub(super) fn push(context: &Context, report: &Report, now: Timestamp) -> Option<Timestamp> {
    let (due, wake) = prerequisite::questions(&context.view.read().state, report, now);
    if !due.is_empty() {
        send(context, &due, now);
    }
    wake
}

/// Asks hosts, as far as their agents are in contact.
pub(crate) fn send(
    context: &Context,
    questions: &BTreeMap<HostName, Vec<Prerequisite>>,
    now: Timestamp,
) {
    let links = context.sessions.links();
    for (host, link) in synced(&links) {
        let Some(required) = questions.get(host) else {
            continue;
        };
        let message = match v1::HostQuestions::try_from(Questions(required.clone())) {
            Ok(message) => Message::HostQuestions(message),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(%host, error, "a question to an agent cannot be written");
                continue;
            }
        };
        if let Some(contact) = context.view.write().contact(host) {
            for one in required {
                contact.ask(one.clone(), now);
            }
        }
        context
            .sessions
            .update(host, link.stream, vec![message], |_| ());
    }
}
