//! Programs that operators run in members: each on a connection of its own to the coordinator, so
//! that what is not read there holds back the program and nothing else.

use std::sync::Arc;

use berth_core::{ids::MemberId, keeper::Exit};
use berth_proto::{
    transport::Remote,
    v1::{
        self, ExecCommand, ExecEnd, ExecInput, ExecOrder, ExecOutput,
        agent_service_client::AgentServiceClient, exec_input, exec_output::Output,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::logs::first_process;
use crate::{
    host::{AttachInput, AttachOrder, AttachOutput, AttachedProgram, Host, TerminalOrder},
    ledger::LedgerStore,
};

/// Messages that wait to be sent.
const QUEUE: usize = 4;
/// Looks a program up in the PATH of the process.
const ENV: &str = "/usr/bin/env";

/// What a program needs.
pub(super) struct Runner<H> {
    pub(super) coordinator: Remote,
    pub(super) host: Arc<H>,
    pub(super) ledger: LedgerStore,
}

impl<H: Host> Runner<H> {
    /// Runs one, until it ends or its watcher is gone.
    pub(super) async fn run(self, order: ExecOrder) {
        if let Err(status) = self.serve(order).await {
            tracing::warn!(%status, "a program that was to be run has no watcher");
        }
    }

    async fn serve(&self, order: ExecOrder) -> Result<(), Status> {
        let channel = self.coordinator.connect().await;
        let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
        let (out, queue) = mpsc::channel(QUEUE);
        say(&out, Output::Ticket(order.ticket)).await;
        let mut client = AgentServiceClient::new(channel);
        let incoming = client.exec(ReceiverStream::new(queue)).await?.into_inner();
        let command = order.command.unwrap_or_default();
        let begun = match self.order(&command) {
            Ok((member, order)) => {
                let begun = self.host.attach(&member, order).await;
                begun.map_err(|reason| reason.to_string())
            }
            Err(why) => Err(why),
        };
        match begun {
            Ok(program) => copy(program, incoming, &out).await,
            Err(error) => say(&out, Output::End(ExecEnd { code: 0, error })).await,
        }
        // The last message is on its way; it is read before the stream is closed.
        out.closed().await;
        Ok(())
    }

    fn order(&self, command: &ExecCommand) -> Result<(MemberId, AttachOrder), String> {
        let member = format!("{}/{}", command.namespace, command.member);
        let member: MemberId = member.parse().map_err(|e| format!("{member}: {e}"))?;
        let process = match command.process.as_str() {
            "" => first_process(&self.ledger, &member)
                .ok_or("there is no such member on this host")?,
            name => name.parse().map_err(|e| format!("process '{name}': {e}"))?,
        };
        let mut argv = command.command.clone();
        let program = argv.first().ok_or("there is no command")?;
        if !program.contains('/') {
            argv.splice(0..0, [ENV.to_owned(), "--".to_owned()]);
        }
        let terminal = command.terminal.as_ref().map(|terminal| {
            let size = terminal.size.unwrap_or_default();
            TerminalOrder {
                term: terminal.term.clone(),
                rows: cells(size.rows),
                columns: cells(size.columns),
            }
        });
        let order = AttachOrder {
            process,
            argv,
            stdin: command.stdin,
            terminal,
        };
        Ok((member, order))
    }
}

async fn copy(
    program: AttachedProgram,
    mut incoming: Streaming<ExecInput>,
    out: &mpsc::Sender<ExecOutput>,
) {
    let AttachedProgram { input, mut output } = program;
    let inputs = async {
        while let Ok(Some(message)) = incoming.message().await {
            let Some(message) = message.input.and_then(taken) else {
                continue;
            };
            if input.send(message).await.is_err() {
                // The program has ended; what is left of its output comes.
                return std::future::pending().await;
            }
        }
    };
    let outputs = async {
        while let Some(said) = output.recv().await {
            let message = match said {
                AttachOutput::Output(bytes) => Output::Stdout(bytes),
                AttachOutput::Error(bytes) => Output::Stderr(bytes),
                AttachOutput::End(exit) => Output::End(ExecEnd {
                    code: code(exit),
                    error: String::new(),
                }),
                AttachOutput::Failed(reason) => Output::End(ExecEnd {
                    code: 0,
                    error: reason.to_string(),
                }),
            };
            say(out, message).await;
        }
    };
    // Whoever watched is gone when its messages end: dropping the program ends it.
    tokio::select! {
        () = inputs => {}
        () = outputs => {}
    }
}

fn taken(input: exec_input::Input) -> Option<AttachInput> {
    match input {
        exec_input::Input::Stdin(bytes) if bytes.is_empty() => None,
        exec_input::Input::Stdin(bytes) => Some(AttachInput::Data(bytes)),
        exec_input::Input::StdinEnd(_) => Some(AttachInput::End),
        exec_input::Input::Resize(v1::TerminalSize { rows, columns }) => {
            Some(AttachInput::Resize {
                rows: cells(rows),
                columns: cells(columns),
            })
        }
        exec_input::Input::Signal(signal) => Some(AttachInput::Signal(signal)),
    }
}

/// A terminal is never wider than its own numbers.
fn cells(count: u32) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// As shells count: 128 and the signal that killed it.
fn code(exit: Exit) -> u32 {
    let number = match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal,
        // Shells see it as the KILL that it is.
        Exit::OomKilled => 128 + 9,
    };
    u32::try_from(number).unwrap_or(255)
}

async fn say(out: &mpsc::Sender<ExecOutput>, output: Output) {
    let output = Some(output);
    // A watcher that is gone is found out by its messages.
    drop(out.send(ExecOutput { output }).await);
}
