//! What is given up because its host is out of contact. The plan was made on what was known then; a
//! renewal may have arrived since. So before such a commit no renewal of the host is acknowledged any
//! more, and the proof is looked at again on what is known now.

use std::collections::BTreeSet;

use berth_core::{
    check::{Rule, check_plan},
    ids::HostName,
    plan::{Plan, Step, step::Proof},
    time::Timestamp,
};

use crate::{context::Context, sessions::Ending, state::View};

/// A proof that a plan rests on does not hold any more: to be planned again.
#[derive(Debug)]
pub(super) struct NotProven;

/// Whether a step gives up what no agent reported gone.
fn is_given_up(step: &Step) -> bool {
    matches!(
        step,
        Step::Release {
            proof: Proof::LeaseOver | Proof::Fenced | Proof::Forced | Proof::ConfirmedDead,
            ..
        }
    )
}

fn hosts(view: &View, steps: &[Step]) -> BTreeSet<HostName> {
    let steps = steps.iter().filter(|step| is_given_up(step));
    let members = steps.filter_map(|step| {
        if let Step::Release { member: id, .. } = step {
            view.state.sets.get(&id.set)?.members.get(&id.ordinal)
        } else {
            None
        }
    });
    members.map(|member| member.host.clone()).collect()
}

/// Ends the leases of the hosts whose members these steps give up. What is returned is held until the
/// orders that follow are sent.
///
/// # Errors
/// If a proof does not hold any more.
pub(super) fn end_leases(
    context: &Context,
    steps: &[Step],
    now: Timestamp,
) -> Result<Option<Ending>, NotProven> {
    if !steps.iter().any(is_given_up) {
        return Ok(None);
    }
    let hosts = hosts(&context.view.read(), steps);
    let ending = context.sessions.end_leases(hosts.clone());
    let mut view = context.view.write();
    for host in &hosts {
        let renewed = context.sessions.renewed(host);
        if let Some(contact) = view.contact(host) {
            contact.renewed = renewed;
        }
    }
    let given_up: Vec<Step> = steps
        .iter()
        .filter(|step| is_given_up(step))
        .cloned()
        .collect();
    let breaches = check_plan(&view.state, &Plan { steps: given_up }, now);
    let mut refused = breaches.iter();
    match refused.find(|breach| breach.rule == Rule::ReleaseProven) {
        None => Ok(Some(ending)),
        Some(breach) => {
            tracing::debug!(?hosts, %breach, "a host was heard of meanwhile; planning again");
            Err(NotProven)
        }
    }
}
