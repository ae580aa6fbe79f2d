//! The environment of a process: nothing is inherited, everything comes from the manifest, except
//! for two defaults that programs rely on.

use std::collections::BTreeMap;

use super::{RenderError, downward, member::Renderer};
use crate::spec::{EnvFromSource, EnvVarSource, Kind, Process, Sealed};

/// Where programs look for others when the manifest does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment of a process. `HOME`, `USER` and `LOGNAME` are the keeper's to add, if missing:
/// only the host knows the user's home.
pub(crate) fn environment(
    renderer: &Renderer<'_>,
    at: &str,
    process: &Process,
) -> Result<BTreeMap<String, Sealed>, RenderError> {
    let mut env = BTreeMap::from([
        ("PATH".to_owned(), Sealed::new(DEFAULT_PATH.to_owned())),
        (
            "HOSTNAME".to_owned(),
            Sealed::new(renderer.order.member.name()),
        ),
    ]);
    for (i, source) in process.env_from.iter().enumerate() {
        whole_object(renderer, &format!("{at}.envFrom[{i}]"), source, &mut env)?;
    }
    for (i, variable) in process.env.iter().enumerate() {
        let at = format!("{at}.env[{i}]");
        let value = match (&variable.value, &variable.value_from) {
            (Some(text), _) => {
                let text = renderer.expanded(&format!("{at}.value"), text, &env)?;
                Some(Sealed::new(text))
            }
            (None, None) => Some(Sealed::default()),
            (None, Some(from)) => {
                let at = format!("{at}.valueFrom");
                elsewhere(renderer, &at, from, process)?
            }
        };
        if let Some(value) = value {
            check(&at, &value)?;
            env.insert(variable.name.clone(), value);
        }
    }
    Ok(env)
}

/// The value behind a `valueFrom`; `None` if it is optional and missing.
fn elsewhere(
    renderer: &Renderer<'_>,
    at: &str,
    from: &EnvVarSource,
    process: &Process,
) -> Result<Option<Sealed>, RenderError> {
    if let Some(selector) = &from.config_map_key_ref {
        return renderer.key(&format!("{at}.configMapKeyRef"), Kind::ConfigMap, selector);
    }
    if let Some(selector) = &from.secret_key_ref {
        return renderer.key(&format!("{at}.secretKeyRef"), Kind::Secret, selector);
    }
    if let Some(selector) = &from.field_ref {
        let at = format!("{at}.fieldRef");
        let text = downward::field(&at, selector, &renderer.order.values)?;
        return Ok(Some(Sealed::new(text)));
    }
    let amount = from.resource_field_ref.as_ref().map(|selector| {
        let wrong =
            |(field, message)| RenderError::new(format!("{at}.resourceFieldRef.{field}"), message);
        downward::resource(selector, process).map_err(wrong)
    });
    let amount = amount.transpose()?;
    Ok(amount.map(|amount| Sealed::new(amount.to_string())))
}

fn whole_object(
    renderer: &Renderer<'_>,
    at: &str,
    source: &EnvFromSource,
    env: &mut BTreeMap<String, Sealed>,
) -> Result<(), RenderError> {
    let config = &renderer.order.config;
    let (kind, field, reference) = match (&source.config_map_ref, &source.secret_ref) {
        (Some(reference), _) => (Kind::ConfigMap, "configMapRef", reference),
        (None, Some(reference)) => (Kind::Secret, "secretRef", reference),
        (None, None) => return Ok(()),
    };
    let field = format!("{at}.{field}");
    let found: Option<BTreeMap<String, Sealed>> = if kind == Kind::Secret {
        config.secrets.get(&reference.name).cloned()
    } else {
        config.config_maps.get(&reference.name).map(|object| {
            object
                .iter()
                .map(|(key, text)| (key.clone(), Sealed::new(text.clone())))
                .collect()
        })
    };
    let Some(object) = found else {
        if reference.optional {
            return Ok(());
        }
        let name = &reference.name;
        return Err(RenderError::new(
            field,
            format!("{kind} '{name}' does not exist; apply it, or set optional: true"),
        ));
    };
    for (key, value) in object {
        check(&field, &value)?;
        env.insert(format!("{}{key}", source.prefix), value);
    }
    Ok(())
}

/// The system takes no NUL in a variable, and an error of exec would not say which one it was.
fn check(field: &str, value: &Sealed) -> Result<(), RenderError> {
    if value.expose().contains('\0') {
        return Err(RenderError::new(
            field,
            "the value contains a NUL character; use a file for binary data",
        ));
    }
    Ok(())
}
