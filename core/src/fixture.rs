//! States for tests: hosts in contact, sets of one plain process, and reports as agents make them.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

use crate::{
    ids::{ClaimKey, HostName, MemberId, ObjectKey, Ordinal, SetKey, Term, Uid},
    plan::Step,
    report::{MemberReport, Phase},
    spec::{
        AccessMode, AddressPool, AddressPoolSpec, ClaimTemplate, NfsVolumeSource, PersistentVolume,
        PersistentVolumeClaimSpec, Port, Process, Provisioner, ReclaimPolicy, Service,
        StatefulSetSpec, StorageClass,
    },
    state::{
        BoundClaim, Claim, Contact, Host, HostDirectives, HostRecord, Observation, Set, State,
        Volume, VolumeState,
    },
    time::Timestamp,
    volume::{PoolInfo, VolumeSource},
    waiting::{ProbeFailure, Reason},
};

pub(crate) mod friend;

/// Any time to plan at.
pub(crate) const NOW: Timestamp = Timestamp(1_000_000);

/// A key in the namespace `default`.
pub(crate) fn key(name: &str) -> SetKey {
    format!("default/{name}").parse().unwrap()
}

/// A member of a set in the namespace `default`.
pub(crate) fn member(set: &str, ordinal: u32) -> MemberId {
    MemberId {
        set: key(set),
        ordinal: Ordinal(ordinal),
    }
}

/// `host-<n>`
pub(crate) fn host_name(n: u8) -> HostName {
    format!("host-{n}").parse().unwrap()
}

/// `host-1` to `host-<count>`, all in contact, at 10.0.0.1 and on, with a pool `default`.
pub(crate) fn state(count: u8) -> State {
    let mut state = State {
        term: Term(1),
        zone_name: "berth.internal".to_owned(),
        ..State::default()
    };
    for n in 1..=count {
        state.hosts.insert(host_name(n), host(n));
    }
    state
}

fn host(n: u8) -> Host {
    Host {
        record: HostRecord {
            name: host_name(n),
            advertise_address: Ipv4Addr::new(10, 0, 0, n).into(),
            labels: BTreeMap::from([("n".to_owned(), n.to_string())]),
            pools: BTreeMap::from([("default".to_owned(), PoolInfo::default())]),
            unschedulable: false,
            machine_id: format!("machine-{n}"),
            product_uuid: String::new(),
            controllers: std::collections::BTreeSet::new(),
            agent_labels: BTreeMap::from([("n".to_owned(), n.to_string())]),
            self_fences: false,
            watchdog: false,
            directives: HostDirectives::default(),
        },
        contact: Contact {
            connected: true,
            settled: true,
            ..Contact::default()
        },
    }
}

/// A set of one process with a named port and, if asked for, a claim `data`.
pub(crate) fn spec(replicas: i64, claim: bool) -> StatefulSetSpec {
    let mut spec = StatefulSetSpec {
        replicas: Some(replicas),
        ..StatefulSetSpec::default()
    };
    spec.template.spec.processes.push(Process {
        name: "main".to_owned(),
        command: vec!["/bin/app".to_owned()],
        user: Some("app".to_owned()),
        ports: vec![Port {
            name: "peer".to_owned(),
            container_port: 2380,
            ..Port::default()
        }],
        ..Process::default()
    });
    if claim {
        let mut template = ClaimTemplate::default();
        template.metadata.name = "data".to_owned();
        spec.volume_claim_templates.push(template);
    }
    spec
}

/// Adds a set, or changes it to another spec; its members are labelled `app: <name>`.
pub(crate) fn put_set(state: &mut State, name: &str, mut spec: StatefulSetSpec) {
    let labels = &mut spec.template.metadata.labels;
    labels.insert("app".to_owned(), name.to_owned());
    let set = state.sets.or_insert_with(key(name), || Set {
        uid: Uid(format!("uid-{name}")),
        ..Set::default()
    });
    set.spec = Arc::new(spec);
    state.revise(&key(name), NOW);
}

