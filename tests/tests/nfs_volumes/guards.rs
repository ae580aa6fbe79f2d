//! Volumes on a server that are not as they should be hold their member, and nobody else, until they are:
//! a wrong export, one whose root may not write, one that holds somebody's data.

use std::{fs, os::unix::fs::chown};

use berth_tests::nfs::{
    Bed,
    manifest::{From, set, volume},
    world::{ALICE, WRITER, World},
    written,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_not_as_it_should_be_holds_its_member_until_it_is() {
    let bed = Bed::new(1);
    let squashed = bed.server().export("odd/squashed", "root_squash");
    chown(&squashed, Some(ALICE), Some(ALICE)).unwrap();
    let filled = bed.server().export("odd/filled", "");
    fs::write(filled.join("name"), "somebody's").unwrap();
    chown(&filled, Some(ALICE), Some(ALICE)).unwrap();
    let world = World::new(&bed).await;
    let volumes = [
        ("/srv/nfs/odd/later4", "nfsvers=4.2"),
        ("/srv/nfs/odd/later3", "nfsvers=3"),
        ("/srv/nfs/odd/squashed", "nfsvers=4.2"),
        ("/srv/nfs/odd/filled", "nfsvers=4.2"),
    ];
    let mut manifest = set("odd", 4, From::Hand, WRITER);
    for (n, (path, options)) in (0..).zip(volumes) {
        manifest += &volume("odd", n, path, options);
    }
    let near = world.apply(&manifest).await;

    world.pulse.reason("odd-0", &["MountFailed"]).await;
    world.pulse.reason("odd-1", &["MountFailed"]).await;
    for name in ["odd/later4", "odd/later3"] {
        bed.server().export(name, "");
    }
    world.pulse.ready("odd-2").await;
    // Its user writes where root may not.
    assert_eq!(written(&squashed.join("name")).await, "odd-2");

    world.pulse.reason("odd-3", &["VolumeNotEmpty"]).await;
    world.cluster.berth(&["volume", "adopt", "odd-3"]);
    world.pulse.ready("odd-3").await;
    assert_eq!(
        fs::read_to_string(filled.join("name")).unwrap(),
        "somebody's"
    );

    world.pulse.ready("odd-0").await;
    world.pulse.ready("odd-1").await;
    world.same_neighbour(&near, "all");
    world.print_gap("wrong volumes");
}
