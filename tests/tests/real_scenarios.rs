//! Upstream's end-to-end scenarios of a StatefulSet with real processes: small shells that are told
//! by files whether to be ready. Each has a set of its own, and those of a group share one cluster
//! and run side by side. Which scenario is proven where else: docs/scenarios.md.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _};

use berth_proto::v1::MemberStatus;
use berth_tests::{
    cluster::{Cluster, Seen, one_by_one},
    dev::Dev,
    machine, wait,
};
use serde_json::Value;
use tempfile::TempDir;

/// A cluster of three hosts, and the directory in which a file of a member's name makes it unready.
struct Stage {
    dev: Dev,
    unready: TempDir,
}

/// A set of shells.
struct Shells {
    name: &'static str,
    replicas: u32,
    /// Lines of the spec, two blanks deep.
    more: String,
    /// What a member does before it waits for its end.
    script: &'static str,
    claim: bool,
    revision: u32,
}

impl Shells {
    fn new(name: &'static str, replicas: u32) -> Self {
        Self {
            name,
            replicas,
            more: String::new(),
            script: ":",
            claim: false,
            revision: 1,
        }
    }

    fn line(mut self, line: &str) -> Self {
        self.more.push_str(&format!("  {line}\n"));
        self
    }

    fn revision(mut self, revision: u32) -> Self {
        self.revision = revision;
        self
    }

    fn with_claim(mut self, script: &'static str) -> Self {
        self.claim = true;
        self.script = script;
        self
    }

    fn manifest(&self, unready: &str) -> String {
        let Self {
            name,
            replicas,
            more,
            script,
            revision,
            ..
        } = self;
        let (mounts, templates) = if self.claim {
            (
                "        volumeMounts: [{ name: data, mountPath: /mnt }]\n",
                "  volumeClaimTemplates:\n  - metadata: { name: data }\n    spec:\n      \
                 accessModes: [ReadWriteOnce]\n      resources: { requests: { storage: 1Mi } }\n",
            )
        } else {
            ("", "")
        };
        format!(
            "apiVersion: berth/v1
kind: StatefulSet
metadata: {{ name: {name} }}
spec:
  replicas: {replicas}
  spread: Prefer
{more}  template:
    spec:
      terminationGracePeriodSeconds: 2
      processes:
      - name: main
        command:
        - /bin/sh
        - -c
        - |
          {script}
          exec sleep infinity
        user: nobody
        env: [{{ name: REVISION, value: '{revision}' }}]
        readinessProbe:
          exec: {{ command: [/bin/sh, -c, 'test ! -e {unready}/$(uname -n)'] }}
          periodSeconds: 1
          failureThreshold: 1
{mounts}{templates}"
        )
    }
}

impl Stage {
    fn start() -> Self {
        // A member's /tmp is its own.
        let unready = tempfile::Builder::new()
            .prefix("berth-")
            .tempdir_in("/var/tmp")
            .unwrap();
        fs::set_permissions(unready.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            dev: Dev::start(3),
            unready,
        }
    }

    fn cluster(&self) -> &Cluster {
        self.dev.cluster()
    }

    fn apply(&self, shells: &Shells) {
        let unready = self.unready.path().to_str().unwrap();
        self.cluster().apply(&shells.manifest(unready));
    }

    fn scale(&self, set: &str, replicas: u32) {
        let (set, replicas) = (format!("sts/{set}"), replicas.to_string());
        let args = ["scale", &set, "--replicas", &replicas, "--yes"];
        self.cluster().berth(&args);
    }

    fn break_(&self, member: &str) {
        fs::write(self.unready.path().join(member), "").unwrap();
    }

    fn mend(&self, member: &str) {
        fs::remove_file(self.unready.path().join(member)).unwrap();
    }

    async fn unready(&self, member: &str) -> MemberStatus {
        let holds = |m: &MemberStatus| !m.ready && !m.processes.is_empty();
        self.cluster()
            .member(member, "runs and is not ready", holds)
            .await
    }

    /// The status of a set, as `get -o json` shows it.
    fn status(&self, set: &str) -> Value {
        let shown = self.cluster().berth(&["get", "sts", set, "-o", "json"]);
        let object: Value = serde_json::from_str(&shown).unwrap();
        object["status"].clone()
    }

    async fn until_status(&self, set: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        wait::until(&format!("{set}: {what}"), async || {
            let status = self.status(set);
            if holds(&status) {
                Ok(status)
            } else {
                Err(status)
            }
        })
        .await
    }

