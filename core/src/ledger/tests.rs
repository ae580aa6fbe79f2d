//! The rules of acceptance, and the record format under torn and damaged files.

use std::sync::Arc;

use super::*;
use crate::{
    ids::TemplateHash,
    order::{ConfigData, Desired, RenderValues, VolumeOrder},
    spec::MemberSpec,
};

fn id(text: &str) -> MemberId {
    text.parse().unwrap()
}

fn epoch(counter: u64) -> Epoch {
    Epoch {
        term: Term(1),
        counter,
    }
}

fn order(member: &str, counter: u64) -> MemberOrder {
    MemberOrder {
        member: id(member),
        epoch: epoch(counter),
        desired: Desired::Run,
        revision: TemplateHash("r1".into()),
        lease: None,
        depends_on: Vec::new(),
        template: Arc::new(MemberSpec::default()),
        values: RenderValues {
            founding: true,
            ..RenderValues::default()
        },
        volumes: vec![VolumeOrder::local(
            "data",
            id(member).claim("data").unwrap(),
            Uid(format!("uid-{member}")),
            "host-1".parse().unwrap(),
            "default",
        )],
        config: ConfigData::default(),
    }
}

fn delta(
    ledger: &Ledger,
    generation: u64,
    upserts: Vec<MemberOrder>,
    removals: &[&str],
) -> OrderDelta {
    let mut delta = OrderDelta {
        head: OrderHead {
            history: HistoryId("h1".into()),
            term: Term(1),
            generation: Generation(generation),
            hash: ContentHash::default(),
        },
        base: ledger.has_order().then_some(ledger.head.generation),
        upserts,
        removals: removals.iter().map(|text| id(text)).collect(),
    };
    delta.head.hash = order_hash(&delta.apply_to(&ledger.members));
    delta
}

fn take(ledger: &mut Ledger, delta: &OrderDelta) -> BTreeSet<MemberId> {
    let Acceptance::New { record, changed } = ledger.accept(delta).unwrap() else {
        panic!("known already");
    };
    ledger.apply(&record);
    changed
}

/// Two members at generation 5.
fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    let first = delta(&ledger, 5, vec![order("a/x-0", 3), order("a/x-1", 1)], &[]);
    take(&mut ledger, &first);
    ledger
}

#[test]
fn a_change_is_applied_and_names_what_changed() {
    let mut ledger = ledger();
    let change = delta(&ledger, 6, vec![order("a/x-0", 4)], &["a/x-1"]);
    let changed = take(&mut ledger, &change);
    assert_eq!(changed, [id("a/x-0"), id("a/x-1")].into());
    assert_eq!(ledger.members.len(), 1);
    assert_eq!(ledger.leaving.keys().collect::<Vec<_>>(), [&id("a/x-1")]);
    assert_eq!(ledger.accept(&change), Ok(Acceptance::Known));
    ledger.apply(&Record::Forgotten {
        member: id("a/x-1"),
    });
    assert!(ledger.leaving.is_empty());
    assert_eq!(ledger.highest_epochs[&id("a/x-1")], epoch(1));
}

#[test]
fn a_complete_order_drops_what_it_does_not_name() {
    let mut ledger = ledger();
    let mut change = delta(&ledger, 6, vec![order("a/x-1", 1)], &[]);
    change.base = None;
    change.head.hash = order_hash(&change.apply_to(&ledger.members));
    assert_eq!(take(&mut ledger, &change), [id("a/x-0")].into());
}

