//! Attacks by a coordinator that was taken over, or by whoever replays what one said, by the numbers of
//! the table in docs/security.md. The agent is whole; only its host is in memory. What a hostile order
//! does on a real host is tried by `real_attacks`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test stops at the first surprise, and names its seed"
)]

use std::{
    panic,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use berth_core::{
    ids::{ContentHash, Generation, HistoryId, MemberId, Term},
    order::{Desired, MemberOrder, OrderDelta},
    prerequisite::Prerequisite,
    report::MemberReport,
    spec::MemberSpec,
    volume::work::{VolumeTask, VolumeWork},
    waiting::Reason,
    zone::{RecordData, Zone},
};
use berth_proto::{
    convert::{work::Numbered, zone::chunks},
    v1::{
        self, CoordinatorMessage, ExecCommand, ExecOrder, HostQuestions, LocalListRequest,
        LogCancel, LogRequest, RenewAck, SendOrder, Welcome,
        coordinator_message::Message as ToAgent,
    },
};
use prost::Message as _;
use rand::{Rng as _, RngCore as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

mod bed;
mod stub;

use bed::Bed;
use stub::{complete, member_order, ready};

const COMMAND: [&str; 1] = ["/bin/server"];
/// Agents that are attacked; `BERTH_ATTACK_SEEDS` says otherwise.
const SEEDS: u64 = 100;
/// Messages to each.
const MESSAGES: usize = 6;

fn id(name: &str) -> MemberId {
    format!("default/{name}").parse().unwrap()
}

fn at_epoch(counter: u64) -> MemberOrder {
    let mut order = member_order("web-0", Desired::Run, &COMMAND);
    order.epoch.counter = counter;
    order
}

/// What was started and stopped.
fn lives(bed: &Bed) -> Vec<String> {
    let mut log = bed.host.log();
    log.retain(|line| line.starts_with("start ") || line.starts_with("stop "));
    log
}

#[tokio::test]
async fn attack_37_what_was_said_before_is_said_again() {
    let mut bed = Bed::new();
    let mut stub = bed.stub().await;
    bed.start().await;
    let mut agent = stub.agent().await;
    let first = complete(5, vec![at_epoch(1)]);
    assert_eq!(agent.order(&first).await, "");
    let second = complete(6, vec![at_epoch(2)]);
    assert_eq!(agent.order(&second).await, "");
    let current =
        |r: &MemberReport| r.ready && r.run.as_ref().is_some_and(|run| run.epoch.counter == 2);
    agent.until(&id("web-0"), current).await;
    let started = lives(&bed);

    let head = |change: &dyn Fn(&mut OrderDelta)| {
        let mut order = complete(7, vec![at_epoch(2)]);
        change(&mut order);
        order
    };
    let replays = [
        // The recorded order itself, and its like with another number.
        (first.clone(), "generation 5"),
        (
            complete(6, vec![at_epoch(1)]),
            "two coordinators may be writing",
        ),
        (complete(7, vec![at_epoch(1)]), "this host has seen"),
        // Out of its place, or with what it says changed.
        (head(&|o| o.base = Some(Generation(5))), "generation"),
        (head(&|o| o.head.hash = ContentHash("x".to_owned())), "hash"),
        (head(&|o| o.head.term = Term(0)), "term"),
        (
            head(&|o| o.head.history = HistoryId("other".to_owned())),
            "history",
        ),
    ];
    for round in 0..2 {
        for (order, part) in &replays {
            let refusal = agent.order(order).await;
            assert!(refusal.contains(part), "round {round}, {part}: {refusal}");
        }
        assert_eq!(lives(&bed), started, "nothing was started or stopped");
        // It is durable: a new agent refuses the same.
        if round == 0 {
            bed.stop().await;
            bed.start().await;
            agent = stub.agent().await;
            agent.until(&id("web-0"), current).await;
        }
    }
    // Nor is an older coordinator, or one of another history, listened to at all.
    drop(agent);
    for (history, term) in [("h", 0), ("other", 9)] {
        let mut stranger = stub.hello().await;
        stranger.welcome(history, term).await;
        assert!(stranger.next().await.is_none(), "the agent hangs up");
    }
    stub.agent().await.until(&id("web-0"), current).await;
    bed.stop().await;
}

/// A member whose process has an argument.
fn with_argument(argument: &str) -> MemberOrder {
    let mut order = member_order("bad-0", Desired::Run, &COMMAND);
    let mut template: MemberSpec = (*order.template).clone();
    template.processes[0].args = vec![argument.to_owned()];
    order.template = Arc::new(template);
    order
}

/// The coordinator refuses such templates at `apply`; this one does not.
#[tokio::test]
async fn attack_26_templates_that_no_apply_has_seen() {
    let mut bed = Bed::new();
    let mut stub = bed.stub().await;
    bed.start().await;
    let mut agent = stub.agent().await;
    let texts = [
        "{% include '/etc/shadow' %}",
        "{{ open('/etc/shadow') }}",
        "{{ env('PATH') }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% for a in range(9999) %}{{ 'x' * 1000000 }}{% endfor %}",
        "{{ range(1000000000) }}",
    ];
    let mut generation = 0;
    for text in texts {
        generation += 1;
        let sound = member_order("web-0", Desired::Run, &COMMAND);
        let order = complete(generation, vec![with_argument(text), sound]);
        assert_eq!(agent.order(&order).await, "");
        let told = agent.until(&id("bad-0"), |r| r.waiting.is_some()).await;
        let reason = told.waiting.unwrap();
        assert!(
            matches!(reason, Reason::RenderFailed { .. }),
            "{text}: {reason}"
        );
        agent.until(&id("web-0"), ready).await;
        generation += 1;
        let gone = complete(
            generation,
            vec![member_order("web-0", Desired::Run, &COMMAND)],
        );
        assert_eq!(agent.order(&gone).await, "");
        agent.until_gone(&id("bad-0")).await;
    }
    bed.stop().await;
}

/// What fits nowhere.
fn hostile(rng: &mut StdRng) -> Value {
    let deep = (0..100).fold(Value::Null, |inner, _| json!([inner]));
    let all = [
        json!(""),
        json!("../../../../etc/passwd"),
        json!("/etc/shadow"),
        json!("a\u{0}b"),
        json!("line\nbreak"),
        json!("x".repeat(5000)),
        json!("{{ range(1000000000) }}"),
        json!("{% include '/etc/shadow' %}"),
        json!("{{"),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(-1),
        json!(1e308),
        json!(0),
        json!(null),
        json!(true),
        json!([]),
        json!({}),
        deep,
    ];
    all[rng.random_range(0..all.len())].clone()
}

/// Changes one thing somewhere in a value.
fn mutate(value: &mut Value, rng: &mut StdRng) {
    let deeper = rng.random_bool(0.85);
    match value {
        Value::Object(fields) if deeper && !fields.is_empty() => {
            let nth = rng.random_range(0..fields.len());
            let key = fields.keys().nth(nth).unwrap().clone();
            match rng.random_range(0..10) {
                0 => drop(fields.remove(&key)),
                1 => drop(fields.insert("unknown".to_owned(), hostile(rng))),
                _ => mutate(fields.get_mut(&key).unwrap(), rng),
            }
        }
        Value::Array(items) if deeper && !items.is_empty() => {
            let nth = rng.random_range(0..items.len());
            if rng.random_range(0..10) == 0 {
                let again = items[nth].clone();
                items.extend(std::iter::repeat_n(again, 50));
            } else {
                mutate(&mut items[nth], rng);
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => *value = hostile(rng),
    }
}

fn mutated(sound: &impl serde::Serialize, rng: &mut StdRng) -> Value {
    let mut value = serde_json::to_value(sound).unwrap();
    for _ in 0..rng.random_range(0..4) {
        mutate(&mut value, rng);
    }
    value
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// An order with whatever stands in it. Where it can be read it has the right hash: who is the
/// coordinator can compute that.
fn order(generation: u64, rng: &mut StdRng) -> v1::Order {
    let mut sound = member_order("web-0", Desired::Run, &COMMAND);
    sound.epoch.counter = generation;
    let value = mutated(&sound, rng);
    if let Ok(order) = serde_json::from_value::<MemberOrder>(value.clone()) {
        return complete(generation, vec![order]).try_into().unwrap();
    }
    let mut wire = v1::Order::try_from(complete(generation, vec![sound])).unwrap();
    wire.upserts = vec![bytes(&value)];
    wire.removals = vec![hostile(rng).to_string()];
    wire
}

fn zone(rng: &mut StdRng) -> v1::Zone {
    let name = word(rng);
    let zone = Zone {
        origin: "berth.internal".to_owned(),
        serial: berth_core::ids::ZoneSerial(rng.random()),
        records: [(name, vec![RecordData::A([127, 0, 0, 1].into())])].into(),
    };
    let mut wire = chunks(&zone, &zone.hash()).unwrap().remove(0);
    if rng.random_bool(0.5) {
        wire.records = vec![bytes(&hostile(rng)).into()];
        wire.chunk = rng.random_range(0..3);
    }
    wire
}

fn work(rng: &mut StdRng) -> Value {
    let member = member_order("web-0", Desired::Run, &COMMAND);
    let sound = VolumeWork {
        volume: "default/pvc-1".parse().unwrap(),
        owners: vec![member.volumes[0].claim_uid.clone()],
        filled: true,
        source: member.volumes[0].source.clone(),
        deletion: 1,
        task: VolumeTask::Trash,
        from: None,
    };
    assert!(
        v1::VolumeWork::try_from(Numbered {
            id: 1,
            of: sound.clone()
        })
        .is_ok()
    );
    mutated(&sound, rng)
}

fn word(rng: &mut StdRng) -> String {
    let value = hostile(rng);
    let text = value.as_str().map(str::to_owned);
    text.unwrap_or_else(|| value.to_string())
}

/// Something that a coordinator may say.
fn message(generation: u64, rng: &mut StdRng) -> CoordinatorMessage {
    let message = match rng.random_range(0..14) {
        0 => ToAgent::Welcome(Welcome {
            history: word(rng),
            term: rng.random(),
            lease_ms: rng.random(),
            former: vec![word(rng)],
        }),
        1 => ToAgent::RenewAck(RenewAck {
            number: rng.random(),
            running_only: rng.random(),
        }),
        2 => ToAgent::Zone(zone(rng)),
        3 => ToAgent::LogRequest(LogRequest {
            id: rng.random(),
            member: ["default/web-0".to_owned(), word(rng)][rng.random_range(0..2)].clone(),
            process: word(rng),
            follow: rng.random(),
            previous: rng.random(),
            tail_lines: Some(rng.random()),
        }),
        4 => ToAgent::LogCancel(LogCancel { id: rng.random() }),
        5 => ToAgent::VolumeWork(v1::VolumeWork {
            id: rng.random(),
            json: bytes(&work(rng)),
        }),
        6 => {
            let sound = Prerequisite::User {
                name: "nobody".to_owned(),
            };
            ToAgent::HostQuestions(HostQuestions {
                required: vec![bytes(&mutated(&sound, rng))],
            })
        }
        7 => ToAgent::ExecOrder(ExecOrder {
            ticket: word(rng),
            command: Some(ExecCommand {
                namespace: word(rng),
                member: word(rng),
                command: vec![word(rng)],
                ..ExecCommand::default()
            }),
        }),
        8 => ToAgent::SendOrder(SendOrder {
            ticket: word(rng),
            json: bytes(&work(rng)),
        }),
        _ => ToAgent::Order(order(generation, rng)),
    };
    CoordinatorMessage {
        message: Some(message),
    }
}

/// Changes bytes of a message; `None` if nobody would take it for one.
fn bent(sound: &CoordinatorMessage, rng: &mut StdRng) -> Option<CoordinatorMessage> {
    let mut wire = sound.encode_to_vec();
    for _ in 0..rng.random_range(1..8) {
        let nth = rng.random_range(0..wire.len());
        match rng.random_range(0..3) {
            0 => wire[nth] = rng.random(),
            1 => wire.truncate(nth.max(1)),
            _ => wire.insert(nth, rng.random()),
        }
    }
    CoordinatorMessage::decode(wire.as_slice()).ok()
}

#[tokio::test]
async fn attack_36_any_message_of_a_coordinator() {
    let panics = Arc::new(AtomicUsize::new(0));
    let (counted, usual) = (Arc::clone(&panics), panic::take_hook());
    panic::set_hook(Box::new(move |info| {
        counted.fetch_add(1, Ordering::SeqCst);
        usual(info);
    }));
    let seeds = std::env::var("BERTH_ATTACK_SEEDS").ok();
    let seeds = seeds.and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let from = rand::rng().next_u64();
    for seed in (0..seeds).map(|nth| from.wrapping_add(nth)) {
        let told = Told(seed);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bed = Bed::new();
        let mut stub = bed.stub().await;
        bed.start().await;
        let agent = stub.agent().await;
        assert_eq!(agent.hello.host.name.as_str(), "host-1");
        for generation in 1..=MESSAGES as u64 {
            let mut said = message(generation, &mut rng);
            if rng.random_bool(0.25) {
                said = bent(&said, &mut rng).unwrap_or(said);
            }
            if agent.out.send(Ok(said)).await.is_err() {
                break;
            }
        }
        // It has read what it was sent when it comes back, and does what it is there for.
        drop(agent);
        drop(stub.hello().await);
        let mut local = bed.local().await;
        local.list(LocalListRequest {}).await.unwrap();
        bed.stop().await;
        assert_eq!(panics.load(Ordering::SeqCst), 0, "something panicked");
        drop(told);
    }
}

/// Names the seed of a failure.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("attack 36 failed with the seed {}", self.0);
        }
    }
}
