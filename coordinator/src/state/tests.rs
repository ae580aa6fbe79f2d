//! Revisions in records: each has its own, and those of older releases are still read.

use berth_core::{
    ids::{ObjectKey, SetKey, TemplateHash},
    spec::{
        ConfigMap, FileSource, KeySelector, Kind, MemberTemplate, Object, ObjectMeta, Process,
        StatefulSet, StatefulSetSpec,
    },
    store::{Batch, Key, RecordKind},
    template::revision_hash,
    time::Timestamp,
    volume::PoolInfo,
};
use serde_json::json;

use super::{View, records};
use crate::fixture::{NOW, World};

fn key(name: &str) -> ObjectKey {
    format!("default/{name}").parse().unwrap()
}

fn meta(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: name.to_owned(),
        namespace: "default".to_owned(),
        ..ObjectMeta::default()
    }
}

/// A template whose file is the key `main` of `conf`.
fn template() -> MemberTemplate {
    let file = FileSource {
        path: "app.conf".to_owned(),
        config_map: Some(KeySelector {
            name: "conf".to_owned(),
            key: "main".to_owned(),
            optional: false,
        }),
        ..FileSource::default()
    };
    let mut template = MemberTemplate::default();
    template.spec.processes.push(Process {
        name: "main".to_owned(),
        files: vec![file],
        ..Process::default()
    });
    template
}

fn put_config(world: &mut World, text: &str) {
    let object = Object::ConfigMap(ConfigMap {
        metadata: meta("conf"),
        data: [("main".to_owned(), text.to_owned())].into(),
        ..ConfigMap::default()
    });
    let kind = RecordKind::Object(Kind::ConfigMap);
    world.put(Key::new(kind, key("conf")), &object);
}

fn put_set(world: &mut World) {
    let object = Object::StatefulSet(StatefulSet {
        metadata: meta("db"),
        spec: StatefulSetSpec {
            template: template(),
            ..StatefulSetSpec::default()
        },
    });
    let kind = RecordKind::Object(Kind::StatefulSet);
    world.put(Key::new(kind, key("db")), &object);
}

/// Writes the revisions that follow from the objects.
fn revise(world: &mut World, now: Timestamp) -> Batch {
    let mut batch = Batch::default();
    let mut after = world.view.state.clone();
    records::revise(&world.view, &mut after, now, &mut batch).unwrap();
    world.commit(batch.clone()).unwrap();
    assert_eq!(world.view.state.sets, after.sets, "what is written is read");
    batch
}

fn texts(view: &View) -> Vec<(u64, Timestamp, String)> {
    let set = &view.state.sets[&key("db")];
    let mut found: Vec<_> = set
        .revisions
        .values()
        .map(|r| {
            let text = r.config.config_maps["conf"]["main"].clone();
            (r.number, r.created_at, text)
        })
        .collect();
    found.sort();
    found
}

#[test]
fn each_revision_has_a_record_of_its_own() {
    let mut world = World::new(PoolInfo::default());
    put_config(&mut world, "1");
    put_set(&mut world);
    revise(&mut world, NOW);
    put_config(&mut world, "2");
    let batch = revise(&mut world, Timestamp(7));
    assert_eq!(batch.puts.len(), 2, "the set's record and one revision");
    assert_eq!(
        texts(&world.view),
        [(1, NOW, "1".to_owned()), (2, Timestamp(7), "2".to_owned())]
    );
    assert!(revise(&mut world, NOW).is_empty(), "nothing changed");
}

#[test]
fn templates_that_an_older_release_kept_are_revisions_with_the_config_of_their_time() {
    let mut world = World::new(PoolInfo::default());
    put_config(&mut world, "1");
    put_set(&mut world);
    let config = {
        let state = &world.view.state;
        state.used_config(&key("db").namespace, &template().spec)
    };
    let newest = revision_hash(&template(), &config);
    let set: SetKey = key("db");
    let record = json!({
        "revision": newest,
        "revisions": { "0ld": template(), newest.0.clone(): template() },
    });
    world.put(Key::new(RecordKind::Set, set.clone()), &record);
    let old = |number: u64| (number, Timestamp::default(), "1".to_owned());
    assert_eq!(texts(&world.view), [old(1), old(2)]);
    let revisions = &world.view.state.sets[&set].revisions;
    assert_eq!(revisions[&newest].number, 2, "the newest");
    assert!(revise(&mut world, NOW).is_empty(), "it is as it was");

    put_config(&mut world, "2");
    let batch = revise(&mut world, NOW);
    assert_eq!(batch.puts.len(), 4, "all of them have records now");
    assert_eq!(
        texts(&world.view),
        [old(1), old(2), (3, NOW, "2".to_owned())]
    );
    let loaded = View::load(
        &world.model,
        &world.view.state.history,
        world.view.state.term,
        "berth.internal",
    );
    assert_eq!(loaded.state.sets, world.view.state.sets);

    let dropped = TemplateHash("0ld".to_owned());
    let mut after = world.view.state.clone();
    let changed = after.sets.get_mut(&set).unwrap();
    changed.revisions.remove(&dropped);
    let mut batch = Batch::default();
    records::changes(&world.view, &after, &set, &mut batch).unwrap();
    assert_eq!(batch.deletes.len(), 1);
    world.commit(batch).unwrap();
    assert_eq!(world.view.state.sets, after.sets);
}
