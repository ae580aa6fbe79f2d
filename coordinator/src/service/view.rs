//! The state as operators look at it: the status of members, sets and hosts.

use std::time::Duration;

use berth_core::{
    ids::{ClaimKey, HostName, MemberId, Ordinal, SetKey},
    plan::{self, conditions, terms},
    spec::{GatePolicy, Membership},
    state::{Host, Knowledge, Member, Ordered, Set, State},
    time::Timestamp,
    volume::{self, PoolInfo},
};
use berth_proto::{convert::status, v1};

use super::{condition, progress::progress, usage};
use crate::{context::Board, reconcile::board::aged, sessions::LinkStatus, state::View};

/// What a status is made of.
pub(super) struct Look<'a> {
    /// The state.
    pub(super) state: &'a State,
    /// Why members wait.
    pub(super) board: &'a Board,
    /// The time.
    pub(super) now: Timestamp,
}

impl Look<'_> {
    /// The members of a set that are declared or assigned, lowest first.
    pub(super) fn members(&self, key: &SetKey, set: &Set) -> Vec<v1::MemberStatus> {
        ordinals(set)
            .into_iter()
            .map(|ordinal| self.member(key, set, ordinal))
            .collect()
    }

    fn member(&self, key: &SetKey, set: &Set, ordinal: Ordinal) -> v1::MemberStatus {
        let id = MemberId {
            set: key.clone(),
            ordinal,
        };
        // The board is as old as the last round, and an agent's report may be newer.
        let waiting = self.board.waiting.get(&id);
        let waiting = waiting.filter(|_| !self.state.in_place(&id));
        let mut status = v1::MemberStatus {
            namespace: key.namespace.to_string(),
            set: key.name.to_string(),
            ordinal: ordinal.0,
            name: id.name(),
            fqdn: self.state.member_fqdn(set, &id),
            phase: "Declared".to_owned(),
            waiting: waiting.map(status::waiting),
            volumes: self.volumes(set, &id),
            founder: self.founder(&id),
            ..v1::MemberStatus::default()
        };
        if let Some(address) = set.addresses.get(&ordinal) {
            status.address = address.to_string();
        }
        if let Some(member) = set.members.get(&ordinal) {
            self.assigned(&mut status, set, &id, member);
        }
        status
    }

    fn assigned(&self, status: &mut v1::MemberStatus, set: &Set, id: &MemberId, member: &Member) {
        status.address = member.address.to_string();
        status.host = member.host.to_string();
        status.epoch = member.epoch.to_string();
        status.revision = member.revision.to_string();
        let contact = self.state.hosts.get(&member.host).map(|host| &host.contact);
        let in_contact = contact.is_some_and(|contact| contact.connected);
        let seen = match self.state.knowledge(id, member) {
            Knowledge::Known(seen) => Some(seen),
            Knowledge::Absent | Knowledge::Unknown => None,
        };
        status.phase = match (seen, member.ordered) {
            (Some(seen), _) => status::phase(seen.report.phase),
            (None, _) if !in_contact => "Unknown",
            (None, Ordered::Nothing) => "Assigned",
            (None, Ordered::Run) => "Pending",
            (None, Ordered::Stop) => "Stopping",
        }
        .to_owned();
        // Out of contact, what was known last of its processes is still worth showing.
        let last = contact.and_then(|contact| contact.members.get(id));
        let last = last.filter(|seen| seen.report.epoch == member.epoch);
        if let Some(last) = last {
            status.restarts = last.report.restarts;
            status.processes = last.report.processes.iter().map(status::process).collect();
        }
        if let Some(seen) = seen {
            status.started = seen.report.started;
            let since = set.ready_since(member, seen);
            status.ready = since.is_some();
            status.ready_since_ms = status::millis(since);
            status.available = available_at(set, since).is_some_and(|at| at <= self.now);
        }
        status.conditions = condition::shown(set, member);
    }

    /// The member's own volumes, then those that it shares.
    fn volumes(&self, set: &Set, id: &MemberId) -> Vec<v1::VolumeStatus> {
        let templates = set.spec.volume_claim_templates.iter();
        let own = templates.filter_map(|template| {
            let name = &template.metadata.name;
            Some((name, id.claim(name).ok()?))
        });
        let shared = set.spec.template.spec.volumes.iter().filter_map(|volume| {
            let namespace = id.set.namespace.clone();
            let name = volume.persistent_volume_claim.claim_name.parse().ok()?;
            Some((&volume.name, ClaimKey { namespace, name }))
        });
        own.chain(shared)
            .filter_map(|(name, key)| self.volume(id, name, &key))
            .collect()
    }

    fn volume(&self, id: &MemberId, name: &str, key: &ClaimKey) -> Option<v1::VolumeStatus> {
        let claim = self.state.claims.get(key)?;
        let source = self.state.volume_of(claim).map(|volume| &volume.source);
        let host = source.and_then(|source| source.host());
        let pool = source.and_then(|source| source.pool());
        let bound = claim.volume.as_ref();
        let user = usage::User {
            member: id.clone(),
            volume: name.to_owned(),
        };
        let reported = usage::reported(self.state, &user);
        let usage = reported.and_then(|report| report.usage).unwrap_or_default();
        Some(v1::VolumeStatus {
            name: name.to_owned(),
            claim: key.name.to_string(),
            pool: pool.unwrap_or_default().to_owned(),
            host: host.map(HostName::to_string).unwrap_or_default(),
            filled: claim.filled,
            volume: bound.map(|name| name.name.to_string()).unwrap_or_default(),
            source: source.map(|source| source.describe()).unwrap_or_default(),
            capacity_bytes: usage.capacity,
            available_bytes: usage.available,
        })
    }

    fn founder(&self, id: &MemberId) -> bool {
        let founding = self.state.foundings.get(&id.set);
        founding.is_some_and(|f| f.founders.iter().any(|peer| peer.ordinal == id.ordinal))
    }

    /// A set and its members.
    pub(super) fn set(&self, key: &SetKey, set: &Set, generation: u64) -> v1::SetStatus {
        let members = self.members(key, set);
        let count = |holds: &dyn Fn(&v1::MemberStatus) -> bool| {
            u32::try_from(members.iter().filter(|member| holds(member)).count()).unwrap_or(u32::MAX)
        };
        let revision = set.target_revision().to_string();
        let founded = self.founded(key, set);
        v1::SetStatus {
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            replicas: set.asked(),
            current_replicas: count(&|member| !member.host.is_empty()),
            ready_replicas: count(&|member| member.ready),
            available_replicas: count(&|member| member.available),
            updated_replicas: count(&|member| member.revision == revision),
            gate: gate(set, founded).to_owned(),
            founded,
            deleting: set.deleting.is_some(),
            warnings: self.board.warnings.get(key).cloned().unwrap_or_default(),
            generation,
            at_most_one: self.state.enforcement(key, set).name().to_owned(),
            rollout: Some(progress(set, &members)),
            current_revision: set.current_revision().to_string(),
            update_revision: set.revision.to_string(),
            conditions: self.conditions(key, set),
            rolled_out: set.is_rolled_out(),
            updates: terms::updates(set),
            disruptions: terms::disruptions(set),
            members,
        }
    }

    /// The conditions of a set now, each since when the board first had it so.
    fn conditions(&self, key: &SetKey, set: &Set) -> Vec<v1::Condition> {
        let known = self.board.conditions.get(key);
        let known = known.map_or(&[][..], Vec::as_slice);
        conditions::of(self.state, key, set, self.now)
            .into_iter()
            .map(|one| status::condition(&aged(known, one, self.now)))
            .collect()
    }

    /// Whether the first boot is over: no founder is left that has not passed its gate, or the set
    /// has none.
    pub(super) fn founded(&self, key: &SetKey, set: &Set) -> bool {
        match self.state.foundings.get(key) {
            Some(founding) => !founding.open.iter().any(|open| set.is_declared(*open)),
            None => {
                let first_boot_differs = set.spec.bootstrap_policy.is_some()
                    || set.spec.membership() == Membership::Static;
                !first_boot_differs
            }
        }
    }

    /// When something of a set becomes available by time alone.
    pub(super) fn next_available(&self, key: &SetKey, set: &Set) -> Option<Timestamp> {
        let times = set.members.iter().filter_map(|(ordinal, member)| {
            let id = MemberId {
                set: key.clone(),
                ordinal: *ordinal,
            };
            match self.state.knowledge(&id, member) {
                Knowledge::Known(seen) => available_at(set, set.ready_since(member, seen)),
                Knowledge::Absent | Knowledge::Unknown => None,
            }
        });
        times.filter(|at| *at > self.now).min()
    }
}

