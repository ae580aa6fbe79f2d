//! Bad input about updates and budgets: each field is named, and what to do.

use serde_json::{Value, json};

use super::validate;
use crate::spec::{Object, StatefulSet};

/// The problems of a set of three with these fields.
fn problems(fields: &Value) -> Vec<String> {
    let mut object = json!({
        "metadata": { "name": "db", "namespace": "default" },
        "spec": {
            "replicas": 3,
            "template": { "spec": { "processes": [
                { "name": "main", "command": ["/bin/app"], "user": "app" }
            ] } }
        }
    });
    let spec = object["spec"].as_object_mut().unwrap();
    spec.extend(fields.as_object().unwrap().clone());
    let set: StatefulSet = serde_json::from_value(object).unwrap();
    let found = validate(&Object::StatefulSet(set));
    let line = |one: &super::Problem| format!("{}: {}", one.field, one.message);
    found.iter().map(line).collect()
}

#[test]
fn what_could_never_come_to_an_end_is_refused() {
    for (fields, expected) in [
        (
            json!({ "updateStrategy": { "rollingUpdate": { "maxUnavailable": 0 } } }),
            "spec.updateStrategy.rollingUpdate.maxUnavailable: with 0 no member",
        ),
        (
            json!({ "updateStrategy": { "rollingUpdate": { "maxUnavailable": "120%" } } }),
            "spec.updateStrategy.rollingUpdate.maxUnavailable: 120% is more than all",
        ),
        (
            json!({ "updateStrategy": { "rollingUpdate": { "maxUnavailable": "few" } } }),
            "spec.updateStrategy.rollingUpdate.maxUnavailable: 'few' is no amount",
        ),
        (
            json!({ "updateStrategy": { "rollingUpdate": { "maxUnavailable": "quorum" } } }),
            "spec.updateStrategy.rollingUpdate.maxUnavailable: it takes a number",
        ),
        (
            json!({ "updateStrategy": { "type": "OnDelete", "rollingUpdate": {} } }),
            "spec.updateStrategy.rollingUpdate: it is for type RollingUpdate only",
        ),
        (
            json!({ "updateStrategy": { "type": "OnDelete" }, "autoRollback": true }),
            "spec.autoRollback: with OnDelete there is no rollout",
        ),
        (
            json!({ "updateStrategy": { "type": "Recreate" },
                    "disruptionBudget": { "minAvailable": 1 } }),
            "spec.disruptionBudget: Recreate takes all members down",
        ),
        (
            json!({ "disruptionBudget": { "minAvailable": 4 } }),
            "spec.disruptionBudget.minAvailable: 4 of 3 members",
        ),
        (
            json!({ "disruptionBudget": { "maxUnavailable": "0%" } }),
            "spec.disruptionBudget.maxUnavailable: with 0 no member",
        ),
        (
            json!({ "disruptionBudget": { "maxUnavailable": "quorum" } }),
            "spec.disruptionBudget.maxUnavailable: a quorum is what must stay",
        ),
        (
            json!({ "disruptionBudget": {} }),
            "spec.disruptionBudget: it says nothing",
        ),
        (
            json!({ "disruptionBudget": { "minAvailable": 1, "maxUnavailable": 1 } }),
            "spec.disruptionBudget: maxUnavailable and minAvailable",
        ),
        (
            json!({ "minReadySeconds": 60, "progressDeadlineSeconds": 60 }),
            "spec.progressDeadlineSeconds: no member is available before",
        ),
    ] {
        let found = problems(&fields);
        assert_eq!(found.len(), 1, "{fields}: {found:#?}");
        assert!(found[0].starts_with(expected), "{}", found[0]);
    }
}

#[test]
fn what_only_looks_odd_is_allowed() {
    let none: [String; 0] = [];
    for fields in [
        json!({ "updateStrategy": { "rollingUpdate": { "partition": 9 } } }),
        json!({ "disruptionBudget": { "minAvailable": 3 } }),
        json!({ "replicas": 0, "disruptionBudget": { "minAvailable": 2 } }),
        json!({ "disruptionBudget": { "minAvailable": "quorum" } }),
        json!({ "minReadySeconds": 3600 }),
        json!({ "paused": true, "autoRollback": true }),
    ] {
        assert_eq!(problems(&fields), none, "{fields}");
    }
}
