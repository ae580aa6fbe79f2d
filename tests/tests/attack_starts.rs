//! What a daemon refuses to start with, and what it says of that: "Bad input" in docs/security.md.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::{Path, PathBuf},
    process::Command,
};

use berth_tests::{attack::Bed, machine};

/// What a program says that does not start.
fn refusal(command: &mut Command) -> String {
    let output = command.env("NO_COLOR", "1").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(!output.status.success(), "it starts:\n{said}");
    said
}

fn daemon(name: &str, config: &Path) -> Command {
    let mut command = Command::new(machine::program(name));
    command.arg("--config").arg(config);
    command
}

/// A directory with a configuration of a coordinator, and what else it says.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn coordinator(&self, listen: &str, more: &str) -> String {
        let file = self.path("coordinator.yaml");
        let dir = self.0.path().display();
        let text =
            format!("listen: ['{listen}']\ndataDir: {dir}/data\nmetrics: {{listen: []}}\n{more}\n");
        fs::write(&file, text).unwrap();
        refusal(&mut daemon("berth-coordinator", &file))
    }

    /// A listener that is nobody's.
    fn free(&self) -> String {
        format!("unix:{}", self.path("c.sock").display())
    }
}

fn readable(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn a_configuration_with_unknown_keys_is_refused_with_file_and_line() {
    let place = Place::new();
    let said = place.coordinator(&place.free(), "datadir: /tmp");
    assert!(said.contains("coordinator.yaml:4"), "{said}");
    assert!(said.contains("datadir"), "{said}");
    let file = place.path("agent.yaml");
    fs::write(&file, "host: host-1\npolicy:\n  allowroot: true\n").unwrap();
    let said = refusal(&mut daemon("berth-agent", &file));
    assert!(
        said.contains("agent.yaml:3") && said.contains("allowroot"),
        "{said}"
    );
}

#[test]
fn a_port_that_is_taken_is_told_with_whoever_has_it() {
    let place = Place::new();
    let this = format!("(process {}) listens there", std::process::id());
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = tcp.local_addr().unwrap().to_string();
    let said = place.coordinator(&at, "");
    assert!(said.contains(&format!("cannot listen on {at}")), "{said}");
    assert!(said.contains(&this), "{said}");
    let _unix = UnixListener::bind(place.path("c.sock")).unwrap();
    let said = place.coordinator(&place.free(), "");
    assert!(said.contains(&this), "{said}");
}

#[tokio::test]
async fn keys_that_others_can_read_are_refused_by_name() {
    let bed = Bed::start().await;
    bed.join(bed.token("").await, "host-1").await.unwrap();
    let place = Place::new();
    for name in ["pki/ca.key", "secrets.key"] {
        let to = place.path("data").join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(bed.path("data").join(name), &to).unwrap();
        let certificate = "pki/ca.crt";
        let there = bed.path("data").join(certificate);
        fs::copy(there, place.path("data").join(certificate)).unwrap();
        readable(&to);
        let said = place.coordinator(&place.free(), "");
        let told = format!("{} can be read", to.display());
        assert!(said.contains(&told), "{name}: {said}");
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let identity = bed.path("host-1").join("pki/identity.pem");
    readable(&identity);
    let file = place.path("agent.yaml");
    let dir = place.0.path().display();
    let text = format!(
        "dataDir: {}\nrunDir: {dir}/run\nlogDir: {dir}/log\nmetrics: {{listen: []}}\n",
        bed.path("host-1").display()
    );
    fs::write(&file, text).unwrap();
    if is_root() {
        let said = refusal(&mut daemon("berth-agent", &file));
        assert!(said.contains("identity.pem can be read"), "{said}");
    }
}

#[tokio::test]
async fn an_agent_without_privileges_says_what_it_lacks() {
    let bed = Bed::start().await;
    bed.join(bed.token("").await, "host-1").await.unwrap();
    let place = Place::new();
    let file = place.path("agent.yaml");
    let dir = place.0.path().display();
    let text = format!(
        "dataDir: {}\nrunDir: {dir}/run\nlogDir: {dir}/log\nmetrics: {{listen: []}}\n",
        bed.path("host-1").display()
    );
    fs::write(&file, text).unwrap();
    // Root has them all: it gives them up.
    let mut without = Command::new("setpriv");
    without.args(["--bounding-set=-all", "--inh-caps=-all"]);
    let mut command = match is_root() {
        true => without,
        false => Command::new("env"),
    };
    command.arg(machine::program("berth-agent"));
    let said = refusal(command.arg("--config").arg(&file));
    for part in ["and may not", "mount volumes", "CAP_SYS_ADMIN", "as root"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
