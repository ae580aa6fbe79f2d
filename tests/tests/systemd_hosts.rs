//! Berth on machines with systemd, installed from its package by the lines of docs/install.md: what an
//! operator relies on when daemons, packages and machines come and go.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{collections::BTreeMap, fs, process::Command};

use berth_tests::{
    machine::{checkout, run},
    page::{Block, blocks},
    systemd::{Machines, given},
};

/// The addresses on the page, and here.
const ADDRESSES: [&str; 2] = ["192.0.2.1", "10.99.0."];
const ETCD: &str = "ETCDCTL_API=3 etcdctl --command-timeout=30s";
/// Of each member its process ids, with the time of their start: no number is taken for another's.
const PIDS: &str = r#"for p in /proc/[0-9]*; do
        read -rd '' name <"$p/cmdline" || continue
        case $name in /usr/bin/etcd | slow) awk '{print $1, $2, $22}' "$p/stat" ;; esac
    done 2>/dev/null | sort"#;

/// What the page says for some step, with the addresses of these machines.
fn page(mark: &str) -> Vec<Block> {
    let text = fs::read_to_string(checkout().join("docs/install.md")).unwrap();
    let found = blocks(&text.replace(ADDRESSES[0], ADDRESSES[1]), "sh");
    let marked = |block: &Block| block.place.split(' ').skip(1).eq(mark.split_whitespace());
    found.into_iter().filter(marked).collect()
}

/// Runs blocks where they belong.
fn follow(machines: &Machines, blocks: &[Block]) {
    for block in blocks {
        match block.place.split(' ').next().unwrap() {
            "every" => {
                for name in machines.names() {
                    let script = block
                        .script
                        .replace("TOKEN", &token(machines, &block.script));
                    machines.on(&name, &script);
                }
            }
            "anywhere" => drop(run(Command::new("bash").args(["-euc", &block.script]))),
            name => drop(machines.on(name, &block.script)),
        }
    }
}

/// A token for one machine, where a script has a place for one.
fn token(machines: &Machines, script: &str) -> String {
    if !script.contains("TOKEN") {
        return String::new();
    }
    machines
        .on("host-1", "berth admin token create 2>/dev/null")
        .trim()
        .to_owned()
}

/// Three machines with all that the page says up to the application.
fn installed(machines: &Machines) {
    deliver(machines, "BERTH_DEB");
    let steps = page("");
    follow(machines, &page("example"));
    follow(machines, &steps);
}

fn deliver(machines: &Machines, package: &str) {
    for name in machines.names() {
        machines.copy(&given(package), &name, "/berth.deb");
    }
}

fn pids(machines: &Machines) -> BTreeMap<String, String> {
    let names = machines.names().into_iter();
    let all = names.map(|name| {
        let pids = machines.on(&name, PIDS);
        assert!(!pids.is_empty(), "a member runs on {name}");
        (name, pids)
    });
    all.collect()
}

fn healthy(machines: &Machines) {
    // By each member's own address: this side knows no names.
    for n in 1..=3 {
        let endpoint = format!("http://10.99.0.{n}:2379");
        machines.until(
            "host-1",
            "etcd is healthy",
            &format!("{ETCD} --endpoints={endpoint} endpoint health"),
        );
    }
}

fn machines(dir: &tempfile::TempDir) -> Machines {
    Machines::boot_all(3, dir.path())
}

