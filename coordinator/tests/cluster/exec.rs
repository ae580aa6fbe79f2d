//! Programs in members: two streams that meet by a ticket, and end together.

use berth_proto::v1::{
    ExecCommand, ExecInput, ExecOutput, ExecRequest, exec_input::Input, exec_output::Output,
    exec_request::Message, member_service_client::MemberServiceClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::{
    agent::Agent,
    common::{Coordinator, set, until},
};

type Told = mpsc::Sender<ExecRequest>;

async fn exec(
    coordinator: &Coordinator,
    member: &str,
) -> Result<(Told, Streaming<ExecOutput>), Status> {
    let (send, requests) = mpsc::channel(4);
    let command = ExecCommand {
        member: member.to_owned(),
        command: vec!["sh".to_owned(), "-i".to_owned()],
        stdin: true,
        ..ExecCommand::default()
    };
    let message = Some(Message::Command(command));
    send.send(ExecRequest { message }).await.unwrap();
    let mut members = MemberServiceClient::new(coordinator.channel().await);
    let answer = members.exec(ReceiverStream::new(requests)).await?;
    Ok((send, answer.into_inner()))
}

async fn tell(told: &Told, input: Input) {
    let input = Some(input);
    let message = Some(Message::Input(ExecInput { input }));
    told.send(ExecRequest { message }).await.unwrap();
}

async fn said(answer: &mut Streaming<ExecOutput>) -> Output {
    answer.message().await.unwrap().unwrap().output.unwrap()
}

#[tokio::test]
async fn a_program_is_told_and_heard_and_ends_with_who_watches_it() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 1, "")).await;
    coordinator.ready("web", 1).await;
    let (told, mut answer) = exec(&coordinator, "web-0").await.unwrap();
    assert_eq!(said(&mut answer).await, Output::Stderr(b"sh -i".to_vec()));
    tell(&told, Input::Stdin(b"hello".to_vec())).await;
    assert_eq!(said(&mut answer).await, Output::Stdout(b"hello".to_vec()));
    tell(&told, Input::StdinEnd(true)).await;
    let Output::End(end) = said(&mut answer).await else {
        panic!("it goes on");
    };
    assert_eq!((end.code, end.error.as_str()), (3, ""));
    assert_eq!(agent.ledger.lock().unwrap().watched_to_the_end, 0);
    drop((told, answer));
    let ended = async || {
        let ended = agent.ledger.lock().unwrap().watched_to_the_end == 1;
        ended.then_some(()).ok_or("the program goes on")
    };
    until("the program to end", ended).await;
    coordinator.stop().await;
}

#[tokio::test]
async fn what_does_not_run_or_cannot_be_reached_is_refused() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    agent.hold("default/web-0");
    coordinator.apply(&set("web", 2, "")).await;
    until("web-0 to start", async || {
        let started = agent.started().len() == 1;
        started.then_some(()).ok_or("it has not")
    })
    .await;
    let why = exec(&coordinator, "web-1").await.unwrap_err();
    assert_eq!(why.code(), Code::FailedPrecondition, "{why}");
    assert!(why.message().contains("does not run"), "{why}");
    let why = exec(&coordinator, "web-7").await.unwrap_err();
    assert_eq!(why.code(), Code::NotFound, "{why}");
    drop(agent);
    let why = until("the host to be lost", async || {
        let answer = exec(&coordinator, "web-0").await;
        answer.err().ok_or("it is in contact")
    })
    .await;
    assert!(why.message().contains("host-1 is out of contact"), "{why}");
    assert!(!why.message().contains("log"), "{why}");
    coordinator.stop().await;
}
