//! Berth's volumes on a real server: directories that were there before, and those that a class makes.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::{MetadataExt as _, chown},
    path::Path,
};

use berth_proto::v1::MemberStatus;
use berth_tests::{
    hosts::Hosts,
    machine,
    nfs::{
        Bed, SERVER,
        manifest::{From, class, set},
        written,
    },
    wait,
};

/// The page that a member answers with.
async fn page(member: &MemberStatus) -> String {
    wait::until(&format!("{} to serve", member.name), async || {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect((member.address.as_str(), 8080))?;
            write!(stream, "GET / HTTP/1.0\r\nHost: {}\r\n\r\n", member.fqdn)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().map_err(|error| error.to_string())?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.contains(" 200 ") => Ok(body.trim().to_owned()),
            Some(_) | None => Err(answer),
        }
    })
    .await
}

/// The example as it is but for the server, its paths, and the version of the second volume.
fn example(exports: &Path) -> String {
    let file = machine::checkout().join("deploy/examples/nfs-static/nfs-static.yaml");
    let text = fs::read_to_string(file).unwrap();
    let text = text.replace("nas.example.org", SERVER);
    let text = text.replace("/exports/web", exports.to_str().unwrap());
    let second = text.rfind("nfsvers=4.2").unwrap();
    let (head, tail) = text.split_at(second);
    head.to_owned() + &tail.replacen("nfsvers=4.2", "nfsvers=3", 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_serves_from_a_directory_per_member_with_version_4_and_version_3() {
    const WWW_DATA: u32 = 33;
    let bed = Bed::new(2);
    let exports = ["web/0", "web/1"].map(|name| bed.server().export(name, ""));
    for export in &exports {
        chown(export, Some(WWW_DATA), Some(WWW_DATA)).unwrap();
    }
    let berth = Hosts::start(bed.network(), bed.dir());
    let cluster = berth.cluster();
    cluster.channel().await;

    cluster.apply(&example(exports[0].parent().unwrap()));

    let members = cluster.ready("web", 2).await;
    for (n, export) in exports.iter().enumerate() {
        let name = format!("web-{n}");
        let expected = format!("<h1>{name}</h1>");
        assert_eq!(page(&members[&name]).await, expected);
        let file = export.join("html/index.html");
        assert_eq!(fs::read_to_string(&file).unwrap().trim(), expected);
        assert_eq!(fs::metadata(&file).unwrap().uid(), WWW_DATA);
        // What the server has is what is served.
        fs::write(&file, format!("from {name}")).unwrap();
    }
    let versions = ["h1", "h2"].map(|host| {
        let volumes = bed.network().nfs_volumes(host);
        assert_eq!(volumes.len(), 1, "{host}: {volumes:?}");
        volumes[0].split(' ').next().unwrap().to_owned()
    });
    assert!(versions.contains(&"v4".to_owned()) && versions.contains(&"v3".to_owned()));

    cluster.berth(&["scale", "sts/web", "--replicas", "0", "--yes", "--wait"]);
    for host in ["h1", "h2"] {
        assert!(bed.network().nfs_volumes(host).is_empty(), "{host}");
    }
    cluster.berth(&["scale", "sts/web", "--replicas", "2"]);
    let members = cluster.ready("web", 2).await;
    for n in 0..exports.len() {
        let name = format!("web-{n}");
        assert_eq!(page(&members[&name]).await, format!("from {name}"));
    }
}

/// Like initdb: it refuses a directory that holds anything at all, and finds its own again.
const INITDB: &str = "set -e; cd /data; if ! test -e PG_VERSION; then test -z \"$(ls -A)\"; \
                      echo {{ member }} > PG_VERSION; fi; echo started >> log; exec tail -f /dev/null";

#[tokio::test(flavor = "multi_thread")]
async fn a_class_makes_a_directory_per_claim_and_a_member_takes_it_along_to_another_host() {
    let bed = Bed::new(2);
    let export = bed.server().export("pool", "");
    let squashed = bed.server().export("squashed", "root_squash");
    // Where root is nobody, somebody must have let everybody in.
    fs::set_permissions(
        &squashed,
        std::os::unix::fs::PermissionsExt::from_mode(0o1777),
    )
    .unwrap();
    let berth = Hosts::start(bed.network(), bed.dir());
    let cluster = berth.cluster();
    cluster.channel().await;

    let share = |path: &Path| path.to_str().unwrap().to_owned();
    cluster.apply(
        &(class("four", &share(&export), "4.2")
            + &class("three", &share(&squashed), "3")
            + &set("db", 1, From::Class(Some("four")), INITDB)
            + &set("sq", 1, From::Class(Some("three")), INITDB)),
    );

    let db = cluster.ready("db", 1).await["db-0"].clone();
    cluster.ready("sq", 1).await;
    for (share, member) in [(&export, "db"), (&squashed, "sq")] {
        let volume = share.join(format!("default_data-{member}-0"));
        let version = written(&volume.join("data/PG_VERSION")).await;
        assert_eq!(version, format!("{member}-0"));
        assert_eq!(epochs(&volume).len(), 1, "{member}");
    }
    let first = epochs(&export.join("default_data-db-0"));

    cluster.berth(&["host", "cordon", &db.host]);
    cluster.berth(&["member", "restart", "db-0", "--yes"]);

    let moved = cluster.member("db-0", "ready on the other host", |m| {
        m.ready && m.host != db.host
    });
    let moved = moved.await;
    let volume = export.join("default_data-db-0");
    wait::until("its second start beside its first", async || {
        let log = fs::read_to_string(volume.join("data/log")).unwrap();
        if log.lines().count() == 2 {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    let both = epochs(&volume);
    assert_eq!((both.len(), &both[0]), (2, &first[0]), "{both:?}");
    assert_ne!(moved.epoch, db.epoch);
    let left = bed.network().nfs_volumes(&db.host);
    let of_sq = usize::from(cluster.members("sq").await.unwrap()["sq-0"].host == db.host);
    assert_eq!(left.len(), of_sq, "only what others use: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_where_root_is_nobody_is_missed_when_it_is_gone() {
    let bed = Bed::new(1);
    let squashed = bed.server().export("squashed", "root_squash");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    fs::set_permissions(&squashed, open).unwrap();
    let berth = Hosts::start(bed.network(), bed.dir());
    let cluster = berth.cluster();
    cluster.channel().await;
    let share = squashed.to_str().unwrap();
    cluster.apply(
        &(class("squashed", share, "4.2") + &set("sq", 1, From::Class(Some("squashed")), INITDB)),
    );
    cluster.ready("sq", 1).await;
    let volume = squashed.join("default_data-sq-0");
    let seen = volume.join("owner/data-seen");
    wait::until("a note that there is data", async || {
        seen.exists().then_some(()).ok_or("no note")
    })
    .await;
    assert_ne!(
        fs::metadata(&seen).unwrap().uid(),
        0,
        "root is nobody there"
    );

    cluster.berth(&["scale", "sts/sq", "--replicas", "0", "--yes", "--wait"]);
    for file in ["PG_VERSION", "log"] {
        fs::remove_file(volume.join("data").join(file)).unwrap();
    }
    cluster.berth(&["scale", "sts/sq", "--replicas", "1"]);
    let held = |member: &MemberStatus| {
        let waiting = member.waiting.as_ref();
        waiting.is_some_and(|waiting| waiting.rule == "VolumeEmpty")
    };
    cluster
        .member("sq-0", "held for what is missing", held)
        .await;
    assert!(
        !volume.join("data/PG_VERSION").exists(),
        "it was not started"
    );
}

/// The owner records of a volume, sorted.
fn epochs(volume: &Path) -> Vec<String> {
    let entries = fs::read_dir(volume.join("owner")).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("epoch-")).collect();
    names.sort();
    names
}
