//! What the simulated operator and the random histories of the tests write into their sets alike.

use crate::spec::{EnvVar, EnvVarSource, FileSource, KeySelector, OnChange, Process};

/// Makes a process depend on a ConfigMap: on its key `env` in the environment, and on others in files,
/// each given by its path, its key, and what a change of it does.
pub(crate) fn use_config(process: &mut Process, object: &str, files: &[(&str, &str, OnChange)]) {
    let selector = |key: &str| {
        Some(KeySelector {
            name: object.to_owned(),
            key: key.to_owned(),
            optional: false,
        })
    };
    process.env.push(EnvVar {
        name: "CONFIG".to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            config_map_key_ref: selector("env"),
            ..EnvVarSource::default()
        }),
    });
    let files = files.iter().map(|(path, key, on_change)| FileSource {
        path: (*path).to_owned(),
        config_map: selector(key),
        on_change: *on_change,
        ..FileSource::default()
    });
    process.files.extend(files);
}
