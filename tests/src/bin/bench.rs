//! `bench [--seconds N] [NAME...]`: prints the figures of these parts, or of all. `tests/bench`
//! builds everything with optimization and runs it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program whose output is its purpose"
)]

use std::process::ExitCode;

use anyhow::Context as _;
use berth_tests::bench::{Figure, dns, server};

const PARTS: [&str; 1] = ["dns"];

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
            tokio::runtime::Runtime::new()?
                .block_on(server::dns(members, |address| println!("{address}")))
        }
        ["--seconds", seconds, names @ ..] => figures(names, seconds.parse()?),
        names => figures(names, 5),
    }
}

fn figures(names: &[&str], seconds: u64) -> anyhow::Result<()> {
    if let Some(unknown) = names.iter().find(|name| !PARTS.contains(*name)) {
        anyhow::bail!("unknown part '{unknown}'; use {}", PARTS.join(", "));
    }
    for part in PARTS {
        if names.is_empty() || names.contains(&part) {
            let figures = measure(part, seconds).with_context(|| part.to_owned())?;
            for figure in figures {
                println!("{figure}");
            }
        }
    }
    Ok(())
}

fn measure(part: &str, seconds: u64) -> anyhow::Result<Vec<Figure>> {
    match part {
        "dns" => dns::run(seconds),
        _ => Ok(Vec::new()),
    }
}