    /// Waits until exactly these ordinals are there and ready.
    async fn here(&self, set: &str, ordinals: &[u32]) {
        let wanted: BTreeSet<String> = ordinals.iter().map(|n| format!("{set}-{n}")).collect();
        wait::until(&format!("{wanted:?}"), async || {
            let members = self.cluster().members(set).await;
            let members = members.map_err(|status| status.to_string())?;
            let names: BTreeSet<String> = members.keys().cloned().collect();
            let ready = members.values().all(|member| member.ready);
            if names == wanted && ready {
                Ok(())
            } else {
                Err(format!("{names:?}, all ready: {ready}"))
            }
        })
        .await;
    }

    async fn gone(&self, set: &str) {
        self.cluster().ready(set, 0).await;
    }

    /// The claims of a set.
    fn claims(&self, set: &str) -> Vec<String> {
        let shown = self.cluster().berth(&["get", "pvc"]);
        let names = shown.split_whitespace().map(ToOwned::to_owned);
        names
            .filter(|name| name.starts_with(&format!("data-{set}-")))
            .collect()
    }

    async fn until_claims(&self, set: &str, wanted: &[String]) {
        wait::until(&format!("the claims {wanted:?}"), async || {
            let claims = self.claims(set);
            if claims == wanted {
                Ok(())
            } else {
                Err(claims)
            }
        })
        .await;
    }

