//! Bytes in, bytes out: what the server says, without sockets.

use berth_core::{
    ids::ZoneSerial,
    zone::{RecordData, Zone},
};
use hickory_resolver::proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RData, RecordType},
};
use proptest::prelude::*;

use super::{
    answer::answer,
    index::Index,
    wire::{self, MAX_UDP, Parsed, Transport},
};

const ETCD_0: &str = "etcd-0.etcd.default.svc.berth.internal.";

fn zone() -> Zone {
    let a = |d: u8| RecordData::A([127, 77, 1, d].into());
    let srv = |target: &str| RecordData::Srv {
        priority: 0,
        weight: 50,
        port: 2380,
        target: target.to_owned(),
    };
    let etcd_0 = ETCD_0.trim_end_matches('.');
    let records = [
        (
            "dns-version.berth.internal",
            vec![RecordData::Txt("1.1.0".into())],
        ),
        (etcd_0, vec![a(0)]),
        ("etcd-1.etcd.default.svc.berth.internal", vec![a(1)]),
        ("etcd-2.etcd.default.svc.berth.internal", vec![]),
        ("etcd.default.svc.berth.internal", vec![a(0), a(1)]),
        (
            "_peer._tcp.etcd.default.svc.berth.internal",
            vec![srv(etcd_0), srv("etcd-1.etcd.default.svc.berth.internal")],
        ),
        (
            "0.1.77.127.in-addr.arpa",
            vec![RecordData::Ptr(etcd_0.into())],
        ),
        (
            "six-0.six.default.svc.berth.internal",
            vec![RecordData::Aaaa("fd00::1".parse().unwrap())],
        ),
    ];
    Zone {
        origin: "berth.internal".into(),
        serial: ZoneSerial((7 << 32) + 9),
        records: records
            .into_iter()
            .map(|(name, set)| (name.to_owned(), set))
            .collect(),
    }
}

fn index(zone: &Zone) -> Index {
    Index::build(zone, zone.hash(), &["127.0.0.153".parse().unwrap()]).unwrap()
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap()
}

/// What comes back; `None` if nothing does or the name is not ours.
fn reply(index: &Index, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
    match wire::parse(question, transport) {
        Parsed::Ask(request) => wire::encode(&request, answer(index, &request)?),
        Parsed::Refuse(bytes) => Some(bytes),
        Parsed::Ignore => None,
    }
}

fn ask(question: &Message) -> Message {
    let reply = reply(&index(&zone()), &bytes(question), Transport::Udp).unwrap();
    let reply = Message::from_vec(&reply).unwrap();
    assert_eq!(reply.metadata.id, question.metadata.id);
    assert_eq!(reply.metadata.message_type, MessageType::Response);
    reply
}

fn ask_for(name: &str, kind: RecordType) -> Message {
    ask(&question(name, kind))
}

fn data(message: &Message) -> Vec<String> {
    let mut found: Vec<_> = message.answers.iter().map(|r| r.data.to_string()).collect();
    found.sort();
    found
}

fn soa_minimum(message: &Message) -> (u32, u32, u32) {
    let [record] = message.authorities.as_slice() else {
        panic!("one SOA expected: {message}");
    };
    let RData::SOA(soa) = &record.data else {
        panic!("an SOA expected: {record}");
    };
    (record.ttl, soa.minimum, soa.serial)
}

#[test]
fn a_member_has_its_address_whatever_the_case() {
    for name in [ETCD_0, "ETCD-0.etcd.Default.svc.Berth.Internal."] {
        let reply = ask_for(name, RecordType::A);
        assert_eq!(data(&reply), ["127.77.1.0"]);
        assert_eq!(reply.answers[0].ttl, 5);
        assert!(reply.metadata.authoritative);
        assert!(reply.metadata.recursion_desired, "RD is copied");
        // The case comes back as it was sent: clients use it against forgery.
        assert!(
            reply.queries[0]
                .name()
                .eq_case(&Name::from_ascii(name).unwrap())
        );
        assert!(
            reply.answers[0]
                .name
                .eq_case(&Name::from_ascii(name).unwrap())
        );
    }
}

#[test]
fn every_type_of_record_is_answered() {
    let service = "etcd.default.svc.berth.internal.";
    assert_eq!(
        data(&ask_for(service, RecordType::A)),
        ["127.77.1.0", "127.77.1.1"]
    );
    let six = "six-0.six.default.svc.berth.internal.";
    assert_eq!(data(&ask_for(six, RecordType::AAAA)), ["fd00::1"]);
    let version = ask_for("dns-version.berth.internal.", RecordType::TXT);
    assert_eq!(data(&version), ["1.1.0"]);
    let back = ask_for("0.1.77.127.in-addr.arpa.", RecordType::PTR);
    assert_eq!(data(&back), [ETCD_0]);
    assert!(back.metadata.authoritative);
    let apex = ask_for("berth.internal.", RecordType::SOA);
    assert_eq!(apex.answers.len(), 1);
    let ns = ask_for("berth.internal.", RecordType::NS);
    assert_eq!(data(&ns), ["ns.dns.berth.internal."]);
    assert_eq!(ns.additionals[0].data.to_string(), "127.0.0.153");
}

