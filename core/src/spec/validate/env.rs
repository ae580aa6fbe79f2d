//! Rules about the environment of a process.

use super::{Problems, Unique};
use crate::{
    spec::{EnvFromSource, EnvVar, KeySelector, Process},
    template::{check_field, resource},
};

pub(super) fn check(problems: &mut Problems, at: &str, process: &Process) {
    let mut names = Unique::default();
    for (i, variable) in process.env.iter().enumerate() {
        let at = format!("{at}.env[{i}]");
        names.check(problems, &format!("{at}.name"), &variable.name);
        one(problems, &at, variable, process);
    }
    for (i, source) in process.env_from.iter().enumerate() {
        whole(problems, &format!("{at}.envFrom[{i}]"), source);
    }
}

pub(super) fn one(problems: &mut Problems, at: &str, variable: &EnvVar, process: &Process) {
    if variable.name.is_empty() || !is_printable(&variable.name) {
        problems.add(
            format!("{at}.name"),
            format!(
                "'{}' is not a name of a variable; use printable characters without '='",
                variable.name.escape_default()
            ),
        );
    }
    let Some(from) = &variable.value_from else {
        return;
    };
    let field = format!("{at}.valueFrom");
    if variable.value.is_some() {
        problems.add(&field, "value is given too; remove one of the two");
    }
    let given = [
        from.config_map_key_ref.is_some(),
        from.secret_key_ref.is_some(),
        from.field_ref.is_some(),
        from.resource_field_ref.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        problems.add(
            &field,
            "give exactly one of configMapKeyRef, secretKeyRef, fieldRef and resourceFieldRef",
        );
    }
    if let Some(key) = &from.config_map_key_ref {
        selector(problems, &format!("{field}.configMapKeyRef"), key);
    }
    if let Some(key) = &from.secret_key_ref {
        selector(problems, &format!("{field}.secretKeyRef"), key);
    }
    if let Some(fact) = &from.field_ref {
        let field = format!("{field}.fieldRef");
        problems.check(format!("{field}.fieldPath"), check_field(&fact.field_path));
        if fact
            .api_version
            .as_deref()
            .is_some_and(|version| version != "v1")
        {
            problems.add(format!("{field}.apiVersion"), "it is v1 always; remove it");
        }
    }
    if let Some(amount) = &from.resource_field_ref
        && let Err((name, message)) = resource(amount, process)
    {
        problems.add(format!("{field}.resourceFieldRef.{name}"), message);
    }
}

fn whole(problems: &mut Problems, at: &str, source: &EnvFromSource) {
    if !is_printable(&source.prefix) {
        problems.add(
            format!("{at}.prefix"),
            "a prefix has printable characters without '='; correct it",
        );
    }
    match (&source.config_map_ref, &source.secret_ref) {
        (Some(_), Some(_)) | (None, None) => {
            problems.add(at, "give exactly one of configMapRef and secretRef");
        }
        (Some(object), None) => named(problems, &format!("{at}.configMapRef.name"), &object.name),
        (None, Some(object)) => named(problems, &format!("{at}.secretRef.name"), &object.name),
    }
}

/// A reference to one key of a config object.
pub(super) fn selector(problems: &mut Problems, at: &str, selector: &KeySelector) {
    named(problems, &format!("{at}.name"), &selector.name);
    if selector.key.is_empty() {
        problems.add(
            format!("{at}.key"),
            "no key is given; name one of the object's keys",
        );
    }
}

fn named(problems: &mut Problems, field: &str, name: &str) {
    problems.check(field, crate::ids::check_label(name));
}

fn is_printable(text: &str) -> bool {
    text.bytes()
        .all(|b| (b' '..=b'~').contains(&b) && b != b'=')
}
