//! `bench [--seconds N] [NAME...]`: prints the figures of these parts, or of all. `tests/bench`
//! builds everything with optimization and runs it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program whose output is its purpose"
)]

use std::{path::Path, process::ExitCode};

use anyhow::Context as _;
use berth_tests::bench::{
    Figure, answers, bed::Bed, change, dns, failover, memory, mtls, order, plan, reopen, restart,
    server, start, streams, volumes,
};
use tokio::runtime::Runtime;

/// All parts, in the order in which they run: memory first, while the agents are still idle.
const PARTS: [&str; 12] = [
    "plan", "dns", "order", "memory", "start", "restart", "change", "mtls", "volumes", "failover",
    "reopen", "streams",
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> anyhow::Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve-echo", ..] => Ok(server::echo(|address| println!("{address}"))?),
        ["serve-dns", members] => {
            let members = members.parse().context("a number of members")?;
            Runtime::new()?.block_on(server::dns(members, |address| println!("{address}")))
        }
        ["serve-streams", data] => {
            let served = answers::serve(Path::new(data), |address| println!("{address}"));
            Runtime::new()?.block_on(served)
        }
        ["mount-pairs", from, to] => volumes::mount_pairs(Path::new(from), Path::new(to)),
        ["--seconds", seconds, names @ ..] => figures(names, seconds.parse()?),
        names => figures(names, 5),
    }
}

fn figures(names: &[&str], seconds: u64) -> anyhow::Result<()> {
    if let Some(unknown) = names.iter().find(|name| !PARTS.contains(*name)) {
        anyhow::bail!("unknown part '{unknown}'; use {}", PARTS.join(", "));
    }
    let runtime = Runtime::new()?;
    let mut bed = None;
    for part in PARTS {
        if names.is_empty() || names.contains(&part) {
            eprintln!("bench: {part} ...");
            let measured = measure(&runtime, &mut bed, part, seconds);
            for figure in measured.with_context(|| part.to_owned())? {
                println!("{figure}");
            }
        }
    }
    Ok(())
}

fn measure(
    runtime: &Runtime,
    bed: &mut Option<Bed>,
    part: &str,
    seconds: u64,
) -> anyhow::Result<Vec<Figure>> {
    match part {
        "plan" => return plan::run(),
        "dns" => return dns::run(seconds),
        "order" => return runtime.block_on(order::run()),
        "mtls" => return runtime.block_on(mtls::run()),
        "volumes" => return runtime.block_on(volumes::run()),
        "failover" => return runtime.block_on(failover::run()),
        "reopen" => return runtime.block_on(reopen::run()),
        "streams" => return runtime.block_on(streams::run()),
        _ => {}
    }
    let bed = match bed {
        Some(bed) => bed,
        None => bed.insert(runtime.block_on(Bed::start())?),
    };
    runtime.block_on(async {
        match part {
            "memory" => memory::run(bed).await,
            "start" => start::run(bed).await,
            "restart" => restart::run(bed).await,
            "change" => change::run(bed).await,
            _ => Ok(Vec::new()),
        }
    })
}