#[test]
fn members_outlive_daemons_and_upgrades() {
    let dir = tempfile::tempdir().unwrap();
    let machines = machines(&dir);
    installed(&machines);
    healthy(&machines);
    let before = pids(&machines);

    // What was enabled is undone by one word, and leaves nothing.
    let name = "getent hosts etcd-1.etcd.default.svc.berth.internal";
    machines.on(
        "host-3",
        &format!("berth host dns status | grep -q ^enabled; {name}"),
    );
    machines.on("host-3", &format!("berth host dns disable; ! {name}"));
    machines.on(
        "host-3",
        "test -z \"$(ls /etc/systemd/resolved.conf.d)\"; berth host dns enable",
    );

    // Each keeper has a scope of its own, and a stopped agent takes none of them with it.
    let scopes = "systemctl show berth.slice -p ControlGroup --value; \
                  systemctl list-units --no-legend --plain 'berth-*.scope'";
    let shown = machines.on("host-2", scopes);
    assert!(shown.contains("Berth member default/etcd-"), "{shown}");
    machines.on("host-2", "systemctl stop berth-agent");
    machines.on("host-3", "systemctl restart berth-agent");
    healthy(&machines);
    machines.on("host-2", "systemctl start berth-agent");
    assert_eq!(pids(&machines), before);

    // A daemon that hangs is killed and started anew.
    let watched = "mkdir -p /etc/systemd/system/$0.service.d
        printf '[Service]\\nWatchdogSec=3\\n' >/etc/systemd/system/$0.service.d/soon.conf
        systemctl daemon-reload; systemctl restart $0
        pid=$(systemctl show -p MainPID --value $0); echo $pid >/run/hung; kill -STOP $pid";
    for daemon in ["berth-agent", "berth-coordinator"] {
        let mut command = machines.command("host-1", "bash");
        run(command.args(["-euc", watched, daemon]));
        let anew = format!(
            "pid=$(systemctl show -p MainPID --value {daemon}); \
             test $pid != 0 -a $pid != $(cat /run/hung); systemctl is-active {daemon}"
        );
        machines.until("host-1", &format!("a new {daemon}"), &anew);
        let log = format!("journalctl --no-pager -u {daemon} -o cat");
        let why = machines.on("host-1", &log);
        assert!(why.contains("Watchdog timeout"), "{why}");
    }
    machines.until("host-1", "all hosts", "berth wait sts/etcd --for=Available");
    assert_eq!(pids(&machines), before);

    rotate(&machines);
    assert_eq!(pids(&machines), before);

    // A unit that needs the set starts after it.
    let unit = "printf '[Unit]\nRequires=berth-wait@etcd.service\nAfter=berth-wait@etcd.service\n\
                [Service]\nType=oneshot\nExecStart=/bin/touch /run/needed\n' >/run/systemd/system/need.service
        systemctl daemon-reload; systemctl start need; test -e /run/needed
        systemctl is-active berth-wait@etcd";
    machines.on("host-1", unit);

    // An upgrade starts the daemons anew, and no member.
    let daemon = "systemctl show -p MainPID --value berth-agent";
    let agent = machines.on("host-2", daemon);
    deliver(&machines, "BERTH_NEXT_DEB");
    follow(&machines, &page("upgrade"));
    assert_ne!(machines.on("host-2", daemon), agent);
    machines.until("host-1", "all hosts", "berth wait sts/etcd --for=Available");
    assert_eq!(pids(&machines), before);
    machines.on(
        "host-2",
        "systemctl is-active berth-members.service >/dev/null; \
         dpkg-query -W -f '${Version}' berth | grep -q -- -2",
    );

    // What is removed ends in order and leaves its data.
    machines.on("host-3", "apt-get remove -y berth");
    let left = format!("{PIDS}; pgrep -a berth; systemctl list-units --no-legend 'berth*'");
    let left = machines.on("host-3", &format!("({left}) || true"));
    assert_eq!(left, "", "of a package that is removed");
    machines.on(
        "host-3",
        "test -d /var/lib/berth/volumes/default_data-etcd-2/data/member",
    );
}

/// All certificates are changed, several times, while an operator asks all the time: no call fails, and no
/// agent's stream ends.
fn rotate(machines: &Machines) {
    let context =
        "berth admin user create load --role viewer --server 10.99.0.1:7400 --file /load.yaml";
    machines.on("host-1", context);
    machines.copy(
        &machines.file("host-1", "/load.yaml"),
        "host-2",
        "/load.yaml",
    );
    let load = "export HOME=/root; berth config add /load.yaml; rm -f /run/calls /run/failures
        systemd-run -q --unit=load --setenv=HOME=/root bash -c '
            until test -e /run/enough; do
                if berth get sts etcd; then echo >>/run/calls; else echo >>/run/failures; fi
            done'";
    machines.on("host-2", load);
    let streams = "journalctl --no-pager -o cat -u berth-agent | grep -c connected";
    let count = |name: &str| machines.on(name, streams);
    let names = machines.names();
    let before: Vec<String> = names.iter().map(|name| count(name)).collect();
    for round in 1..=3 {
        machines.until(
            "host-2",
            "calls",
            &format!("test $(wc -l </run/calls) -ge {}", round * 5),
        );
        machines.on("host-1", "systemctl reload berth-coordinator");
        for name in &names {
            machines.on(name, "systemctl reload berth-agent");
            let renewed =
                "journalctl --no-pager -o cat -u berth-agent | grep -c 'certificate is renewed'";
            machines.until(
                name,
                "a new certificate",
                &format!("test $({renewed}) -ge {round}"),
            );
        }
    }
    machines.until("host-2", "calls", "test $(wc -l </run/calls) -ge 20");
    machines.on("host-2", "touch /run/enough; test ! -e /run/failures");
    let after: Vec<String> = names.iter().map(|name| count(name)).collect();
    assert_eq!(after, before, "streams that were opened");
}

/// What a slow member wrote when it ended, in nanoseconds; none if it was killed.
fn ended(machines: &Machines, ordinal: u8) -> Option<u64> {
    let place = format!("/var/lib/berth/volumes/default_data-slow-{ordinal}/data/ended");
    let text = fs::read_to_string(machines.file("host-3", &place)).ok()?;
    text.trim().parse().ok()
}

fn available(machines: &Machines) {
    for set in ["etcd", "slow"] {
        let wait = format!("berth wait sts/{set} --for=Available --timeout 1m");
        machines.until("host-1", &format!("{set} is available"), &wait);
    }
    healthy(machines);
}

