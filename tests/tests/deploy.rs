//! What operators copy to their machines is right: configuration files are read by the daemons'
//! own readers and show the daemons' own defaults, and units say what the daemons rely on.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::{collections::BTreeSet, fs};

use berth_agent::{
    config::{Config as AgentConfig, ConfigFile},
    identity::Joined,
};
use berth_coordinator::config::Config as CoordinatorConfig;
use berth_core::manifest::read_config;
use berth_tests::machine::checkout;

fn read(path: &str) -> String {
    fs::read_to_string(checkout().join(path)).expect(path)
}

#[test]
fn the_coordinators_file_shows_its_defaults() {
    let path = "deploy/config/coordinator.yaml";
    let shown = CoordinatorConfig::parse(path, &read(path)).expect(path);
    let defaults = CoordinatorConfig::parse("empty", "").expect("the defaults");
    assert_eq!(shown, defaults);
}

#[test]
fn the_agents_file_shows_its_defaults() {
    let path = "deploy/config/agent.yaml";
    let shown: ConfigFile = read_config(path, &read(path)).expect(path);
    let defaults: ConfigFile = read_config("empty", "").expect("the defaults");
    assert_eq!(shown, defaults);
    let joined = Joined {
        host: "host-1".parse().expect("a name"),
        coordinator: ([192, 0, 2, 10], 7400).into(),
        advertise_address: [192, 0, 2, 11].into(),
    };
    AgentConfig::try_from(shown.or_joined(Some(joined)))
        .expect("a configuration that an agent starts with");
}

#[test]
fn members_outlive_a_stopped_agent_unit() {
    let agent = settings("deploy/systemd/berth-agent.service");
    for line in ["KillMode=process", "Delegate=yes", "Type=notify"] {
        assert!(agent.contains(line), "{line}: {agent:?}");
    }
    // Either would put members' volumes into a mount namespace that ends with the agent.
    for name in ["PrivateTmp", "ProtectSystem", "PrivateMounts", "MountFlags"] {
        let set = agent.iter().any(|line| line.starts_with(name));
        assert!(!set, "{name} must not be set: {agent:?}");
    }
}

#[test]
fn a_host_that_goes_down_waits_for_its_members() {
    let members = settings("deploy/systemd/berth-members.service");
    for line in [
        "Type=oneshot",
        "RemainAfterExit=yes",
        "ExecStop=/usr/bin/berth local shutdown",
        "TimeoutStopSec=infinity",
    ] {
        assert!(members.contains(line), "{line}: {members:?}");
    }
    // Units stop in the opposite order.
    let after = members.iter().find(|line| line.starts_with("After="));
    for unit in [
        "berth-agent.service",
        "network.target",
        "network-online.target",
        "remote-fs.target",
    ] {
        assert!(after.is_some_and(|line| line.contains(unit)), "{unit}");
    }
}

#[test]
fn both_units_watch_their_daemon() {
    for unit in ["coordinator", "agent"] {
        let lines = settings(&format!("deploy/systemd/berth-{unit}.service"));
        let program = format!("ExecStart=/usr/bin/berth-{unit} --config /etc/berth/{unit}.yaml");
        assert!(lines.contains(program.as_str()), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("WatchdogSec=")));
        assert!(lines.contains("Restart=always"));
    }
}

/// The settings of a unit, without comments.
fn settings(path: &str) -> BTreeSet<String> {
    read(path)
        .lines()
        .filter(|line| line.contains('=') && !line.starts_with('#'))
        .map(ToOwned::to_owned)
        .collect()
}