#[test]
fn each_rule_refuses_on_its_own() {
    let ledger = ledger();
    let good = || delta(&ledger, 6, vec![order("a/x-0", 4)], &[]);
    assert!(ledger.accept(&good()).is_ok());
    let refusal = |change: fn(&mut OrderDelta)| {
        let mut order = good();
        change(&mut order);
        ledger.accept(&order).unwrap_err()
    };
    assert!(matches!(
        refusal(|d| d.head.history = HistoryId("h2".into())),
        Refusal::OtherHistory { .. }
    ));
    assert!(matches!(
        refusal(|d| d.head.term = Term(0)),
        Refusal::LowerTerm { .. }
    ));
    assert!(matches!(
        refusal(|d| d.head.generation = Generation(4)),
        Refusal::OlderGeneration { .. }
    ));
    assert!(matches!(
        refusal(|d| d.head.generation = Generation(5)),
        Refusal::OtherContent { .. }
    ));
    assert!(matches!(
        refusal(|d| d.base = Some(Generation(4))),
        Refusal::OtherBase { .. }
    ));
    assert!(matches!(
        refusal(|d| d.head.hash = ContentHash("other".into())),
        Refusal::HashMismatch { .. }
    ));
    assert!(matches!(
        refusal(|d| d.upserts[0].epoch = epoch(2)),
        Refusal::EpochFalls { .. }
    ));
}

#[test]
fn an_epoch_stays_the_highest_after_the_member_was_forgotten() {
    let mut ledger = ledger();
    let away = delta(&ledger, 6, vec![], &["a/x-0"]);
    take(&mut ledger, &away);
    ledger.apply(&Record::Forgotten {
        member: id("a/x-0"),
    });
    let back = delta(&ledger, 7, vec![order("a/x-0", 2)], &[]);
    assert!(matches!(
        ledger.accept(&back),
        Err(Refusal::EpochFalls { .. })
    ));
}

#[test]
fn the_first_order_is_taken_from_any_coordinator() {
    let ledger = Ledger::default();
    assert!(ledger.accept(&delta(&ledger, 1, vec![], &[])).is_ok());
}

#[test]
fn runs_count_within_an_epoch() {
    let mut ledger = ledger();
    let (member, boot) = (id("a/x-0"), BootId("b".into()));
    for number in 1..=2 {
        let run = ledger.next_run(&member, epoch(3), &boot);
        assert_eq!(run.number, RunNumber(number));
        let member = member.clone();
        ledger.apply(&Record::Run { member, run });
    }
    assert_eq!(
        ledger.next_run(&member, epoch(4), &boot).number,
        RunNumber(1)
    );
}

#[test]
fn what_the_host_knows_better_goes_into_the_order() {
    let mut ledger = ledger();
    let member = id("a/x-0");
    let before = ledger.effective(&member).unwrap();
    assert!(before.values.founding && !before.volumes[0].filled);
    let claims = [before.volumes[0].claim_uid.clone()].into();
    ledger.apply(&Record::Filled { claims });
    ledger.apply(&Record::PassedGate {
        member: member.clone(),
        epoch: epoch(3),
    });
    let after = ledger.effective(&member).unwrap();
    assert!(!after.values.founding && after.volumes[0].filled);
    assert!(
        ledger
            .effective(&id("a/x-1"))
            .is_some_and(|other| other.values.founding)
    );
}

fn file() -> (Vec<u8>, Ledger) {
    let mut expected = ledger();
    let mut bytes = encode_new(&expected).unwrap();
    for member in ["a/x-0", "a/x-1"] {
        let record = Record::Held {
            member: id(member),
            held: true,
        };
        bytes.extend(encode_frame(std::slice::from_ref(&record)).unwrap());
        expected.apply(&record);
    }
    (bytes, expected)
}

#[test]
fn a_file_is_read_back() {
    let (bytes, expected) = file();
    let decoded = decode(&bytes).unwrap();
    assert_eq!(decoded.ledger, expected);
    assert_eq!((decoded.good, decoded.frames), (bytes.len(), 3));
    assert_eq!(decode(b"").unwrap().ledger, Ledger::default());
}

