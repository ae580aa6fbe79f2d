//! A real application that is told what is durable: etcd keeps every write that it acknowledged, on NFS
//! and on an image, over kill -9 of its process and of the agent, and over a power cut of the machine.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use berth_tests::{
    guest,
    hosts::Hosts,
    machine::{self, alive, kill_9},
    nfs::{Bed, manifest::class},
    wait,
};

/// Of the whole test: it is there after the power cut.
const HOME: &str = "/var/lib/berth-test";
/// A file that is only in memory when the power is cut.
const UNSYNCED: &str = "/var/lib/unsynced";
/// Each set, its class, and where its etcd answers.
const SETS: [(&str, &str, u16); 2] = [("remote", "server", 2379), ("image", "images", 2389)];
/// How many writes each fault comes after.
const WRITES: usize = 20;
/// How long one write may take.
const ANSWER: Duration = Duration::from_secs(20);

fn manifest((name, class, port): (&str, &str, u16)) -> String {
    let peer = port + 1;
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
         spec: {{clusterIP: None, ports: [{{name: client, port: {port}}}]}}\n---\n\
         apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: {name}}}\n\
         spec:\n  serviceName: {name}\n  replicas: 1\n  template:\n    spec:\n      processes:\n      \
         - name: etcd\n        command:\n        - /usr/bin/etcd\n        - --name={{{{ member }}}}\n        \
         - --data-dir=/var/lib/etcd\n        - --listen-peer-urls=http://{{{{ address }}}}:{peer}\n        \
         - --listen-client-urls=http://{{{{ address }}}}:{port}\n        \
         - --initial-advertise-peer-urls=http://{{{{ address }}}}:{peer}\n        \
         - --advertise-client-urls=http://{{{{ address }}}}:{port}\n        \
         - --initial-cluster={{{{ member }}}}=http://{{{{ address }}}}:{peer}\n        user: etcd\n        \
         ports: [{{name: client, containerPort: {port}}}, {{name: peer, containerPort: {peer}}}]\n        \
         volumeMounts: [{{name: data, mountPath: /var/lib/etcd}}]\n        \
         readinessProbe: {{httpGet: {{path: /health, port: client}}, periodSeconds: 1, timeoutSeconds: 10}}\n  \
         volumeClaimTemplates:\n  - metadata: {{name: data}}\n    spec:\n      \
         accessModes: [ReadWriteOnce]\n      storageClassName: {class}\n      \
         resources: {{requests: {{storage: 192Mi}}}}\n---\n"
    )
}

/// A request to etcd's gateway. Keys and values are base64 there; ours are texts that are valid
/// base64 as they are.
fn ask(port: u16, what: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("10.99.0.1", port))?;
    stream.set_read_timeout(Some(ANSWER))?;
    let length = body.len();
    write!(
        stream,
        "POST /v3/kv/{what} HTTP/1.0\r\nHost: etcd\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        Some(_) | None => Err(std::io::Error::other(answer)),
    }
}

fn key(number: usize) -> String {
    format!("k{number:07}")
}

/// The keys that are there.
fn keys(port: u16) -> std::io::Result<BTreeSet<String>> {
    let all = r#"{"key": "k0000000", "range_end": "k9999999", "keys_only": true}"#;
    let answer: serde_json::Value = serde_json::from_str(&ask(port, "range", all)?)?;
    let listed = answer["kvs"].as_array().into_iter().flatten();
    Ok(listed
        .map(|kv| kv["key"].as_str().unwrap().to_owned())
        .collect())
}

/// Writes one key after the other, and remembers those that were acknowledged. One that was not is
/// never tried again: it may be there or not.
struct Writer {
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    fn start(port: u16) -> Self {
        let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (ours, until) = (Arc::clone(&acknowledged), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            for number in 1.. {
                if until.load(Ordering::Relaxed) {
                    return;
                }
                let key = key(number);
                match ask(
                    port,
                    "put",
                    &format!(r#"{{"key": "{key}", "value": "{key}"}}"#),
                ) {
                    Ok(_) => drop(ours.lock().unwrap().insert(key)),
                    Err(_) => thread::park_timeout(Duration::from_millis(100)),
                }
            }
        });
        Self {
            acknowledged,
            stop,
            thread: Some(thread),
        }
    }

    fn so_far(&self) -> BTreeSet<String> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Waits until more writes are acknowledged.
    async fn more(&self, when: &str) {
        let enough = self.so_far().len() + WRITES;
        wait::until(&format!("{WRITES} writes {when}"), async || {
            let count = self.so_far().len();
            if count >= enough { Ok(()) } else { Err(count) }
        })
        .await;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn record(set: &str) -> String {
    format!("{HOME}/{set}.acknowledged")
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_keeps_what_it_acknowledged_over_kills_and_a_power_cut() {
    // What a host has that was booted by systemd: the first who opens /dev/loop-control loads it.
    machine::run(Command::new("modprobe").arg("loop"));
    let bed = Bed::new(1);
    let export = bed.server().export("etcd", "");
    fs::create_dir_all(format!("{HOME}/h1/images")).unwrap();
    let mut berth = Hosts::start(bed.network(), Path::new(HOME));
    let cluster = berth.cluster();
    cluster.channel().await;
    if guest::boot() == 1 {
        let images = "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: images}\n\
                      provisioner: local\nparameters: {pool: images}\n---\n";
        let server = class("server", export.to_str().unwrap(), "4.2");
        let sets = SETS.map(manifest).concat();
        cluster.apply(&(server + images + &sets));
        let mut writers = Vec::new();
        for (set, _, port) in SETS {
            cluster.ready(set, 1).await;
            writers.push(Writer::start(port));
        }
        for ((set, _, _), writer) in SETS.iter().zip(&writers) {
            writer.more("before anything").await;
            let member = cluster.ready(set, 1).await[&format!("{set}-0")].clone();
            kill_9(member.processes[0].pid);
            writer.more("after kill -9 of etcd").await;
        }
        berth.kill_agent("h1");
        for writer in &writers {
            writer.more("without an agent").await;
        }
        berth.start_agent("h1");
        for ((set, _, _), writer) in SETS.iter().zip(&writers) {
            let member = cluster.ready(set, 1).await[&format!("{set}-0")].clone();
            assert!(alive(member.processes[0].pid));
            writer.more("with another agent").await;
        }
        for ((set, _, _), writer) in SETS.iter().zip(&writers) {
            let mut file = File::create(record(set)).unwrap();
            let lines: Vec<_> = writer.so_far().into_iter().collect();
            file.write_all(lines.join("\n").as_bytes()).unwrap();
            file.sync_all().unwrap();
        }
        File::open(HOME).unwrap().sync_all().unwrap();
        fs::write(UNSYNCED, "lost").unwrap();
        guest::power_cut();
    }
    // It was one: a reset that kept everything would prove nothing.
    let unsynced = fs::read_to_string(UNSYNCED).unwrap_or_default();
    assert_ne!(unsynced, "lost");
    for (set, _, port) in SETS {
        let expected = fs::read_to_string(record(set)).unwrap();
        let expected: BTreeSet<_> = expected.lines().map(str::to_owned).collect();
        assert!(expected.len() >= 4 * WRITES, "{set}: {}", expected.len());
        cluster.ready(set, 1).await;
        let there = wait::until(&format!("{set} to answer"), async || keys(port)).await;
        let lost: Vec<_> = expected.difference(&there).collect();
        assert!(lost.is_empty(), "{set} lost {lost:?} of {}", expected.len());
    }
}
