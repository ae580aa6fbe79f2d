//! Attacks on a real host, by the numbers of the table in docs/security.md: by a coordinator that was
//! taken over, and by a program that runs in a member. Needs root.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use berth_core::{
    order::{Desired, MemberOrder},
    spec::{EnvVar, FileSource, MemberSpec},
    waiting::Reason,
};
use berth_proto::{
    transport::connect,
    v1::{LocalListRequest, local_service_client::LocalServiceClient},
};
use nix::sys::signal::Signal;
use tonic::Code;

mod machine;
mod stub;

use machine::{Machine, log_with, pid};
use stub::{Agent, complete, member_order, ready, socket};

const WAIT: &str = "while :; do sleep 60; done";

/// A member that runs a script.
fn shell(name: &str, script: &str) -> MemberOrder {
    let script = format!("{script}\necho end\n{WAIT}");
    member_order(name, Desired::Run, &["/bin/sh", "-c", &script])
}

fn changed(mut order: MemberOrder, change: impl FnOnce(&mut MemberSpec)) -> MemberOrder {
    let mut template = (*order.template).clone();
    change(&mut template);
    order.template = template.into();
    order
}

/// Runs the machine's member; what it wrote.
async fn output(machine: &Machine, agent: &mut Agent, order: MemberOrder) -> String {
    assert_eq!(agent.order(&complete(1, vec![order])).await, "");
    agent.until(&machine.member(), ready).await;
    log_with(agent, &machine.member(), "end\n").await
}

#[tokio::test]
async fn attack_08_a_member_at_the_agents_socket() {
    let mut machine = Machine::new("socket-0", "127.0.78.1");
    let mut stub = machine.stub().await;
    let mut agent = stub.agent().await;
    // So that nothing but the socket keeps it away.
    fs::set_permissions(machine.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let at = machine.dir.path().join("agent.sock");
    let mode = fs::metadata(&at).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let ask = format!(
        "perl -MSocket -e 'socket(my $s, PF_UNIX, SOCK_STREAM, 0); \
         print connect($s, pack_sockaddr_un(\"{}\")) ? \"in\" : \"out: $!\", \"\\n\"'",
        at.display()
    );
    let log = output(&machine, &mut agent, shell("socket-0", &ask)).await;
    assert!(log.starts_with("out: Permission denied\n"), "{log}");
    // Somebody widened it: the kernel still says who asks.
    fs::set_permissions(&at, fs::Permissions::from_mode(0o666)).unwrap();
    let endpoint = socket(machine.dir.path(), "agent.sock");
    let asked = std::thread::spawn(move || {
        // Of this thread alone.
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        let uid = rustix::process::Uid::from_raw(nobody.uid.as_raw());
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async {
            let channel = connect(&endpoint).await.unwrap();
            LocalServiceClient::new(channel)
                .list(LocalListRequest {})
                .await
        })
    });
    let refused = asked.join().unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    machine.forget(&mut agent, 2).await;
    assert!(machine.end(Signal::SIGTERM));
}

#[tokio::test]
async fn attack_27_a_shell_that_is_not_there() {
    let mut machine = Machine::new("words-0", "127.0.78.2");
    let mut stub = machine.stub().await;
    let mut agent = stub.agent().await;
    let words = [
        "; touch /data/a",
        "$(touch /data/b)",
        "`touch /data/c`",
        "| x",
        "a\nb",
        "*",
    ];
    let script = format!(
        "for word in \"$@\"; do echo \"[$word]\"; done; echo \"<$INJECTED>\"; ls /data; echo end; {WAIT}"
    );
    let order = member_order("words-0", Desired::Run, &["/bin/sh", "-c", &script, "sh"]);
    let order = changed(order, |template| {
        template.processes[0].args = words.map(str::to_owned).to_vec();
        template.processes[0].env = vec![EnvVar {
            name: "INJECTED".to_owned(),
            value: Some("$(touch /data/d); `id`".to_owned()),
            ..EnvVar::default()
        }];
    });
    let log = output(&machine, &mut agent, order).await;
    let told = words.map(|word| format!("[{word}]\n")).concat();
    assert_eq!(log, format!("{told}<$(touch /data/d); `id`>\nend\n"));
    machine.forget(&mut agent, 2).await;
    assert!(machine.end(Signal::SIGTERM));
}

#[tokio::test]
async fn attack_28_what_a_member_has_of_its_agent() {
    let mut machine = Machine::new("env-0", "127.0.78.3");
    let mut stub = machine.stub().await;
    let mut agent = stub.agent().await;
    // The test's own environment, which the agent has.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let log = output(&machine, &mut agent, shell("env-0", "env; id -u; id -G")).await;
    for word in ["CARGO", "LD_", "RUST", "BERTH_LOG"] {
        assert!(!log.contains(word), "{word}: {log}");
    }
    let path = log.lines().find_map(|line| line.strip_prefix("PATH="));
    let usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(path, Some(usual));
    assert!(
        !log.lines().any(|line| line.split(' ').any(|id| id == "0")),
        "{log}"
    );
    machine.forget(&mut agent, 2).await;
    assert!(machine.end(Signal::SIGTERM));
}

