//! The Elasticsearch example with a stand-in in place of the program: it writes down the user, limits
//! and configuration that it was given, and answers on both ports. Two limits are edited
//! where this machine allows less than Elasticsearch asks for: then the manifest asks for what it allows.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use berth_tests::{dev::Dev, machine, wait};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

const STAND_IN: &str = r#"#!/bin/sh
set -eu
conf=$ES_PATH_CONF/elasticsearch.yml
address=$(sed -n 's/^network.host: //p' "$conf")
cat >/tmp/nginx.conf <<END
pid /tmp/pid; error_log stderr; events {}
http {
  access_log off; client_body_temp_path /tmp/a; proxy_temp_path /tmp/b;
  fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e;
  server { listen $address:9200; listen $address:9300; location / { return 200 "{}"; } }
}
END
{
  echo "user $(id -un) nofile $(ulimit -n) memlock $(ulimit -l)"
  sed -n 's/^Max processes *\([0-9]*\) .*/nproc \1/p' /proc/self/limits
  echo "package file: $(cat "$ES_PATH_CONF/jvm.options")"
  touch "$ES_PATH_CONF/keystore" && echo "configuration directory is writable"
  cat "$conf"
} >/var/log/elasticsearch/seen.new
mv /var/log/elasticsearch/seen.new /var/log/elasticsearch/seen
exec /usr/sbin/nginx -e stderr -c /tmp/nginx.conf -g 'daemon off;'
"#;

/// Lays a writable layer over directories of the machine: what the test writes there ends with its
/// mount namespace.
fn cover(directories: &[&str]) {
    machine::run(Command::new("mount").args(["-t", "tmpfs", "layers", "/mnt"]));
    for directory in directories {
        let layer = Path::new("/mnt").join(directory.replace('/', "_"));
        fs::create_dir_all(layer.join("upper")).unwrap();
        fs::create_dir_all(layer.join("work")).unwrap();
        let options = format!(
            "lowerdir={directory},upperdir={0}/upper,workdir={0}/work",
            layer.display()
        );
        machine::run(
            Command::new("mount").args(["-t", "overlay", "layer", "-o", &options, directory]),
        );
    }
}

fn install_stand_in() {
    cover(&["/etc", "/usr/share", "/var"]);
    let mut passwd = OpenOptions::new().append(true).open("/etc/passwd").unwrap();
    writeln!(passwd, "elasticsearch:x:9200:9200::/nonexistent:/bin/false").unwrap();
    let mut group = OpenOptions::new().append(true).open("/etc/group").unwrap();
    writeln!(group, "elasticsearch:x:9200:").unwrap();
    fs::create_dir_all("/etc/elasticsearch").unwrap();
    fs::write("/etc/elasticsearch/jvm.options", "from the package").unwrap();
    fs::create_dir_all("/usr/share/elasticsearch/bin").unwrap();
    let program = Path::new("/usr/share/elasticsearch/bin/elasticsearch");
    fs::write(program, STAND_IN).unwrap();
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What the stand-in of a member wrote down.
fn seen(dev: &Dev, member: &str) -> Option<String> {
    let claim = format!("logs-{member}");
    let found: Vec<PathBuf> = machine::run(Command::new("find").arg(dev.dir()).args([
        "-path",
        &format!("*{claim}/*"),
        "-name",
        "seen",
    ]))
    .lines()
    .map(PathBuf::from)
    .collect();
    fs::read_to_string(found.first()?).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_gets_its_user_limits_and_rendered_configuration() {
    install_stand_in();
    let dev = Dev::start(3);
    let example = machine::checkout().join("deploy/examples/elasticsearch/elasticsearch.yaml");
    let text = fs::read_to_string(example).unwrap();
    assert!(
        text.contains("nofile: 65535") && text.contains("memlock: unlimited"),
        "{text}"
    );
    let files = getrlimit(Resource::RLIMIT_NOFILE).unwrap().1.min(65535);
    let memory = getrlimit(Resource::RLIMIT_MEMLOCK).unwrap().1;
    let (memory, kib) = if memory == RLIM_INFINITY {
        ("unlimited".to_owned(), "unlimited".to_owned())
    } else {
        (memory.to_string(), (memory / 1024).to_string())
    };
    let manifest = tempfile::NamedTempFile::new().unwrap();
    let text = text
        .replace("nofile: 65535", &format!("nofile: {files}"))
        .replace("memlock: unlimited", &format!("memlock: {memory}"));
    fs::write(manifest.path(), text).unwrap();
    let manifest = manifest.path().to_str().unwrap();
    let args = ["apply", "-f", manifest, "--wait", "--timeout", "60s"];
    dev.cluster().berth(&args);

    let members = dev.cluster().ready("elasticsearch", 3).await;

    for (name, member) in &members {
        let text = seen(&dev, name).unwrap();
        for line in [
            &format!("user elasticsearch nofile {files} memlock {kib}"),
            "nproc 4096",
            "package file: from the package",
            "configuration directory is writable",
            "cluster.name: default-elasticsearch",
            &format!("node.name: {name}"),
            &format!("network.host: {}", member.address),
            "  - elasticsearch-2.elasticsearch.default.svc.berth.internal:9300",
            "cluster.initial_master_nodes:",
        ] {
            assert!(
                text.lines().any(|l| l == line),
                "{name}: no line {line:?} in\n{text}"
            );
        }
    }

    // Once it was part of the cluster, a node is told of no initial masters any more.
    machine::kill_9(members["elasticsearch-1"].processes[0].pid);
    wait::until(
        "a configuration without initial masters",
        async || match seen(&dev, "elasticsearch-1") {
            Some(text) if !text.contains("initial_master_nodes") => Ok(()),
            text => Err(text),
        },
    )
    .await;
}
