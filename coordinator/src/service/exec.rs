//! Programs in members: the operator's stream and the agent's, joined. Nothing is kept: each message
//! is taken from one stream when the other one has room for it.

use std::time::Duration;

use berth_core::access::Rights;
use berth_proto::v1::{ExecOutput, ExecRequest, exec_output, exec_request::Message};
use futures_util::{StreamExt as _, stream};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{Streamed, access, members::Members, status::ServiceError};
use crate::{
    context::Context,
    sessions::{ExecEnds, ExecTicket},
};

/// Messages that wait for a program to read them.
const QUEUE: usize = 4;
/// How long the agent may take to open its stream.
const ARRIVAL: Duration = Duration::from_secs(15);

/// Runs a program for an operator.
pub(super) async fn run(
    members: &Members,
    rights: &Rights,
    mut requests: Streaming<ExecRequest>,
) -> Result<Streamed<ExecOutput>, Status> {
    let first = requests.message().await?.and_then(|first| first.message);
    let Some(Message::Command(command)) = first else {
        return Err(Status::invalid_argument("the first message is the command"));
    };
    access::in_namespace(rights, &command.namespace)?;
    let (member, host) = members.runs(&command.namespace, &command.member)?;
    let mut command = command;
    command.namespace = member.set.namespace.to_string();
    let context = &members.0;
    let ticket = context.sessions.exec(&host, command);
    let mut ticket: ExecTicket = ticket.map_err(ServiceError::from)?;
    let arrival = timeout(ARRIVAL, ticket.arrival()).await;
    let ends = arrival.map_err(|_| Status::unavailable(format!("{host} does not answer")))?;
    let ExecEnds { output, input } = ends.map_err(ServiceError::from)?;
    // Ends with the answer, and the program with it.
    let over = CancellationToken::new();
    tokio::spawn(over.clone().run_until_cancelled_owned(async move {
        while let Ok(Some(request)) = requests.message().await {
            if let Some(Message::Input(message)) = request.message
                && input.send(message).await.is_err()
            {
                return;
            }
        }
        // Nobody asks any more; the answer says when it is over.
        input.closed().await;
    }));
    let answer = stream::unfold((output, over.drop_guard()), |(mut output, over)| async {
        let message = output.message().await.transpose()?;
        Some((message, (output, over)))
    });
    let answer = answer.take_until(context.shutdown.clone().cancelled_owned());
    Ok(Box::pin(answer))
}

/// Takes an agent's stream for a program that somebody waits for, and that this host was told to run.
pub(super) async fn arrived(
    context: &Context,
    rights: &Rights,
    mut output: Streaming<ExecOutput>,
) -> Result<Streamed<berth_proto::v1::ExecInput>, Status> {
    let first = output.message().await?.and_then(|first| first.output);
    let Some(exec_output::Output::Ticket(ticket)) = first else {
        return Err(Status::invalid_argument("the first message is the ticket"));
    };
    let (input, queue) = mpsc::channel(QUEUE);
    let ends = ExecEnds { output, input };
    if !context.sessions.exec_arrived(&ticket, rights, ends) {
        return Err(Status::not_found("nobody waits for this program any more"));
    }
    Ok(Box::pin(ReceiverStream::new(queue).map(Ok)))
}
