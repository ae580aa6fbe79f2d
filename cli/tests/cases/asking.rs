//! Questions to a person at a terminal.

use crate::support::{
    Server, berth_on_terminal, manifest,
    objects::{DISRUPTION, SHRINKING},
};

#[test]
fn a_yes_goes_on() {
    let server = Server::start();
    manifest(&server, "less.yaml", SHRINKING);
    let (code, text) = berth_on_terminal(&server, "apply -f less.yaml", "y\n");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(DISRUPTION), "{text}");
    assert!(text.contains("Go on? [y/N]"), "{text}");
    assert!(text.contains("StatefulSet/etcd configured"), "{text}");
}

#[test]
fn anything_else_does_nothing() {
    let server = Server::start();
    manifest(&server, "less.yaml", SHRINKING);
    for answer in ["n\n", "\n", "yesterday\n"] {
        let (code, text) = berth_on_terminal(&server, "apply -f less.yaml", answer);
        assert_eq!(code, 3, "{text}");
        assert!(text.contains("nothing was done"), "{text}");
        assert!(!text.contains("configured"), "{text}");
    }
}

#[test]
fn a_set_is_deleted_by_its_typed_name_only() {
    let server = Server::start();
    let (code, text) = berth_on_terminal(&server, "delete sts/etcd", "etcd\n");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("StatefulSet/etcd deleted"), "{text}");
    let told = text.find("etcd-2, etcd-1, etcd-0 stop, the highest first");
    assert!(
        told.is_some() && told < text.find("Type its name"),
        "{text}"
    );
    let (code, text) = berth_on_terminal(&server, "delete sts/etcd", "y\n");
    assert_eq!(code, 3, "{text}");
    assert!(!text.contains("deleted\n"), "{text}");
}
