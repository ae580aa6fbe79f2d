//! A whole agent over the host in memory: its session with a coordinator, and its local service.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

use std::sync::Arc;

use berth_core::{
    ids::{ContentHash, MemberId, ZoneSerial},
    lease::LeaseTerms,
    order::{Desired, MemberOrder},
    report::{MemberReport, Phase},
    spec::Port,
    volume::{
        VolumeSource,
        work::{VolumeDone, VolumeTask, VolumeWork},
    },
    waiting::Reason,
    zone::{RecordData, Zone},
};
use berth_proto::{
    convert::{work::Numbered, zone::chunks},
    transport::connect,
    v1::{
        LocalListRequest, LocalMemberRequest, LocalStatusRequest, LogRequest,
        agent_message::Message as FromAgent, coordinator_message::Message as ToAgent,
    },
};
use tonic::Code;

mod bed;
mod stub;

use bed::Bed;
use stub::{Agent, complete, member_order, ready, socket};

const COMMAND: [&str; 1] = ["/bin/server"];

fn id(name: &str) -> MemberId {
    format!("default/{name}").parse().unwrap()
}

fn request(name: &str) -> LocalMemberRequest {
    LocalMemberRequest {
        namespace: "default".to_owned(),
        member: name.to_owned(),
    }
}

#[tokio::test]
async fn orders_go_in_and_reports_come_out() {
    let mut bed = Bed::new();
    let mut stub = bed.stub().await;
    bed.start().await;
    let mut agent = stub.agent().await;
    assert_eq!(agent.hello.host.name.as_str(), "host-1");
    assert!(agent.hello.host.pools.keys().eq(["default"]));
    assert_eq!(agent.hello.boot.0, "boot-1");
    let Some(FromAgent::Report(first)) = agent.next().await else {
        panic!("the first message is a report");
    };
    assert!(first.complete && first.members.is_empty());

    let run = complete(3, vec![member_order("web-0", Desired::Run, &COMMAND)]);
    assert_eq!(agent.order(&run).await, "");
    assert!(agent.until(&id("web-0"), ready).await.started);
    let older = complete(2, vec![]);
    assert!(agent.order(&older).await.contains("generation 2"));

    assert_eq!(agent.order(&complete(4, vec![])).await, "");
    agent.until_gone(&id("web-0")).await;
    assert!(bed.host.alive().is_empty());
    bed.stop().await;
}

#[tokio::test]
async fn a_lost_session_is_opened_again_with_what_is_known() {
    let mut bed = Bed::new();
    let mut stub = bed.stub().await;
    bed.start().await;
    let mut agent = stub.agent().await;
    let run = complete(3, vec![member_order("web-0", Desired::Run, &COMMAND)]);
    agent.order(&run).await;
    agent.until(&id("web-0"), ready).await;
    drop(agent);
    let mut agent = stub.agent().await;
    assert_eq!(agent.hello.heard.head, run.head);
    assert_eq!(agent.hello.heard.highest_epochs.len(), 1);
    agent.until(&id("web-0"), ready).await;
    assert_eq!(bed.host.log().len(), 2, "cleaned up and started once");
    bed.stop().await;
}

#[tokio::test]
async fn without_a_coordinator_members_are_taken_up_again() {
    let mut bed = Bed::new();
    let mut stub = bed.stub().await;
    bed.start().await;
    let mut agent = stub.agent().await;
    let run = complete(1, vec![member_order("web-0", Desired::Run, &COMMAND)]);
    agent.order(&run).await;
    agent.until(&id("web-0"), ready).await;
    drop((agent, stub));
    bed.stop().await;
    assert_eq!(bed.host.alive().len(), 1, "it outlives the agent");
    bed.host.reboot();
    bed.start().await;
    let mut local = bed.local().await;
    let list = local.list(LocalListRequest {}).await.unwrap().into_inner();
    assert!(!list.coordinator_connected);
    assert_eq!(list.members[0].name, "web-0");
    let mut stub = bed.stub().await;
    let mut agent = stub.agent().await;
    let report = agent.until(&id("web-0"), ready).await;
    assert_eq!(report.run.unwrap().boot.0, "boot-2");
    bed.stop().await;
}

