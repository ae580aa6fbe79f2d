//! The fake is a tool of many tests, so it is tested itself: events, adoption, the n-th failure.

use berth_core::{
    ids::{BootId, Epoch, HistoryId, RunNumber, Term, Uid},
    keeper::BackoffLimits,
    order::VolumeOrder,
    rendered::{DEFAULT_UMASK, Limits, RenderedMember, RenderedProcess},
    volume::work::VolumeTask,
};

use super::{
    super::{DnsSettings, KeeperEvent, VolumeOwner},
    *,
};

fn member() -> MemberId {
    "default/web-0".parse().unwrap()
}

fn main_process() -> ProcessName {
    "main".parse().unwrap()
}

fn launch() -> KeeperLaunch {
    let process = RenderedProcess {
        name: main_process(),
        argv: vec!["/bin/true".to_owned()],
        env: BTreeMap::new(),
        working_dir: "/".to_owned(),
        user: "nobody".to_owned(),
        group: None,
        supplemental_groups: Vec::new(),
        umask: DEFAULT_UMASK,
        capabilities: Vec::new(),
        rlimits: BTreeMap::new(),
        limits: Limits::default(),
        mounts: Vec::new(),
        files: Vec::new(),
        ports: Vec::new(),
        startup_probe: None,
        readiness_probe: None,
        liveness_probe: None,
        post_start: None,
        pre_stop: None,
        kill_signal: "SIGTERM".to_owned(),
        reload_signal: "SIGHUP".to_owned(),
        never_kill: false,
        journald: false,
        sidecar: false,
    };
    KeeperLaunch {
        run: RunId {
            epoch: epoch(1),
            boot: BootId("boot-1".to_owned()),
            number: RunNumber(1),
        },
        rendered: RenderedMember {
            member: member(),
            hostname: "web-0".to_owned(),
            fqdn: "web-0.web.default.svc.berth.internal".to_owned(),
            address: "127.0.0.1".to_owned(),
            config_dir: "/fake/config".to_owned(),
            config_copy_from: None,
            read_only_root: false,
            host: "host-1".to_owned(),
            init_processes: Vec::new(),
            processes: vec![process],
            grace_seconds: 1,
            backoff: BackoffLimits::default(),
        },
        volumes: Vec::new(),
        lease: None,
        dns: DnsSettings {
            server: [127, 0, 0, 153].into(),
            search: Vec::new(),
        },
    }
}

fn epoch(counter: u64) -> Epoch {
    let term = Term(1);
    Epoch { term, counter }
}

fn volume(uid: &str, counter: u64, filled: bool) -> PrepareVolumes {
    let order = VolumeOrder {
        filled,
        ..VolumeOrder::local(
            "data",
            "default/data-web-0".parse().unwrap(),
            Uid(uid.to_owned()),
            "host-1".parse().unwrap(),
            "default",
        )
    };
    let owner = VolumeOwner {
        process: main_process(),
        user: "nobody".to_owned(),
        group: None,
    };
    PrepareVolumes {
        member: member(),
        epoch: epoch(counter),
        history: HistoryId("h".to_owned()),
        volumes: vec![(order, owner)],
    }
}

#[tokio::test]
async fn a_run_outlives_its_handle_and_is_adopted_with_the_same_processes() {
    let host = FakeHost::new(&["default"]);
    let first = host.start_keeper(launch()).await.unwrap();
    let status = first.status.clone();
    drop(first);
    let mut second = host.adopt(&member()).await.unwrap().unwrap();
    assert_eq!(second.status, status);

    host.exit(&member(), &main_process(), Exit::Code(1), 1000);
    let event = second.events.recv().await.unwrap();
    assert!(matches!(event, KeeperEvent::Exited { exit, .. } if exit == Exit::Code(1)));
    host.start_again(&member(), &main_process());
    let event = second.events.recv().await.unwrap();
    assert!(matches!(event, KeeperEvent::Started { restarts: 1, .. }));
}