fn gate(set: &Set, founded: bool) -> &'static str {
    let policy = if founded {
        set.spec.pod_management_policy
    } else {
        set.spec.bootstrap_policy()
    };
    match policy {
        GatePolicy::OrderedReady => "OrderedReady",
        GatePolicy::OrderedStarted => "OrderedStarted",
        GatePolicy::Parallel => "Parallel",
    }
}

fn available_at(set: &Set, since: Option<Timestamp>) -> Option<Timestamp> {
    Some(since?.plus(Duration::from_secs(set.spec.min_ready_seconds.into())))
}

fn ordinals(set: &Set) -> Vec<Ordinal> {
    let assigned = set.members.keys().copied();
    let all: std::collections::BTreeSet<_> = set.declared().chain(assigned).collect();
    all.into_iter().collect()
}

/// A host.
pub(super) fn host(view: &View, host: &Host, link: Option<&LinkStatus>) -> v1::HostStatus {
    let name = &host.record.name;
    let mismatch = view.state.past.mismatched.get(name);
    let members = view.state.sets.iter().flat_map(|(key, set)| {
        let here = set
            .members
            .iter()
            .filter(|(_, member)| member.host == *name);
        here.map(|(ordinal, _)| {
            let id = MemberId {
                set: key.clone(),
                ordinal: *ordinal,
            };
            id.to_string()
        })
    });
    let pools = host.record.pools.iter();
    let pools = pools.map(|(pool, info)| pool_status(view, name, pool, info));
    let sent = view.sent.get(name).map(|sent| sent.head.generation.0);
    let draining = host.record.directives.draining.as_ref();
    let controllers = host.record.controllers.iter();
    v1::HostStatus {
        name: name.to_string(),
        address: host.record.advertise_address.to_string(),
        connected: host.contact.connected,
        since_ms: status::millis(Some(host.contact.since)),
        labels: host.record.labels.clone().into_iter().collect(),
        pools: host.record.pools.keys().cloned().collect(),
        controllers: controllers.map(ToString::to_string).collect(),
        unschedulable: host.record.unschedulable,
        members: members.collect(),
        generation_sent: sent.unwrap_or_default(),
        generation_acked: link.map(|link| link.acked.0).unwrap_or_default(),
        zone_acked: host.contact.zone_acked.0,
        agent_version: link.map(|link| link.version.clone()).unwrap_or_default(),
        mismatch: mismatch
            .map(|mismatch| mismatch.why.clone())
            .unwrap_or_default(),
        draining: draining.is_some(),
        stop_pinned: draining.is_some_and(|draining| draining.stop_pinned),
        pool_statuses: pools.collect(),
        dead: host.record.directives.dead.is_some(),
    }
}

