//! Commands that change something.

use insta::assert_snapshot;

use crate::support::{
    Server, berth, berth_with_input, manifest,
    objects::{BROKEN, HUGE, NEW, SHRINKING, STATIC},
};

#[test]
fn apply_says_what_became_of_each_object() {
    let server = Server::start();
    manifest(&server, "etcd.yaml", NEW);
    assert_snapshot!("apply", berth(&server, &["apply", "-f", "etcd.yaml"]));
    assert_snapshot!(
        "apply_stdin",
        berth_with_input(&server, &["apply", "-f", "-"], NEW)
    );
}

#[test]
fn apply_prints_every_mistake_with_its_place() {
    let server = Server::start();
    manifest(&server, "etcd.yaml", BROKEN);
    assert_snapshot!(
        "apply_broken",
        berth(&server, &["apply", "-f", "etcd.yaml"])
    );
    assert_snapshot!("plan_broken", berth(&server, &["plan", "-f", "etcd.yaml"]));
}

#[test]
fn a_thousand_mistakes_are_all_printed() {
    let server = Server::start();
    manifest(&server, "huge.yaml", HUGE);
    let told = berth(&server, &["apply", "-f", "huge.yaml"]);
    assert!(told.starts_with("exit code: 6\n"), "{told}");
    for line in [1, 1000] {
        let place = format!("\nhuge.yaml:{line}:1: StatefulSet/huge: ");
        assert!(told.contains(&place), "{place} is missing");
    }
}

#[test]
fn apply_that_disrupts_needs_a_yes() {
    let server = Server::start();
    manifest(&server, "etcd.yaml", SHRINKING);
    assert_snapshot!(
        "apply_unconfirmed",
        berth(&server, &["apply", "-f", "etcd.yaml"])
    );
    assert_snapshot!(
        "apply_confirmed",
        berth(&server, &["apply", "-f", "etcd.yaml", "--yes"])
    );
}

#[test]
fn apply_of_a_forbidden_change_is_refused_even_with_a_yes() {
    let server = Server::start();
    manifest(&server, "etcd.yaml", STATIC);
    assert_snapshot!(
        "apply_static",
        berth(&server, &["apply", "-f", "etcd.yaml", "--yes"])
    );
    manifest(&server, "scaled.yaml", "kind: StatefulSet # scaled");
    assert_snapshot!(
        "apply_scaled",
        berth(&server, &["apply", "-f", "scaled.yaml"])
    );
    assert_snapshot!(
        "apply_take",
        berth(
            &server,
            &["apply", "-f", "scaled.yaml", "--take", "replicas"]
        )
    );
}

#[test]
fn apply_of_a_file_that_is_not_there() {
    let server = Server::start();
    assert_snapshot!("apply_no_file", berth(&server, &["apply", "-f", "no.yaml"]));
    std::fs::create_dir(server.dir().join("empty")).unwrap();
    assert_snapshot!("apply_no_dir", berth(&server, &["apply", "-f", "empty"]));
}

#[test]
fn plan_shows_steps_and_disruptions() {
    let server = Server::start();
    manifest(&server, "etcd.yaml", NEW);
    manifest(&server, "less.yaml", SHRINKING);
    assert_snapshot!("plan", berth(&server, &["plan", "-f", "etcd.yaml"]));
    assert_snapshot!(
        "plan_disrupts",
        berth(&server, &["plan", "-f", "less.yaml"])
    );
    assert_snapshot!(
        "plan_json",
        berth(&server, &["plan", "-f", "less.yaml", "-o", "json"])
    );
}

#[test]
fn plan_tells_by_its_code_whether_anything_would_change() {
    let server = Server::start();
    manifest(&server, "same.yaml", "kind: StatefulSet # same");
    manifest(&server, "less.yaml", SHRINKING);
    manifest(&server, "broken.yaml", BROKEN);
    for (file, code) in [
        ("same.yaml", 0),
        ("less.yaml", 2),
        ("broken.yaml", 1),
        ("none.yaml", 1),
    ] {
        let told = berth(&server, &["plan", "-f", file]);
        assert!(
            told.starts_with(&format!("exit code: {code}\n")),
            "{file}: {told}"
        );
    }
}

#[test]
fn a_set_may_be_deleted_without_its_members() {
    let server = Server::start();
    let args = ["delete", "sts/etcd", "--cascade=orphan"];
    assert_snapshot!("delete_orphan_unconfirmed", berth(&server, &args));
    let confirmed = [&args[..], &["--yes-i-mean", "etcd"]].concat();
    assert_snapshot!("delete_orphan", berth(&server, &confirmed));
}

