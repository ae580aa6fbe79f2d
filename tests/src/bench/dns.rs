//! How many questions the agent's DNS server answers, beside a server that sends back what it gets.

use std::{io, time::Duration};

use hickory_resolver::proto::{
    op::{Message, Query},
    rr::{Name, RecordType},
};

use super::{
    Figure, Goal, Value,
    load::{self, Load, Outcome},
    process,
    server::{self, ORIGIN, Server},
};

/// As many names as a large site has.
const MEMBERS: u32 = 10_000;
/// How many different questions are asked in turn.
const QUESTIONS: u32 = 4_000;

/// The figures.
///
/// # Errors
/// If a server does not start.
pub fn run(seconds: u64) -> anyhow::Result<Vec<Figure>> {
    let addresses = questions(|_| Kind::Address)?;
    // As a cluster asks: mostly addresses, some ports, a few names that do not exist.
    let mixed = questions(|number| match number % 20 {
        0 => Kind::Missing,
        1..=3 => Kind::Port,
        _ => Kind::Address,
    })?;
    let mut figures = Vec::new();
    for (name, questions) in [("DNS, addresses", addresses), ("DNS, mixed", mixed)] {
        let (echo, echo_cpu) = measure("serve-echo", &questions, seconds)?;
        let (ours, cpu) = measure("serve-dns", &questions, seconds)?;
        let beside = "UDP echo";
        let line =
            |what: &str, ours, limit| Figure::new(format!("{name}{what}"), ours, (beside, limit));
        figures.push(
            line("", Value::Rate(ours.rate), Value::Rate(echo.rate)).goal(Goal::RatioAtLeast(0.8)),
        );
        figures.push(
            line(": CPU", Value::CpuMicros(cpu), Value::CpuMicros(echo_cpu))
                .goal(Goal::AtMost(7.0)),
        );
        let times = (Value::Times(ours.times), Value::Times(echo.times));
        figures.push(line(": time under load", times.0, times.1));
    }
    figures.push(memory()?);
    Ok(figures)
}

fn measure(serve: &str, questions: &[Vec<u8>], seconds: u64) -> anyhow::Result<(Outcome, f64)> {
    let server = Server::start(serve, &MEMBERS.to_string())?;
    let load = |time| Load {
        clients: 4,
        window: 50,
        time,
    };
    let warm_up = Duration::from_millis(200);
    load::run(server.address, questions, load(warm_up))?;
    let before = process::cpu(server.pid());
    let outcome = load::run(
        server.address,
        questions,
        load(Duration::from_secs(seconds)),
    )?;
    let gone = || io::Error::other(format!("{serve} ended"));
    let used = process::cpu(server.pid()).ok_or_else(gone)? - before.ok_or_else(gone)?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let answers = outcome.answers.max(1) as f64;
    Ok((outcome, used.as_secs_f64() * 1e6 / answers))
}

fn memory() -> anyhow::Result<Figure> {
    let of = |members: u32| -> anyhow::Result<Value> {
        let server = Server::start("serve-dns", &members.to_string())?;
        let memory = process::memory(server.pid());
        let kib = memory.map(|memory| memory.resident);
        Ok(kib.map_or_else(|| Value::Missing("it ended".into()), Value::Kib))
    };
    let name = format!("DNS, memory with {MEMBERS} names");
    let figure = Figure::new(name, of(MEMBERS)?, ("with 1 name", of(1)?));
    Ok(figure.goal(Goal::AtMost(16.0 * 1024.0)))
}

enum Kind {
    Address,
    Port,
    Missing,
}

fn questions(kind: impl Fn(u32) -> Kind) -> anyhow::Result<Vec<Vec<u8>>> {
    (0..QUESTIONS)
        .map(|i| {
            let number = i * (MEMBERS / QUESTIONS);
            let (name, kind) = match kind(i) {
                Kind::Address => (server::member(number), RecordType::A),
                Kind::Port => (server::port(number), RecordType::SRV),
                Kind::Missing => (format!("none-{number}.{ORIGIN}"), RecordType::A),
            };
            let mut message = Message::query();
            let name = Name::from_ascii(format!("{name}."))?;
            message.add_query(Query::query(name, kind));
            Ok(message.to_vec()?)
        })
        .collect()
}