#[test]
fn srv_brings_the_addresses_along() {
    let reply = ask_for(
        "_peer._tcp.etcd.default.svc.berth.internal.",
        RecordType::SRV,
    );
    assert_eq!(reply.answers.len(), 2);
    let mut more: Vec<_> = reply
        .additionals
        .iter()
        .map(|r| r.data.to_string())
        .collect();
    more.sort();
    assert_eq!(more, ["127.77.1.0", "127.77.1.1"]);
}

#[test]
fn a_name_that_is_not_declared_does_not_exist() {
    let reply = ask_for("etcd-9.etcd.default.svc.berth.internal.", RecordType::A);
    assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
    assert!(reply.metadata.authoritative);
    let serial_modulo_32_bits = 9;
    assert_eq!(soa_minimum(&reply), (0, 0, serial_modulo_32_bits));
}

#[test]
fn declared_names_and_those_above_them_exist_without_records() {
    for (name, kind) in [
        ("etcd-2.etcd.default.svc.berth.internal.", RecordType::A),
        (ETCD_0, RecordType::AAAA),
        (ETCD_0, RecordType::MX),
        ("_tcp.etcd.default.svc.berth.internal.", RecordType::SRV),
        ("default.svc.berth.internal.", RecordType::A),
        ("svc.berth.internal.", RecordType::A),
        ("berth.internal.", RecordType::A),
        ("0.1.77.127.in-addr.arpa.", RecordType::A),
    ] {
        let reply = ask_for(name, kind);
        assert_eq!(
            reply.metadata.response_code,
            ResponseCode::NoError,
            "{name} {kind}"
        );
        assert!(reply.answers.is_empty(), "{name} {kind}");
        assert_eq!(soa_minimum(&reply).1, 0, "{name} {kind}");
        let owner = &reply.authorities[0].name;
        let asked = Name::from_ascii(name).unwrap();
        assert!(
            owner.zone_of(&asked),
            "the SOA is of a zone that holds {name}"
        );
    }
}

#[test]
fn names_of_others_are_left_to_the_forwarder() {
    for name in [
        "example.com.",
        "1.1.77.127.in-addr.arpa.",
        "internal.",
        ".",
        "xberth.internal.",
    ] {
        let question = bytes(&question(name, RecordType::A));
        assert!(
            reply(&index(&zone()), &question, Transport::Udp).is_none(),
            "{name}"
        );
    }
}

#[test]
fn before_the_first_zone_nothing_is_denied_and_nothing_passed_on() {
    let index = Index::unknown("berth.internal").unwrap();
    let asked = bytes(&question(ETCD_0, RecordType::A));
    let reply = Message::from_vec(&reply(&index, &asked, Transport::Udp).unwrap()).unwrap();
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    assert!(!reply.metadata.authoritative);
}

#[test]
fn clients_are_spread_over_the_members() {
    let first = |id| {
        let mut question = question("etcd.default.svc.berth.internal.", RecordType::A);
        question.metadata.id = id;
        ask(&question).answers[0].data.to_string()
    };
    assert_ne!(first(2), first(3));
}

#[test]
fn any_is_answered_with_one_kind_of_record() {
    let reply = ask_for("berth.internal.", RecordType::ANY);
    assert_eq!(reply.answers.len(), 1);
}

#[test]
fn what_we_do_not_answer_is_refused_by_its_code() {
    let base = || question(ETCD_0, RecordType::A);
    let code = |message: &Message| ask(message).metadata.response_code;

    let mut chaos = base();
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(code(&chaos), ResponseCode::Refused);
    assert_eq!(
        code(&question("berth.internal.", RecordType::AXFR)),
        ResponseCode::Refused
    );
    let mut update = base();
    update.metadata.op_code = OpCode::Update;
    assert_eq!(code(&update), ResponseCode::NotImp);
    let mut two = base();
    two.add_query(two.queries[0].clone());
    assert_eq!(code(&two), ResponseCode::FormErr);
    let mut none = base();
    none.queries.clear();
    assert_eq!(code(&none), ResponseCode::FormErr);
    let mut newer = base();
    let mut edns = Edns::new();
    edns.set_version(1);
    newer.set_edns(edns);
    assert_eq!(u16::from(code(&newer)), 16, "BADVERS");
}

