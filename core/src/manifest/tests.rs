//! Bad input and its exact messages, and good input in all its forms.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::*;

/// A set that is right; cases change it.
const SET: &str = "\
apiVersion: berth/v1
kind: StatefulSet
metadata:
  name: etcd
spec:
  replicas: 3
  template:
    spec:
      processes:
      - name: etcd
        command: [/usr/bin/etcd]
        user: etcd
";

fn source(text: &str) -> Source {
    Source {
        file: "etcd.yaml".to_owned(),
        text: text.to_owned(),
    }
}

fn refused(text: &str) -> Vec<String> {
    let violations = parse(&[source(text)], "default").unwrap_err();
    violations.iter().map(ToString::to_string).collect()
}

fn accepted(text: &str) -> Vec<ParsedObject> {
    parse(&[source(text)], "default").unwrap_or_else(|violations| {
        panic!(
            "{}",
            violations
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        )
    })
}

/// Each case replaces a part of the set, or adds to it.
fn check(cases: &[(&str, &str, &[&str])]) {
    for (from, to, expected) in cases {
        assert!(SET.contains(from), "{from}");
        assert_eq!(refused(&SET.replacen(from, to, 1)), *expected, "{to}");
    }
}

#[test]
fn the_set_is_read() {
    let objects = accepted(SET);
    assert_eq!(objects[0].name(), "StatefulSet/etcd");
    assert_eq!(objects[0].key.to_string(), "default/etcd");
    let Object::StatefulSet(set) = &objects[0].object else {
        panic!("not a set");
    };
    assert_eq!(set.metadata.namespace, "default");
    assert_eq!(set.spec.replicas(), 3);
    assert_eq!(
        set.spec.template.spec.processes[0].command,
        ["/usr/bin/etcd"]
    );
}

#[test]
fn unknown_fields_are_shown_where_they_are() {
    check(&[
        (
            "replicas: 3",
            "replica: 3",
            &[
                "etcd.yaml:6:3: StatefulSet/etcd: spec.replica: there is no field 'replica' here; did you mean 'replicas'?",
            ],
        ),
        (
            "        user: etcd\n",
            "        user: etcd\n        image: etcd:3\n        imagePullPolicy: Always\n",
            &[
                "etcd.yaml:13:9: StatefulSet/etcd: spec.template.spec.processes[0].image: there is no field 'image' here; give command: Berth runs host binaries",
                "etcd.yaml:14:9: StatefulSet/etcd: spec.template.spec.processes[0].imagePullPolicy: there is no field 'imagePullPolicy' here; give command: Berth runs host binaries",
            ],
        ),
        (
            "processes:",
            "containers: []\n      processes:",
            &[
                "etcd.yaml:9:7: StatefulSet/etcd: spec.template.spec.containers: there is no field 'containers' here; write processes: Berth runs host binaries",
            ],
        ),
        (
            "  name: etcd\n",
            "  name: etcd\n  colour: red\n",
            &[
                "etcd.yaml:5:3: StatefulSet/etcd: metadata.colour: there is no field 'colour' here; use one of name, namespace, labels, annotations, uid, resourceVersion, generation, creationTimestamp, deletionTimestamp",
            ],
        ),
    ]);
}

/// Also with the right line for what else is wrong below it.
#[test]
fn what_kubernetes_calls_containers_are_processes() {
    let upstream = SET.replace("processes:", "containers:");
    assert_eq!(accepted(&upstream)[0].object, accepted(SET)[0].object);
    let wrong = upstream.replace("[/usr/bin/etcd]", "[/usr/bin/etcd, 1]");
    assert_eq!(
        refused(&wrong),
        [
            "etcd.yaml:11:34: StatefulSet/etcd: spec.template.spec.processes[0].command[1]: the number 1 is not a text; put it in quotes"
        ]
    );
}

