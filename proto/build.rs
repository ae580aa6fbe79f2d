//! Generates the gRPC code with a compiler written in Rust, so that no `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

/// Messages that have secrets in them, or may have: what they show of themselves is written by hand
/// (`src/quiet.rs`), so that no log and no panic ever shows one.
const QUIET: [&str; 9] = [
    "ApplyRequest",
    "CreateTokenResponse",
    "ExecInput",
    "ExecOutput",
    "JoinRequest",
    "Object",
    "Order",
    "PlanRequest",
    "Source",
];

fn main() -> Result<(), Box<dyn Error>> {
    let files = [
        "berth/v1/access.proto",
        "berth/v1/exec.proto",
        "berth/v1/objects.proto",
        "berth/v1/admin.proto",
        "berth/v1/cluster.proto",
        "berth/v1/agent.proto",
        "berth/v1/local.proto",
    ];
    println!("cargo::rerun-if-changed=berth");
    let descriptors = protox::compile(files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?).join("berth.bin");
    fs::write(out, descriptors.encode_to_vec())?;
    // The same zone goes to every agent: its records are shared by all that wait to be sent.
    let build = tonic_prost_build::configure().bytes(".berth.v1.Zone.records");
    let build = build.skip_debug(QUIET.map(|name| format!(".berth.v1.{name}")));
    build.compile_fds(descriptors)?;
    Ok(())
}
