//! The etcd example: where it is, and etcdctl reaching its members by their names.

use std::process::{Command, Output};

use crate::{machine::checkout, wait};

/// The domain of the members.
pub const DOMAIN: &str = "etcd.default.svc.berth.internal";

/// The manifest, as it is.
pub fn manifest() -> String {
    checkout()
        .join("deploy/examples/etcd/etcd.yaml")
        .to_str()
        .expect("text")
        .to_owned()
}

/// etcdctl against one member by name, resolving through the DNS server at `dns`.
pub fn etcdctl(dns: &str, ordinal: u32, args: &[&str]) -> Output {
    named(dns, "etcdctl")
        .args(args)
        .env("ETCDCTL_API", "3")
        .env(
            "ETCDCTL_ENDPOINTS",
            format!("http://etcd-{ordinal}.{DOMAIN}:2379"),
        )
        .output()
        .expect("etcdctl runs")
}

/// A command that resolves names through the DNS server at `dns`, in a mount namespace of its own.
pub fn named(dns: &str, program: &str) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c"])
        .arg(format!(
            "mount -t tmpfs t /mnt && echo nameserver {dns} > /mnt/resolv.conf \
         && mount --bind /mnt/resolv.conf /etc/resolv.conf && exec \"$@\""
        ));
    command.args(["sh", program]);
    command
}

/// Puts a key through one member.
///
/// # Panics
/// If etcd does not take it in time.
pub async fn put(dns: &str, ordinal: u32, key: &str, value: &str) {
    answer(dns, ordinal, &["put", key, value]).await;
}

/// Gets a key through one member.
///
/// # Panics
/// If etcd does not answer in time.
pub async fn get(dns: &str, ordinal: u32, key: &str) -> String {
    answer(dns, ordinal, &["get", key, "--print-value-only"])
        .await
        .trim()
        .to_owned()
}

/// What etcdctl prints once it succeeds.
pub async fn answer(dns: &str, ordinal: u32, args: &[&str]) -> String {
    wait::until(&format!("etcdctl {args:?} at etcd-{ordinal}"), async || {
        let output = etcdctl(dns, ordinal, args);
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    })
    .await
}
