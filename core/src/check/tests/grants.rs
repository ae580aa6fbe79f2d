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
            state.mismatched.insert(host_name(4));
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
