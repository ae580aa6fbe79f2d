//! What both ends of an agent's session decide: whether they may talk at all. Pure; the streams live
//! in the coordinator and the agent.
//!
//! The rule of the hello: a coordinator sends a host nothing before what the agent says it has
//! matches what the store recorded as sent. A mismatch means a restored backup, or two
//! coordinators; neither may start anything then.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::{
    ids::{ContentHash, Epoch, Generation, HistoryId, HostName, MemberId, Term},
    ledger::Record,
    order::OrderHead,
    state::{HostRecord, Ordered, State},
};

/// What a store recorded of the orders that it sent to one host. Written before they are sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SentOrders {
    /// The store's history.
    pub history: HistoryId,
    /// The histories that it took the place of.
    pub former: BTreeSet<HistoryId>,
    /// The term that it began in.
    pub began: Term,
    /// The coordinator's own term.
    pub term: Term,
    /// The newest acknowledged order, and every later one, with its hash.
    pub orders: BTreeMap<Generation, ContentHash>,
    /// The last epoch that was granted of every member that the agent knows of.
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
        "the agent follows history {agent}, the store has {store}; give the host a coordinator \
         of its own cluster, or run 'berth admin accept-restore' if the store was restored"
    )]
    OtherHistory {
        /// The agent's.
        agent: HistoryId,
        /// The store's.
        store: HistoryId,
    },
    /// The agent has seen a later coordinator.
    #[error(
        "the agent has seen term {agent}, this coordinator has {ours}; stop it if another one \
         runs, or run 'berth admin accept-restore' if the store was restored"
    )]
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
         machine ({ours}) another name, bring the old one back, or run 'berth host confirm-dead \
         {host}' if it is gone for good"
    )]
    OtherMachine {
        /// The name.
        host: HostName,
        /// The machine on record.
        known: String,
        /// The one that is refused.
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
/// What an agent has that follows a former history is taken in before it is sent anything
/// ([`crate::history::take_in`]).
///
/// # Errors
/// What does not match: the host is sent nothing, and no start or move is decided.
pub fn match_hello(
    sent: &SentOrders,
    head: &OrderHead,
    highest_epochs: &BTreeMap<MemberId, Epoch>,
) -> Result<Base, Mismatch> {
    for (member, agent) in highest_epochs {
        // What was granted before is known from the agents, and below every later epoch.
        if agent.term < sent.began {
            continue;
        }
        let store = sent.epochs.get(member).copied().unwrap_or_default();
        if *agent > store {
            return Err(Mismatch::NewerEpoch {
                member: member.clone(),
                agent: *agent,
                store,
            });
        }
    }
    if !head.has_order() {
        return Ok(Base::Complete);
    }
    if head.history != sent.history && sent.former.contains(&head.history) {
        return if head.term < sent.began {
            Ok(Base::Generation(head.generation))
        } else {
            Err(Mismatch::NewerTerm {
                agent: head.term,
                ours: sent.began,
            })
        };
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
pub fn check_machine(state: &State, said: &HostRecord) -> Result<(), Mismatch> {
    let host = &said.name;
    let Some(known) = state.hosts.get(host).map(|known| &known.record) else {
        return Ok(());
    };
    if said.is_machine_of(known) {
        return Ok(());
    }
    let mut members = state.sets.values().flat_map(|set| set.members.values());
    if members.any(|member| member.host == *host && member.ordered != Ordered::Nothing) {
        return Err(Mismatch::OtherMachine {
            host: host.clone(),
            known: known.machine().to_string(),
            ours: said.machine().to_string(),
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

/// What a coordinator serves, as it says it to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Served {
    /// The history of its store.
    pub history: HistoryId,
    /// The histories that it took the place of.
    pub former: BTreeSet<HistoryId>,
    /// Its term.
    pub term: Term,
}

/// The agent's end: whether it listens to a coordinator at all. If that serves a history that took
/// the place of its own, what to write down before it listens.
///
/// One that never had an order writes down the history that it is welcomed to, before it says a word:
/// nothing is ordered of a host that did not report. So an agent that follows none although something
/// was ordered of it has lost its ledger ([`crate::history::forgot`]).
///
/// # Errors
/// Why it does not.
pub fn check_welcome(ours: &OrderHead, served: &Served) -> Result<Option<Record>, WelcomeRefusal> {
    let follows = served.history == ours.history;
    let followed = || Record::NewHistory {
        history: served.history.clone(),
        term: served.term,
    };
    if !ours.has_order() {
        return Ok((!follows).then(followed));
    }
    if !follows && !served.former.contains(&ours.history) {
        return Err(WelcomeRefusal::OtherHistory {
            have: ours.history.clone(),
            got: served.history.clone(),
        });
    }
    // A new history begins in a term above all that were seen.
    let high_enough = served.term > ours.term || (follows && served.term == ours.term);
    if !high_enough {
        return Err(WelcomeRefusal::LowerTerm {
            have: ours.term,
            got: served.term,
        });
    }
    Ok((!follows).then(followed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture, ledger::Ledger};

    fn epochs(counter: u64) -> BTreeMap<MemberId, Epoch> {
        let term = Term(2);
        [("a/x-0".parse().unwrap(), Epoch { term, counter })].into()
    }

    fn sent() -> SentOrders {
        SentOrders {
            history: HistoryId("h".into()),
            former: BTreeSet::from([HistoryId("former".into())]),
            began: Term(2),
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
            (
                head("former", 1, 99, "any"),
                Base::Generation(Generation(99)),
            ),
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
            refused(head("former", 2, 8, "eight"), 4),
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
        let record = &mut state.hosts.get_mut(&host).unwrap().record;
        record.machine_id = "first".to_owned();
        record.product_uuid = "board".to_owned();
        let record = record.clone();
        let check = |state: &State, said: &str| {
            let mut record = record.clone();
            record.machine_id = said.to_owned();
            check_machine(state, &record).is_ok()
        };
        fixture::put_set(&mut state, "db", fixture::spec(1, false));
        fixture::assign(&mut state, &fixture::member("db", 0));
        assert!(check(&state, "other"), "nothing was ordered there");
        fixture::run_all(&mut state, "db");
        state.hosts.get_mut(&host).unwrap().contact.connected = false;
        assert!(!check(&state, "other"));
        assert!(check(&state, "first"));
        assert!(check(&state, ""), "one that does not know its id");
        let mut copied = record.clone();
        copied.product_uuid = "other".to_owned();
        assert!(
            check_machine(&state, &copied).is_err(),
            "a copy of its disk"
        );
    }

    #[test]
    fn what_was_granted_before_the_history_began_is_not_held_against_an_agent() {
        let term = Term(1);
        let older = [("a/gone-0".parse().unwrap(), Epoch { term, counter: 9 })].into();
        let head = head("former", 1, 99, "any");
        assert!(match_hello(&sent(), &head, &older).is_ok());
    }

    #[test]
    fn an_agent_listens_to_its_history_and_no_lower_term() {
        let ours = head("h", 3, 8, "eight");
        let served = |history: &str, term| Served {
            history: HistoryId(history.into()),
            former: BTreeSet::from([HistoryId("h".into())]),
            term: Term(term),
        };
        let check = |history: &str, term| check_welcome(&ours, &served(history, term));
        assert_eq!(check("h", 3), Ok(None));
        assert_eq!(check("h", 4), Ok(None));
        assert!(matches!(
            check("h", 2),
            Err(WelcomeRefusal::LowerTerm { .. })
        ));
        assert!(matches!(
            check("new", 3),
            Err(WelcomeRefusal::LowerTerm { .. })
        ));
        let Ok(Some(record)) = check("new", 4) else {
            panic!("it takes the place of ours")
        };
        let mut ledger = Ledger {
            head: ours.clone(),
            ..Ledger::default()
        };
        ledger.apply(&record);
        assert_eq!(ledger.head, head("new", 4, 8, "eight"));
        let other = Served {
            former: BTreeSet::new(),
            ..served("g", 9)
        };
        assert!(matches!(
            check_welcome(&ours, &other),
            Err(WelcomeRefusal::OtherHistory { .. })
        ));
    }

    #[test]
    fn an_agent_without_an_order_writes_down_whom_it_follows_before_it_has_one() {
        let served = Served {
            history: HistoryId("h".into()),
            term: Term(9),
            ..Served::default()
        };
        let record = check_welcome(&OrderHead::default(), &served).unwrap();
        let mut ledger = Ledger::default();
        ledger.apply(&record.unwrap());
        assert_eq!(ledger.head.history, served.history);
        assert!(!ledger.has_order());
        assert_eq!(check_welcome(&ledger.head, &served), Ok(None), "once");
        let none = BTreeMap::new();
        assert_eq!(
            match_hello(&sent(), &ledger.head, &none),
            Ok(Base::Complete)
        );
    }
}
