//! Rollouts through the real services: the way back with the config of its time, and secrets, which
//! nothing shows that is not asked for in so many words.

use std::{
    fmt::Write as _,
    io,
    sync::{Arc, Mutex, OnceLock},
};

use berth_proto::v1::{
    GetRequest, HistoryRequest, ListEventsRequest, ListRequest, ListSetStatusRequest, ObjectRef,
    RolloutResponse, RolloutRestartRequest, SetStatusRequest, UndoRequest, WatchRequest,
    event_service_client::EventServiceClient, set_service_client::SetServiceClient,
};
use tonic::{Code, Status, transport::Channel};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    agent::Agent,
    common::{Coordinator, until},
};

/// A value that is looked for in everything, as it is and in base64.
const CANARY: [&str; 2] = ["canary-9c1f", "Y2FuYXJ5LTljMWY"];

async fn sets(coordinator: &Coordinator) -> SetServiceClient<Channel> {
    SetServiceClient::new(coordinator.channel().await)
}

fn secret(value: &str) -> String {
    format!(
        "kind: Secret\napiVersion: v1\nmetadata: {{name: login}}\nstringData: {{password: {value}}}\n"
    )
}

fn set(level: &str) -> String {
    format!(
        "kind: StatefulSet\napiVersion: berth/v1\nmetadata:\n  name: db\n  annotations: \
         {{kubernetes.io/change-cause: level {level}}}\nspec:\n  replicas: 1\n  template:\n    \
         spec:\n      processes:\n      - name: main\n        command: [/bin/app, '{level}']\n        \
         user: app\n        files:\n        - {{path: password, secret: {{name: login, key: \
         password}}}}\n"
    )
}

async fn undo(
    coordinator: &Coordinator,
    to_revision: u64,
    confirmed: bool,
    dry_run: bool,
) -> Result<RolloutResponse, Status> {
    let request = UndoRequest {
        name: "db".to_owned(),
        to_revision,
        confirmed,
        dry_run,
        ..UndoRequest::default()
    };
    let answer = sets(coordinator).await.undo(request).await;
    Ok(answer?.into_inner())
}

/// The numbers of the revisions, and which is the newest.
async fn history(coordinator: &Coordinator) -> Vec<(u64, bool, String)> {
    let request = HistoryRequest {
        name: "db".to_owned(),
        ..HistoryRequest::default()
    };
    let answer = sets(coordinator).await.history(request).await.unwrap();
    let revisions = answer.into_inner().revisions;
    revisions
        .into_iter()
        .map(|r| (r.number, r.newest, r.change_cause))
        .collect()
}

/// Waits until all members have the newest revision.
async fn rolled_out(coordinator: &Coordinator) {
    let sets = sets(coordinator).await;
    until("the rollout to be over", async || {
        let request = SetStatusRequest {
            name: "db".to_owned(),
            ..SetStatusRequest::default()
        };
        let status = sets.clone().status(request).await.unwrap().into_inner();
        let rollout = status.rollout.clone().unwrap_or_default();
        rollout
            .done
            .then_some(())
            .ok_or_else(|| format!("{status:#?}"))
    })
    .await;
}

async fn password(coordinator: &Coordinator) -> String {
    let request = GetRequest {
        r#ref: Some(reference()),
        show_secrets: true,
    };
    let object = coordinator.objects().await.get(request).await.unwrap();
    let manifest = object.into_inner().manifest.unwrap();
    let json = berth_proto::convert::structs::to_value(manifest);
    json["data"]["password"].as_str().unwrap().to_owned()
}

fn reference() -> ObjectRef {
    ObjectRef {
        kind: "Secret".to_owned(),
        namespace: String::new(),
        name: "login".to_owned(),
    }
}

#[tokio::test]
async fn a_set_goes_back_with_the_secret_that_it_had() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&secret("one")).await;
    coordinator.apply(&set("one")).await;
    coordinator.ready("db", 1).await;
    let refused = undo(&coordinator, 0, true, false).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let unknown = undo(&coordinator, 7, true, false).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound, "{unknown}");
    coordinator.try_apply(&secret("two"), true).await.unwrap();
    coordinator.try_apply(&set("two"), true).await.unwrap();
    rolled_out(&coordinator).await;
    let cause = |number, newest, level| (number, newest, format!("level {level}"));
    let three = [
        cause(1, false, "one"),
        cause(2, false, "one"),
        cause(3, true, "two"),
    ];
    assert_eq!(history(&coordinator).await, three);

    let refused = undo(&coordinator, 1, false, false).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "not confirmed");
    let dry = undo(&coordinator, 1, false, true).await.unwrap();
    let plan = dry.plan.unwrap();
    assert_eq!((plan.objects.len(), dry.revision), (2, 0));
    assert_eq!(history(&coordinator).await, three, "nothing was done");
    let done = undo(&coordinator, 1, true, false).await.unwrap();
    assert_eq!((done.to_revision, done.skipped), (1, false));
    assert_eq!(password(&coordinator).await, "b25l");
    let bumped = [
        cause(2, false, "one"),
        cause(3, false, "two"),
        cause(4, true, "one"),
    ];
    assert_eq!(history(&coordinator).await, bumped, "no duplicate");
    assert!(undo(&coordinator, 4, true, false).await.unwrap().skipped);

    drop(agent);
    let coordinator = coordinator.restart().await;
    assert_eq!(history(&coordinator).await, bumped, "it is durable");
    let immutable = format!("{}immutable: true\n", secret("one"));
    coordinator.try_apply(&immutable, true).await.unwrap();
    let refused = undo(&coordinator, 3, true, false).await.unwrap_err();
    assert!(refused.message().contains("Secret/login"), "{refused}");
    assert!(refused.message().contains("data.password"), "{refused}");
    coordinator.stop().await;
}

