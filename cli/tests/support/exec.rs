//! A program in a member that says what it was started with, and then what it is told.

use std::pin::Pin;

use berth_proto::v1::{
    ExecEnd, ExecOutput, ExecRequest, exec_input::Input, exec_output::Output, exec_request::Message,
};
use futures_util::stream::unfold;
use tokio_stream::{Stream, StreamExt as _, iter};
use tonic::{Status, Streaming};

type Streamed = Pin<Box<dyn Stream<Item = Result<ExecOutput, Status>> + Send>>;

fn said(output: Output) -> Result<ExecOutput, Status> {
    let output = Some(output);
    Ok(ExecOutput { output })
}

fn end(code: u32, error: &str) -> Output {
    let error = error.to_owned();
    Output::End(ExecEnd { code, error })
}

/// What the program says: its arguments, its input, and code 7.
pub(crate) async fn played(mut requests: Streaming<ExecRequest>) -> Result<Streamed, Status> {
    let first = requests.message().await?.and_then(|first| first.message);
    let Some(Message::Command(command)) = first else {
        return Err(Status::invalid_argument("the first message is the command"));
    };
    if command.member == "etcd-2" {
        let why = "default/etcd-2 does not run; 'berth explain etcd-2' says why";
        return Err(Status::failed_precondition(why));
    }
    if command.command == ["gone"] {
        let why = "process etcd: gone: No such file or directory";
        let first = vec![said(end(0, why))];
        return Ok(Box::pin(iter(first)));
    }
    let text = format!("{:?} of '{}'\n", command.command, command.process);
    let mut out = vec![said(Output::Stdout(text.into_bytes()))];
    if let Some(terminal) = &command.terminal {
        let text = format!("on {}\r\n", terminal.term);
        out.push(said(Output::Stdout(text.into_bytes())));
    }
    let stdin = command.stdin;
    let inputs = unfold(requests, async move |mut requests| {
        let next = requests.message().await.ok()??.message?;
        let Message::Input(input) = next else {
            return None;
        };
        let Some(Input::Stdin(bytes)) = input.input else {
            return None;
        };
        Some((said(Output::Stdout(bytes)), requests))
    });
    let last = iter(vec![
        said(Output::Stderr(b"that was all\n".to_vec())),
        said(end(7, "")),
    ]);
    let inputs: Streamed = if stdin {
        Box::pin(inputs)
    } else {
        Box::pin(iter(Vec::new()))
    };
    Ok(Box::pin(iter(out).chain(inputs).chain(last)))
}
