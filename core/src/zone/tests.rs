//! Names by assignment, lists by readiness.

use super::*;
use crate::{
    fixture::{NOW, host_name, key, member, put_set, report, service, spec, state},
    ids::{Epoch, Ordinal, Term},
    report::Phase,
    spec::{ServicePort, StatefulSetSpec},
    state::assert_current,
};

/// A set `db` of two, both assigned and ordered to run.
fn two_members() -> State {
    let mut state = state(2);
    put_set(&mut state, "db", spec(2, false));
    let set = state.sets.get_mut(&key("db")).unwrap();
    for n in 0..2_u8 {
        let grant = Member {
            epoch: Epoch {
                term: Term(1),
                counter: 1,
            },
            host: host_name(n + 1),
            address: Ipv4Addr::new(10, 0, 0, n + 1).into(),
            revision: set.revision.clone(),
            ordered: Ordered::Run,
            assigned_at: NOW,
            named_in: ZoneSerial(1),
            passed_gate: false,
            previous_address: None,
            restart_asked: None,
            forced: None,
            lease: None,
            conditions: BTreeMap::new(),
        };
        set.members.insert(Ordinal(n.into()), grant);
    }
    state
}

fn lookup<'a>(zone: &'a Zone, name: &str) -> &'a [RecordData] {
    &zone.records[&format!("{name}.berth.internal")]
}

fn a(n: u8) -> RecordData {
    RecordData::A(Ipv4Addr::new(10, 0, 0, n))
}

#[test]
fn declared_members_have_names_before_they_have_hosts() {
    let mut state = state(0);
    put_set(&mut state, "db", spec(2, false));
    let zone = build(&state);
    assert_eq!(lookup(&zone, "db-0.db.default.svc"), []);
    assert_eq!(lookup(&zone, "db-1.db.default.svc"), []);
    assert_eq!(lookup(&zone, "db.default.svc"), []);
    assert!(
        !zone
            .records
            .contains_key("db-2.db.default.svc.berth.internal")
    );
    let version = RecordData::Txt("1.1.0".to_owned());
    assert_eq!(lookup(&zone, "dns-version"), [version]);
}

#[test]
fn assignment_gives_a_member_its_address_and_reverse_name() {
    let zone = build(&two_members());
    assert_eq!(lookup(&zone, "db-1.db.default.svc"), [a(2)]);
    let name = "db-1.db.default.svc.berth.internal".to_owned();
    assert_eq!(
        zone.records["2.0.0.10.in-addr.arpa"],
        [RecordData::Ptr(name)]
    );
}

#[test]
fn members_that_share_an_address_are_all_its_reverse_names() {
    let mut state = two_members();
    let set = state.sets.get_mut(&key("db")).unwrap();
    set.members.get_mut(&Ordinal(1)).unwrap().address = Ipv4Addr::new(10, 0, 0, 1).into();
    let names = &build(&state).records["1.0.0.10.in-addr.arpa"];
    let expected = ["db-0", "db-1"]
        .map(|name| RecordData::Ptr(format!("{name}.db.default.svc.berth.internal")));
    assert_eq!(names[..], expected);
}

#[test]
fn a_service_lists_ready_members_only() {
    let mut state = two_members();
    service(&mut state, "db", "db");
    report(&mut state, &member("db", 0), Phase::Running, true);
    report(&mut state, &member("db", 1), Phase::Running, false);
    assert_eq!(lookup(&build(&state), "db.default.svc"), [a(1)]);

    let set = state.sets.get_mut(&key("db")).unwrap();
    set.members.get_mut(&Ordinal(0)).unwrap().ordered = Ordered::Stop;
    let zone = build(&state);
    assert_eq!(lookup(&zone, "db.default.svc"), [], "it is being stopped");
    assert_eq!(lookup(&zone, "db-0.db.default.svc"), [a(1)]);
}

#[test]
fn publish_not_ready_addresses_lists_every_assigned_member() {
    let mut state = two_members();
    service(&mut state, "all", "db");
    let service = state.services.get_mut(&key("all")).unwrap();
    service.spec.publish_not_ready_addresses = true;
    assert_eq!(lookup(&build(&state), "all.default.svc"), [a(1), a(2)]);
}

#[test]
fn a_service_selects_by_labels_and_nothing_without_a_selector() {
    let mut state = two_members();
    report(&mut state, &member("db", 0), Phase::Running, true);
    service(&mut state, "other", "web");
    service(&mut state, "none", "db");
    let none = state.services.get_mut(&key("none")).unwrap();
    none.spec.selector.clear();
    let zone = build(&state);
    assert_eq!(lookup(&zone, "other.default.svc"), []);
    assert_eq!(lookup(&zone, "none.default.svc"), []);
}

#[test]
fn named_ports_of_a_service_have_srv_records() {
    let mut state = two_members();
    report(&mut state, &member("db", 0), Phase::Running, true);
    service(&mut state, "db", "db");
    let ports = &mut state.services.get_mut(&key("db")).unwrap().spec.ports;
    ports.push(ServicePort {
        name: "client".to_owned(),
        port: 80,
        target_port: Some(PortRef::Name("peer".to_owned())),
        ..ServicePort::default()
    });
    ports.push(ServicePort {
        port: 81,
        ..ServicePort::default()
    });
    let zone = build(&state);
    let expected = RecordData::Srv {
        priority: 0,
        weight: 100,
        port: 2380,
        target: "db-0.db.default.svc.berth.internal".to_owned(),
    };
    assert_eq!(lookup(&zone, "_client._tcp.db.default.svc"), [expected]);
    let services = zone.records.keys().filter(|name| name.starts_with('_'));
    assert_eq!(services.count(), 1, "an unnamed port has no SRV record");
}

