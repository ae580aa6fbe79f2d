//! Canned members, sets, hosts and events. Ages are whole hours and some minutes, so that they
//! read the same however slow the test is.

use std::time::{SystemTime, UNIX_EPOCH};

use berth_proto::v1;

/// The instant so many hours and a half ago.
pub(crate) fn hours_ago(hours: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap() - hours * 3_600_000 - 1_800_000
}

pub(crate) fn waiting(rule: &str, message: &str, frees: &str) -> Option<v1::Waiting> {
    Some(v1::Waiting {
        rule: rule.into(),
        message: message.into(),
        frees: frees.into(),
        since_ms: hours_ago(2),
    })
}

pub(crate) fn member(set: &str, ordinal: u32, phase: &str) -> v1::MemberStatus {
    v1::MemberStatus {
        namespace: "default".into(),
        set: set.into(),
        ordinal,
        name: format!("{set}-{ordinal}"),
        fqdn: format!("{set}-{ordinal}.{set}.default.svc.berth.internal"),
        phase: phase.into(),
        ..Default::default()
    }
}

pub(crate) fn placed(set: &str, ordinal: u32, phase: &str) -> v1::MemberStatus {
    v1::MemberStatus {
        address: format!("127.77.1.{ordinal}"),
        host: format!("host-{}", ordinal + 1),
        epoch: format!("1.{}", ordinal + 1),
        revision: "6b1f0a9c2d3e4f50".into(),
        ..member(set, ordinal, phase)
    }
}

pub(crate) fn running(set: &str, ordinal: u32) -> v1::MemberStatus {
    v1::MemberStatus {
        started: true,
        ready: true,
        available: true,
        ready_since_ms: hours_ago(3),
        processes: vec![v1::ProcessStatus {
            name: set.into(),
            pid: 4711 + ordinal,
            restarts: 1,
            last_exit: "killed by signal 9".into(),
            status: String::new(),
            unenforced: Vec::new(),
        }],
        volumes: vec![v1::VolumeStatus {
            name: "data".into(),
            claim: format!("data-{set}-{ordinal}"),
            pool: "default".into(),
            host: format!("host-{}", ordinal + 1),
            filled: true,
            volume: format!("pvc-{ordinal}"),
            source: format!("local:default/default_data-{set}-{ordinal}"),
            capacity_bytes: 10 << 30,
            available_bytes: 7 << 30,
        }],
        restarts: 1,
        founder: true,
        ..placed(set, ordinal, "Running")
    }
}

/// etcd on its way: one ready, one starting, one held back.
pub(crate) fn etcd() -> v1::SetStatus {
    let starting = v1::MemberStatus {
        waiting: waiting(
            "StartupProbe",
            "startup probe of etcd: 127.77.1.1:2380: connection refused",
            "event: the startup probe passes",
        ),
        founder: true,
        ..placed("etcd", 1, "Starting")
    };
    let held = v1::MemberStatus {
        waiting: waiting(
            "PredecessorNotStarted",
            "ordinal 1 has not started",
            "event: the lower ordinal has started",
        ),
        ..member("etcd", 2, "Declared")
    };
    v1::SetStatus {
        namespace: "default".into(),
        name: "etcd".into(),
        replicas: 3,
        current_replicas: 2,
        ready_replicas: 1,
        available_replicas: 1,
        updated_replicas: 2,
        gate: "OrderedStarted".into(),
        founded: true,
        at_most_one: "hold".into(),
        generation: 1,
        members: vec![running("etcd", 0), starting, held],
        ..Default::default()
    }
}

/// A set in another namespace.
pub(crate) fn shop() -> v1::SetStatus {
    let front = v1::MemberStatus {
        namespace: "shop".into(),
        ..running("front", 0)
    };
    v1::SetStatus {
        namespace: "shop".into(),
        name: "front".into(),
        replicas: 1,
        current_replicas: 1,
        ready_replicas: 1,
        available_replicas: 1,
        updated_replicas: 1,
        gate: "OrderedReady".into(),
        founded: true,
        warnings: vec!["serviceName 'shop' matches no Service".into()],
        members: vec![front],
        ..Default::default()
    }
}

pub(crate) fn hosts() -> Vec<v1::HostStatus> {
    let host = |number: u64, connected| v1::HostStatus {
        name: format!("host-{number}"),
        address: format!("127.77.0.{number}"),
        connected,
        since_ms: hours_ago(5),
        labels: [("rack".to_owned(), format!("r{number}"))].into(),
        pools: vec!["default".into()],
        controllers: Vec::new(),
        dead: false,
        pool_statuses: vec![
            v1::PoolStatus {
                name: "default".into(),
                kind: "directory".into(),
                path: "/srv/data".into(),
                capacity_bytes: 100 << 30,
                free_bytes: 30 << 30,
                claims: vec![format!("default/data-etcd-{}", number - 1)],
                ..Default::default()
            },
            v1::PoolStatus {
                name: "fast".into(),
                kind: "image".into(),
                path: "/srv/nvme".into(),
                trouble: "/srv/nvme is not pool 'fast'; mount its disk".into(),
                limits: true,
                ..Default::default()
            },
        ],
        members: vec![format!("default/etcd-{}", number - 1)],
        generation_sent: 7,
        generation_acked: if connected { 7 } else { 6 },
        zone_acked: 12,
        agent_version: "0.1.0".into(),
        unschedulable: false,
        draining: false,
        stop_pinned: false,
        mismatch: if connected {
            String::new()
        } else {
            "its ledger is of another history".into()
        },
    };
    vec![host(1, true), host(2, false)]
}

pub(crate) fn events() -> Vec<v1::Event> {
    let event = |sequence, subject: &str, kind: &str, reason: &str, message: &str| v1::Event {
        sequence,
        time_ms: hours_ago(4),
        namespace: "default".into(),
        subject: subject.into(),
        r#type: kind.into(),
        reason: reason.into(),
        message: message.into(),
    };
    vec![
        event(1, "StatefulSet/etcd", "Normal", "Created", "3 replicas"),
        event(2, "Member/etcd-0", "Normal", "Started", "on host-1"),
        event(
            3,
            "Member/etcd-1",
            "Warning",
            "StartupProbe",
            "connection refused",
        ),
        event(4, "Host/host-2", "Warning", "OutOfContact", "stream ended"),
        event(5, "StatefulSet/front", "Normal", "Created", "1 replica"),
    ]
}
