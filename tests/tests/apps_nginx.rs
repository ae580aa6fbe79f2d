//! Real nginx: each member has its own content, scaling goes in order.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use berth_proto::v1::MemberStatus;
use berth_tests::{
    cluster::{Seen, one_by_one},
    dev::Dev,
    machine, wait,
};

fn manifest() -> String {
    machine::checkout()
        .join("deploy/examples/nginx/nginx.yaml")
        .to_str()
        .unwrap()
        .to_owned()
}

/// The body that a member answers with.
async fn page(member: &MemberStatus) -> String {
    wait::until(&format!("{} to serve", member.name), async || {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect((member.address.as_str(), 8080))?;
            write!(stream, "GET / HTTP/1.0\r\nHost: {}\r\n\r\n", member.fqdn)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().map_err(|error| error.to_string())?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
            Some(_) | None => Err(answer),
        }
    })
    .await
}

async fn two_members() -> Dev {
    let dev = Dev::start(3);
    dev.cluster()
        .berth(&["apply", "-f", &manifest(), "--wait", "--timeout", "60s"]);
    dev.cluster().ready("web", 2).await;
    dev
}

/// The ordinals of which `holds` became true, in that order, each once.
fn order(log: &[Seen], holds: impl Fn(&Seen) -> bool) -> Vec<u32> {
    let mut ordinals = Vec::new();
    for seen in log.iter().filter(|seen| holds(seen)) {
        if !ordinals.contains(&seen.member.ordinal) {
            ordinals.push(seen.member.ordinal);
        }
    }
    ordinals
}

#[tokio::test(flavor = "multi_thread")]
async fn each_member_serves_its_own_content_after_the_set_was_stopped_and_started() {
    let dev = two_members().await;
    let before = dev.cluster().ready("web", 2).await;
    let mut pages = Vec::new();
    for (name, member) in &before {
        let body = page(member).await;
        assert!(body.contains(name), "{name} serves {body}");
        pages.push(body);
    }
    assert_ne!(pages[0], pages[1]);

    dev.cluster()
        .berth(&["scale", "sts/web", "--replicas", "0", "--yes"]);
    dev.cluster().ready("web", 0).await;
    dev.cluster()
        .berth(&["scale", "sts/web", "--replicas", "2"]);

    let after = dev.cluster().ready("web", 2).await;
    for ((name, member), body) in after.iter().zip(&pages) {
        assert_eq!(
            &page(member).await,
            body,
            "{name} serves its own content again"
        );
        assert_eq!(member.host, before[name].host, "its volume pins it");
    }
    dev.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_goes_up_from_the_lowest_and_down_from_the_highest() {
    let dev = two_members().await;
    let recording = dev.cluster().record("web").await;

    dev.cluster()
        .berth(&["scale", "sts/web", "--replicas", "5"]);
    dev.cluster().ready("web", 5).await;
    let log = recording
        .until("five ready members", |log| {
            order(log, |s| s.member.ready).len() == 5
        })
        .await;
    for n in 3..5_u32 {
        let started = log
            .iter()
            .position(|s| s.member.ordinal == n && !s.member.processes.is_empty());
        let below_ready = log
            .iter()
            .position(|s| s.member.ordinal == n - 1 && s.member.ready);
        assert!(
            below_ready.unwrap() < started.unwrap(),
            "web-{n} started before web-{} was ready",
            n - 1
        );
    }

    dev.cluster()
        .berth(&["scale", "sts/web", "--replicas", "1", "--yes"]);
    dev.cluster().ready("web", 1).await;
    let departures = dev.cluster().departures("web").await;
    assert_eq!(
        departures,
        one_by_one(&["web-4", "web-3", "web-2", "web-1"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_that_stops_members_needs_to_be_confirmed() {
    let dev = two_members().await;
    let output = dev
        .cluster()
        .try_berth(&["scale", "sts/web", "--replicas", "1"]);
    assert_eq!(
        output.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(dev.cluster().members("web").await.unwrap().len(), 2);
}
