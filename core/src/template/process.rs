//! One process, rendered.

use super::{
    RenderError,
    env::environment,
    expand::references,
    limits,
    member::{Renderer, fields},
};
use crate::{
    rendered::{DEFAULT_RELOAD_SIGNAL, Hook, RenderedFile, RenderedMount, RenderedProcess},
    spec::{
        FileSource, HttpGetAction, Kind, LifecycleHandler, PortRef, Probe, Process, RestartPolicy,
        Sealed, VolumeMount, check_sub_path,
    },
};

type Env = std::collections::BTreeMap<String, Sealed>;

/// Renders one process, whose fields begin with `at`.
pub(crate) fn render_process(
    renderer: &Renderer<'_>,
    at: &str,
    process: &Process,
) -> Result<RenderedProcess, RenderError> {
    let env = environment(renderer, at, process)?;
    let mut texts = fields(&format!("{at}.command"), &process.command);
    if texts.is_empty() {
        let message = "no command is given; give command: [/path/of/the/program, arguments]";
        return Err(RenderError::new(format!("{at}.command"), message));
    }
    texts.extend(fields(&format!("{at}.args"), &process.args));
    let probe = |name: &str, probe: &Option<Probe>| {
        probe
            .as_ref()
            .map(|p| render_probe(renderer, &format!("{at}.{name}"), p, process, &env))
            .transpose()
    };
    let hook = |name: &str, hook: &Option<LifecycleHandler>| {
        let Some(hook) = hook else { return Ok(None) };
        let at = format!("{at}.lifecycle.{name}");
        render_hook(renderer, &at, hook, process, &env).map(Some)
    };
    let lifecycle = &process.lifecycle;
    Ok(RenderedProcess {
        name: process
            .name
            .parse()
            .map_err(RenderError::id(format!("{at}.name")))?,
        argv: renderer.command(&texts, &env)?,
        working_dir: working_dir(renderer, at, process)?,
        user: process.user.clone().ok_or_else(|| {
            RenderError::new(
                format!("{at}.user"),
                "no user is given; give user: the user that runs it",
            )
        })?,
        group: process.group.clone(),
        supplemental_groups: process.supplemental_groups.clone(),
        umask: limits::umask(at, process)?,
        capabilities: limits::capabilities(process),
        rlimits: limits::rlimits(process),
        limits: limits::limits(at, &process.resources)?,
        mounts: mounts(renderer, at, process, &env)?,
        files: files(renderer, at, process)?,
        ports: process.ports.clone(),
        startup_probe: probe("startupProbe", &process.startup_probe)?,
        readiness_probe: probe("readinessProbe", &process.readiness_probe)?,
        liveness_probe: probe("livenessProbe", &process.liveness_probe)?,
        post_start: hook("postStart", &lifecycle.post_start)?,
        pre_stop: hook("preStop", &lifecycle.pre_stop)?,
        kill_signal: signal(process.kill_signal.as_deref()),
        reload_signal: signal_or(process.reload_signal.as_deref(), DEFAULT_RELOAD_SIGNAL),
        never_kill: process.never_kill,
        journald: process.log.journald,
        sidecar: process.restart_policy == Some(RestartPolicy::Always),
        env,
    })
}

fn working_dir(
    renderer: &Renderer<'_>,
    at: &str,
    process: &Process,
) -> Result<String, RenderError> {
    let Some(text) = &process.working_dir else {
        return Ok("/".to_owned());
    };
    let field = format!("{at}.workingDir");
    let dir = renderer.text(&field, text)?;
    if dir.starts_with('/') {
        return Ok(dir);
    }
    Err(RenderError::new(
        field,
        format!("'{dir}' is not absolute; begin it with '/'"),
    ))
}

/// The name of the signal that ends a process, with `SIG`; the default is `SIGTERM`.
pub(crate) fn signal(name: Option<&str>) -> String {
    signal_or(name, "SIGTERM")
}

fn signal_or(name: Option<&str>, default: &str) -> String {
    let upper = name.unwrap_or(default).to_ascii_uppercase();
    if upper.starts_with("SIG") {
        upper
    } else {
        format!("SIG{upper}")
    }
}

