//! Readiness gates: conditions that somebody outside sets, beside the processes that an agent
//! watches. An agent reports whether the processes of a member are ready; whether the member is, is
//! found here, from its conditions too. They belong to the grant: a member that was assigned anew
//! has none, as a new pod has none.

use serde::{Deserialize, Serialize};

use super::{Member, Observation, Set};
use crate::{
    spec::ReadinessGate,
    time::Timestamp,
    waiting::{Reason, ShutGate},
};

/// A condition of a member, as it was set last. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberCondition {
    /// Whether it holds.
    pub status: bool,
    /// Why, in the words of whoever set it; may be empty.
    pub message: String,
    /// When it last became so.
    pub since: Timestamp,
}

impl Set {
    /// The readiness gates of a member.
    fn gates(&self, member: &Member) -> &[ReadinessGate] {
        let template = self.template_of(&member.revision);
        template.map_or(&[], |template| &template.spec.readiness_gates)
    }

    /// The first readiness gate of a member whose condition is not true.
    pub fn shut_gate(&self, member: &Member) -> Option<Reason> {
        shut(self.gates(member), member)
    }

    /// Since when a member is ready, if it is: its processes, by what its agent said, and its gates.
    pub fn ready_since(&self, member: &Member, seen: &Observation) -> Option<Timestamp> {
        let gates = self.gates(member);
        if !seen.report.ready || shut(gates, member).is_some() {
            return None;
        }
        let opened = gates.iter();
        let opened = opened.filter_map(|gate| member.conditions.get(&gate.condition_type));
        let opened = opened.map(|condition| condition.since).max();
        // An agent's word counts from when it came.
        seen.ready_since.or(Some(seen.waiting_since)).max(opened)
    }
}

fn shut(gates: &[ReadinessGate], member: &Member) -> Option<Reason> {
    gates
        .iter()
        .map(|gate| &gate.condition_type)
        .find_map(|condition| {
            let known = member.conditions.get(condition);
            let message = match known {
                Some(known) if known.status => return None,
                Some(known) if known.message.is_empty() => "no reason was given".to_owned(),
                Some(known) => known.message.clone(),
                None => String::new(),
            };
            let condition = condition.clone();
            Some(Reason::ReadinessGate(ShutGate { condition, message }))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{key, member, put_set, report, run_all, spec, state},
        ids::Ordinal,
        report::Phase,
        spec::ReadinessGate,
        state::State,
    };

    fn gated() -> State {
        let mut state = state(1);
        let mut wanted = spec(1, false);
        let gates = ["a", "b"].map(|condition| ReadinessGate {
            condition_type: condition.to_owned(),
        });
        wanted.template.spec.readiness_gates = gates.to_vec();
        put_set(&mut state, "db", wanted);
        run_all(&mut state, "db");
        report(&mut state, &member("db", 0), Phase::Running, true);
        state
    }

    fn say(state: &mut State, condition: &str, status: bool, since: u64) {
        let set = state.sets.get_mut(&key("db")).unwrap();
        let member = set.members.get_mut(&Ordinal(0)).unwrap();
        let said = MemberCondition {
            status,
            message: "moving data".to_owned(),
            since: Timestamp(since),
        };
        member.conditions.insert(condition.to_owned(), said);
    }

    fn look(state: &State) -> (Option<String>, Option<Timestamp>, bool) {
        let set = &state.sets[&key("db")];
        let one = &set.members[&Ordinal(0)];
        let id = member("db", 0);
        let seen = &state.hosts[&one.host].contact.members[&id];
        let shut = set.shut_gate(one).map(|reason| reason.to_string());
        (shut, set.ready_since(one, seen), state.in_place(&id))
    }

    #[test]
    fn a_member_is_ready_when_every_condition_is_true_and_since_the_last_became_so() {
        let mut state = gated();
        let unset = |name: &str| Some(format!("condition {name} is not set"));
        assert_eq!(look(&state), (unset("a"), None, false));
        say(&mut state, "a", true, 1 << 40);
        assert_eq!(look(&state), (unset("b"), None, false));
        say(&mut state, "b", false, 5);
        let shut = Some("condition b is false: moving data".to_owned());
        assert_eq!(look(&state), (shut, None, false));
        say(&mut state, "b", true, 7);
        assert_eq!(look(&state), (None, Some(Timestamp(1 << 40)), true));
        report(&mut state, &member("db", 0), Phase::Running, false);
        assert_eq!(look(&state), (None, None, false));
    }
}