/// What a member prints is found by its fields, and by systemd's own.
fn is_in_the_journal(machines: &Machines) {
    let lines = "journalctl --no-pager -o json BERTH_MEMBER=slow-0 MESSAGE='it begins' | grep .";
    let found = machines.until("host-3", "a line in the journal", lines);
    let line: serde_json::Value = serde_json::from_str(found.lines().next().unwrap()).unwrap();
    let expected = [
        ("BERTH_NAMESPACE", "default"),
        ("BERTH_SET", "slow"),
        ("BERTH_PROCESS", "slow"),
        ("BERTH_HOST", "host-3"),
        ("SYSLOG_IDENTIFIER", "slow-0"),
        ("PRIORITY", "6"),
        ("_SYSTEMD_SLICE", "berth.slice"),
    ];
    for (field, value) in expected {
        assert_eq!(line[field], value, "{field} of {line}");
    }
    let file = "grep -rqx 'it begins' /var/log/berth";
    machines.on("host-3", file);
}

/// Stopped in order means that the second began to stop after the first had ended, eight seconds each.
fn stopped_in_order(machines: &Machines) {
    let (first, second) = (ended(machines, 1), ended(machines, 0));
    let (Some(first), Some(second)) = (first, second) else {
        unreachable!("slow members were killed: slow-1 {first:?}, slow-0 {second:?}");
    };
    assert!(second > first + 7_000_000_000, "{first} {second}");
}

#[test]
fn machines_go_down_in_order_and_come_back_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let mut machines = machines(&dir);
    installed(&machines);
    machines.copy(
        &checkout().join("tests/manifests/slow.yaml"),
        "host-1",
        "/slow.yaml",
    );
    // A file system that systemd takes for one of the network: it goes before the network does.
    let remote = "mkdir -p /srv/disk /srv/net
        echo '/srv/disk /srv/net none bind,_netdev 0 0' >>/etc/fstab
        systemctl daemon-reload; systemctl start srv-net.mount
        systemctl show -p Before --value srv-net.mount | grep -qw remote-fs.target";
    machines.on("host-3", remote);
    let apply = "berth host label host-3 slow=yes; berth apply -f /slow.yaml --wait --timeout 2m";
    machines.on("host-1", apply);
    available(&machines);
    is_in_the_journal(&machines);
    // What nspawn's list of system calls lacks is given to these machines, as docs/inspecting.md says.
    let executed = "test \"$(berth exec slow-0 -- /bin/echo executed)\" = executed";
    machines.on("host-1", executed);

    // By hand, and taken back.
    machines.on("host-3", "systemctl stop berth-members");
    stopped_in_order(&machines);
    let left = format!("{PIDS}; systemctl list-units --no-legend 'berth-*.scope'");
    machines.until(
        "host-3",
        "nothing is left",
        &format!("test -z \"$({left})\""),
    );
    let why = machines.on("host-3", "berth local status slow-0");
    assert!(why.contains("HostShuttingDown"), "{why}");
    machines.on("host-3", "systemctl start berth-members");
    available(&machines);

    // A machine reboots, for which its container asks to be started again: in order, without a limit of
    // time, and all start again.
    machines.on("host-3", "systemctl --no-block reboot");
    machines.wait_until_off("host-3");
    stopped_in_order(&machines);
    machines.boot("host-3");
    available(&machines);
    assert_eq!(ended(&machines, 0), None, "it runs again");

    // The power is cut, where an agent is and where the coordinator is too.
    for name in ["host-2", "host-1"] {
        machines.cut_power(name);
        machines.boot(name);
        available(&machines);
    }

    // Without a coordinator a machine goes down and comes back all the same.
    machines.on("host-1", "systemctl stop berth-coordinator");
    machines.on("host-3", "systemctl --no-block poweroff");
    machines.wait_until_off("host-3");
    stopped_in_order(&machines);
    machines.boot("host-3");
    machines.until("host-3", "members", "pgrep -f ^slow && pgrep -x etcd");
    machines.on("host-1", "systemctl start berth-coordinator");
    available(&machines);

    removed(&machines);
}

/// A host that is removed is out at once, although its agent runs on, and stays out.
fn removed(machines: &Machines) {
    let remove = "for set in slow etcd; do berth delete sts/$set --yes-i-mean $set --wait; done
        for claim in data-slow-0 data-slow-1 data-etcd-2; do berth delete pvc/$claim --yes-i-mean $claim; done
        berth host remove host-3 --yes-i-mean host-3; berth get hosts >/hosts
        grep -q host-2 /hosts; ! grep host-3 /hosts";
    machines.on("host-1", remove);
    let refused = "journalctl --no-pager -u berth-agent -o cat | grep 'was revoked'";
    machines.until("host-3", "it is told that it is out", refused);
}