    /// Restarts a member by the operator's verb, and waits until its next epoch serves.
    async fn restarted(&self, member: &str) -> MemberStatus {
        let before = self.cluster().member(member, "serves", |m| m.ready).await;
        self.cluster()
            .berth(&["member", "restart", member, "--yes"]);
        let next = |m: &MemberStatus| m.ready && m.epoch != before.epoch;
        self.cluster().member(member, "serves again", next).await
    }
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

fn rule(member: &MemberStatus) -> &str {
    member.waiting.as_ref().map_or("", |waiting| &waiting.rule)
}

/// T-01: each member finds its own file and its own link after the whole set was down.
async fn t01_identity(stage: &Stage) {
    let script = "cd /mnt
          name=$(uname -n)
          if [ -e name ]; then
            echo \"file $(cat name) link $(readlink link) of $name\"
          else
            echo \"$name\" > name && ln -s \"$name\" link && sync && echo \"first $name\"
          fi";
    let shells = Shells::new("t01", 3).line("serviceName: t01");
    stage.apply(&shells.with_claim(script));
    let before = stage.cluster().ready("t01", 3).await;
    stage.scale("t01", 0);
    stage.gone("t01").await;
    stage.scale("t01", 3);
    let after = stage.cluster().ready("t01", 3).await;
    for (name, member) in &after {
        assert_eq!(member.host, before[name].host, "its volume pins it");
        assert_eq!(member.address, before[name].address);
        let wanted = format!("file {name} link {name} of {name}");
        wait::until(&wanted, async || {
            let log = stage.cluster().try_berth(&["logs", name]).stdout;
            let log = String::from_utf8(log).unwrap();
            if log.contains(&wanted) {
                Ok(())
            } else {
                Err(log)
            }
        })
        .await;
    }
}

/// T-03: a lost predecessor comes back while its successor is not ready.
async fn t03_lost_predecessor(stage: &Stage) {
    stage.break_("t03-1");
    stage.apply(&Shells::new("t03", 2));
    stage.unready("t03-1").await;
    let before = stage.cluster().member("t03-0", "serves", |m| m.ready).await;
    let keeper = machine::parent_of(before.processes[0].pid).unwrap();
    machine::kill_9(keeper);
    let other = |m: &MemberStatus| m.ready && m.processes[0].pid != before.processes[0].pid;
    stage.cluster().member("t03-0", "serves again", other).await;
    assert!(!stage.unready("t03-1").await.ready);
    stage.mend("t03-1");
    stage.here("t03", &[0, 1]).await;
}

/// T-05: from the highest down, and the old template is the old revision again, also while a member
/// is down.
async fn t05_rolling_update_and_rollback(stage: &Stage) {
    let shells = || Shells::new("t05", 3).with_claim(":");
    stage.apply(&shells());
    stage.here("t05", &[0, 1, 2]).await;
    let first = stage.status("t05")["updateRevision"].clone();
    let recording = stage.cluster().record("t05").await;
    stage.apply(&shells().revision(2));
    let second = stage.status("t05")["updateRevision"].clone();
    assert_ne!(first, second);
    let new = |seen: &Seen| seen.member.ready && Some(&*seen.member.revision) == second.as_str();
    let log = recording
        .until("three members of the new revision", |log| {
            order(log, new).len() == 3
        })
        .await;
    assert_eq!(order(&log, new), [2, 1, 0]);
    let complete = |wanted: Value| {
        move |status: &Value| {
            status["currentRevision"] == wanted && status["updateRevision"] == wanted
        }
    };
    stage
        .until_status("t05", "the update is complete", complete(second.clone()))
        .await;
    stage.break_("t05-1");
    stage.unready("t05-1").await;
    stage.apply(&shells());
    assert_eq!(stage.status("t05")["updateRevision"], first, "no third one");
    stage.mend("t05-1");
    stage
        .until_status("t05", "it is as before", complete(first))
        .await;
    stage.here("t05", &[0, 1, 2]).await;
}

/// T-06: only what lies above the partition is updated, and what is below is born old.
async fn t06_canary(stage: &Stage) {
    let shells = |partition: u32, revision| {
        let strategy = format!("updateStrategy: {{ rollingUpdate: {{ partition: {partition} }} }}");
        Shells::new("t06", 3).line(&strategy).revision(revision)
    };
    stage.apply(&shells(3, 1));
    stage.here("t06", &[0, 1, 2]).await;
    let old = stage.status("t06")["updateRevision"].clone();
    stage.apply(&shells(3, 2));
    let new = stage.status("t06")["updateRevision"].clone();
    let updated = |count: u64| move |status: &Value| status["updatedReplicas"] == count;
    stage
        .until_status("t06", "the partition leaves nothing to do", |status| {
            let all = status["conditions"].as_array().cloned().unwrap_or_default();
            all.iter().any(|one| one["reason"] == "PartitionReached")
        })
        .await;
    assert!(updated(0)(&stage.status("t06")));
    stage.apply(&shells(2, 2));
    stage.until_status("t06", "one is new", updated(1)).await;
    stage.here("t06", &[0, 1, 2]).await;
    for (member, revision) in [("t06-0", &old), ("t06-2", &new)] {
        let reborn = stage.restarted(member).await;
        assert_eq!(Some(&*reborn.revision), revision.as_str(), "{member}");
    }
    stage.apply(&shells(1, 2));
    stage.until_status("t06", "two are new", updated(2)).await;
    stage.apply(&shells(0, 2));
    stage
        .until_status("t06", "all are new", |status| {
            updated(3)(status) && status["currentRevision"] == new
        })
        .await;
}

/// T-10: scaling halts while a member is not ready, and goes on in order.
async fn t10_ordered_scaling(stage: &Stage) {
    let recording = {
        stage.break_("t10-0");
        stage.apply(&Shells::new("t10", 1));
        stage.unready("t10-0").await;
        stage.cluster().record("t10").await
    };
    stage.scale("t10", 3);
    let held = |m: &MemberStatus| rule(m) == "PredecessorNotReady";
    let next = stage.cluster().member("t10-1", "waits", held).await;
    assert!(next.processes.is_empty());
    stage.mend("t10-0");
    stage.here("t10", &[0, 1, 2]).await;
    let log = recording
        .until("three were ready", |log| {
            order(log, |s| s.member.ready).len() == 3
        })
        .await;
    assert_eq!(order(&log, |s| s.member.ready), [0, 1, 2]);
    for n in 0..3 {
        stage.break_(&format!("t10-{n}"));
    }
    for n in 0..3 {
        stage.unready(&format!("t10-{n}")).await;
    }
    stage.scale("t10", 0);
    let last = stage.cluster().member("t10-2", "waits", held).await;
    assert!(!last.processes.is_empty());
    for n in 0..3 {
        stage.mend(&format!("t10-{n}"));
    }
    stage.gone("t10").await;
    let departures = stage.cluster().departures("t10").await;
    assert_eq!(departures, one_by_one(&["t10-2", "t10-1", "t10-0"]));
}

/// T-11: a parallel set scales whether its members are ready or not.
async fn t11_burst_scaling(stage: &Stage) {
    stage.break_("t11-0");
    stage.apply(&Shells::new("t11", 1).line("podManagementPolicy: Parallel"));
    stage.unready("t11-0").await;
    stage.scale("t11", 3);
    for member in ["t11-1", "t11-2"] {
        stage.cluster().member(member, "serves", |m| m.ready).await;
    }
    assert!(!stage.unready("t11-0").await.ready);
    stage.scale("t11", 0);
    stage.gone("t11").await;
}

/// T-20, T-21, I-04: availability follows readiness by minReadySeconds, whatever they are by now.
async fn t20_t21_availability(stage: &Stage) {
    let shells = |replicas, seconds: u32| {
        Shells::new("t20", replicas)
            .line("podManagementPolicy: Parallel")
            .line(&format!("minReadySeconds: {seconds}"))
    };
    let available = |count: u64| move |status: &Value| status["availableReplicas"] == count;
    stage.apply(&shells(2, 8));
    stage.here("t20", &[0, 1]).await;
    stage
        .until_status("t20", "two are available", available(2))
        .await;
    stage.break_("t20-3");
    stage.apply(&shells(4, 8));
    stage
        .until_status("t20", "two more run and one of them is ready", |status| {
            status["replicas"] == 4 && status["readyReplicas"] == 3 && available(2)(status)
        })
        .await;
    stage.mend("t20-3");
    stage.apply(&shells(4, 3600));
    stage
        .until_status("t20", "none is available", available(0))
        .await;
    stage.apply(&shells(4, 0));
    stage
        .until_status("t20", "all are available", available(4))
        .await;
}

/// T-22, T-23: claims go with the set, or with those whom scaling takes away, if it says so.
async fn t22_t23_claims(stage: &Stage) {
    let policy = |which| format!("persistentVolumeClaimRetentionPolicy: {{ {which}: Delete }}");
    let claims = |set: &str, count: u32| -> Vec<String> {
        (0..count).map(|n| format!("data-{set}-{n}")).collect()
    };
    for (set, which) in [("t22", "whenDeleted"), ("t23", "whenScaled")] {
        stage.apply(&Shells::new(set, 3).with_claim(":").line(&policy(which)));
        stage.here(set, &[0, 1, 2]).await;
        assert_eq!(stage.claims(set), claims(set, 3));
        stage.scale(set, 1);
        let kept = if set == "t22" { 3 } else { 1 };
        stage.here(set, &[0]).await;
        stage.until_claims(set, &claims(set, kept)).await;
        stage
            .cluster()
            .berth(&["delete", "sts", set, "--confirm", set, "--wait"]);
        let kept = if set == "t22" { 0 } else { 1 };
        stage.until_claims(set, &claims(set, kept)).await;
    }
}

/// T-29 to T-32: the first ordinal goes up, up again, down, and away.
async fn t29_t32_ordinals(stage: &Stage) {
    let shells =
        |start: u32| Shells::new("t29", 3).line(&format!("ordinals: {{ start: {start} }}"));
    for start in [0, 2, 4, 3] {
        stage.apply(&shells(start));
        stage.here("t29", &[start, start + 1, start + 2]).await;
    }
    stage.apply(&Shells::new("t29", 3));
    stage.here("t29", &[0, 1, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_keep_what_is_theirs_and_scale_in_order() {
    let stage = Stage::start();
    tokio::join!(
        t01_identity(&stage),
        t03_lost_predecessor(&stage),
        t10_ordered_scaling(&stage),
        t11_burst_scaling(&stage),
        t22_t23_claims(&stage),
        t29_t32_ordinals(&stage),
    );
    stage.dev.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_updated_and_become_available() {
    let stage = Stage::start();
    tokio::join!(
        t05_rolling_update_and_rollback(&stage),
        t06_canary(&stage),
        t20_t21_availability(&stage),
    );
    stage.dev.stop();
}

/// The documents of a tutorial, typed off as they are: only their images are wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_tutorial_of_kubernetes_is_refused_for_its_images_alone() {
    let dev = Dev::start(1);
    let file = "tests/manifests/kubernetes_tutorial.yaml";
    let output = dev.cluster().try_berth(&["apply", "-f", file]);
    assert_eq!(output.status.code(), Some(6));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let told = String::from_utf8(output.stderr).unwrap();
    let hint = "give command: Berth runs host binaries";
    let field = |line: u32, field: &str, name: &str| {
        format!(
            "{file}:{line}:9: StatefulSet/web: spec.template.spec.{field}.{name}: there is no \
             field '{name}' here; {hint}\n"
        )
    };
    let images = [
        field(35, "initProcesses[0]", "image"),
        field(42, "processes[0]", "image"),
        field(43, "processes[0]", "imagePullPolicy"),
    ];
    let images = images.concat();
    let wanted = format!(
        "error: cannot apply: refused for these 3 reasons:\n{images}hint: nothing was stored; \
         correct what the lines name and try again\n"
    );
    assert_eq!(told, wanted);
    dev.stop();
}
