//! Bad plans about grants and their order.

use super::*;

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each rule is in one of nine tables; the test below holds that none is missing"
)]
pub(super) fn grants(rule: Rule) -> Option<Bad> {
    Some(match rule {
        Rule::OneEpoch => {
            let state = running().state;
            let step = assign(&state, "db", 0, 1);
            (state, vec![step])
        }
        Rule::EpochGrows => {
            let state = lost().state;
            let before = epoch(&state, 0);
            let steps = replace(&state, |step| {
                if let Step::Assign { epoch, .. } = step {
                    *epoch = before;
                }
            });
            (state, steps)
        }
        Rule::ReleaseProven => {
            let mut friends = running();
            friends.contact(&host_name(1), false);
            let mut steps = replace(&friends.state, |_| {});
            steps.truncate(1);
            (friends.state, steps)
        }
        Rule::CurrentGrant => {
            let state = running().state;
            let epoch = epoch(&state, 0).next(state.term);
            let member = member("db", 0);
            (state, vec![Step::PassGate { member, epoch }])
        }
        Rule::OrderedOnce => {
            let state = running().state;
            let steps = start(&state, 2).split_off(1);
            (state, steps)
        }
        Rule::HistoryKnown => {
            let mut state = named().state;
            let one = crate::history::Mismatched::default();
            state.past.mismatched.insert(host_name(4), one);
            let steps = start(&state, 0);
            (state, steps)
        }
        Rule::Wanted => {
            let state = running().state;
            let step = assign(&state, "db", 3, 4);
            (state, vec![step])
        }
        _ => return None,
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each rule is in one of nine tables; the test below holds that none is missing"
)]
pub(super) fn order(rule: Rule) -> Option<Bad> {
    Some(match rule {
        Rule::StartOrder => {
            let state = named().state;
            let steps = start(&state, 1);
            (state, steps)
        }
        Rule::StopOrder => {
            let mut state = running().state;
            put_set(&mut state, "db", spec(1, true));
            let steps = stop(&state, 1);
            (state, steps)
        }
        Rule::HeldBack => {
            let mut state = named().state;
            offline(&mut state, 0);
            let steps = start(&state, 0);
            (state, steps)
        }
        Rule::StaysPinned => {
            let mut state = running().state;
            let record = &mut state.hosts.get_mut(&host_name(3)).unwrap().record;
            record.directives.draining = Some(Draining {
                since: NOW,
                stop_pinned: false,
            });
            let steps = stop(&state, 2);
            (state, steps)
        }
        Rule::NamesFirst => {
            let mut state = named().state;
            for host in state.hosts.values_mut() {
                host.contact.zone_acked = ZoneSerial(0);
            }
            let steps = start(&state, 0);
            (state, steps)
        }
        _ => return None,
    })
}

#[test]
fn what_is_not_known_of_the_past_is_named() {
    let (mut state, steps) = grants(Rule::HistoryKnown).unwrap();
    let plan = Plan { steps };
    let told = |state: &State| {
        let breaches = check_plan(state, &plan, NOW);
        let mut found = breaches.iter().filter(|b| b.rule == Rule::HistoryKnown);
        let start = found.find(|breach| breach.detail.contains("would start"));
        start.unwrap().detail.clone()
    };
    let host = "default/db-0 would start, and what host-4 has is not known";
    assert_eq!(told(&state), host);
    state.past.mismatched.clear();
    state.past.awaited.insert(host_name(4));
    assert_eq!(told(&state), host);
    state.past.awaited.clear();
    state.past.restored = Some(NOW);
    assert_eq!(
        told(&state),
        "default/db-0 would start, and what was decided since the backup is not known"
    );
}