#[test]
fn a_service_name_that_no_service_backs_lists_the_members_own_ports() {
    let mut state = two_members();
    report(&mut state, &member("db", 1), Phase::Running, true);
    let zone = build(&state);
    assert_eq!(lookup(&zone, "db.default.svc"), [a(2)]);
    let srv = lookup(&zone, "_peer._tcp.db.default.svc");
    assert!(
        matches!(srv, [RecordData::Srv { port: 2380, .. }]),
        "{srv:?}"
    );
}

#[test]
fn losing_contact_takes_no_name_away() {
    let mut state = two_members();
    report(&mut state, &member("db", 0), Phase::Running, true);
    let set = state.sets.get_mut(&key("db")).unwrap();
    set.members.get_mut(&Ordinal(1)).unwrap().passed_gate = true;
    for host in state.hosts.values_mut() {
        host.contact.connected = false;
    }
    // db-0 as last reported; db-1 by what is durable, as after a start of the coordinator.
    assert_eq!(lookup(&build(&state), "db.default.svc"), [a(1), a(2)]);
}

#[test]
fn reports_of_an_older_epoch_list_nobody() {
    let mut state = two_members();
    report(&mut state, &member("db", 0), Phase::Running, true);
    let set = state.sets.get_mut(&key("db")).unwrap();
    set.members.get_mut(&Ordinal(0)).unwrap().epoch.counter = 2;
    assert_eq!(lookup(&build(&state), "db.default.svc"), []);
}

#[test]
fn the_hash_follows_the_records_and_not_the_serial() {
    let mut state = two_members();
    let before = build(&state).hash();
    state.zone.serial = ZoneSerial(9);
    assert_eq!(build(&state).hash(), before);
    report(&mut state, &member("db", 0), Phase::Running, true);
    assert_ne!(build(&state).hash(), before);
}

/// An edit of a set by its spec, which is to have its revision too.
fn edit(state: &mut State, change: impl FnOnce(&mut StatefulSetSpec)) {
    let mut wanted = state.sets[&key("db")].spec.as_ref().clone();
    change(&mut wanted);
    put_set(state, "db", wanted);
}

fn label(spec: &mut StatefulSetSpec, value: &str) {
    let labels = &mut spec.template.metadata.labels;
    labels.insert("tier".to_owned(), value.to_owned());
}

#[test]
fn the_hash_that_is_kept_up_is_that_of_the_zone_whatever_changes() {
    type Edit = fn(&mut State);
    let edits: [(&str, Edit); 12] = [
        ("another revision, which nobody has", |state| {
            edit(state, |spec| label(spec, "new"));
        }),
        ("a service that selects it", |state| {
            service(state, "new", "db");
            let service = state.services.get_mut(&key("new")).unwrap();
            service.spec.selector = [("tier".to_owned(), "new".to_owned())].into();
        }),
        ("a member takes it", |state| {
            let set = state.sets.get_mut(&key("db")).unwrap();
            let revision = set.revision.clone();
            set.members.get_mut(&Ordinal(0)).unwrap().revision = revision;
        }),
        ("a revision and who takes it, at once", |state| {
            edit(state, |spec| label(spec, "newer"));
            let set = state.sets.get_mut(&key("db")).unwrap();
            let revision = set.revision.clone();
            set.members.get_mut(&Ordinal(1)).unwrap().revision = revision;
        }),
        ("more are wanted", |state| {
            edit(state, |spec| spec.replicas = Some(5))
        }),
        ("other numbers", |state| {
            edit(state, |spec| spec.ordinals.start = 2)
        }),
        ("less are wanted", |state| {
            edit(state, |spec| spec.replicas = Some(1))
        }),
        ("the name of its service", |state| {
            edit(state, |spec| spec.service_name = Some("peers".to_owned()));
        }),
        ("a revision that a member has is gone", |state| {
            let set = state.sets.get_mut(&key("db")).unwrap();
            let carried = set.members[&Ordinal(0)].revision.clone();
            set.revisions.remove(&carried).unwrap();
        }),
        ("a member is gone", |state| {
            let set = state.sets.get_mut(&key("db")).unwrap();
            set.members.remove(&Ordinal(0)).unwrap();
        }),
        ("it is to be deleted", |state| {
            state.sets.get_mut(&key("db")).unwrap().deleting = Some(NOW);
        }),
        ("it is gone", |state| {
            state.sets.remove(&key("db")).unwrap();
        }),
    ];
    let mut state = two_members();
    report(&mut state, &member("db", 0), Phase::Running, true);
    report(&mut state, &member("db", 1), Phase::Running, true);
    hash(&state);
    let mut leaps = state.clone();
    for (what, change) in edits {
        change(&mut state);
        assert_eq!(hash(&state), build(&state).hash(), "{what}");
        assert_current(&state);
    }
    // All but the last, and not asked in between.
    edits[..11]
        .iter()
        .for_each(|(_, change)| change(&mut leaps));
    assert_eq!(hash(&leaps), build(&leaps).hash());
}

#[test]
fn ipv6_addresses_are_reversed_by_nibble() {
    let name = reverse_name("2001:db8::567:89ab".parse().unwrap());
    assert_eq!(
        name,
        "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
    );
}
