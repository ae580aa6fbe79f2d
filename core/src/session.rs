//! What both ends of an agent's session decide: whether they may talk at all. Pure; the streams live
//! in the coordinator and the agent.
//!
//! The rule of the hello: a coordinator sends a host nothing before what the agent says it has
//! matches what the store recorded as sent. A mismatch means a restored backup, or two
//! coordinators; neither may start anything then.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{
    ids::{ContentHash, Epoch, Generation, HistoryId, HostName, MemberId, Term},
    order::OrderHead,
    state::{Ordered, State},
};

/// What a store recorded of the orders that it sent to one host. Written before they are sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SentOrders {
    /// The store's history.
    pub history: HistoryId,
    /// The coordinator's own term.
    pub term: Term,
    /// The newest acknowledged order, and every later one, with its hash.
    pub orders: BTreeMap<Generation, ContentHash>,
    /// The last epoch of every member that was ever granted.
    pub epochs: BTreeMap<MemberId, Epoch>,
}

/// What the first order of a session is sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Complete: the agent has none.
    Complete,
    /// As the change against this generation, which the agent has; or complete.
    Generation(Generation),
}

/// Why a host is sent nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Mismatch {
    /// The agent follows another history.
    #[error(
        "the agent follows history {agent}, the store has {store}; \
         run 'berth admin accept-restore' if the store was restored"
    )]
    OtherHistory {
        /// The agent's.
        agent: HistoryId,
        /// The store's.
        store: HistoryId,
    },
    /// The agent has seen a later coordinator.
    #[error("the agent has seen term {agent}, this coordinator has {ours}; stop the older one")]
    NewerTerm {
        /// The agent's.
        agent: Term,
        /// This coordinator's.
        ours: Term,
    },
    /// The agent has an order that the store never recorded, or recorded before one that the agent
    /// had acknowledged.
    #[error(
        "the agent has order {agent}, the store did not record it as the last one sent; \
         run 'berth admin accept-restore' if the store was restored"
    )]
    UnknownOrder {
        /// The agent's.
        agent: Generation,
    },
    /// The agent has another content under a generation that the store sent.
    #[error("the agent has another content of order {generation}; two coordinators may be writing")]
    OtherContent {
        /// The generation.
        generation: Generation,
    },
    /// The host's name belongs to another machine, on which members may run.
    #[error(
        "the name {host} belongs to the machine {known}, where members may still run; give this \
         machine ({ours}) another name, bring the old one back, or remove its members"
    )]
    OtherMachine {
        /// The name.
        host: HostName,
        /// The machine id on record.
        known: String,
        /// The machine id of the one that is refused.
        ours: String,
    },
    /// The agent was granted an epoch that the store knows nothing of.
    #[error(
        "the agent has seen epoch {agent} of {member}, the store has granted {store}; \
         run 'berth admin accept-restore' if the store was restored"
    )]
    NewerEpoch {
        /// The member.
        member: MemberId,
        /// The agent's.
        agent: Epoch,
        /// The store's.
        store: Epoch,
    },
}

/// The coordinator's end: holds an agent's hello against what was recorded as sent.
///
/// # Errors
/// What does not match: the host is sent nothing, and no start or move is decided.
pub fn match_hello(
    sent: &SentOrders,
    head: &OrderHead,
    highest_epochs: &BTreeMap<MemberId, Epoch>,
) -> Result<Base, Mismatch> {
    for (member, agent) in highest_epochs {
        let store = sent.epochs.get(member).copied().unwrap_or_default();
        if *agent > store {
            return Err(Mismatch::NewerEpoch {
                member: member.clone(),
                agent: *agent,
                store,
            });
        }
    }
    if head.history == HistoryId::default() {
        return Ok(Base::Complete);
    }
    if head.history != sent.history {
        return Err(Mismatch::OtherHistory {
            agent: head.history.clone(),
            store: sent.history.clone(),
        });
    }
    if head.term > sent.term {
        return Err(Mismatch::NewerTerm {
            agent: head.term,
            ours: sent.term,
        });
    }
    match sent.orders.get(&head.generation) {
        None => Err(Mismatch::UnknownOrder {
            agent: head.generation,
        }),
        Some(hash) if *hash != head.hash => Err(Mismatch::OtherContent {
            generation: head.generation,
        }),
        Some(_) => Ok(Base::Generation(head.generation)),
    }
}

/// The coordinator's end: whether a machine may have a host's name. A name that members were
/// ordered under passes to no other machine, in contact or not: out of contact, they may run on
/// the first one still.
///
/// # Errors
/// [`Mismatch::OtherMachine`] if it may not.
pub fn check_machine(state: &State, host: &HostName, machine_id: &str) -> Result<(), Mismatch> {
    let known = state.hosts.get(host);
    let known = known.map_or("", |known| known.record.machine_id.as_str());
    if known.is_empty() || machine_id.is_empty() || known == machine_id {
        return Ok(());
    }
    let mut members = state.sets.values().flat_map(|set| set.members.values());
    if members.any(|member| member.host == *host && member.ordered != Ordered::Nothing) {
        return Err(Mismatch::OtherMachine {
            host: host.clone(),
            known: known.to_owned(),
            ours: machine_id.to_owned(),
        });
    }
    Ok(())
}

