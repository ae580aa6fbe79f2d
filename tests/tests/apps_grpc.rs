//! A stock gRPC client, by the lines of docs/grpc.md as they stand.

use std::{env, fs, path::PathBuf};

use berth_tests::{
    dev::Dev,
    machine::{self, checkout, run},
    page::blocks,
};

#[test]
fn the_calls_on_the_page_do_what_it_says() {
    let made = "tests/run apps makes the client, and says where";
    let client = PathBuf::from(env::var_os("BERTH_GRPC_CLIENT").expect(made));
    let page = fs::read_to_string(checkout().join("docs/grpc.md")).unwrap();
    let lines: Vec<String> = blocks(&page, "python")
        .into_iter()
        .map(|block| block.script)
        .collect();
    let dev = Dev::start(1);
    let mut session = dev.cluster().command(client.join("grpc-client/bin/python"));
    // Root makes a certificate, and the session goes on with it over TLS.
    let made = tempfile::tempdir().unwrap();
    let shell = blocks(&page, "sh")
        .into_iter()
        .find(|block| block.place == "tls");
    let mut create = dev.cluster().command("bash");
    let programs = machine::program("berth").parent().unwrap().to_owned();
    let path = env::var("PATH").unwrap_or_default();
    run(create
        .args(["-euc", &shell.unwrap().script])
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("SERVER", Dev::SERVER)
        .current_dir(made.path()));
    session
        .env("ANN", made.path().join("ann.yaml"))
        .args(["-c", &lines.join("\n")])
        .current_dir(checkout().join("deploy/examples/nginx"));
    let printed = run(&mut session);
    for part in [
        "berth.v1.ObjectService SERVING\n",
        "grpc.health.v1.Health SERVING\n",
        "StatefulSet web is applied\n",
        "INVALID_ARGUMENT ",
        "web wants 2\n",
        "web-0 web-1 are ready\n",
        "ann sees 2 members\n",
        "PERMISSION_DENIED user ann (viewer in default) may not call berth.v1.SetService/Scale",
    ] {
        assert!(printed.contains(part), "no {part:?} in:\n{printed}");
    }
    dev.stop();
}
