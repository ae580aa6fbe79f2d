//! The agent's own program on a real host: an order comes in, a process runs, and goes on running
//! when the agent is killed or asked to end. Needs root.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;

use berth_core::{
    order::Desired,
    report::{MemberReport, Phase},
    waiting::{Privilege, Reason},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

mod machine;
mod stub;

use machine::{Machine, log_with, pid};
use stub::{Agent, complete, member_order, ready};

const SCRIPT: &str = "echo hello from $0; echo data > /data/file; exec sleep 600";

/// Orders the machine's member to run; the process id of its process.
async fn run(machine: &Machine, agent: &mut Agent) -> u32 {
    let order = member_order(&machine.name, Desired::Run, &command());
    assert_eq!(agent.order(&complete(1, vec![order])).await, "");
    pid(&agent.until(&machine.member(), ready).await)
}

/// The keeper of the machine's member.
fn keeper(machine: &Machine) -> Pid {
    let record = machine.dir.path().join("run");
    let record = record.join(format!("default_{}/record.json", machine.name));
    let record: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(record).unwrap()).unwrap();
    Pid::from_raw(i32::try_from(record["pid"].as_i64().unwrap()).unwrap())
}

fn command() -> [&'static str; 4] {
    ["/bin/sh", "-c", SCRIPT, "real"]
}

#[tokio::test]
async fn a_process_keeps_its_pid_over_the_death_and_the_end_of_its_agent() {
    let mut machine = Machine::new("pid-0", "127.0.77.1");
    let mut stub = machine.stub().await;
    let mut agent = stub.agent().await;
    assert!(agent.hello.host.pools.keys().eq(["default"]));
    let first = run(&machine, &mut agent).await;
    log_with(&mut agent, &machine.member(), "hello from real\n").await;

    assert!(!machine.end(Signal::SIGKILL));
    machine.restart();
    let mut agent = stub.agent().await;
    assert_eq!(
        pid(&agent.until(&machine.member(), ready).await),
        first,
        "adopted"
    );

    assert!(machine.end(Signal::SIGTERM), "a clean end");
    machine.restart();
    let mut agent = stub.agent().await;
    let report = agent.until(&machine.member(), ready).await;
    assert_eq!(pid(&report), first, "adopted");
    assert_eq!(report.restarts, 0);

    machine.forget(&mut agent, 2).await;
    assert!(!fs::exists(format!("/proc/{first}")).unwrap());
    let data = machine.dir.path().join("pool/default_data-pid-0/data/file");
    assert_eq!(fs::read_to_string(data).unwrap(), "data\n", "data stays");
    assert!(machine.end(Signal::SIGTERM));
    let log = machine.log();
    let (_, stopping) = log.rsplit_once("stopping; the members run on").unwrap();
    assert!(!stopping.contains("WARN"), "{log}");
    assert!(!log.contains('\u{1b}'), "colours in a file: {log:?}");
}

#[tokio::test]
async fn a_killed_process_and_a_killed_keeper_come_back() {
    let mut machine = Machine::new("kill-0", "127.0.77.2");
    let mut stub = machine.stub().await;
    let mut agent = stub.agent().await;
    let first = run(&machine, &mut agent).await;
    kill(
        Pid::from_raw(i32::try_from(first).unwrap()),
        Signal::SIGKILL,
    )
    .unwrap();
    let again = |r: &MemberReport| r.ready && r.restarts == 1;
    let second = pid(&agent.until(&machine.member(), again).await);
    assert_ne!(first, second);

    kill(keeper(&machine), Signal::SIGKILL).unwrap();
    let other = |r: &MemberReport| r.ready && r.run.as_ref().unwrap().number.0 == 2;
    let third = pid(&agent.until(&machine.member(), other).await);
    assert!(!fs::exists(format!("/proc/{second}")).unwrap());
    assert_ne!(second, third);
    machine.forget(&mut agent, 2).await;
    assert!(machine.end(Signal::SIGTERM));
}

/// A keeper that hangs hears neither of a stop nor of a kill.
#[tokio::test]
async fn a_keeper_that_does_not_answer_is_killed_after_the_grace_period() {
    let mut machine = Machine::new("hangs-0", "127.0.77.4");
    let mut stub = machine.stub().await;
    let mut agent = stub.agent().await;
    let order = |desired| {
        let mut order = member_order("hangs-0", desired, &command());
        let mut template = (*order.template).clone();
        template.termination_grace_period_seconds = Some(1);
        order.template = template.into();
        vec![order]
    };
    agent.order(&complete(1, order(Desired::Run))).await;
    let process = pid(&agent.until(&machine.member(), ready).await);
    let keeper = keeper(&machine);
    kill(keeper, Signal::SIGSTOP).unwrap();

    agent.order(&complete(2, order(Desired::Stop))).await;
    let stopped = |r: &MemberReport| r.phase == Phase::Stopped;
    agent.until(&machine.member(), stopped).await;
    assert!(!fs::exists(format!("/proc/{process}")).unwrap());

    agent.order(&complete(3, order(Desired::Run))).await;
    agent.until(&machine.member(), ready).await;
    machine.forget(&mut agent, 4).await;
    assert!(machine.end(Signal::SIGTERM));
}

#[tokio::test]
async fn what_is_missing_on_the_host_is_named_and_holds_up_nothing_else() {
    let mut machine = Machine::new("good-0", "127.0.77.3");
    let mut stub = machine.stub().await;
    let mut agent = stub.agent().await;
    let mut user = member_order("user-0", Desired::Run, &command());
    let mut template = (*user.template).clone();
    template.processes[0].user = Some("no-such-user".to_owned());
    user.template = template.into();
    let orders = vec![
        member_order("good-0", Desired::Run, &command()),
        member_order("command-0", Desired::Run, &["/no/such/program"]),
        user,
    ];
    agent.order(&complete(1, orders)).await;
    agent.until(&machine.member(), ready).await;
    let missing = "default/command-0".parse().unwrap();
    let report = agent
        .until(&missing, |r| {
            matches!(r.waiting, Some(Reason::CommandMissing { .. }))
        })
        .await;
    assert!(!report.started);
    let nobody = "default/user-0".parse().unwrap();
    agent
        .until(&nobody, |r| {
            let name = Privilege::User("no-such-user".to_owned());
            matches!(&r.waiting, Some(Reason::UserMissing { privilege, .. }) if *privilege == name)
        })
        .await;
    machine.forget(&mut agent, 2).await;
    agent.until_gone(&missing).await;
    agent.until_gone(&nobody).await;
    assert!(machine.end(Signal::SIGTERM));
}