fn mounts(
    renderer: &Renderer<'_>,
    at: &str,
    process: &Process,
    env: &Env,
) -> Result<Vec<RenderedMount>, RenderError> {
    let shared = &renderer.order.template.volumes;
    let mut mounts = Vec::new();
    for (i, mount) in process.volume_mounts.iter().enumerate() {
        let claim = shared.iter().find(|volume| volume.name == mount.name);
        mounts.push(RenderedMount {
            volume: mount.name.clone(),
            mount_path: mount.mount_path.clone(),
            read_only: mount.read_only
                || claim.is_some_and(|volume| volume.persistent_volume_claim.read_only),
            sub_path: sub_path(renderer, &format!("{at}.volumeMounts[{i}]"), mount, env)?,
        });
    }
    Ok(mounts)
}

/// The directory of the volume, checked again: what a variable holds is known only here.
fn sub_path(
    renderer: &Renderer<'_>,
    at: &str,
    mount: &VolumeMount,
    env: &Env,
) -> Result<Option<String>, RenderError> {
    let (field, path) = if mount.sub_path_expr.is_empty() {
        if mount.sub_path.is_empty() {
            return Ok(None);
        }
        (format!("{at}.subPath"), mount.sub_path.clone())
    } else {
        let field = format!("{at}.subPathExpr");
        let text = renderer.text(&field, &mount.sub_path_expr)?;
        // Elsewhere a reference to nothing stays as it is; here it would become a directory of
        // that name, which another member may have too.
        if let Some(name) = references(&text).find(|name| !env.contains_key(*name)) {
            let message = format!("the process has no variable '{name}'; add it to its env");
            return Err(RenderError::new(field, message));
        }
        let path = renderer.expand(&field, &text, env)?;
        (field, path)
    };
    match check_sub_path(&path) {
        Ok(()) => Ok(Some(path)),
        // The value may be a secret: the message must not show it.
        Err(e) if mount.sub_path_expr.is_empty() => Err(RenderError::new(field, e.to_string())),
        Err(_) => Err(RenderError::new(
            field,
            format!(
                "'{}' does not become a relative path without '..', '.', '//', '\\' and \
                 unprintable characters, of at most 1024 bytes; correct the variables",
                mount.sub_path_expr.escape_debug()
            ),
        )),
    }
}

fn files(
    renderer: &Renderer<'_>,
    at: &str,
    process: &Process,
) -> Result<Vec<RenderedFile>, RenderError> {
    let mut rendered = Vec::new();
    for (i, file) in process.files.iter().enumerate() {
        rendered.extend(render_file(renderer, &format!("{at}.files[{i}]"), file)?);
    }
    Ok(rendered)
}

fn render_file(
    renderer: &Renderer<'_>,
    at: &str,
    file: &FileSource,
) -> Result<Option<RenderedFile>, RenderError> {
    let (field, content) = match (&file.content, &file.config_map, &file.secret) {
        (Some(text), ..) => (format!("{at}.content"), Some(Sealed::new(text.clone()))),
        (None, Some(s), _) => {
            let field = format!("{at}.configMap");
            let text = renderer.key(&field, Kind::ConfigMap, s)?;
            (field, text)
        }
        (None, None, Some(s)) => {
            let field = format!("{at}.secret");
            let text = renderer.key(&field, Kind::Secret, s)?;
            (field, text)
        }
        (None, None, None) => {
            let message = "the file has no text; give one of content, configMap, secret";
            return Err(RenderError::new(at, message));
        }
    };
    let Some(mut content) = content else {
        return Ok(None);
    };
    if file.template {
        content = Sealed::new(renderer.text(&field, content.expose())?);
    }
    Ok(Some(RenderedFile {
        path: file_path(renderer, at, file)?,
        mode: file_mode(at, file)?,
        content,
        secret: file.secret.is_some(),
        when: file.when,
        on_change: file.on_change,
    }))
}

fn file_path(renderer: &Renderer<'_>, at: &str, file: &FileSource) -> Result<String, RenderError> {
    let field = format!("{at}.path");
    let path = renderer.text(&field, &file.path)?;
    if path.is_empty() || path.ends_with('/') || path.split('/').any(|part| part == "..") {
        return Err(RenderError::new(
            field,
            format!("'{path}' is not a path of a file; give one without '..'"),
        ));
    }
    if path.starts_with('/') {
        return Ok(path);
    }
    Ok(format!("{}/{path}", renderer.config_dir))
}