#[tokio::test]
async fn attack_29_a_member_that_looks_for_a_way_out() {
    let mut machine = Machine::new("out-0", "127.0.78.4");
    let mut stub = machine.stub().await;
    let mut agent = stub.agent().await;
    let agents = machine.agent.id();
    let script = format!(
        "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status
         readlink /proc/self/ns/pid; readlink /proc/self/ns/mnt; readlink /proc/self/ns/ipc
         kill -0 {agents} 2>/dev/null && echo sees the agent
         for ns in pid mnt net uts; do nsenter --target 1 --$ns true 2>/dev/null && echo entered $ns; done
         cat /proc/1/environ >/dev/null 2>&1 && echo read environ
         cat /proc/1/mem >/dev/null 2>&1 && echo read mem
         ls /proc/1/root/ >/dev/null 2>&1 && echo read root
         mount -t tmpfs none /mnt 2>/dev/null && echo mounted
         chroot / true 2>/dev/null && echo chroot
         mknod /tmp/disk b 8 0 2>/dev/null && echo device
         su -c true 2>/dev/null </dev/null && echo su"
    );
    let log = output(&machine, &mut agent, shell("out-0", &script)).await;
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(
            log.contains(&format!("{set}:\t0000000000000000\n")),
            "{log}"
        );
    }
    assert!(log.contains("NoNewPrivs:\t1\n"), "{log}");
    for ns in ["pid", "mnt"] {
        let own = fs::read_link(format!("/proc/self/ns/{ns}")).unwrap();
        assert!(!log.contains(own.to_str().unwrap()), "{ns}: {log}");
    }
    for word in [
        "sees", "entered", "read", "mounted", "chroot\n", "device", "su\n",
    ] {
        assert!(!log.contains(word), "{word}: {log}");
    }
    machine.forget(&mut agent, 2).await;
    assert!(machine.end(Signal::SIGTERM));
}

const POLICY: &str = "policy: {allowedUsers: [nobody], allowedCommands: [/bin/sh], \
                      allowedPaths: [/data], allowedNetworks: [127.0.0.0/24]}\n";

/// Everything that a coordinator could ask of a host for itself, and the key that says no.
#[tokio::test]
async fn attack_31_a_coordinator_that_wants_more_than_the_host_allows() {
    let mut machine = Machine::with("sound-0", "127.0.78.5", POLICY);
    let mut stub = machine.stub().await;
    let mut agent = stub.agent().await;
    let bad = || shell("bad-0", "");
    let with_user = |user: &str| {
        changed(bad(), |template| {
            template.processes[0].user = Some(user.to_owned())
        })
    };
    let mut elsewhere = bad();
    elsewhere.values.address = "127.77.0.1".to_owned();
    let cases = [
        (with_user("root"), "policy.allowRoot"),
        (with_user("0"), "policy.allowRoot"),
        (with_user("daemon"), "policy.allowedUsers"),
        (
            changed(bad(), |template| {
                template.processes[0].group = Some("disk".to_owned());
            }),
            "policy.allowedGroups",
        ),
        (
            changed(bad(), |template| {
                template.processes[0].supplemental_groups = vec!["shadow".to_owned()];
            }),
            "policy.allowedGroups",
        ),
        (
            changed(bad(), |template| {
                template.processes[0].capabilities.keep = vec!["SYS_ADMIN".to_owned()];
            }),
            "policy.allowedCapabilities",
        ),
        (
            member_order("bad-0", Desired::Run, &["/usr/bin/perl"]),
            "policy.allowedCommands",
        ),
        (
            member_order("bad-0", Desired::Run, &["/bin/sh/../../usr/bin/perl"]),
            "policy.allowedCommands",
        ),
        (
            changed(bad(), |template| {
                template.processes[0].volume_mounts[0].mount_path = "/etc".to_owned();
            }),
            "policy.allowedPaths",
        ),
        // 44: an address that is not in its networks.
        (elsewhere, "policy.allowedNetworks"),
    ];
    let mut generation = 0;
    for (order, key) in cases {
        generation += 1;
        assert_eq!(agent.order(&complete(generation, vec![order])).await, "");
        let bad = "default/bad-0".parse().unwrap();
        let told = agent.until(&bad, |r| r.waiting.is_some()).await;
        let Some(Reason::Forbidden(forbidden)) = told.waiting else {
            panic!("{key}: {:?}", told.waiting);
        };
        assert_eq!(forbidden.key, key);
        assert!(told.processes.iter().all(|process| process.pid.is_none()));
        generation += 1;
        assert_eq!(agent.order(&complete(generation, Vec::new())).await, "");
        agent.until_gone(&bad).await;
    }
    let sound = complete(generation + 1, vec![shell("sound-0", "")]);
    assert_eq!(agent.order(&sound).await, "");
    agent.until(&machine.member(), ready).await;
    machine.forget(&mut agent, generation + 2).await;
    assert!(machine.end(Signal::SIGTERM));
}

