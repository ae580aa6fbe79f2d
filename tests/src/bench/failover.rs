//! From a host's cable being cut to the `main` of its members elsewhere: real agents and keepers, on
//! hosts with addresses of their own. What it stands beside is what the design has a coordinator wait.
//!
//! Two ways to be sure of the old host: its lease is over (it would have rebooted itself), or a fence
//! command said so after that. The command is a script in the manner of fence-agents that ends
//! everything on the host for real. Kernels without NFS measure the second on members without volumes:
//! what a member on NFS has beside it is one mount.

use std::{
    collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration,
};

use berth_core::{
    lease::{LeaseTerms, Leases},
    time::Timestamp,
};

use super::{
    Figure, Goal, Value,
    marks::{Marks, now},
    samples::Samples,
};
use crate::{hosts::Hosts, netns::Network};

const MEMBERS: usize = 4;
const SET: &str = "failover";

/// A class of leases, how often a host is lost, and what was hoped for, in milliseconds.
struct Class {
    name: &'static str,
    length: Duration,
    rounds: usize,
    most: f64,
}

/// The figures.
///
/// # Errors
/// If a member does not start elsewhere.
pub async fn run() -> anyhow::Result<Vec<Figure>> {
    let leases = Leases::default();
    let classes = [
        Class {
            name: "Fast",
            length: leases.fast,
            rounds: 8,
            most: 8e3,
        },
        Class {
            name: "Default",
            length: leases.default,
            rounds: 3,
            most: 25e3,
        },
    ];
    let network = Network::new(3);
    let mut figures = Vec::new();
    for fenced in [false, true] {
        for class in &classes {
            let times = measure(&network, class, fenced).await?;
            figures.extend(tell(class, fenced, times, leases.kill_margin));
        }
    }
    Ok(figures)
}

/// The median, and the slowest but one in a hundred, which the goal is about.
fn tell(class: &Class, fenced: bool, times: Samples, kill_margin: Duration) -> [Figure; 2] {
    let how = if fenced { "with a fence" } else { "lease only" };
    let name = format!("failover, {}, {how}", class.name);
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let terms = LeaseTerms {
        length_ms: millis(class.length),
        grace_ms: 0,
        kill_ms: millis(kill_margin),
        self_fences: !fenced,
    };
    let Timestamp(wait) = terms.surely_over(Timestamp(0), None);
    let waited: Samples = [Duration::from_millis(wait)].into_iter().collect();
    let beside = ("the wait by design", Value::Times(waited));
    let slow: Samples = times.p99().into_iter().collect();
    [
        Figure::new(
            format!("{name}, {} starts", times.count()),
            Value::Times(times),
            beside.clone(),
        ),
        Figure::new(format!("{name}, p99"), Value::Times(slow), beside)
            .goal(Goal::AtMost(class.most)),
    ]
}

async fn measure(network: &Network, class: &Class, fenced: bool) -> anyhow::Result<Samples> {
    let mut marks = Marks::new()?;
    let folder = tempfile::tempdir()?;
    let mut hosts = if fenced {
        let fencing = fencing(folder.path(), network)?;
        Hosts::start_without_self_reboot(network, folder.path(), &fencing)
    } else {
        Hosts::start(network, folder.path())
    };
    let cluster = hosts.cluster();
    cluster.channel().await;
    cluster.apply(&manifest(&marks, class));
    for _ in 0..MEMBERS {
        marks.wait()?;
    }
    let mut times = Samples::default();
    for _ in 0..class.rounds {
        let members = cluster.ready(SET, MEMBERS).await;
        let lost = members.values().next().map(|m| m.host.clone());
        let lost = lost.unwrap_or_default();
        let on_it = members.values().filter(|member| member.host == lost);
        let mut waited: BTreeSet<String> = on_it.map(|member| member.name.clone()).collect();
        let cut = now()?;
        network.cut(&lost);
        while !waited.is_empty() {
            let mark = marks.wait()?;
            if waited.remove(&mark.name) {
                times.push(mark.at.saturating_sub(cut));
            }
        }
        network.mend(&lost);
        if fenced {
            hosts.power_off(&lost);
            hosts.start_agent(&lost);
        }
        // Nothing of this round is left in the next.
        hosts.all_in_contact().await;
    }
    Ok(times)
}

fn manifest(marks: &Marks, class: &Class) -> String {
    format!(
        "apiVersion: berth/v1
kind: StatefulSet
metadata: {{ name: {SET} }}
spec:
  replicas: {MEMBERS}
  spread: Prefer
  podManagementPolicy: Parallel
  failurePolicy: Failover
  leaseClass: {}
  template:
    spec:
      processes:
      - name: main
        user: nobody
        command: ['{}', mark, '{}', '{{{{ member }}}}']
",
        class.name,
        marks.payload().display(),
        marks.fifo().display()
    )
}

/// The coordinator's configuration of a power switch for each host.
fn fencing(folder: &Path, network: &Network) -> anyhow::Result<String> {
    let script = folder.join("fence");
    let text = "#!/bin/sh
while IFS='=' read -r key value; do
  case $key in action) action=$value ;; plug) plug=$value ;; esac
done
case $action in
off) ip netns pids \"$plug\" | xargs -r kill -9; exit 0 ;;
status) [ -n \"$(ip netns pids \"$plug\")\" ] || exit 2 ;;
*) exit 1 ;;
esac
";
    fs::write(&script, text)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let mut config = "fencing:\n  hosts:\n".to_owned();
    for host in network.hosts() {
        let command = script.display();
        config.push_str(&format!(
            "    {host}: {{ power: {{ command: {command}, options: {{ plug: {host} }}, timeout: 10s }} }}\n"
        ));
    }
    Ok(config)
}
