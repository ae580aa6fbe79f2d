//! The only place that prints. Data goes to standard output, everything else to standard error,
//! and nothing relies on colour.
//!
//! The submodules turn values into text and are pure; the functions here write it.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::{error::CliError, exit::Exit};

pub(crate) mod access;
pub(crate) mod admin;
pub(crate) mod age;
pub(crate) mod audit;
pub(crate) mod describe;
pub(crate) mod explain;
pub(crate) mod format;
pub(crate) mod objects;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod rollout;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod tables;
pub(crate) mod view;
pub(crate) mod volumes;

/// Writes data, and a line end if it has none.
pub(crate) fn data(text: &str) -> Result<(), CliError> {
    let mut bytes = text.as_bytes().to_vec();
    if !bytes.is_empty() && bytes.last() != Some(&b'\n') {
        bytes.push(b'\n');
    }
    raw(&bytes)
}

/// Writes data as it is, at once.
///
/// # Errors
/// If standard output fails. A reader that has seen enough (`| head`) is no failure: the process
/// ends with success.
pub(crate) fn raw(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => enough(),
        Err(source) => Err(CliError::Terminal {
            doing: "write to standard output",
            source,
        }),
    }
}

#[expect(
    clippy::exit,
    reason = "the reader closed the pipe; whatever runs is of no use to anyone"
)]
fn enough() -> ! {
    std::process::exit(i32::from(Exit::Success.code()))
}

/// Writes a line for the person who watches. That it cannot be written is no reason to fail.
#[expect(clippy::print_stderr, reason = "this is where notes are printed")]
pub(crate) fn note(line: &str) {
    eprintln!("{line}");
}

/// Writes a warning.
pub(crate) fn warning(text: &str) {
    note(&format!("warning: {text}"));
}

/// Writes an error with its lines, its causes and its hint.
pub(crate) fn failure(error: &CliError) -> Exit {
    note(&format!("error: {error}"));
    for line in error.lines() {
        note(line);
    }
    for cause in error.causes() {
        note(&format!("  caused by: {cause}"));
    }
    note(&format!("hint: {}", error.hint()));
    error.exit()
}

/// Writes what clap has to say: help and version are data, the rest is a usage error.
pub(crate) fn usage(error: &clap::Error) -> Exit {
    let text = error.render().to_string();
    if !error.use_stderr() {
        return match data(&text) {
            Ok(()) => Exit::Success,
            Err(error) => failure(&error),
        };
    }
    let footer = "For more information, try '--help'.";
    note(text.replace(footer, "").trim_end());
    note("hint: add --help to see what is understood");
    Exit::Usage
}

/// Writes what a program said, as it came, to standard output or to standard error. Nothing else is
/// held up by a reader that is slow.
///
/// # Errors
/// If nobody reads any more.
pub(crate) async fn pass_on(bytes: &[u8], to_stderr: bool) -> Result<(), CliError> {
    let bytes = bytes.to_vec();
    let write = move || {
        if to_stderr {
            io::stderr().lock().write_all(&bytes)
        } else {
            let mut out = io::stdout().lock();
            out.write_all(&bytes).and_then(|()| out.flush())
        }
    };
    let written = tokio::task::spawn_blocking(write).await;
    let written = written.map_err(io::Error::other).flatten();
    written.map_err(|source| CliError::Terminal {
        doing: "pass on what the program wrote",
        source,
    })
}

/// Whether standard input is a terminal.
pub(crate) fn is_on_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Whether a person can be asked.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks, and reads one line. `None` at the end of the input.
pub(crate) async fn ask(question: String) -> Result<Option<String>, CliError> {
    let answer = tokio::task::spawn_blocking(move || {
        let mut err = io::stderr().lock();
        err.write_all(question.as_bytes())?;
        err.flush()?;
        drop(err);
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line)?;
        Ok::<_, io::Error>((read > 0).then(|| line.trim().to_owned()))
    });
    answer
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(|source| CliError::Terminal {
            doing: "ask on the terminal",
            source,
        })
}