/// A lease runs out while a disk does not answer.
#[tokio::test]
async fn no_disk_holds_up_the_hello_of_a_host_with_leases() {
    let mut bed = Bed::new();
    let mut stub = bed.stub().await;
    bed.start().await;
    let mut agent = stub.agent().await;
    assert!(agent.hello.pools_known, "without leases it is waited for");
    let order = MemberOrder {
        lease: Some(LeaseTerms {
            length_ms: 3_000,
            grace_ms: 500,
            kill_ms: 1_000,
            self_fences: false,
        }),
        ..member_order("web-0", Desired::Run, &COMMAND)
    };
    agent.order(&complete(1, vec![order])).await;
    bed.stop().await;
    bed.host.hold_pools(true);
    bed.start().await;
    let mut agent = stub.agent().await;
    assert!(!agent.hello.pools_known && agent.hello.host.pools.is_empty());
    bed.host.hold_pools(false);
    let told = loop {
        if let FromAgent::Pools(pools) = agent.next().await.expect("the pools") {
            break pools;
        }
    };
    assert_eq!(told.pools[0].name, "default");
    bed.stop().await;
}

#[tokio::test]
async fn another_history_or_an_older_term_is_not_obeyed() {
    let mut bed = Bed::new();
    let mut stub = bed.stub().await;
    bed.start().await;
    let mut agent = stub.agent().await;
    let run = complete(1, vec![member_order("web-0", Desired::Run, &COMMAND)]);
    agent.order(&run).await;
    drop(agent);
    for (history, term) in [("other", 1), ("h", 0)] {
        let mut stranger = stub.hello().await;
        stranger.welcome(history, term).await;
        assert!(stranger.next().await.is_none(), "the agent hangs up");
    }
    stub.agent().await.until(&id("web-0"), ready).await;
    bed.stop().await;
}

#[tokio::test]
async fn a_history_that_took_the_place_of_its_own_is_followed_from_then_on() {
    let mut bed = Bed::new();
    let mut stub = bed.stub().await;
    bed.start().await;
    let mut agent = stub.agent().await;
    let run = complete(1, vec![member_order("web-0", Desired::Run, &COMMAND)]);
    agent.order(&run).await;
    agent.until(&id("web-0"), ready).await;
    drop(agent);
    let mut low = stub.hello().await;
    low.welcome_after(&["h"], "new", 1).await;
    assert!(low.next().await.is_none(), "its term is not above ours");
    let mut agent = stub.hello().await;
    assert_eq!(agent.hello.heard.members.len(), 1);
    agent.welcome_after(&["h"], "new", 2).await;
    agent.until(&id("web-0"), ready).await;
    bed.stop().await;
    bed.start().await;
    let again = stub.hello().await;
    let head = &again.hello.heard.head;
    assert_eq!((head.history.0.as_str(), head.term.0), ("new", 2));
    assert_eq!(
        head.generation, run.head.generation,
        "its order is the same"
    );
    bed.stop().await;
}

#[tokio::test]
async fn a_zone_is_acknowledged_once_it_is_served_and_outlives_the_agent() {
    let mut bed = Bed::new();
    let mut stub = bed.stub().await;
    bed.start().await;
    let mut agent = stub.agent().await;
    assert_eq!(agent.hello.zone.serial, ZoneSerial(0));
    let address = RecordData::A([127, 77, 1, 0].into());
    let zone = Zone {
        origin: "berth.internal".to_owned(),
        serial: ZoneSerial(7),
        records: [(
            "web-0.web.default.svc.berth.internal".to_owned(),
            vec![address],
        )]
        .into(),
    };
    let hash: ContentHash = zone.hash();
    for chunk in chunks(&zone, &hash).unwrap() {
        agent.send(ToAgent::Zone(chunk)).await;
    }
    let ack = loop {
        if let FromAgent::ZoneAck(ack) = agent.next().await.unwrap() {
            break ack;
        }
    };
    assert_eq!((ack.serial, ack.hash), (7, hash.0.clone()));
    bed.stop().await;
    bed.start().await;
    let again = stub.agent().await;
    assert_eq!(again.hello.zone.serial, ZoneSerial(7));
    assert_eq!(again.hello.zone.hash, hash);
    bed.stop().await;
}

