//! Attacks by an operator who may apply, and no more, by the numbers of the table in docs/security.md:
//! templates that reach for what is not theirs, and texts that keep the coordinator busy.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use berth_proto::v1::{
    ApplyRequest, GetRequest, ListRequest, ObjectRef, Source,
    object_service_client::ObjectServiceClient,
};
use berth_tests::attack::Bed;
use tonic::{Code, Status, transport::Channel};

/// What comes of a text.
async fn apply(channel: &Channel, text: String) -> Result<(), Status> {
    let file = "f.yaml".to_owned();
    let request = ApplyRequest {
        sources: vec![Source { file, text }],
        ..ApplyRequest::default()
    };
    let mut objects = ObjectServiceClient::new(channel.clone());
    objects.apply(request).await.map(drop)
}

/// A set with a text in the arguments of its process.
fn set(argument: &str) -> String {
    let argument = serde_json::to_string(argument).unwrap();
    format!(
        "apiVersion: berth/v1\nkind: StatefulSet\nmetadata: {{name: web}}\nspec:\n  replicas: 1\n  \
         template:\n    spec:\n      processes:\n      - name: main\n        user: nobody\n        \
         command: [/bin/true]\n        args: [{argument}]\n"
    )
}

#[tokio::test]
async fn attack_26_templates_that_reach_out_or_never_end() {
    let bed = Bed::start().await;
    let root = bed.root().await;
    let nested = "{% for a in range(9999) %}".repeat(4) + &"{% endfor %}".repeat(4);
    let deep = "(".repeat(5000) + &")".repeat(5000);
    for text in [
        // Files, programs, the environment, other members' values.
        "{% include '/etc/shadow' %}".to_owned(),
        "{% import '/etc/shadow' as s %}{{ s }}".to_owned(),
        "{% extends '/etc/shadow' %}".to_owned(),
        "{{ open('/etc/shadow') }}".to_owned(),
        "{{ env('PATH') }}".to_owned(),
        "{{ 'id' | shell }}".to_owned(),
        "{{ debug() }}".to_owned(),
        "{{ secrets.other }}".to_owned(),
        "{{ self.__class__.__mro__ }}".to_owned(),
        "{{ config_dir.__globals__ }}".to_owned(),
        // Work, depth and size.
        nested,
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned(),
        "{{ 'x' * 1000000000 }}".to_owned(),
        "{% for a in range(9999) %}{{ 'x' * 1000000 }}{% endfor %}".to_owned(),
        "{{ range(1000000000) }}".to_owned(),
        format!("{{{{ {deep} }}}}"),
    ] {
        let refused = apply(&root, set(&text)).await.unwrap_err();
        assert_eq!(
            refused.code(),
            Code::InvalidArgument,
            "{text:.60}: {refused}"
        );
        let told = refused.message();
        assert!(told.contains("args[0]"), "{text:.60}: {told}");
        assert!(!told.contains("root:"), "{told}");
    }
    let get = ListRequest {
        kind: "StatefulSet".to_owned(),
        ..ListRequest::default()
    };
    let mut objects = ObjectServiceClient::new(root.clone());
    let listed = objects.list(get).await.unwrap().into_inner();
    assert!(listed.objects.is_empty(), "nothing of it was kept");
    apply(&root, set("{{ ordinal }}")).await.unwrap();
}

/// Texts, and what is said of each.
fn bombs() -> Vec<(String, &'static str)> {
    let mut aliases = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let all = vec![format!("*a{}", n - 1); 10].join(", ");
        aliases.push_str(&format!("b{n}: &a{n} [{all}]\n"));
    }
    vec![
        (aliases, "the aliases grow too large"),
        (
            "a: &x [*x]\n".to_owned(),
            "the alias lies in what it stands for",
        ),
        (
            format!("a: {}", "[".repeat(100_000)),
            "recursion limit exceeded",
        ),
        (
            format!("a: {}{}", "{b: ".repeat(60), "}".repeat(60)),
            "more than 48 deep",
        ),
        (
            format!("a: [{}]", "1,".repeat(400_000)),
            "more than 100000 values",
        ),
        ("a: 1\n".repeat(100_000), "'a' is there twice"),
        (
            set("x").replace("replicas: 1", &format!("replicas: {}", "9".repeat(4000))),
            "replicas",
        ),
        (
            set("x").replace("replicas: 1", "replicas: 4294967296"),
            "replicas",
        ),
        (
            set("x").replace("replicas: 1", "replicas: 1e400"),
            "replicas",
        ),
        (
            format!("{}{}", set("x"), "---\n".repeat(200_000)),
            "more than 100000 values",
        ),
        ("\u{0}".repeat(1000), "f.yaml"),
        ("#".repeat((1 << 20) + 1), "the limit is 1048576; split it"),
    ]
}

#[tokio::test]
async fn attack_32_texts_that_are_small_and_grow() {
    let bed = Bed::start().await;
    let root = bed.root().await;
    for (text, part) in bombs() {
        let refused = apply(&root, text.clone()).await;
        let refused = refused.expect_err(&format!("{text:.60}"));
        assert_eq!(
            refused.code(),
            Code::InvalidArgument,
            "{text:.60}: {refused}"
        );
        let told = refused.message();
        assert!(
            told.contains("f.yaml:") && told.contains(part),
            "{text:.60}: {told}"
        );
        // Nobody is told more than he can read.
        assert!(told.len() < 200_000, "{text:.60}: {}", told.len());
    }
    let json = format!("{{\"a\": {}", "[".repeat(100_000));
    assert_eq!(
        apply(&root, json).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn attack_32_an_object_that_was_never_text() {
    let bed = Bed::start().await;
    let root = bed.root().await;
    let mut value = prost_types::Value::default();
    for _ in 0..90 {
        let list = prost_types::ListValue {
            values: vec![value],
        };
        value = prost_types::Value {
            kind: Some(prost_types::value::Kind::ListValue(list)),
        };
    }
    let fields = [("kind".to_owned(), value)].into();
    let request = ApplyRequest {
        objects: vec![prost_types::Struct { fields }],
        ..ApplyRequest::default()
    };
    let mut objects = ObjectServiceClient::new(root.clone());
    let refused = objects.apply(request).await.unwrap_err();
    assert!(
        [Code::InvalidArgument, Code::Internal].contains(&refused.code()),
        "{refused}"
    );
    // It serves on.
    let reference = ObjectRef {
        kind: "StatefulSet".to_owned(),
        namespace: String::new(),
        name: "web".to_owned(),
    };
    let request = GetRequest {
        r#ref: Some(reference),
        show_secrets: false,
    };
    assert_eq!(
        objects.get(request).await.unwrap_err().code(),
        Code::NotFound
    );
}