#[tokio::test]
async fn a_restart_is_a_new_revision() {
    let coordinator = Coordinator::start().await;
    let _agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&secret("one")).await;
    coordinator.apply(&set("one")).await;
    coordinator.ready("db", 1).await;
    let request = |confirmed| RolloutRestartRequest {
        name: "db".to_owned(),
        confirmed,
        ..RolloutRestartRequest::default()
    };
    let mut client = sets(&coordinator).await;
    let refused = client.rollout_restart(request(false)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    client.rollout_restart(request(true)).await.unwrap();
    assert_eq!(history(&coordinator).await.len(), 2);
    coordinator.apply(&set("one")).await;
    assert_eq!(
        history(&coordinator).await.len(),
        2,
        "a manifest does not undo it"
    );
    coordinator.stop().await;
}

/// What the daemon writes to its log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// All that this thread logs, until the guard is dropped.
    fn start() -> (Self, DefaultGuard) {
        // With a single subscriber tracing asks only the thread that comes by a line first, which may be
        // that of another test, and never shows it again. Of two it asks both.
        static ANOTHER: OnceLock<tracing::Dispatch> = OnceLock::new();
        ANOTHER.get_or_init(|| {
            tracing_subscriber::fmt()
                .with_writer(io::sink)
                .finish()
                .into()
        });
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What is said to mistakes of every kind around the value, in values that are no text and no base64.
async fn refusals(coordinator: &Coordinator) -> String {
    let mut said = String::new();
    for wrong in [
        format!("{}immutable: {}\n", secret("x"), CANARY[0]),
        secret(&format!("[{}]", CANARY[0])),
        secret(&format!("{{{}: 1}}", CANARY[0])),
        secret(CANARY[0]).replace("stringData", "data"),
        format!("{}: {{\n", secret(CANARY[0])),
    ] {
        let refused = coordinator.try_apply(&wrong, true).await.unwrap_err();
        writeln!(said, "{} {:?}", refused.message(), refused).unwrap();
    }
    said
}

#[tokio::test]
async fn a_canary_in_a_secret_is_in_nothing_that_is_shown() {
    let (log, _guard) = Log::start();
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    let mut seen = String::new();
    let mut objects = coordinator.objects().await;
    let planned = coordinator.plan(&secret(CANARY[0])).await;
    writeln!(seen, "{planned:?}").unwrap();
    coordinator.apply(&secret(CANARY[0])).await;
    coordinator.apply(&set("one")).await;
    until("the member to run", async || {
        let member = coordinator.members("db").await.remove(0);
        member
            .ready
            .then_some(())
            .ok_or_else(|| format!("{member:?}"))
    })
    .await;
    seen += &refusals(&coordinator).await;
    let changed = secret("other").replace("password", "second, password");
    drop(coordinator.try_apply(&changed, false).await);
    let get = GetRequest {
        r#ref: Some(reference()),
        show_secrets: false,
    };
    writeln!(seen, "{:?}", objects.get(get).await.unwrap()).unwrap();
    for kind in ["Secret", "StatefulSet"] {
        let list = ListRequest {
            kind: kind.to_owned(),
            ..ListRequest::default()
        };
        writeln!(seen, "{:?}", objects.list(list).await.unwrap()).unwrap();
    }
    let watch = objects.watch(WatchRequest::default()).await.unwrap();
    let first = watch.into_inner().message().await.unwrap();
    writeln!(seen, "{first:?}").unwrap();
    let one = HistoryRequest {
        name: "db".to_owned(),
        revision: 1,
        ..HistoryRequest::default()
    };
    let mut sets = sets(&coordinator).await;
    let shown = sets.history(one).await.unwrap().into_inner();
    assert_eq!(shown.revisions[0].config[0].data["password"], "11 bytes");
    writeln!(seen, "{shown:?}").unwrap();
    let statuses = sets.list_status(ListSetStatusRequest::default()).await;
    writeln!(seen, "{:?}", statuses.unwrap()).unwrap();
    let mut events = EventServiceClient::new(coordinator.channel().await);
    let events = events.list(ListEventsRequest::default()).await.unwrap();
    writeln!(seen, "{events:?}").unwrap();
    drop(agent);
    coordinator.stop().await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains(" ready "), "the log is of this test: {log}");
    for text in CANARY {
        for (what, found) in [("answers", &seen), ("log", &log)] {
            let at = found.find(text);
            let around = at.map(|at| &found[at.saturating_sub(200)..found.len().min(at + 50)]);
            assert_eq!(around, None, "{what}");
        }
    }
}