#[tokio::test]
async fn a_log_that_cannot_be_read_ends_with_its_reason() {
    let mut bed = Bed::new();
    let mut stub = bed.stub().await;
    bed.start().await;
    let mut agent = stub.agent().await;
    let run = complete(1, vec![member_order("web-0", Desired::Run, &COMMAND)]);
    agent.order(&run).await;
    for (member, reason) in [
        ("default/web-0", "no current log"),
        ("default/web-9", "no such member"),
    ] {
        let request = LogRequest {
            id: 5,
            member: member.to_owned(),
            follow: true,
            ..LogRequest::default()
        };
        agent.send(ToAgent::LogRequest(request)).await;
        let data = loop {
            if let FromAgent::LogData(data) = agent.next().await.unwrap() {
                break data;
            }
        };
        assert!(data.end && data.id == 5);
        assert!(data.error.contains(reason), "{}", data.error);
    }
    bed.stop().await;
}

async fn ask(agent: &Agent, id: u64, of: VolumeWork) {
    let work = Numbered { id, of };
    agent
        .send(ToAgent::VolumeWork(work.try_into().unwrap()))
        .await;
}

/// What came of the next work: its number, and the error.
async fn done(agent: &mut Agent) -> (u64, Option<String>) {
    loop {
        if let FromAgent::VolumeDone(done) = agent.next().await.expect("an answer") {
            let done = Numbered::<VolumeDone>::try_from(done).unwrap();
            return (done.id, done.of.error);
        }
    }
}

fn trash(volume: &str, member: &MemberOrder) -> VolumeWork {
    VolumeWork {
        volume: format!("default/{volume}").parse().unwrap(),
        owners: vec![member.volumes[0].claim_uid.clone()],
        filled: true,
        source: member.volumes[0].source.clone(),
        deletion: 1,
        task: VolumeTask::Trash,
        from: None,
    }
}

#[tokio::test]
async fn a_work_that_hangs_holds_up_nothing_and_the_newest_decision_counts() {
    let mut bed = Bed::new();
    let mut stub = bed.stub().await;
    bed.start().await;
    let mut agent = stub.agent().await;
    let web = member_order("web-0", Desired::Run, &COMMAND);
    agent.order(&complete(1, vec![web.clone()])).await;
    agent.until(&id("web-0"), ready).await;
    agent.order(&complete(2, vec![])).await;
    agent.until_gone(&id("web-0")).await;
    let claim = &web.volumes[0].claim;

    let gone = trash("pvc-1", &web);
    let back = |task| VolumeWork {
        task,
        ..gone.clone()
    };
    bed.host.hold_work(&gone.volume);
    ask(&agent, 1, gone.clone()).await;
    ask(&agent, 2, back(VolumeTask::Restore)).await;
    ask(&agent, 3, gone.clone()).await;
    ask(&agent, 4, back(VolumeTask::Restore)).await;
    // Another volume, and members, go on.
    ask(
        &agent,
        5,
        trash("pvc-2", &member_order("web-1", Desired::Stop, &COMMAND)),
    )
    .await;
    assert_eq!(done(&mut agent).await, (5, None));
    let other = member_order("web-2", Desired::Run, &COMMAND);
    agent.order(&complete(3, vec![other])).await;
    agent.until(&id("web-2"), ready).await;

    bed.host.finish_work(&gone.volume);
    assert_eq!(done(&mut agent).await, (1, None));
    assert_eq!(
        done(&mut agent).await,
        (4, None),
        "what came between is over"
    );
    let log = bed.host.log();
    let works: Vec<_> = log.iter().filter(|l| l.contains("pvc-1")).collect();
    assert_eq!(works, ["trash default/pvc-1", "restore default/pvc-1"]);

    // A session that ends takes nothing with it; the next one asks again.
    bed.host.hold_work(&gone.volume);
    ask(&agent, 6, gone.clone()).await;
    drop(agent);
    let mut agent = stub.agent().await;
    ask(&agent, 6, gone.clone()).await;
    bed.host.finish_work(&gone.volume);
    assert_eq!(done(&mut agent).await, (6, None));
    assert_eq!(bed.host.capacity(claim), None, "it is in the trash");
    bed.stop().await;
}