#[test]
fn wrong_types_are_told_in_words() {
    check(&[
        (
            "replicas: 3",
            "replicas: three",
            &[
                "etcd.yaml:6:13: StatefulSet/etcd: spec.replicas: the text \"three\" is not allowed here; write a whole number",
            ],
        ),
        (
            "replicas: 3",
            "replicas: 1.5",
            &[
                "etcd.yaml:6:13: StatefulSet/etcd: spec.replicas: the number 1.5 is not allowed here; write a whole number",
            ],
        ),
        (
            "replicas: 3",
            "minReadySeconds: -3",
            &[
                "etcd.yaml:6:20: StatefulSet/etcd: spec.minReadySeconds: the number -3 is not allowed here; write a whole number of 0 or more",
            ],
        ),
        (
            "[/usr/bin/etcd]",
            "/usr/bin/etcd",
            &[
                "etcd.yaml:11:18: StatefulSet/etcd: spec.template.spec.processes[0].command: the text \"/usr/bin/etcd\" is not allowed here; write a list",
            ],
        ),
        (
            "[/usr/bin/etcd]",
            "[/usr/bin/etcd, 1, x, true]",
            &[
                "etcd.yaml:11:34: StatefulSet/etcd: spec.template.spec.processes[0].command[1]: the number 1 is not a text; put it in quotes",
                "etcd.yaml:11:40: StatefulSet/etcd: spec.template.spec.processes[0].command[3]: true is not a text; put it in quotes",
            ],
        ),
        (
            "replicas: 3",
            "podManagementPolicy: Paralel",
            &[
                "etcd.yaml:6:24: StatefulSet/etcd: spec.podManagementPolicy: 'Paralel' is not known here; did you mean Parallel? (OrderedReady, OrderedStarted, Parallel)",
            ],
        ),
        (
            "replicas: 3",
            "podManagementPolicy: [x]",
            &[
                "etcd.yaml:6:24: StatefulSet/etcd: spec.podManagementPolicy: a list is not allowed here; write one word",
            ],
        ),
        (
            "  template:",
            "  selector: x\n  template:",
            &[
                "etcd.yaml:7:13: StatefulSet/etcd: spec.selector: the text \"x\" is not allowed here; write a mapping with fields",
            ],
        ),
        (
            "user: etcd",
            "user: etcd\n        volumeMounts: [{name: d, mountPath: /d, readOnly: yes}]",
            &[
                "etcd.yaml:13:31: StatefulSet/etcd: spec.template.spec.processes[0].volumeMounts[0].name: there is no volume 'd'; add it to spec.volumeClaimTemplates, or to volumes of the template if all members use one claim",
                "etcd.yaml:13:59: StatefulSet/etcd: spec.template.spec.processes[0].volumeMounts[0].readOnly: the text \"yes\" is not allowed here; write true or false",
            ],
        ),
    ]);
}

#[test]
fn every_mistake_is_reported_at_once() {
    let text = "\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: Etcd
  labels: {app: 1}
spec:
  replicas: -1
  replicsa: 3
  template:
    spec:
      processes:
      - name: a
        comand: [/bin/a]
      - just a text
      - name: a
        command: [a]
        user: u
        env: [{name: X, value: 1}]
        args: ['{{ nope']
---
apiVersion: v1
kind: Servce
metadata: {name: s}
---
kind: ConfigMap
metadata: {name: c}
";
    assert_eq!(
        refused(text),
        [
            "etcd.yaml:4:9: StatefulSet/Etcd: metadata.name: 'Etcd' is not a DNS label; use a-z, 0-9 and '-', begin and end with a letter or digit",
            "etcd.yaml:5:17: StatefulSet/Etcd: metadata.labels.app: the number 1 is not a text; put it in quotes",
            "etcd.yaml:7:13: StatefulSet/Etcd: spec.replicas: -1 is negative; give 0 or more",
            "etcd.yaml:8:3: StatefulSet/Etcd: spec.replicsa: there is no field 'replicsa' here; did you mean 'replicas'?",
            "etcd.yaml:12:9: StatefulSet/Etcd: spec.template.spec.processes[0].user: no user is given, and there is no default; give user: the user that runs it",
            "etcd.yaml:13:9: StatefulSet/Etcd: spec.template.spec.processes[0].comand: there is no field 'comand' here; did you mean 'command'?",
            "etcd.yaml:14:9: StatefulSet/Etcd: spec.template.spec.processes[1]: the text \"just a text\" is not allowed here; write a mapping with fields",
            "etcd.yaml:15:15: StatefulSet/Etcd: spec.template.spec.processes[2].name: 'a' is there twice; give another name",
            "etcd.yaml:16:19: StatefulSet/Etcd: spec.template.spec.processes[2].command[0]: 'a' is not an absolute path; give the path of the program",
            "etcd.yaml:18:32: StatefulSet/Etcd: spec.template.spec.processes[2].env[0].value: the number 1 is not a text; put it in quotes",
            "etcd.yaml:19:16: StatefulSet/Etcd: spec.template.spec.processes[2].args[0]: template syntax: unexpected end of input, expected end of variable block",
            "etcd.yaml:22:7: Servce/s: kind: there is no kind 'Servce'; did you mean Service? the kinds are AddressPool, ConfigMap, Secret, Service, StorageClass, PersistentVolume, PersistentVolumeClaim, VolumeSnapshot, StatefulSet",
            "etcd.yaml:25:1: ConfigMap/c: apiVersion: no apiVersion is given; give berth/v1",
        ]
    );
}