/// The policy is worth as much as the file that it stands in.
#[tokio::test]
async fn attack_30_a_policy_that_others_could_have_written() {
    let mut machine = Machine::new("policy-0", "127.0.78.6");
    let mut stub = machine.stub().await;
    let agent = stub.agent().await;
    assert_eq!(agent.hello.host.name.as_str(), "host-1");
    drop(agent);
    assert!(machine.end(Signal::SIGTERM));
    let file = machine.dir.path().join("agent.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}policy: {{allowRoot: true}}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    machine.restart();
    assert!(!machine.agent.wait().unwrap().success());
    let log = machine.log();
    assert!(
        log.contains("agent.yaml can be written by others (mode 666)"),
        "{log}"
    );
}

/// Everything below a directory, but the named entries of its top.
fn tree(at: &Path, without: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![at.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if dir == at && without.iter().any(|one| name == *one) {
                continue;
            }
            found.push(entry.path().display().to_string());
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// Orders that name places outside of what is a member's own.
fn leading_out() -> Vec<MemberOrder> {
    let out = "../../../../../../../../../../../../etc/berth-escaped";
    let file = |path: &str| {
        changed(shell("bad-0", ""), |template| {
            template.processes[0].files = vec![FileSource {
                path: path.to_owned(),
                content: Some("x".to_owned()),
                ..FileSource::default()
            }];
        })
    };
    let mut cases = vec![
        file(out),
        file("/etc/berth-escaped"),
        file("/proc/sys/kernel/core_pattern"),
        changed(shell("bad-0", ""), |template| {
            template.processes[0].name = out.to_owned();
        }),
        changed(shell("bad-0", ""), |template| {
            template.processes[0].working_dir = Some("/root".to_owned());
        }),
    ];
    for mount in [out, "/etc", "/", "/proc", "relative", "/data/../etc"] {
        cases.push(changed(shell("bad-0", ""), |template| {
            template.processes[0].volume_mounts[0].mount_path = mount.to_owned();
        }));
        cases.push(changed(shell("bad-0", ""), |template| {
            template.processes[0].volume_mounts[0].sub_path = mount.to_owned();
        }));
    }
    for dir in [out, "/etc", "..", ""] {
        for (field, value) in [("dir", dir), ("pool", dir), ("name", dir)] {
            let mut value_of = serde_json::to_value(shell("bad-0", "")).unwrap();
            let volume = &mut value_of["volumes"][0];
            match field {
                "name" => volume["name"] = value.into(),
                field => {
                    let source = volume["source"].as_object_mut().unwrap();
                    let local = source.values_mut().next().unwrap();
                    local[field] = value.into();
                }
            }
            cases.extend(serde_json::from_value::<MemberOrder>(value_of));
        }
    }
    cases
}

#[tokio::test]
async fn attack_36_paths_that_lead_out() {
    let mut machine = Machine::new("paths-0", "127.0.78.7");
    let mut stub = machine.stub().await;
    let mut agent = stub.agent().await;
    let own = ["run", "log", "data", "pool", "agent.log"];
    let before = tree(machine.dir.path(), &own);
    let etc = tree(Path::new("/etc"), &[]);
    let mut generation = 0;
    for order in leading_out() {
        generation += 1;
        // It is refused, waits, or runs where everything that it sees is its own.
        agent
            .order(&complete(generation, vec![order.clone()]))
            .await;
        let bad = "default/bad-0".parse().unwrap();
        let settled = |r: &berth_core::report::MemberReport| r.waiting.is_some() || r.ready;
        agent.until(&bad, settled).await;
        generation += 1;
        assert_eq!(agent.order(&complete(generation, Vec::new())).await, "");
        agent.until_gone(&bad).await;
        assert_eq!(tree(machine.dir.path(), &own), before, "{order:?}");
        assert_eq!(tree(Path::new("/etc"), &[]), etc, "{order:?}");
    }
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    assert_ne!(pattern.trim(), "x");
    let sound = complete(generation + 1, vec![shell("paths-0", "")]);
    assert_eq!(agent.order(&sound).await, "");
    assert!(pid(&agent.until(&machine.member(), ready).await) > 1);
    machine.forget(&mut agent, generation + 2).await;
    assert!(machine.end(Signal::SIGTERM));
}
