//! Rules about files that are written before a process starts.

use std::collections::BTreeMap;

use super::{Problems, env, process::all};
use crate::{
    spec::{FileSource, MemberSpec, Process},
    template::parse_mode,
};

pub(super) fn check(problems: &mut Problems, at: &str, process: &Process) {
    for (i, file) in process.files.iter().enumerate() {
        one(problems, &format!("{at}.files[{i}]"), file);
    }
}

fn one(problems: &mut Problems, at: &str, file: &FileSource) {
    let path = &file.path;
    if path.is_empty() || path.ends_with('/') {
        problems.add(
            format!("{at}.path"),
            "no file name is given; give a path, absolute or relative to {{ configDir }}",
        );
    } else if path.split('/').any(|part| part == "..") {
        problems.add(
            format!("{at}.path"),
            format!("'{path}' contains '..'; give the path without it"),
        );
    }
    let sources = [
        file.content.is_some(),
        file.config_map.is_some(),
        file.secret.is_some(),
    ];
    if sources.into_iter().filter(|given| *given).count() != 1 {
        problems.add(at, "give exactly one of content, configMap and secret");
    }
    if let Some(selector) = &file.config_map {
        env::selector(problems, &format!("{at}.configMap"), selector);
    }
    if let Some(selector) = &file.secret {
        env::selector(problems, &format!("{at}.secret"), selector);
    }
    if let Some(mode) = &file.mode
        && parse_mode(mode).is_none()
    {
        problems.add(
            format!("{at}.mode"),
            format!("'{mode}' is not a file mode; write four octal digits, such as '0640'"),
        );
    }
}

/// Two files at one path: the processes of a member share their configuration directory.
pub(super) fn paths(problems: &mut Problems, member: &MemberSpec) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (at, process) in all(member) {
        for (i, file) in process.files.iter().enumerate() {
            let path = file.path.trim_start_matches("./");
            if let Some(other) = seen.insert(path, &process.name)
                && !path.is_empty()
            {
                problems.add(
                    format!("{at}.files[{i}].path"),
                    format!("process '{other}' has a file '{path}' already; give another path"),
                );
            }
        }
    }
}