fn pool_status(view: &View, host: &HostName, name: &str, info: &PoolInfo) -> v1::PoolStatus {
    let volumes = view.state.volumes.values();
    let here = volumes
        .filter(|volume| volume.source.host() == Some(host) && volume.source.pool() == Some(name));
    let claims = here.filter_map(|volume| volume::change::holder(&view.state, volume));
    let unknown = || "it cannot be used".to_owned();
    let trouble = Some(&info.trouble).filter(|text| !text.is_empty());
    v1::PoolStatus {
        name: name.to_owned(),
        kind: info.kind.as_str().to_owned(),
        path: info.path.clone(),
        // An agent of an earlier release says only that it is so.
        trouble: if info.missing {
            trouble.cloned().unwrap_or_else(unknown)
        } else {
            String::new()
        },
        limits: info.is_limited(),
        capacity_bytes: info.capacity,
        free_bytes: plan::pool_free(&view.state, host, name),
        claims: claims.map(|bound| bound.key.to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use berth_core::{
        ids::{TemplateHash, Uid},
        report::{MemberReport, Phase},
        spec::StatefulSetSpec,
        state::{Contact, HostRecord, Observation},
        waiting::{Reason, Waiting},
    };

    use super::*;

    fn reported(ready: bool) -> Observation {
        Observation {
            report: MemberReport {
                passed_gate: true,
                member: "default/web-0".parse().unwrap(),
                epoch: "1.1".parse().unwrap(),
                run: None,
                revision: None,
                phase: Phase::Running,
                started: true,
                ready,
                ready_for_ms: 0,
                restarts: 0,
                processes: Vec::new(),
                waiting: None,
                volumes: Vec::new(),
                filled: Vec::new(),
            },
            ready_since: None,
            waiting_since: Timestamp(0),
        }
    }

    fn host(ready: bool) -> Host {
        let name: HostName = "host-3".parse().unwrap();
        Host {
            record: HostRecord {
                name,
                advertise_address: "10.0.0.3".parse().unwrap(),
                labels: BTreeMap::new(),
                pools: BTreeMap::new(),
                unschedulable: false,
                machine_id: String::new(),
                product_uuid: String::new(),
                controllers: std::collections::BTreeSet::new(),
                self_fences: false,
                watchdog: false,
                agent_labels: BTreeMap::new(),
                directives: berth_core::state::HostDirectives::default(),
            },
            contact: Contact {
                connected: true,
                settled: true,
                members: [("default/web-0".parse().unwrap(), reported(ready))].into(),
                ..Contact::default()
            },
        }
    }

    fn set() -> Set {
        let member = Member {
            epoch: "1.1".parse().unwrap(),
            host: "host-3".parse().unwrap(),
            address: "10.0.0.3".parse().unwrap(),
            revision: TemplateHash("r".to_owned()),
            ordered: Ordered::Run,
            assigned_at: Timestamp(0),
            named_in: berth_core::ids::ZoneSerial(1),
            passed_gate: true,
            previous_address: None,
            restart_asked: None,
            forced: None,
            lease: None,
            conditions: BTreeMap::new(),
        };
        let spec = StatefulSetSpec {
            replicas: Some(1),
            ..StatefulSetSpec::default()
        };
        Set {
            uid: Uid("u".to_owned()),
            spec: Arc::new(spec),
            revision: TemplateHash("r".to_owned()),
            members: [(Ordinal(0), member)].into(),
            ..Set::default()
        }
    }

    #[test]
    fn a_board_older_than_a_report_does_not_make_a_ready_member_wait() {
        let id: MemberId = "default/web-0".parse().unwrap();
        let host_name: HostName = "host-3".parse().unwrap();
        let waiting = Waiting {
            reason: Reason::Ordered {
                host: host_name.clone(),
            },
            since: Timestamp(1),
        };
        let board = Board {
            waiting: [(id.clone(), waiting)].into(),
            ..Board::default()
        };
        let rule = |ready: bool| {
            let state = State {
                hosts: [(host_name.clone(), host(ready))].into(),
                sets: [(id.set.clone(), set())].into(),
                ..State::default()
            };
            let look = Look {
                state: &state,
                board: &board,
                now: Timestamp(2),
            };
            let members = look.members(&id.set, &state.sets[&id.set]);
            let waiting = members[0].waiting.clone();
            waiting.map(|waiting| waiting.rule)
        };
        assert_eq!(rule(true), None);
        assert_eq!(rule(false), Some("Ordered".to_owned()));
    }
}