/// The permission bits of a file: those given, or what is safe for where its text comes from.
fn file_mode(at: &str, file: &FileSource) -> Result<u32, RenderError> {
    match &file.mode {
        None if file.secret.is_some() => Ok(0o400),
        None => Ok(0o644),
        Some(text) => parse_mode(text).ok_or_else(|| {
            RenderError::new(
                format!("{at}.mode"),
                format!("'{text}' is not a file mode; write four octal digits, such as '0640'"),
            )
        }),
    }
}

/// Permission bits in octal, without set-user-id, set-group-id and sticky bit.
pub(crate) fn parse_mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal =
        (3..=4).contains(&digits.len()) && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let mode = u32::from_str_radix(digits, 8).ok()?;
    (octal && mode <= 0o777).then_some(mode)
}

fn render_probe(
    renderer: &Renderer<'_>,
    at: &str,
    probe: &Probe,
    process: &Process,
    env: &Env,
) -> Result<Probe, RenderError> {
    let mut rendered = probe.clone();
    if let Some(action) = &probe.http_get {
        rendered.http_get = Some(http(renderer, &format!("{at}.httpGet"), action, process)?);
    }
    if let (Some(action), Some(out)) = (&probe.tcp_socket, &mut rendered.tcp_socket) {
        let at = format!("{at}.tcpSocket");
        out.port = port(&format!("{at}.port"), &action.port, process)?;
        out.host = Some(host(renderer, &at, action.host.as_deref())?);
    }
    if let (Some(action), Some(out)) = (&probe.exec, &mut rendered.exec) {
        let texts = fields(&format!("{at}.exec.command"), &action.command);
        out.command = renderer.command(&texts, env)?;
    }
    if let (Some(action), Some(out)) = (&probe.grpc, &mut rendered.grpc) {
        out.port = port(&format!("{at}.grpc.port"), &action.port, process)?;
    }
    Ok(rendered)
}

fn http(
    renderer: &Renderer<'_>,
    at: &str,
    action: &HttpGetAction,
    process: &Process,
) -> Result<HttpGetAction, RenderError> {
    let mut rendered = action.clone();
    rendered.path = renderer.text(&format!("{at}.path"), &action.path)?;
    if !rendered.path.starts_with('/') {
        rendered.path.insert(0, '/');
    }
    rendered.port = port(&format!("{at}.port"), &action.port, process)?;
    rendered.host = Some(host(renderer, at, action.host.as_deref())?);
    for (i, header) in rendered.http_headers.iter_mut().enumerate() {
        let field = format!("{at}.httpHeaders[{i}].value");
        header.value = renderer.text(&field, &header.value)?;
    }
    Ok(rendered)
}

fn host(renderer: &Renderer<'_>, at: &str, given: Option<&str>) -> Result<String, RenderError> {
    match given {
        Some(text) => renderer.text(&format!("{at}.host"), text),
        None => Ok(renderer.order.values.address.clone()),
    }
}

fn port(field: &str, port: &PortRef, process: &Process) -> Result<PortRef, RenderError> {
    port_number(port, process)
        .map(PortRef::Number)
        .ok_or_else(|| {
            let message = match port {
                PortRef::Name(name) => {
                    format!("the process has no port '{name}'; add it to its ports")
                }
                PortRef::Number(n) => format!("{n} is not a port; give 1 to 65535"),
            };
            RenderError::new(field, message)
        })
}

/// The number of a port that a probe or hook of a process refers to.
pub(crate) fn port_number(port: &PortRef, process: &Process) -> Option<u32> {
    match port {
        PortRef::Number(n) => (1..=65_535).contains(n).then_some(*n),
        PortRef::Name(name) => process
            .ports
            .iter()
            .find(|p| &p.name == name)
            .map(|p| p.container_port),
    }
}

fn render_hook(
    renderer: &Renderer<'_>,
    at: &str,
    hook: &LifecycleHandler,
    process: &Process,
    env: &Env,
) -> Result<Hook, RenderError> {
    match (&hook.exec, &hook.http_get, &hook.sleep) {
        (Some(action), ..) => {
            let texts = fields(&format!("{at}.exec.command"), &action.command);
            renderer.command(&texts, env).map(Hook::Exec)
        }
        (None, Some(action), _) => {
            http(renderer, &format!("{at}.httpGet"), action, process).map(Hook::HttpGet)
        }
        (None, None, Some(action)) => Ok(Hook::Sleep(action.seconds)),
        (None, None, None) => Err(RenderError::new(
            at,
            "it says nothing to do; give one of exec, httpGet and sleep",
        )),
    }
}