/// Why an agent does not listen to a coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WelcomeRefusal {
    /// It serves another history.
    #[error(
        "the coordinator serves history {got}, this host follows {have}; \
         run 'berth admin accept-restore' if the store was restored"
    )]
    OtherHistory {
        /// Ours.
        have: HistoryId,
        /// The coordinator's.
        got: HistoryId,
    },
    /// It was replaced.
    #[error(
        "the coordinator has term {got}, this host has seen term {have}; stop the older coordinator"
    )]
    LowerTerm {
        /// Ours.
        have: Term,
        /// The coordinator's.
        got: Term,
    },
}

/// The agent's end: whether it listens to a coordinator at all.
///
/// # Errors
/// Why it does not.
pub fn check_welcome(
    ours: &OrderHead,
    history: &HistoryId,
    term: Term,
) -> Result<(), WelcomeRefusal> {
    if ours.history == HistoryId::default() {
        return Ok(());
    }
    if *history != ours.history {
        return Err(WelcomeRefusal::OtherHistory {
            have: ours.history.clone(),
            got: history.clone(),
        });
    }
    if term < ours.term {
        return Err(WelcomeRefusal::LowerTerm {
            have: ours.term,
            got: term,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn epochs(counter: u64) -> BTreeMap<MemberId, Epoch> {
        let term = Term(2);
        [("a/x-0".parse().unwrap(), Epoch { term, counter })].into()
    }

    fn sent() -> SentOrders {
        SentOrders {
            history: HistoryId("h".into()),
            term: Term(3),
            orders: [
                (Generation(7), ContentHash("seven".into())),
                (Generation(8), ContentHash("eight".into())),
            ]
            .into(),
            epochs: epochs(4),
        }
    }

    fn head(history: &str, term: u64, generation: u64, hash: &str) -> OrderHead {
        OrderHead {
            history: HistoryId(history.into()),
            term: Term(term),
            generation: Generation(generation),
            hash: ContentHash(hash.into()),
        }
    }

    #[test]
    fn a_hello_matches_what_was_sent() {
        for (head, base) in [
            (OrderHead::default(), Base::Complete),
            (head("h", 3, 7, "seven"), Base::Generation(Generation(7))),
            (head("h", 2, 8, "eight"), Base::Generation(Generation(8))),
        ] {
            assert_eq!(match_hello(&sent(), &head, &epochs(4)), Ok(base));
        }
    }

    #[test]
    fn each_mismatch_is_told() {
        let refused = |head, highest| match_hello(&sent(), &head, &epochs(highest)).unwrap_err();
        assert!(matches!(
            refused(head("other", 3, 8, "eight"), 4),
            Mismatch::OtherHistory { .. }
        ));
        assert!(matches!(
            refused(head("h", 4, 8, "eight"), 4),
            Mismatch::NewerTerm { .. }
        ));
        assert!(matches!(
            refused(head("h", 3, 9, "nine"), 4),
            Mismatch::UnknownOrder { .. }
        ));
        assert!(matches!(
            refused(head("h", 3, 6, "six"), 4),
            Mismatch::UnknownOrder { .. }
        ));
        assert!(matches!(
            refused(head("h", 3, 8, "other"), 4),
            Mismatch::OtherContent { .. }
        ));
        assert!(matches!(
            refused(OrderHead::default(), 5),
            Mismatch::NewerEpoch { .. }
        ));
    }

    #[test]
    fn a_name_with_members_passes_to_no_other_machine() {
        let mut state = fixture::state(2);
        let host = fixture::host_name(1);
        let check = |state: &State, said| check_machine(state, &host, said).is_ok();
        state.hosts.get_mut(&host).unwrap().record.machine_id = "first".to_owned();
        fixture::put_set(&mut state, "db", fixture::spec(1, false));
        fixture::assign(&mut state, &fixture::member("db", 0));
        assert!(check(&state, "other"), "nothing was ordered there");
        fixture::run_all(&mut state, "db");
        state.hosts.get_mut(&host).unwrap().contact.connected = false;
        assert!(!check(&state, "other"));
        assert!(check(&state, "first"));
        assert!(check(&state, ""), "one that does not know its id");
    }

    #[test]
    fn an_agent_listens_to_its_history_and_no_lower_term() {
        let ours = head("h", 3, 8, "eight");
        let check = |history: &str, term| check_welcome(&ours, &HistoryId(history.into()), term);
        assert_eq!(check("h", Term(3)), Ok(()));
        assert_eq!(check("h", Term(4)), Ok(()));
        assert!(matches!(
            check("h", Term(2)),
            Err(WelcomeRefusal::LowerTerm { .. })
        ));
        assert!(matches!(
            check("g", Term(9)),
            Err(WelcomeRefusal::OtherHistory { .. })
        ));
        assert!(check_welcome(&OrderHead::default(), &HistoryId("g".into()), Term(1)).is_ok());
    }
}
