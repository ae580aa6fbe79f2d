//! `berth exec`: a program in a member, with this terminal or with pipes.

use std::io::Read as _;

use berth_proto::v1::{
    ExecCommand, ExecInput, ExecOutput, ExecRequest, Terminal, exec_input::Input,
    exec_output::Output, exec_request::Message,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::Context;
use crate::{
    args::ExecArgs,
    error::CliError,
    exit::Exit,
    output, refusal, target,
    terminal::{self, Raw},
};

/// Chunks of input that wait to be sent.
const QUEUE: usize = 4;
/// The largest chunk of input.
const CHUNK: usize = 32 << 10;
/// The number of SIGINT.
const SIGINT: i32 = 2;

/// Runs a program; its code is the command's.
pub(crate) async fn run(context: &Context, args: ExecArgs) -> Result<Exit, CliError> {
    let command = command(context, &args)?;
    let doing = format!("run a program in member/{}", command.member);
    let wrap = |status: tonic::Status| {
        let error = refusal::from_status(&doing, &status);
        error.of_a_look("`berth explain` with the member's name says why it does not run")
    };
    let (say, queue) = mpsc::channel(QUEUE);
    let first = ExecRequest {
        message: Some(Message::Command(command)),
    };
    // There is room for it.
    drop(say.send(first).await);
    let mut members = context.coordinator.members();
    let answer = members.exec(ReceiverStream::new(queue)).await;
    let answer = answer.map_err(wrap)?.into_inner();
    // From here on every way out puts the terminal back.
    let raw = args.tty.then(Raw::begin).transpose();
    let raw = raw.map_err(|source| CliError::Terminal {
        doing: "take over the terminal",
        source,
    })?;
    if args.stdin {
        let say = say.clone();
        // It may wait for a key for ever; the process does not wait for it.
        tokio::task::spawn_blocking(move || input(&say));
    }
    let outcome = watch(answer, &say, args.tty).await;
    drop(raw);
    match outcome? {
        Watched::Code(code) => Ok(Exit::Remote(code)),
        Watched::Refused(message) => Err(CliError::Answer {
            doing,
            message,
            lines: Vec::new(),
            exit: Exit::Failure,
            hint: "`berth status` says how the member is".to_owned(),
        }),
        Watched::Broken(status) => Err(wrap(status)),
        Watched::Interrupted => Err(CliError::Interrupted {
            stays: "the program was ended".to_owned(),
            hint: "nothing is left of it".to_owned(),
        }),
    }
}

fn command(context: &Context, args: &ExecArgs) -> Result<ExecCommand, CliError> {
    let member = target::parse_member(&args.member)?;
    if args.tty && !output::is_on_terminal() {
        return Err(CliError::Usage {
            message: "-t needs a terminal, and standard input is none".to_owned(),
            hint: "leave -t out".to_owned(),
        });
    }
    let terminal = args.tty.then(|| Terminal {
        term: std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned()),
        size: terminal::size(),
    });
    Ok(ExecCommand {
        namespace: context.namespace.clone(),
        member,
        process: args.process.clone().unwrap_or_default(),
        command: args.command.clone(),
        stdin: args.stdin,
        terminal,
    })
}

/// How it came to its end.
enum Watched {
    Code(u8),
    Refused(String),
    Broken(tonic::Status),
    Interrupted,
}

/// Shows what the program says, and passes on what happens here, until one of the two ends.
async fn watch(
    mut answer: Streaming<ExecOutput>,
    say: &mpsc::Sender<ExecRequest>,
    tty: bool,
) -> Result<Watched, CliError> {
    let mut resized = listen(SignalKind::window_change())?;
    let mut interrupted = listen(SignalKind::interrupt())?;
    let mut ended = listen(SignalKind::terminate())?;
    let mut hung_up = listen(SignalKind::hangup())?;
    let mut told = false;
    loop {
        let message = tokio::select! {
            message = answer.message() => message,
            _ = resized.recv(), if tty => {
                if let Some(size) = terminal::size() {
                    tell(say, Input::Resize(size)).await;
                }
                continue;
            }
            // A program that does not heed the first one is given up at the second.
            _ = interrupted.recv() => {
                if std::mem::replace(&mut told, true) {
                    return Ok(Watched::Interrupted);
                }
                tell(say, Input::Signal(SIGINT)).await;
                continue;
            }
            _ = ended.recv() => return Ok(Watched::Interrupted),
            _ = hung_up.recv() => return Ok(Watched::Interrupted),
        };
        let said = match message {
            Ok(Some(said)) => said.output,
            Ok(None) => {
                let status = tonic::Status::aborted("the stream ended before the program did");
                return Ok(Watched::Broken(status));
            }
            Err(status) => return Ok(Watched::Broken(status)),
        };
        match said {
            Some(Output::Stdout(bytes)) => output::pass_on(&bytes, false).await?,
            Some(Output::Stderr(bytes)) => output::pass_on(&bytes, true).await?,
            Some(Output::End(end)) if end.error.is_empty() => {
                return Ok(Watched::Code(u8::try_from(end.code).unwrap_or(u8::MAX)));
            }
            Some(Output::End(end)) => return Ok(Watched::Refused(end.error)),
            Some(Output::Ticket(_)) | None => {}
        }
    }
}

fn listen(kind: SignalKind) -> Result<Signal, CliError> {
    signal(kind).map_err(CliError::Runtime)
}

/// Passes standard input on until its end.
fn input(say: &mpsc::Sender<ExecRequest>) {
    let mut stdin = std::io::stdin().lock();
    let mut buffer = vec![0; CHUNK];
    let mut last = false;
    while !last {
        let next = match stdin.read(&mut buffer) {
            Ok(count @ 1..) => Input::Stdin(buffer.get(..count).unwrap_or_default().to_vec()),
            Ok(_) | Err(_) => {
                last = true;
                Input::StdinEnd(true)
            }
        };
        // The program has ended.
        if say.blocking_send(told(next)).is_err() {
            return;
        }
    }
}

async fn tell(say: &mpsc::Sender<ExecRequest>, input: Input) {
    // A stream that broke is found out by its answer.
    drop(say.send(told(input)).await);
}

fn told(input: Input) -> ExecRequest {
    let input = Some(input);
    ExecRequest {
        message: Some(Message::Input(ExecInput { input })),
    }
}