#[tokio::test]
async fn a_held_stop_ends_when_it_is_let_go() {
    let host = FakeHost::new(&[]);
    let mut handle = host.start_keeper(launch()).await.unwrap();
    host.hold_stop(&member());
    handle.client.stop(None).await.unwrap();
    assert!(host.alive().contains_key(&member()));
    host.finish_stop(&member());
    let mut events = Vec::new();
    while let Some(event) = handle.events.recv().await {
        events.push(event);
    }
    assert_eq!(
        events.last_chunk::<2>(),
        Some(&[KeeperEvent::AllStopped, KeeperEvent::Gone])
    );
    assert!(handle.client.status().await.is_err());
    assert!(host.adopt(&member()).await.unwrap().is_none());
}

#[tokio::test]
async fn the_nth_call_fails_and_only_that_one() {
    let host = FakeHost::new(&[]);
    host.fail(Call::StartKeeper, 2, step_failed("x", "y"));
    assert!(host.start_keeper(launch()).await.is_ok());
    host.kill_keeper(&member());
    assert!(host.start_keeper(launch()).await.is_err());
    assert!(host.start_keeper(launch()).await.is_ok());
}

#[tokio::test]
async fn volumes_are_guarded_as_on_a_real_host() {
    let host = FakeHost::new(&["default"]);
    let lost = host.prepare_volumes(volume("a", 1, true)).await;
    assert!(matches!(lost, Err(Reason::VolumeEmpty { .. })));
    assert!(host.prepare_volumes(volume("a", 2, false)).await.is_ok());
    assert!(host.prepare_volumes(volume("a", 3, true)).await.is_ok());
    let older = host.prepare_volumes(volume("a", 2, true)).await;
    assert!(matches!(older, Err(Reason::VolumeForeign { .. })));
    let other = host.prepare_volumes(volume("b", 4, false)).await;
    assert!(matches!(other, Err(Reason::VolumeForeign { .. })));
}

#[tokio::test]
async fn a_reboot_leaves_volumes_and_nothing_else() {
    let host = FakeHost::new(&["default"]);
    host.prepare_volumes(volume("a", 1, false)).await.unwrap();
    host.start_keeper(launch()).await.unwrap();
    let before = host.facts().boot;
    host.reboot();
    assert_ne!(host.facts().boot, before);
    assert!(host.list_runs().await.unwrap().is_empty());
    assert!(host.prepare_volumes(volume("a", 1, true)).await.is_ok());
}

#[tokio::test]
async fn volumes_go_to_the_trash_and_come_back_as_on_a_real_host() {
    let host = FakeHost::new(&["default"]);
    let request = volume("a", 1, false);
    let order = request.volumes[0].0.clone();
    let work = |task, uid: &str| VolumeWork {
        volume: "default/pvc-1".parse().unwrap(),
        owners: vec![Uid(uid.to_owned())],
        filled: true,
        source: order.source.clone(),
        deletion: 1,
        task,
        from: None,
    };
    let trash = work(VolumeTask::Trash, "a");
    let mut launch = launch();
    launch.volumes = host.prepare_volumes(request).await.unwrap();
    host.start_keeper(launch).await.unwrap();
    let busy = host.volume_work(trash.clone()).await;
    assert!(matches!(busy, Err(Reason::VolumeBusy { .. })));
    host.volume_work(work(VolumeTask::Grow { bytes: 7 }, "a"))
        .await
        .unwrap();
    host.kill_keeper(&member());
    let foreign = host.volume_work(work(VolumeTask::Trash, "b")).await;
    assert!(matches!(foreign, Err(Reason::VolumeForeign { .. })));
    for _ in 0..2 {
        host.volume_work(trash.clone()).await.unwrap();
    }
    assert_eq!(host.capacity(&order.claim), None);
    // The name is used again meanwhile: then the place is taken.
    host.prepare_volumes(volume("b", 2, false)).await.unwrap();
    let back = work(VolumeTask::Restore, "a");
    assert!(host.volume_work(back.clone()).await.is_err());
    host.lose_volume(&order.claim);
    for _ in 0..2 {
        host.volume_work(back.clone()).await.unwrap();
    }
    assert_eq!(host.capacity(&order.claim), Some(7));
}
