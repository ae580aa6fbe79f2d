//! Members with volumes, and what there is to see of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use berth_agent::host::{ExecOrder, Host, KeeperHandle};
use berth_core::rendered::{RenderedMount, RenderedProcess};

use super::support::*;

pub(crate) const WAIT_FOREVER: &str = "echo runs; while :; do sleep 60; done";

/// A process that sees volumes at `/mnt/berth-<member>/<volume>`.
pub(crate) fn with_volumes(bed: &Bed, script: &str, volumes: &[&str]) -> RenderedProcess {
    let mut main = shell("main", script);
    for volume in volumes {
        main.mounts.push(mount(volume, &target(bed, volume), None));
    }
    main
}

pub(crate) fn mount(volume: &str, target: &Path, sub_path: Option<&str>) -> RenderedMount {
    RenderedMount {
        volume: volume.to_owned(),
        mount_path: target.to_str().unwrap().to_owned(),
        read_only: false,
        sub_path: sub_path.map(str::to_owned),
    }
}

/// Below the test's own directory, so that nothing is left on the machine.
pub(crate) fn target(bed: &Bed, volume: &str) -> PathBuf {
    bed.dir.path().join("seen-by-members").join(volume)
}

pub(crate) async fn exec(handle: &KeeperHandle, script: &str) -> String {
    let order = ExecOrder {
        process: process("main"),
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        timeout_ms: 20_000,
    };
    handle.client.exec(order).await.unwrap().output
}

pub(crate) async fn stop(bed: &Bed, mut handle: KeeperHandle) {
    handle.client.stop(None).await.unwrap();
    until_gone(&mut handle).await;
    bed.host.cleanup(&bed.member()).await.unwrap();
}

/// The loop devices that show a file beneath a directory.
pub(crate) fn loops(dir: &Path) -> Vec<String> {
    let devices = fs::read_dir("/sys/block").unwrap().flatten();
    let shown = devices
        .filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok());
    let dir = dir.to_str().unwrap();
    shown.filter(|file| file.starts_with(dir)).collect()
}

pub(crate) fn image(bed: &Bed, volume: &str) -> PathBuf {
    let dir = format!("default_{volume}-{}", bed.member().name());
    bed.dir.path().join("images").join(dir).join("image")
}
