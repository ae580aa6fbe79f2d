//! What becomes of volumes from end to end: a deleted claim's volume is in the trash of its pool and
//! comes back with its data, and a claim template that asks for more gives the member more.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{fs, path::PathBuf, process::Command};

use berth_tests::{cluster::Cluster, dev::Dev, machine, wait};
use serde_json::Value;

const CLASSES: &str = "
apiVersion: berth/v1
kind: StorageClass
metadata: { name: scrap }
provisioner: local
parameters: { pool: default }
reclaimPolicy: Delete
---
apiVersion: berth/v1
kind: StorageClass
metadata: { name: images }
provisioner: local
parameters: { pool: images }
reclaimPolicy: Delete
allowVolumeExpansion: true
";

/// A member that writes down who it is at its first start, and shows that and its space.
fn set(class: &str, storage: &str) -> String {
    format!(
        "apiVersion: berth/v1
kind: StatefulSet
metadata: {{ name: db }}
spec:
  replicas: 1
  template:
    spec:
      terminationGracePeriodSeconds: 1
      processes:
      - name: main
        command:
        - /bin/sh
        - -c
        - |
          [ -e /mnt/id ] || cat /proc/sys/kernel/random/uuid > /mnt/id
          sync
          echo \"id $(cat /mnt/id)\"
          while :; do
            now=$(df --output=size -k /mnt | tail -n 1)
            [ \"$now\" = \"$last\" ] || echo \"size $now\"
            last=$now
            sleep 0.2
          done
        user: nobody
        volumeMounts: [{{ name: data, mountPath: /mnt }}]
  volumeClaimTemplates:
  - metadata: {{ name: data }}
    spec:
      accessModes: [ReadWriteOnce]
      storageClassName: {class}
      resources: {{ requests: {{ storage: {storage} }} }}
"
    )
}

/// One host, whose kernel may have loop devices only once they are asked for.
fn host() -> Dev {
    drop(Command::new("modprobe").args(["-q", "loop"]).output());
    Dev::start(1)
}

fn apply(cluster: &Cluster, text: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    cluster.berth(&["apply", "-f", file.path().to_str().unwrap()]);
}

/// The last value that the member showed under a name, once it fits.
async fn shown(cluster: &Cluster, name: &str, fits: impl Fn(&str) -> bool) -> String {
    wait::until(&format!("db-0 to show its {name}"), async || {
        let output = cluster.try_berth(&["logs", "db-0"]);
        let log = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut values = log.lines().filter_map(|line| line.strip_prefix(name));
        let last = values.next_back().map(|value| value.trim().to_owned());
        last.filter(|value| fits(value)).ok_or(log)
    })
    .await
}

fn volumes(cluster: &Cluster, more: &[&str]) -> Vec<Value> {
    let args = [&["volume", "list", "-o", "json"], more].concat();
    serde_json::from_str(&cluster.berth(&args)).unwrap()
}

/// Waits until a volume is in a state.
async fn in_state(cluster: &Cluster, name: &str, state: &str) {
    wait::until(&format!("{name} to be {state}"), async || {
        let all = [volumes(cluster, &[]), volumes(cluster, &["--trash"])].concat();
        let mut named = all.iter().filter(|volume| volume["name"] == name);
        let found = named.any(|volume| volume["state"] == state);
        found.then_some(()).ok_or_else(|| {
            let events = cluster.berth(&["volume", "describe", name]);
            format!("{all:?}\n{events}")
        })
    })
    .await;
}

/// A class, and the directory of its pool below the host's.
async fn deleted_and_brought_back(class: &str, pool: &str) {
    let dev = host();
    let cluster = dev.cluster();
    apply(cluster, CLASSES);
    apply(cluster, &set(class, "32Mi"));
    cluster.ready("db", 1).await;
    let id = shown(cluster, "id ", |_| true).await;
    let volume = volumes(cluster, &[])[0]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let pool: PathBuf = dev.dir().join("dev/host-1").join(pool);
    let place = pool.join("default_data-db-0");
    let thrown = pool.join(".berth-trash").join(format!("{volume}.1"));
    assert!(place.is_dir());

    let claim = ["delete", "pvc", "data-db-0", "--yes-i-mean", "data-db-0"];
    let refused = cluster.try_berth(&claim);
    assert!(!refused.status.success(), "it is in use");
    cluster.berth(&["delete", "sts", "db", "--yes-i-mean", "db", "--wait"]);
    cluster.berth(&claim);
    in_state(cluster, &volume, "Trashed").await;
    assert!(thrown.is_dir() && !place.exists());

    // The name is used again meanwhile.
    apply(cluster, &set(class, "32Mi"));
    cluster.ready("db", 1).await;
    let other = shown(cluster, "id ", |_| true).await;
    assert_ne!(other, id);
    let taken = cluster.try_berth(&["volume", "undelete", &volume]);
    assert!(!taken.status.success(), "the claim's name is taken");
    cluster.berth(&["delete", "sts", "db", "--yes-i-mean", "db", "--wait"]);
    cluster.berth(&claim);
    wait::until("two volumes in the trash", async || {
        let found = fs::read_dir(pool.join(".berth-trash")).unwrap().count();
        if found == 2 { Ok(()) } else { Err(found) }
    })
    .await;

    cluster.berth(&["volume", "undelete", &volume]);
    in_state(cluster, &volume, "Live").await;
    assert!(place.is_dir());
    assert!(thrown.join("brought-back").is_file(), "it is closed");
    apply(cluster, &set(class, "32Mi"));
    cluster.ready("db", 1).await;
    assert_eq!(shown(cluster, "id ", |_| true).await, id, "its own data");
    dev.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_of_a_deleted_claim_comes_back_with_its_data() {
    deleted_and_brought_back("scrap", "volumes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_of_a_deleted_claim_comes_back_with_its_data() {
    deleted_and_brought_back("images", "images").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_claim_template_gives_a_running_member_more_space() {
    let dev = host();
    let cluster = dev.cluster();
    apply(cluster, CLASSES);
    apply(cluster, &set("images", "32Mi"));
    let before = cluster.ready("db", 1).await["db-0"].clone();
    let kib = |text: &str| text.parse::<u64>().unwrap();
    let size = kib(&shown(cluster, "size ", |_| true).await);
    assert!(size < 32 << 10, "{size}");
    let id = shown(cluster, "id ", |_| true).await;
    let volume = volumes(cluster, &[])[0]["name"]
        .as_str()
        .unwrap()
        .to_owned();

    apply(cluster, &set("images", "96Mi"));
    if !machine::may_grow_mounted() {
        // Then it is told, and the member's next start does it.
        wait::until("the event that asks for a restart", async || {
            let told = cluster.berth(&["volume", "describe", &volume]);
            let asks = told.contains("SYS_RESOURCE") && told.contains("restart the member");
            asks.then_some(()).ok_or(told)
        })
        .await;
        cluster.berth(&["member", "restart", "db-0", "--yes"]);
    }
    let grown = kib(&shown(cluster, "size ", |now| kib(now) > 64 << 10).await);
    assert!(grown < 96 << 10, "{grown}");
    assert_eq!(shown(cluster, "id ", |_| true).await, id);
    let after = cluster.ready("db", 1).await["db-0"].clone();
    if machine::may_grow_mounted() {
        assert_eq!(after.epoch, before.epoch, "it was not restarted");
        let wanted = 96 << 20;
        wait::until("the volume's record to say so", async || {
            let found = volumes(cluster, &[]);
            let grew = found[0]["capacityBytes"] == wanted;
            grew.then_some(()).ok_or(found)
        })
        .await;
    }
    dev.stop();
}

/// Whether a snapshot can be used, or why not.
fn snapshot(cluster: &Cluster, name: &str) -> Value {
    let text = cluster.berth(&["get", "vs", name, "-o", "json"]);
    let found: Value = serde_json::from_str(&text).unwrap();
    found["status"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_brings_the_data_back_under_a_new_claim() {
    let dev = host();
    let cluster = dev.cluster();
    apply(cluster, CLASSES);
    apply(cluster, &set("images", "32Mi"));
    cluster.ready("db", 1).await;
    let id = shown(cluster, "id ", |_| true).await;
    cluster.berth(&["snapshot", "create", "data-db-0", "--name", "before"]);
    let early = cluster.try_berth(&["snapshot", "restore", "before", "--to", "early"]);
    let status = snapshot(cluster, "before");
    // Where the pool shares no blocks, the member has to stop first.
    if status["readyToUse"] != true && !status["waiting"].is_null() {
        assert_eq!(status["waiting"]["rule"], "CopyNeedsStop", "{status}");
        assert!(!early.status.success(), "it is not ready");
    }
    cluster.berth(&["delete", "sts", "db", "--yes-i-mean", "db", "--wait"]);
    wait::until("the snapshot to be ready", async || {
        let status = snapshot(cluster, "before");
        let ready = status["readyToUse"] == true && status["restoreSize"] == "32Mi";
        ready.then_some(()).ok_or(status)
    })
    .await;
    cluster.berth(&["delete", "pvc", "data-db-0", "--yes-i-mean", "data-db-0"]);
    let to = [
        "snapshot",
        "restore",
        "before",
        "--to",
        "data-db-0",
        "--class",
        "images",
    ];
    cluster.berth(&to);
    apply(cluster, &set("images", "32Mi"));
    cluster.ready("db", 1).await;
    assert_eq!(
        shown(cluster, "id ", |_| true).await,
        id,
        "the data of then"
    );
    let unconfirmed = cluster.try_berth(&["snapshot", "delete", "before"]);
    assert!(!unconfirmed.status.success(), "it asks for the name");
    cluster.berth(&["snapshot", "delete", "before", "--yes-i-mean", "before"]);
    let kept = dev.dir().join("dev/host-1/images/.berth-snapshots");
    wait::until("its data to be removed", async || {
        let left = fs::read_dir(&kept).unwrap().count();
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
    dev.stop();
}