/// A service that selects `app: <app>`.
pub(crate) fn service(state: &mut State, name: &str, app: &str) {
    let mut service = Service::default();
    let selector = &mut service.spec.selector;
    selector.insert("app".to_owned(), app.to_owned());
    state.services.insert(key(name), service);
}

/// An address pool.
pub(crate) fn pool(state: &mut State, name: &str, cidr: &str, default: bool) {
    let spec = AddressPoolSpec {
        cidr: cidr.to_owned(),
        default,
    };
    let pool = AddressPool {
        spec,
        ..AddressPool::default()
    };
    state.address_pools.insert(key(name), pool);
}

/// What the agent of the member's host reports of its present epoch.
pub(crate) fn report(state: &mut State, id: &MemberId, phase: Phase, ready: bool) {
    let running = phase == Phase::Running;
    let Some(member) = state.sets[&id.set].members.get(&id.ordinal).cloned() else {
        panic!("{id} is not assigned");
    };
    let template = &state.sets[&id.set].revisions[&member.revision].template;
    let shared = template.spec.volumes.iter().map(|used| used.name.clone());
    let names = std::iter::once("data".to_owned()).chain(shared).collect();
    let report = MemberReport {
        member: id.clone(),
        epoch: member.epoch,
        run: None,
        revision: Some(member.revision.clone()),
        phase,
        started: running,
        ready,
        passed_gate: ready,
        ready_for_ms: 0,
        restarts: 0,
        processes: Vec::new(),
        waiting: (running && !ready).then(|| {
            Reason::ReadinessProbe(ProbeFailure {
                process: "main".parse().unwrap(),
                error: "connection refused".to_owned(),
            })
        }),
        volumes: Vec::new(),
        filled: if running { names } else { Vec::new() },
    };
    let seen = Observation {
        report,
        ready_since: ready.then_some(NOW),
        waiting_since: NOW,
    };
    let contact = &mut state.hosts.get_mut(&member.host).unwrap().contact;
    contact.members.insert(id.clone(), seen);
    contact.settled = true;
}

/// Assigns every declared member of a set, ordinal n to `host-<n+1>`, with its claims, and orders
/// it to run.
pub(crate) fn run_all(state: &mut State, name: &str) {
    for ordinal in state.sets[&key(name)].declared() {
        let id = MemberId {
            set: key(name),
            ordinal,
        };
        assign(state, &id);
        let epoch = state.sets[&key(name)].members[&ordinal].epoch;
        state.apply(&Step::Start { member: id, epoch }, NOW);
    }
}

/// Assigns one member to `host-<ordinal+1>` with its claims, under the next epoch.
pub(crate) fn assign(state: &mut State, id: &MemberId) {
    let n = u8::try_from(id.ordinal.0).unwrap() + 1;
    let set = &state.sets[&id.set];
    let last = set.last_grants.get(&id.ordinal).map(|grant| grant.epoch);
    let step = Step::Assign {
        member: id.clone(),
        epoch: last.unwrap_or_default().next(state.term),
        host: host_name(n),
        address: state.hosts[&host_name(n)].record.advertise_address,
        revision: set.revision.clone(),
    };
    for template in set.spec.volume_claim_templates.clone() {
        let name = template.metadata.name;
        let key = id.claim(&name).unwrap();
        let claim = Claim {
            uid: Uid(format!("uid-{}", key.name)),
            member: Some(id.clone()),
            template: name,
            spec: template.spec,
            labels: template.metadata.labels,
            volume: None,
            filled: false,
            owner: None,
            created_at: NOW,
            goes_with: None,
        };
        state.claims.or_insert_with(key.clone(), || claim);
        if state.claims[&key].volume.is_none() {
            let bind = bind_claim(state, &key, &host_name(n));
            state.apply(&bind, NOW);
        }
    }
    state.apply(&step, NOW);
}

