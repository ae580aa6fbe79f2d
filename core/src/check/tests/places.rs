//! Bad plans about where members go, who founds a set, and how sets and zones end.

use super::*;

/// A member goes to a host that is known to lack what its set requires.
fn lacking() -> Bad {
    let mut state = state(1);
    let mut wanted = spec(1, false);
    wanted.template.spec.requires.users = vec!["db".to_owned()];
    let required = wanted.template.spec.requires.each().next().unwrap();
    put_set(&mut state, "db", wanted);
    let contact = &mut state.hosts.get_mut(&host_name(1)).unwrap().contact;
    let finding = required.judge(&Fact::Absent);
    let of = required;
    contact.answered(vec![Answer { of, finding }], NOW);
    let step = assign(&state, "db", 0, 1);
    (state, vec![step])
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each rule is in one of nine tables; the test below holds that none is missing"
)]
pub(super) fn places(rule: Rule) -> Option<Bad> {
    Some(match rule {
        Rule::AddressUnique => {
            let member = member("db", 0);
            let address = "10.0.0.2".parse().unwrap();
            (running().state, vec![Step::TakeAddress { member, address }])
        }
        Rule::AddressOwned => {
            let state = lost().state;
            let steps = replace(&state, |step| {
                if let Step::Assign { address, .. } = step {
                    *address = "10.0.0.99".parse().unwrap();
                }
            });
            (state, steps)
        }
        Rule::SocketUnique => {
            let mut state = running().state;
            other_set(&mut state, true);
            let step = assign(&state, "other", 0, 1);
            (state, vec![step])
        }
        Rule::RequirementsMet => lacking(),
        Rule::SpreadEven => {
            let mut state = state(4);
            let mut wanted = spec(2, false);
            let constraints = &mut wanted.template.spec.topology_spread_constraints;
            constraints.push(TopologySpreadConstraint {
                topology_key: "rack".to_owned(),
                max_skew: 1,
                ..TopologySpreadConstraint::default()
            });
            put_set(&mut state, "db", wanted);
            for (n, rack) in [(1, "a"), (2, "a"), (3, "b")] {
                let host = state.hosts.get_mut(&host_name(n)).unwrap();
                host.record.label("rack", Some(rack));
            }
            let steps = vec![assign(&state, "db", 0, 1), assign(&state, "db", 1, 2)];
            (state, steps)
        }
        Rule::OwnHost => {
            let mut state = state(2);
            let mut wanted = spec(0, false);
            wanted.replicas = None;
            wanted.placement = Placement::PerHost;
            put_set(&mut state, "db", wanted);
            let take = |ordinal| Step::TakeHost {
                member: member("db", ordinal),
                host: host_name(1),
            };
            (state, vec![take(0), take(1)])
        }
        Rule::HostFences => {
            let mut state = state(2);
            let mut wanted = spec(1, false);
            wanted.failure_policy = FailurePolicy::Failover;
            put_set(&mut state, "db", wanted);
            let step = assign(&state, "db", 0, 1);
            (state, vec![step])
        }
        Rule::HostFits => {
            let mut state = running().state;
            other_set(&mut state, false);
            let host = state.hosts.get_mut(&host_name(1)).unwrap();
            host.record.unschedulable = true;
            let step = assign(&state, "other", 0, 1);
            (state, vec![step])
        }
        _ => return None,
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each rule is in one of nine tables; the test below holds that none is missing"
)]
pub(super) fn founding(rule: Rule) -> Option<Bad> {
    let set = db();
    Some(match rule {
        Rule::FoundOnce => {
            let mut friends = quorum();
            friends.settle();
            let founders = Vec::new();
            (friends.state, vec![Step::Found { set, founders }])
        }
        Rule::FoundersComplete => {
            let state = quorum().state;
            let of = &state.sets[&set];
            let founders = vec![peer(&state, of, &member("db", 0))];
            (state, vec![Step::Found { set, founders }])
        }
        Rule::FoundedFirst => {
            let state = quorum().state;
            let steps = start(&state, 0);
            (state, steps)
        }
        Rule::FounderDisk => {
            let mut friends = quorum();
            friends.unready.extend([0, 1, 2].map(|n| member("db", n)));
            friends.settle();
            friends.lose(&member("db", 0));
            friends.state.claims.remove(&data(0));
            friends.state.volumes.clear();
            friends.settle();
            // That it was lost on its host is another rule's.
            friends.state.foundings.get_mut(&set)?.untold.clear();
            let steps = start(&friends.state, 0);
            (friends.state, steps)
        }
        Rule::FounderTold => {
            let mut friends = quorum();
            friends.unready.extend([0, 1, 2].map(|n| member("db", n)));
            friends.settle();
            friends.lose(&member("db", 0));
            friends.settle();
            let (member, epoch) = (member("db", 0), epoch(&friends.state, 0));
            (friends.state, vec![Step::Start { member, epoch }])
        }
        Rule::GatePassed => {
            let mut friends = running();
            friends.unready.insert(member("db", 0));
            friends.settle();
            let (member, epoch) = (member("db", 0), epoch(&friends.state, 0));
            (friends.state, vec![Step::PassGate { member, epoch }])
        }
        Rule::FoundingKept => {
            let mut friends = quorum();
            friends.settle();
            (friends.state, vec![Step::ForgetFounding { set }])
        }
        _ => return None,
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each rule is in one of nine tables; the test below holds that none is missing"
)]
pub(super) fn ends(rule: Rule) -> Option<Bad> {
    let set = db();
    Some(match rule {
        Rule::SetEmpty => {
            let state = running().state;
            let uid = state.sets[&set].uid.clone();
            (state, vec![Step::RemoveSet { set, uid }])
        }
        Rule::RevisionKept => {
            let state = running().state;
            let revision = state.sets[&set].revision.clone();
            (state, vec![Step::DropRevision { set, revision }])
        }
        Rule::ReloadFits => {
            let mut state = running().state;
            let mut spec = (*state.sets[&set].spec).clone();
            spec.config_update = ConfigUpdate::Reload;
            spec.template.spec.processes[0].args.push("-v".to_owned());
            put_set(&mut state, "db", spec);
            let (id, set) = (member("db", 1), &state.sets[&set]);
            let step = Step::Reload {
                epoch: set.members[&id.ordinal].epoch,
                member: id,
                revision: set.revision.clone(),
            };
            (state, vec![step])
        }
        Rule::CarriesSame => {
            let mut state = running().state;
            let mut wanted = spec(3, true);
            wanted.overrides.push(special("2"));
            put_set(&mut state, "db", wanted);
            let step = Step::Carry {
                member: member("db", 2),
                epoch: epoch(&state, 2),
                revision: state.sets[&db()].revision.clone(),
            };
            (state, vec![step])
        }
        Rule::ZoneSerial => {
            let state = running().state;
            let zone = ZoneHead {
                serial: ZoneSerial(state.zone.serial.0 + 2),
                hash: zone::build(&state).hash(),
            };
            (state, vec![Step::PublishZone { zone }])
        }
        Rule::ZonePublished => {
            let mut friends = lost();
            let mut steps = replace(&friends.state, |_| {});
            steps.truncate(1);
            friends
                .state
                .sets
                .get_mut(&set)
                .unwrap()
                .last_grants
                .clear();
            (friends.state, steps)
        }
        _ => return None,
    })
}