#[test]
fn responses_and_fragments_get_no_reply() {
    let mut response = question(ETCD_0, RecordType::A);
    response.metadata.message_type = MessageType::Response;
    let index = index(&zone());
    for bytes in [bytes(&response).as_slice(), &[], &[0; 11]] {
        assert!(reply(&index, bytes, Transport::Udp).is_none(), "{bytes:?}");
    }
}

#[test]
fn counts_that_lie_are_format_errors() {
    let mut bytes = bytes(&question(ETCD_0, RecordType::A));
    for count in [4, 6, 8, 10] {
        let before = [bytes[count], bytes[count + 1]];
        bytes[count..count + 2].copy_from_slice(&[0xff, 0xff]);
        let reply = reply(&index(&zone()), &bytes, Transport::Udp).unwrap();
        assert_eq!(reply[3] & 0x0f, 1, "FORMERR for count at {count}");
        bytes[count..count + 2].copy_from_slice(&before);
    }
}

fn large_zone(members: u8) -> Zone {
    let mut zone = zone();
    let addresses = (0..members).map(|d| RecordData::A([127, 77, 2, d].into()));
    zone.records
        .insert("big.default.svc.berth.internal".into(), addresses.collect());
    zone
}

fn ask_big(zone: &Zone, edns: Option<u16>, transport: Transport) -> (usize, Message) {
    let mut question = question("big.default.svc.berth.internal.", RecordType::A);
    if let Some(payload) = edns {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        question.set_edns(edns);
    }
    let reply = reply(&index(zone), &bytes(&question), transport).unwrap();
    (reply.len(), Message::from_vec(&reply).unwrap())
}

#[test]
fn long_answers_are_cut_to_what_the_client_takes() {
    let zone = large_zone(200);
    for (edns, limit) in [
        (None, 512),
        (Some(512), 512),
        (Some(100), 512),
        (Some(4096), 1232),
    ] {
        let (length, reply) = ask_big(&zone, edns, Transport::Udp);
        assert!(reply.metadata.truncation, "{edns:?}");
        assert!(
            length <= limit && length > limit - 33,
            "{edns:?}: {length} bytes"
        );
        assert_eq!(
            reply.edns.is_some(),
            edns.is_some(),
            "EDNS only for those who have it"
        );
        assert!(reply.edns.is_none_or(|edns| edns.max_payload() == MAX_UDP));
    }
    let (_, reply) = ask_big(&zone, None, Transport::Tcp);
    assert!(!reply.metadata.truncation);
    assert_eq!(reply.answers.len(), 200);
}

#[test]
fn addresses_that_do_not_fit_beside_srv_are_left_out_without_truncation() {
    let mut zone = zone();
    let name = |i: u8| format!("n{i}.big.default.svc.berth.internal");
    let srv = |i| RecordData::Srv {
        priority: 0,
        weight: 1,
        port: 80,
        target: name(i),
    };
    for i in 0..7 {
        zone.records
            .insert(name(i), vec![RecordData::A([127, 77, 3, i].into())]);
    }
    let all = (0..7).map(srv).collect();
    zone.records
        .insert("_x._tcp.big.default.svc.berth.internal".into(), all);
    let question = question("_x._tcp.big.default.svc.berth.internal.", RecordType::SRV);
    let reply = reply(&index(&zone), &bytes(&question), Transport::Udp).unwrap();
    let reply = Message::from_vec(&reply).unwrap();
    assert_eq!((reply.answers.len(), reply.additionals.len()), (7, 0));
    assert!(!reply.metadata.truncation);
}

#[test]
fn a_name_that_is_none_keeps_the_zone_from_being_served() {
    let mut zone = zone();
    zone.records
        .insert(format!("{}.berth.internal", "x".repeat(64)), vec![]);
    let error = Index::build(&zone, zone.hash(), &[]).unwrap_err();
    assert!(error.to_string().contains("xxx"), "{error}");
}

proptest! {
    #[test]
    fn random_bytes_never_crash_it(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        reply(&index(&zone()), &bytes, Transport::Udp);
    }

    #[test]
    fn damaged_questions_never_crash_it_nor_exceed_the_limit(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut question = question("big.default.svc.berth.internal.", RecordType::A);
        question.set_edns(Edns::new());
        let mut bytes = bytes(&question);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = reply(&index(&large_zone(200)), &bytes, Transport::Udp);
        prop_assert!(whole.is_none_or(|reply| reply.len() <= usize::from(MAX_UDP)));
        bytes.truncate(keep.index(bytes.len()));
        reply(&index(&zone()), &bytes, Transport::Udp);
    }
}