/// Binds a claim to a new volume in the pool `default` of a host.
pub(crate) fn bind_claim(state: &State, key: &ClaimKey, host: &HostName) -> Step {
    let claim = &state.claims[key];
    Step::BindClaim {
        key: key.clone(),
        name: format!("default/pvc-{}", claim.uid).parse().unwrap(),
        volume: Volume {
            source: VolumeSource::Local {
                host: host.clone(),
                pool: "default".to_owned(),
                dir: format!("{}_{}", key.namespace, key.name),
            },
            provisioned: true,
            capacity: claim.spec.storage(),
            access_modes: claim.spec.access_modes.clone(),
            class: String::new(),
            reclaim: ReclaimPolicy::Retain,
            claim: Some(BoundClaim {
                key: key.clone(),
                uid: claim.uid.clone(),
            }),
            owners: Vec::new(),
            filled: false,
            address: None,
            adopt: false,
            origin: None,
            moved_in: None,
            moved_out: None,
            state: VolumeState::Live,
            deletions: 0,
            created_at: NOW,
        },
    }
}

/// Marks a claim as filled.
pub(crate) fn fill(key: ClaimKey) -> Step {
    Step::FillClaim {
        key,
        owner: None,
        address: None,
    }
}

/// A key of an object that has no namespace.
pub(crate) fn volume_key(name: &str) -> ObjectKey {
    format!("default/{name}").parse().unwrap()
}

/// A class of a provisioner, as one that makes nothing.
pub(crate) fn class<'a>(state: &'a mut State, name: &str) -> &'a mut StorageClass {
    let mut class = StorageClass {
        provisioner: Provisioner::NoProvisioner,
        ..StorageClass::default()
    };
    name.clone_into(&mut class.metadata.name);
    let classes = &mut state.storage_classes;
    classes.or_insert_with(volume_key(name), || class)
}

/// A class that makes directories on a server.
pub(crate) fn nfs_class<'a>(state: &'a mut State, name: &str) -> &'a mut StorageClass {
    let class = class(state, name);
    class.provisioner = Provisioner::Nfs;
    "nas".clone_into(&mut class.parameters.server);
    "/exports".clone_into(&mut class.parameters.share);
    class
}

/// `storage` of so many bytes.
pub(crate) fn quantity(bytes: u64) -> BTreeMap<String, String> {
    BTreeMap::from([("storage".to_owned(), bytes.to_string())])
}

/// A volume without a class that was made by hand, at `nas:/static/<name>`.
pub(crate) fn static_volume<'a>(
    state: &'a mut State,
    name: &str,
    bytes: u64,
) -> &'a mut PersistentVolume {
    let mut volume = PersistentVolume::default();
    name.clone_into(&mut volume.metadata.name);
    volume.spec.capacity = quantity(bytes);
    volume.spec.access_modes = vec![AccessMode::ReadWriteOnce];
    volume.spec.nfs = Some(NfsVolumeSource {
        server: "nas".to_owned(),
        path: format!("/static/{name}"),
        read_only: false,
    });
    let volumes = &mut state.persistent_volumes;
    volumes.or_insert_with(volume_key(name), || volume)
}

/// A claim without a class that was made by hand.
pub(crate) fn hand_made<'a>(state: &'a mut State, name: &str, bytes: u64) -> &'a mut Claim {
    let mut spec = PersistentVolumeClaimSpec {
        access_modes: vec![AccessMode::ReadWriteOnce],
        storage_class_name: Some(String::new()),
        ..PersistentVolumeClaimSpec::default()
    };
    spec.resources.requests = quantity(bytes);
    let claim = Claim::by_hand(Uid(format!("uid-{name}")), spec, NOW);
    let claims = &mut state.claims;
    claims.or_insert_with(key(name), || claim)
}