#[test]
fn an_unknown_kind_is_placed_and_the_known_ones_are_listed() {
    let text = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {nam: x}\n";
    assert_eq!(
        refused(text),
        [
            "etcd.yaml:2:7: DaemonSet/: kind: there is no kind 'DaemonSet'; the kinds are AddressPool, ConfigMap, Secret, Service, StorageClass, PersistentVolume, PersistentVolumeClaim, VolumeSnapshot, StatefulSet"
        ]
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases reads best whole")]
fn what_is_wrong_with_the_text_is_placed_too() {
    let cases: [(&str, &[&str]); 12] = [
        ("", &["etcd.yaml: there is no object; write at least one"]),
        (
            "# nothing\n---\n---\n",
            &["etcd.yaml: there is no object; write at least one"],
        ),
        (
            "just text",
            &[
                "etcd.yaml:1:1: an object is a mapping with apiVersion, kind and metadata; write one",
            ],
        ),
        (
            "- a\n",
            &[
                "etcd.yaml:1:1: an object is a mapping with apiVersion, kind and metadata; write one",
            ],
        ),
        (
            "{}",
            &[
                "etcd.yaml:1:1: kind: no kind is given; give one, such as StatefulSet",
                "etcd.yaml:1:1: apiVersion: no apiVersion is given; give berth/v1",
            ],
        ),
        (
            "apiVersion: apps/v1\nkind: AddressPool\nmetadata: {name: p}\n",
            &[
                "etcd.yaml:1:13: AddressPool/p: apiVersion: 'apps/v1' is not known for this kind; give berth/v1",
            ],
        ),
        (
            "a: 1\nb: 2\na: 3\n",
            &[
                "etcd.yaml:3:1: 'a' is there twice; remove one of the two",
                "etcd.yaml:1:1: kind: no kind is given; give one, such as StatefulSet",
                "etcd.yaml:1:1: apiVersion: no apiVersion is given; give berth/v1",
            ],
        ),
        (
            "a: &x {b: 1}\n<<: *x\n",
            &[
                "etcd.yaml:2:1: merge keys are not part of YAML 1.2; write the values out",
                "etcd.yaml:1:1: kind: no kind is given; give one, such as StatefulSet",
                "etcd.yaml:1:1: apiVersion: no apiVersion is given; give berth/v1",
            ],
        ),
        (
            "a: !thing 1\n",
            &[
                "etcd.yaml:1:11: tags are not used here; remove it",
                "etcd.yaml:1:1: kind: no kind is given; give one, such as StatefulSet",
                "etcd.yaml:1:1: apiVersion: no apiVersion is given; give berth/v1",
            ],
        ),
        (
            "a: [1\n",
            &["etcd.yaml:1:4: the text is not YAML: unclosed bracket '['; correct it"],
        ),
        (
            "a: *no\n",
            &[
                "etcd.yaml:1:4: the text is not YAML: while parsing node, found unknown anchor; correct it",
            ],
        ),
        (
            "a: &x [*x]\n",
            &["etcd.yaml:1:8: the alias lies in what it stands for; correct it"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refused(text), expected, "{text}");
    }
}

#[test]
fn no_text_makes_the_reader_work_without_bound() {
    let mut bomb = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..10 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb.push_str(&format!("b{n}: &a{n} [{aliases}]\n"));
    }
    let aliases = refused(&bomb);
    assert!(
        aliases[0].ends_with("the aliases grow too large; write the values out"),
        "{aliases:?}"
    );
    let deep = refused(&format!("a: {}{}", "[".repeat(60), "]".repeat(60)));
    assert!(deep[0].contains("more than 48 deep"), "{deep:?}");
    let wide = refused(&format!("a: [{}]", "1,".repeat(100_001)));
    assert!(wide[0].contains("more than 100000 values"), "{wide:?}");
    let long = refused(&"#".repeat(MAX_TEXT + 1));
    assert_eq!(
        long,
        ["etcd.yaml:1:1: the text has 1048577 bytes, the limit is 1048576; split it"]
    );
}

#[test]
fn many_mistakes_and_long_values_give_a_short_answer() {
    let many: String = (0..2000).map(|_| "a: 1\n").collect();
    let told = refused(&many);
    assert_eq!(told.len(), 101);
    assert_eq!(
        told[100],
        "there are 1901 more mistakes; correct these first"
    );
    let long = refused(&SET.replace(
        "name: etcd\nspec",
        &format!("name: {}\nspec", "é".repeat(9000)),
    ));
    assert!(
        long.iter().all(|line| line.chars().count() < 2000),
        "{long:?}"
    );
}

#[test]
fn the_same_object_twice_is_refused() {
    let other = source(&SET.replace("etcd", "other"));
    let again = Source {
        file: "more.yaml".to_owned(),
        text: SET.to_owned(),
    };
    let violations = parse(&[source(SET), other, again], "default").unwrap_err();
    assert_eq!(
        violations
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        [
            "more.yaml:4:9: StatefulSet/etcd: metadata.name: StatefulSet/etcd in namespace 'default' is there twice, first at etcd.yaml:1; remove one"
        ]
    );
}

#[test]
fn a_secret_value_is_in_no_message() {
    let texts = refused(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: 4711, b: '###'}\nstringData: {c: [0815]}\n",
    );
    assert_eq!(
        texts,
        [
            "etcd.yaml:4:11: Secret/s: data.a: the value is not a text; put it in quotes",
            "etcd.yaml:4:20: Secret/s: data.b: the value is not base64; encode it, or give it as it is under stringData",
            "etcd.yaml:5:17: Secret/s: stringData.c: the value is not a text; put it in quotes",
        ]
    );
}

#[test]
fn json_lists_and_aliases_are_read_too() {
    let json = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"ConfigMap\",\n\t\"metadata\": {\"name\": \"c\", \"creationTimestamp\": \"2024-01-01T00:00:00Z\"},\n\t\"data\": {\"a\": \"tab\\there \\u00e9 \\/\"}\n}";
    let Object::ConfigMap(map) = &accepted(json)[0].object else {
        panic!("not a ConfigMap");
    };
    assert_eq!(map.data["a"], "tab\there é /");
    let list = "kind: List\napiVersion: v1\nitems:\n- &one\n  apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a, namespace: n}\n  data: &d {k: !!str 1}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: *d, status: {x: 1}}\n";
    let objects = accepted(list);
    let names: Vec<_> = objects.iter().map(|o| o.key.to_string()).collect();
    assert_eq!(names, ["n/a", "default/b"]);
}

#[test]
fn an_object_survives_the_way_out_and_in() {
    let object = accepted(SET).remove(0).object;
    let mut value = to_json(&object);
    assert_eq!(value["apiVersion"], "berth/v1");
    assert_eq!(value["kind"], "StatefulSet");
    assert_eq!(from_json(&value, "other").unwrap().object, object);
    value["spec"]["replicas"] = json!(3.0);
    assert_eq!(from_json(&value, "other").unwrap().object, object);
    value["spec"]["replicas"] = json!(3.5);
    assert_eq!(
        from_json(&value, "other").unwrap_err()[0].to_string(),
        "StatefulSet/etcd: spec.replicas: the number 3.5 is not allowed here; write a whole number"
    );
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Config {
    host: String,
    #[serde(default)]
    listen: Vec<String>,
    count: u32,
}

#[test]
fn configuration_files_are_read_in_the_same_way() {
    let config: Config = read_config("c.yaml", "host: h\ncount: 1\n").unwrap();
    assert_eq!(
        config,
        Config {
            host: "h".to_owned(),
            listen: vec![],
            count: 1
        }
    );
    let violations =
        read_config::<Config>("c.yaml", "hots: h\nlisten: [a, {}]\n---\nx: 1\n").unwrap_err();
    assert_eq!(
        violations
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        [
            "c.yaml:4:1: a configuration file has one document; remove this one",
            "c.yaml:1:1: hots: there is no field 'hots' here; did you mean 'host'?",
            "c.yaml:2:13: listen[1]: a mapping is not allowed here; write a text",
            "c.yaml:1:1: host: it is required; give it",
            "c.yaml:1:1: count: it is required; give it",
        ]
    );
    assert!(read_config::<Config>("c.yaml", "").is_err());
    assert!(read_config::<Config>("c.yaml", "- a\n").is_err());
}

proptest! {
    #[test]
    fn any_text_is_refused_or_read_without_a_panic(text in ".{0,200}") {
        let _ = parse(&[source(&text)], "default");
    }

    #[test]
    fn a_damaged_manifest_is_refused_or_read_without_a_panic(
        at in 0..SET.len(),
        length in 0_usize..20,
        patch in "[-:\\[\\]{}&*!|>'\"%@`,#? \n\ta-z0-9~]{0,12}",
    ) {
        let end = (at + length).min(SET.len());
        let text = format!("{}{patch}{}", &SET[..at], &SET[end..]);
        if let Err(violations) = parse(&[source(&text)], "default") {
            prop_assert!(!violations.is_empty());
            prop_assert!(violations.iter().all(|v| v.file.is_some()));
        }
    }
}