#[test]
fn a_member_goes_to_another_host_when_its_stop_is_confirmed() {
    let server = Server::start();
    let told = [
        &["member", "move", "etcd-0"][..],
        &["member", "move", "etcd-0", "--to", "host-2"],
        &["member", "move", "etcd-0", "--to", "host-2", "--yes"],
        &["member", "move", "etcd-0", "--to", "host-9", "--yes"],
        &["member", "move", "etcd-0", "--cancel"],
        &["member", "move", "etcd-1", "--cancel"],
        &["member", "move", "etcd-0", "--to", "host-2", "--cancel"],
        &["member", "replace", "etcd-0", "--yes"],
        &["member", "replace", "etcd-1", "--yes"],
    ];
    let told: Vec<String> = told.iter().map(|args| berth(&server, args)).collect();
    assert_snapshot!("move", told.join("\n"));
}

#[test]
fn data_is_given_up_by_a_typed_name_only() {
    let server = Server::start();
    let told = [
        &["member", "replace", "etcd-0", "--yes-i-mean", "etcd-0"][..],
        &["member", "replace", "etcd-0", "--new-volume"],
        &[
            "member",
            "replace",
            "etcd-0",
            "--new-volume",
            "--yes-i-mean",
            "etcd-0",
        ],
        &[
            "member",
            "replace",
            "etcd-1",
            "--new-volume",
            "--yes-i-mean",
            "etcd-1",
        ],
        &["set", "refound", "etcd"],
        &["set", "refound", "sts/etcd", "--yes-i-mean", "etcd"],
        &["set", "refound", "pvc/etcd"],
        &["set", "refound", "none", "--yes-i-mean", "none"],
    ];
    let told: Vec<String> = told.iter().map(|args| berth(&server, args)).collect();
    assert_snapshot!("give_up", told.join("\n"));
}

#[test]
fn scale_asks_before_members_stop() {
    let server = Server::start();
    let scale = |replicas: &str, more: &[&str]| {
        let mut args = vec!["scale", "sts/etcd", "--replicas", replicas];
        args.extend(more);
        berth(&server, &args)
    };
    assert_snapshot!("scale_unconfirmed", scale("2", &[]));
    assert_snapshot!("scale_confirmed", scale("2", &["--yes"]));
    assert_snapshot!("scale_static", scale("5", &["--yes"]));
    assert_snapshot!(
        "scale_none",
        berth(&server, &["scale", "sts/none", "--replicas", "1"])
    );
}

#[test]
fn delete_needs_the_name_of_a_set() {
    let server = Server::start();
    assert_snapshot!(
        "delete_unconfirmed",
        berth(&server, &["delete", "sts/etcd"])
    );
    assert_snapshot!(
        "delete_other_name",
        berth(&server, &["delete", "sts/etcd", "--yes-i-mean", "web"])
    );
    assert_snapshot!(
        "delete_confirmed",
        berth(&server, &["delete", "sts", "etcd", "--yes-i-mean", "etcd"])
    );
}

#[test]
fn a_deletion_can_be_looked_at_beforehand() {
    let server = Server::start();
    let told = berth(&server, &["delete", "sts/etcd", "--dry-run"]);
    assert_snapshot!("delete_dry_run", told);
    let unknown = berth(&server, &["delete", "svc/none", "--dry-run"]);
    assert!(unknown.starts_with("exit code: 4\n"), "{unknown}");
}

#[test]
fn delete_of_what_holds_no_data_does_not_ask() {
    let server = Server::start();
    assert_snapshot!("delete_service", berth(&server, &["delete", "svc/etcd"]));
    assert_snapshot!("delete_none", berth(&server, &["delete", "svc/none"]));
    assert_snapshot!(
        "delete_member",
        berth(&server, &["delete", "member/etcd-0"])
    );
}

#[test]
fn delete_by_manifest_goes_in_reverse() {
    let server = Server::start();
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: etcd}\n\
                spec: {selector: {app: etcd}}\n---\n\
                apiVersion: v1\nkind: ConfigMap\nmetadata: {name: none}\n---\n\
                apiVersion: v1\nkind: PersistentVolumeClaim\n\
                metadata: {name: data-etcd-0, namespace: shop}\n\
                spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n";
    manifest(&server, "etcd.yaml", text);
    let args = ["delete", "-f", "etcd.yaml"];
    assert_snapshot!("delete_file_unconfirmed", berth(&server, &args));
    assert_snapshot!(
        "delete_file",
        berth(
            &server,
            &["delete", "-f", "etcd.yaml", "--yes-i-mean", "data-etcd-0"]
        )
    );
    manifest(
        &server,
        "etcd.yaml",
        "kind: Servlet\nmetadata: {nam: etcd}\n",
    );
    assert_snapshot!("delete_file_broken", berth(&server, &args));
}