#[test]
fn a_file_cut_anywhere_in_its_last_frame_loses_that_frame_only() {
    let (bytes, _) = file();
    let last = bytes[..bytes.len() - 1]
        .iter()
        .rposition(|b| *b == b'\n')
        .unwrap()
        + 1;
    for cut in last..bytes.len() {
        let decoded = decode(&bytes[..cut]).unwrap();
        assert_eq!((decoded.good, decoded.frames), (last, 2), "cut at {cut}");
        assert_eq!(decoded.ledger.held.len(), 1);
    }
}

#[test]
fn damage_before_the_last_frame_is_an_error_that_names_the_line() {
    let (mut bytes, _) = file();
    let second = bytes.iter().position(|b| *b == b'\n').unwrap() + 30;
    bytes[second] ^= 1;
    assert!(matches!(
        decode(&bytes),
        Err(DecodeError::Corrupt { line: 2, .. })
    ));
}

#[test]
fn a_whole_frame_that_is_not_understood_is_never_dropped() {
    let (mut bytes, _) = file();
    let json = br#"[{"record":"fromTheFuture"}]"#;
    let sum = crate::order::hex(&<sha2::Sha256 as sha2::Digest>::digest(json));
    bytes.extend(format!("{} ", &sum[..16]).as_bytes());
    bytes.extend(json);
    bytes.push(b'\n');
    assert!(matches!(
        decode(&bytes),
        Err(DecodeError::Corrupt { line: 5, .. })
    ));
}

#[test]
fn another_header_is_refused() {
    let error = decode(b"berth-ledger 9\n").unwrap_err();
    assert!(error.to_string().contains("berth-ledger 9"), "{error}");
}

#[test]
fn a_hold_outlives_what_was_granted() {
    let mut ledger = ledger();
    let member = id("a/x-0");
    ledger.apply(&Record::Held {
        member: member.clone(),
        held: true,
    });
    ledger.members.remove(&member);
    ledger.apply(&Record::Forgotten {
        member: member.clone(),
    });
    assert!(ledger.held.contains(&member));
    ledger.apply(&Record::Held {
        member: member.clone(),
        held: false,
    });
    assert!(!ledger.held.contains(&member));
}

#[test]
fn a_shutdown_is_of_one_boot_and_can_be_taken_back() {
    let mut ledger = ledger();
    let boot = Some(BootId("b1".to_owned()));
    for boot in [boot, None] {
        let record = Record::Shutdown { boot: boot.clone() };
        assert!(ledger.is_news(&record));
        ledger.apply(&record);
        assert!(!ledger.is_news(&record));
        assert_eq!(ledger.shutdown, boot);
    }
}

#[test]
fn news_is_told_from_what_is_known() {
    let mut ledger = ledger();
    let held = Record::Held {
        member: id("a/x-0"),
        held: true,
    };
    assert!(ledger.is_news(&held));
    ledger.apply(&held);
    assert!(!ledger.is_news(&held));
}

#[test]
fn a_ledger_of_another_machine_bars_every_start_until_it_is_said_to_be_of_this_one() {
    let ids = |machine: &str, firmware: &str| MachineIds {
        machine_id: machine.to_owned(),
        product_uuid: firmware.to_owned(),
    };
    let mut ledger = ledger();
    let here = ids("m", "u");
    assert_eq!(ledger.barred(&here), None, "one of an older agent");
    let bound = Record::Machine { ids: here.clone() };
    assert!(ledger.is_news(&bound));
    ledger.apply(&bound);
    assert!(!ledger.is_news(&bound));
    assert_eq!(ledger.barred(&here), None);
    // The disk in another machine, a copy of a virtual machine, and one that tells nothing.
    for other in [ids("n", "u"), ids("m", "v"), ids("m", ""), ids("", "")] {
        let recorded = here.clone();
        let here = other.clone();
        let why = OtherMachine { recorded, here };
        assert_eq!(ledger.barred(&other), Some(Reason::OtherMachine(why)));
    }
    ledger.apply(&Record::Machine { ids: ids("m", "v") });
    assert_eq!(ledger.barred(&ids("m", "v")), None);
    assert!(ledger.barred(&here).is_some(), "it is of one machine only");
}
