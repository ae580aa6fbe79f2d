//! A member's order to the member that a keeper runs: every text rendered, every default filled
//! in, nothing left to choose.

use std::collections::BTreeMap;

use minijinja::Value;

use super::{
    RenderError,
    engine::{Engine, MAX_OUTPUT},
    expand::expand,
    process::render_process,
    values,
};
use crate::{
    keeper::BackoffLimits,
    order::MemberOrder,
    rendered::{RenderedMember, RenderedProcess},
    spec::{KeySelector, Kind, MemberSpec, Process, Sealed},
};

/// Renders a member for the host that it runs on. `config_dir` is the absolute path of the
/// member's configuration directory there.
///
/// # Errors
/// The first field that cannot be rendered, and why.
pub fn render_member(order: &MemberOrder, config_dir: &str) -> Result<RenderedMember, RenderError> {
    let renderer = Renderer {
        engine: Engine::new(),
        values: values::context(&order.values, config_dir),
        order,
        config_dir,
    };
    let spec = &order.template;
    let all = |list: &str, processes: &[Process]| {
        processes
            .iter()
            .enumerate()
            .map(|(i, process)| render_process(&renderer, &format!("{list}[{i}]"), process))
            .collect::<Result<Vec<_>, _>>()
    };
    let init_processes = all("initProcesses", &spec.init_processes)?;
    let processes = all("processes", &spec.processes)?;
    one_mount_per_path(&init_processes, &processes)?;
    Ok(RenderedMember {
        member: order.member.clone(),
        hostname: order.member.name(),
        fqdn: order.values.fqdn.clone(),
        address: order.values.address.clone(),
        config_dir: config_dir.to_owned(),
        config_copy_from: spec.config_dir.as_ref().map(|dir| dir.copy_from.clone()),
        init_processes,
        processes,
        grace_seconds: spec.grace_seconds(),
        backoff: backoff(spec)?,
        read_only_root: spec.read_only_root_filesystem,
        host: order.values.host.clone(),
    })
}

fn backoff(spec: &MemberSpec) -> Result<BackoffLimits, RenderError> {
    let Some(backoff) = &spec.restart_backoff else {
        return Ok(BackoffLimits::default());
    };
    let limits = backoff.limits();
    limits.map_err(|(name, e)| RenderError::new(format!("restartBackoff.{name}"), e.to_string()))
}

/// All processes see the same mounts, and two may mount the same directory at the same path. Whether
/// it is the same is known only now, if a variable says it.
fn one_mount_per_path(
    init_processes: &[RenderedProcess],
    processes: &[RenderedProcess],
) -> Result<(), RenderError> {
    let mut seen: BTreeMap<&str, &Option<String>> = BTreeMap::new();
    for (list, processes) in [("initProcesses", init_processes), ("processes", processes)] {
        for (i, process) in processes.iter().enumerate() {
            for (j, mount) in process.mounts.iter().enumerate() {
                let path = mount.mount_path.trim_end_matches('/');
                let other = seen.insert(path, &mount.sub_path);
                if other.is_some_and(|other| *other != mount.sub_path) {
                    return Err(RenderError::new(
                        format!("{list}[{i}].volumeMounts[{j}].subPathExpr"),
                        format!(
                            "another process has another directory at '{path}', and all see the \
                             same; give another mountPath, or the same variables"
                        ),
                    ));
                }
            }
        }
    }
    Ok(())
}

/// What all texts of one member are rendered with.
pub(crate) struct Renderer<'a> {
    engine: Engine,
    values: Value,
    pub(crate) order: &'a MemberOrder,
    pub(crate) config_dir: &'a str,
}

impl Renderer<'_> {
    /// Renders one text of a field.
    pub(crate) fn text(&self, field: &str, text: &str) -> Result<String, RenderError> {
        let rendered = self
            .engine
            .render(text, &self.values)
            .map_err(|message| RenderError::new(field, message))?;
        if rendered.contains('\0') {
            return Err(RenderError::new(
                field,
                "the text contains a NUL character; remove it",
            ));
        }
        Ok(rendered)
    }

    /// Renders one text and expands `$(VAR)` in it.
    pub(crate) fn expanded(
        &self,
        field: &str,
        text: &str,
        env: &BTreeMap<String, Sealed>,
    ) -> Result<String, RenderError> {
        let rendered = self.text(field, text)?;
        self.expand(field, &rendered, env)
    }

    /// Expands `$(VAR)` in a text that is rendered already.
    pub(crate) fn expand(
        &self,
        field: &str,
        text: &str,
        env: &BTreeMap<String, Sealed>,
    ) -> Result<String, RenderError> {
        expand(text, env, MAX_OUTPUT).ok_or_else(|| {
            RenderError::new(
                field,
                format!("the text becomes longer than {MAX_OUTPUT} bytes; make it shorter"),
            )
        })
    }

    /// Renders and expands a command; its program must be an absolute path.
    pub(crate) fn command(
        &self,
        fields: &[(String, &String)],
        env: &BTreeMap<String, Sealed>,
    ) -> Result<Vec<String>, RenderError> {
        let mut argv = Vec::new();
        for (field, text) in fields {
            argv.push(self.expanded(field, text, env)?);
        }
        match (fields.first(), argv.first()) {
            (Some((field, _)), Some(program)) if !program.starts_with('/') => {
                Err(RenderError::new(
                    field,
                    format!("the program is '{program}'; give its absolute path"),
                ))
            }
            _ => Ok(argv),
        }
    }

    /// The text behind a key of a config object; `None` if it is optional and missing.
    pub(crate) fn key(
        &self,
        field: &str,
        kind: Kind,
        selector: &KeySelector,
    ) -> Result<Option<Sealed>, RenderError> {
        let KeySelector {
            name,
            key,
            optional,
        } = selector;
        let config = &self.order.config;
        let (object, value) = if kind == Kind::Secret {
            let object = config.secrets.get(name);
            (object.is_some(), object.and_then(|o| o.get(key)).cloned())
        } else {
            let object = config.config_maps.get(name);
            let text = object.and_then(|o| o.get(key));
            (object.is_some(), text.cloned().map(Sealed::new))
        };
        match value {
            None if *optional => Ok(None),
            None if object => Err(RenderError::new(
                field,
                format!("{kind} '{name}' has no key '{key}'; add it, or set optional: true"),
            )),
            None => Err(RenderError::new(
                field,
                format!("{kind} '{name}' does not exist; apply it, or set optional: true"),
            )),
            Some(value) => Ok(Some(value)),
        }
    }
}

/// The texts of a list with their fields.
pub(crate) fn fields<'a>(at: &str, texts: &'a [String]) -> Vec<(String, &'a String)> {
    texts
        .iter()
        .enumerate()
        .map(|(i, text)| (format!("{at}[{i}]"), text))
        .collect()
}
