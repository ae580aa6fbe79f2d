//! Rules about Failover: what could not be stopped in time, or could not be started elsewhere.

use super::Problems;
use crate::{
    spec::{FailurePolicy, Placement, Process, StatefulSet, period::parse_period},
    template,
};

pub(super) fn check(problems: &mut Problems, set: &StatefulSet) {
    let spec = &set.spec;
    if spec.failure_policy == FailurePolicy::Hold {
        for (field, given) in [
            ("spec.leaseClass", spec.lease_class.is_some()),
            ("spec.fenceGrace", spec.fence_grace.is_some()),
        ] {
            if given {
                problems.add(
                    field,
                    "only a set that fails over has a lease; write failurePolicy: Failover, or \
                     remove it",
                );
            }
        }
        return;
    }
    if spec.placement == Placement::PerHost {
        problems.add(
            "spec.failurePolicy",
            "with placement: PerHost a member belongs to its host and cannot go to another; write \
             Hold, or placement: Replicas",
        );
    }
    never_kill(problems, "processes", &spec.template.spec.processes);
    never_kill(
        problems,
        "initProcesses",
        &spec.template.spec.init_processes,
    );
    grace(problems, set);
}

fn never_kill(problems: &mut Problems, list: &str, processes: &[Process]) {
    for (i, process) in processes.iter().enumerate() {
        if process.never_kill {
            problems.add(
                format!("{}.{list}[{i}].neverKill", template::ROOT),
                "a member that fails over is killed when its lease ends; remove neverKill, or \
                 write failurePolicy: Hold",
            );
        }
    }
}

fn grace(problems: &mut Problems, set: &StatefulSet) {
    let Some(text) = &set.spec.fence_grace else {
        return;
    };
    // Whether it fits into the lease is known only with the coordinator's configuration.
    if let Err(error) = parse_period(text) {
        problems.add("spec.fenceGrace", error.to_string());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::spec::{Object, StatefulSet, validate::validate};

    fn problems(fields: &Value, process: &Value) -> Vec<String> {
        let mut main = json!({ "name": "main", "command": ["/bin/app"], "user": "app" });
        let given = process.as_object().unwrap().clone();
        main.as_object_mut().unwrap().extend(given);
        let mut object = json!({
            "metadata": { "name": "db", "namespace": "default" },
            "spec": { "replicas": 1, "template": { "spec": { "processes": [main] } } }
        });
        let spec = object["spec"].as_object_mut().unwrap();
        spec.extend(fields.as_object().unwrap().clone());
        let set: StatefulSet = serde_json::from_value(object).unwrap();
        let found = validate(&Object::StatefulSet(set));
        found
            .iter()
            .map(|one| format!("{}: {}", one.field, one.message))
            .collect()
    }

    #[test]
    fn a_set_that_can_fail_over_is_taken() {
        for fields in [
            json!({ "failurePolicy": "Failover" }),
            json!({ "failurePolicy": "Failover", "leaseClass": "Fast", "fenceGrace": "1400ms" }),
            json!({ "failurePolicy": "Failover", "fenceGrace": "0s" }),
            json!({ "failurePolicy": "Hold" }),
        ] {
            assert_eq!(problems(&fields, &json!({})), [""; 0], "{fields}");
        }
    }

    #[test]
    fn what_could_not_be_held_is_refused() {
        let failover = json!({ "failurePolicy": "Failover" });
        let with = |fields: Value| {
            let mut all = failover.clone();
            let given = fields.as_object().unwrap().clone();
            all.as_object_mut().unwrap().extend(given);
            all
        };
        let nothing = json!({});
        for (fields, process, expected) in [
            (
                json!({ "leaseClass": "Fast" }),
                nothing.clone(),
                "spec.leaseClass: only a set that fails over",
            ),
            (
                json!({ "fenceGrace": "1s" }),
                nothing.clone(),
                "spec.fenceGrace: only a set that fails over",
            ),
            (
                failover.clone(),
                json!({ "neverKill": true }),
                "spec.template.spec.processes[0].neverKill: a member that fails over",
            ),
            (
                with(json!({ "placement": "PerHost", "replicas": null })),
                nothing.clone(),
                "spec.failurePolicy: with placement: PerHost",
            ),
            (
                with(json!({ "fenceGrace": "soon" })),
                nothing,
                "spec.fenceGrace: 'soon' is not a length of time",
            ),
        ] {
            let found = problems(&fields, &process);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(expected), "{}", found[0]);
        }
    }
}
