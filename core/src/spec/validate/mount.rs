//! Rules about where volumes appear. All processes of a member share one mount namespace, so the
//! rules hold across them.

use super::{Problems, process::all};
use crate::{
    spec::{PathError, Process, StatefulSet, VolumeMount, check_sub_path},
    template::references,
};

/// Directories that belong to the kernel or to the member's own namespaces.
const RESERVED: [&str; 4] = ["/proc", "/sys", "/dev", "/run/berth"];

pub(super) fn member(problems: &mut Problems, set: &StatefulSet) {
    let member = &set.spec.template.spec;
    let mut seen: Vec<(&VolumeMount, String)> = Vec::new();
    for (at, process) in all(member) {
        let mut own: Vec<&str> = Vec::new();
        for (i, mount) in process.volume_mounts.iter().enumerate() {
            let at = format!("{at}.volumeMounts[{i}]");
            one(problems, &at, mount, set);
            sub_paths(problems, &at, mount, process);
            let field = format!("{at}.mountPath");
            let path = mount.mount_path.trim_end_matches('/');
            if own.contains(&path) {
                problems.add(
                    &field,
                    format!("'{path}' is there twice; give another path"),
                );
            } else if let Some(text) = clash(&seen, mount) {
                problems.add(&field, text);
            }
            own.push(path);
            seen.push((mount, process.name.clone()));
        }
    }
}

fn one(problems: &mut Problems, at: &str, mount: &VolumeMount, set: &StatefulSet) {
    let name = &mount.name;
    let templates = &set.spec.volume_claim_templates;
    let shared = &set.spec.template.spec.volumes;
    if name.is_empty() {
        problems.add(
            format!("{at}.name"),
            "no volume is named; name a claim template",
        );
    } else if !templates.iter().any(|t| &t.metadata.name == name)
        && !shared.iter().any(|v| &v.name == name)
    {
        problems.add(
            format!("{at}.name"),
            format!(
                "there is no volume '{name}'; add it to spec.volumeClaimTemplates, or to volumes \
                 of the template if all members use one claim"
            ),
        );
    }
    let field = format!("{at}.mountPath");
    if absolute(problems, &field, &mount.mount_path) {
        let path = mount.mount_path.trim_end_matches('/');
        if path.is_empty() {
            problems.add(
                field,
                "'/' cannot be replaced by a volume; give a directory in it",
            );
        } else if let Some(taken) = RESERVED.into_iter().find(|dir| covers(dir, path)) {
            problems.add(
                field,
                format!("'{path}' lies in {taken}, which is not for volumes; give another path"),
            );
        }
    }
}

/// Which directory of the volume appears. What variables make of it is checked when they are known.
fn sub_paths(problems: &mut Problems, at: &str, mount: &VolumeMount, process: &Process) {
    let (plain, computed) = (&mount.sub_path, &mount.sub_path_expr);
    if !plain.is_empty() {
        let field = format!("{at}.subPath");
        if is_computed(plain) {
            problems.add(
                field,
                format!("'{plain}' is taken as it is; write it as subPathExpr"),
            );
        } else {
            problems.check(field, check_sub_path(plain));
        }
    }
    if computed.is_empty() {
        return;
    }
    let field = format!("{at}.subPathExpr");
    if !plain.is_empty() {
        problems.add(&field, "subPath is given too; remove one of the two");
    }
    problems.check(&field, check_computed(computed));
    // What a whole object brings is not known here.
    if process.env_from.is_empty() {
        let known = |name: &str| {
            ["PATH", "HOSTNAME"].contains(&name) || process.env.iter().any(|v| v.name == name)
        };
        for name in references(computed).filter(|name| !known(name)) {
            problems.add(
                &field,
                format!("the process has no variable '{name}'; add it to its env"),
            );
        }
    }
}

/// What is wrong with a path whatever its variables hold.
fn check_computed(text: &str) -> Result<(), PathError> {
    if !is_computed(text) {
        return check_sub_path(text);
    }
    let refused = || text.to_owned();
    if text.starts_with('/') {
        Err(PathError::Absolute { text: refused() })
    } else if text.chars().any(char::is_control) {
        Err(PathError::Character { text: refused() })
    } else if text.split('/').any(|part| part == "..") {
        Err(PathError::NotPlain { text: refused() })
    } else {
        Ok(())
    }
}

/// Why a mount does not go together with those before it.
fn clash(seen: &[(&VolumeMount, String)], mount: &VolumeMount) -> Option<String> {
    let path = mount.mount_path.trim_end_matches('/');
    if path.is_empty() {
        return None;
    }
    seen.iter().find_map(|(other, process)| {
        let there = other.mount_path.trim_end_matches('/');
        let what = format!("volume '{}' of process '{process}'", other.name);
        if there == path {
            let same = other.name == mount.name
                && other.read_only == mount.read_only
                && other.sub_path == mount.sub_path
                && other.sub_path_expr == mount.sub_path_expr;
            (!same).then(|| {
                format!(
                    "{what} is at '{path}' already, and all processes of a member see the \
                         same volumes; give another path"
                )
            })
        } else if covers(there, path) || covers(path, there) {
            Some(format!(
                "'{path}' and '{there}' of {what} lie in each other; give paths side by side"
            ))
        } else {
            None
        }
    })
}

/// Whether `path` is `dir` or lies in it.
fn covers(dir: &str, path: &str) -> bool {
    !dir.is_empty()
        && path
            .strip_prefix(dir)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Checks that a path is absolute and plain. Whether it is.
pub(super) fn absolute(problems: &mut Problems, field: &str, path: &str) -> bool {
    let message = if path.is_empty() {
        "no path is given; give an absolute one".to_owned()
    } else if !path.starts_with('/') {
        format!("'{path}' is not absolute; begin it with '/'")
    } else if path.split('/').any(|part| part == ".." || part == ".") || path.contains("//") {
        format!("'{path}' contains '..', '.' or '//'; give the path without them")
    } else if path.contains(['\0', '\n']) {
        "the path contains a control character; remove it".to_owned()
    } else {
        return true;
    };
    problems.add(field, message);
    false
}

/// Whether a text is known only when its template is rendered or its variables are expanded.
pub(super) fn is_computed(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("$(")
}