#[tokio::test]
async fn a_volume_that_a_member_is_to_run_on_does_not_go_to_the_trash() {
    let mut bed = Bed::new();
    let mut stub = bed.stub().await;
    bed.start().await;
    let mut agent = stub.agent().await;
    let mut web = member_order("web-0", Desired::Run, &COMMAND);
    // Not even while it does not run yet.
    bed.host.take_port("127.0.0.1", 80, "other", 7);
    let mut template = (*web.template).clone();
    template.processes[0].ports = vec![Port {
        container_port: 80,
        ..Port::default()
    }];
    web.template = Arc::new(template);
    agent.order(&complete(1, vec![web.clone()])).await;
    let held = |r: &MemberReport| r.waiting.is_some();
    agent.until(&id("web-0"), held).await;
    ask(&agent, 1, trash("pvc-1", &web)).await;
    let (number, error) = done(&mut agent).await;
    assert!(
        number == 1 && error.as_ref().is_some_and(|e| e.contains("web-0")),
        "{error:?}"
    );
    let grow = VolumeWork {
        task: VolumeTask::Grow { bytes: 7 },
        ..trash("pvc-1", &web)
    };
    ask(&agent, 2, grow).await;
    assert_eq!(done(&mut agent).await, (2, None));
    assert_eq!(bed.host.capacity(&web.volumes[0].claim), Some(7));
    let mut elsewhere = trash("pvc-1", &web);
    elsewhere.source = VolumeSource::Local {
        host: "host-2".parse().unwrap(),
        pool: "default".to_owned(),
        dir: "x".to_owned(),
    };
    ask(&agent, 3, elsewhere).await;
    let (_, error) = done(&mut agent).await;
    assert!(error.unwrap().contains("host-2"));
    bed.stop().await;
}

#[tokio::test]
async fn the_local_service_stops_and_starts_members_durably() {
    let mut bed = Bed::new();
    let mut stub = bed.stub().await;
    bed.start().await;
    let mut agent = stub.agent().await;
    let run = complete(1, vec![member_order("web-0", Desired::Run, &COMMAND)]);
    agent.order(&run).await;
    agent.until(&id("web-0"), ready).await;
    let mut local = bed.local().await;
    local.stop(request("web-0")).await.unwrap();
    assert!(
        bed.host.alive().is_empty(),
        "the answer comes when it is done"
    );
    let held =
        |r: &MemberReport| r.phase == Phase::Stopped && r.waiting == Some(Reason::HeldByOperator);
    agent.until(&id("web-0"), held).await;
    drop(agent);
    bed.stop().await;
    bed.start().await;
    let mut local = bed.local().await;
    let wanted = LocalStatusRequest {
        member: Some(request("web-0")),
    };
    let status = local.status(wanted).await.unwrap().into_inner();
    assert!(status.held_by_operator);
    let refused = local.restart(request("web-0")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let unknown = local.stop(request("web-9")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let nonsense = local.stop(request("web")).await.unwrap_err();
    assert_eq!(nonsense.code(), Code::InvalidArgument);
    local.start(request("web-0")).await.unwrap();
    stub.agent().await.until(&id("web-0"), ready).await;
    let list = local.list(LocalListRequest {}).await.unwrap().into_inner();
    assert_eq!(list.members[0].fqdn, "web-0.x.default.svc.berth.internal");
    assert_eq!(list.members[0].volumes.len(), 1);
    bed.stop().await;
}

#[tokio::test]
async fn the_local_socket_answers_health_and_reflection() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let mut bed = Bed::new();
    bed.start().await;
    let channel = connect(&socket(bed.dir.path(), "agent.sock"))
        .await
        .unwrap();
    let request = HealthCheckRequest {
        service: "berth.v1.LocalService".to_owned(),
    };
    let mut health = HealthClient::new(channel.clone());
    let serving = health.check(request).await.unwrap().into_inner().status;
    assert_eq!(serving, 1, "SERVING");
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let answer = reflection
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap();
    let answer = answer.into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("a list of services");
    };
    let mut names = list.service.iter().map(|service| service.name.as_str());
    assert!(names.any(|name| name == "berth.v1.LocalService"));
    bed.stop().await;
}
