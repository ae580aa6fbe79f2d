//! Where templates are: every text of a member that is rendered, with the field that holds it.
//!
//! Validation, the founding rule and rendering must agree on what is a template; the first two
//! ask this list, and a test holds the third against it.

use crate::spec::{ExecAction, HttpGetAction, MemberSpec, Probe, Process};

/// A text that is rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateText<'a> {
    /// Its field, from the member's spec on, such as `processes[0].args[2]`.
    pub field: String,
    /// The text.
    pub text: &'a str,
}

/// Every template text of a member, in the order of the manifest. Files whose text comes from a
/// config object are not in it: their text is known only when they are rendered.
pub fn texts(spec: &MemberSpec) -> Vec<TemplateText<'_>> {
    let mut found = Vec::new();
    for (list, processes) in [
        ("initProcesses", &spec.init_processes),
        ("processes", &spec.processes),
    ] {
        for (i, process) in processes.iter().enumerate() {
            of_process(&mut found, &format!("{list}[{i}]"), process);
        }
    }
    found
}

type Found<'a> = Vec<TemplateText<'a>>;

fn of_process<'a>(found: &mut Found<'a>, at: &str, process: &'a Process) {
    push_all(found, &format!("{at}.command"), &process.command);
    push_all(found, &format!("{at}.args"), &process.args);
    for (i, variable) in process.env.iter().enumerate() {
        if let Some(value) = &variable.value {
            push(found, format!("{at}.env[{i}].value"), value);
        }
    }
    if let Some(dir) = &process.working_dir {
        push(found, format!("{at}.workingDir"), dir);
    }
    for (i, mount) in process.volume_mounts.iter().enumerate() {
        if !mount.sub_path_expr.is_empty() {
            let field = format!("{at}.volumeMounts[{i}].subPathExpr");
            push(found, field, &mount.sub_path_expr);
        }
    }
    for (i, file) in process.files.iter().enumerate() {
        push(found, format!("{at}.files[{i}].path"), &file.path);
        if let (Some(content), true) = (&file.content, file.template) {
            push(found, format!("{at}.files[{i}].content"), content);
        }
    }
    for (name, probe) in [
        ("startupProbe", &process.startup_probe),
        ("readinessProbe", &process.readiness_probe),
        ("livenessProbe", &process.liveness_probe),
    ] {
        if let Some(probe) = probe {
            of_probe(found, &format!("{at}.{name}"), probe);
        }
    }
    for (name, hook) in [
        ("postStart", &process.lifecycle.post_start),
        ("preStop", &process.lifecycle.pre_stop),
    ] {
        if let Some(hook) = hook {
            let at = format!("{at}.lifecycle.{name}");
            of_exec(found, &at, hook.exec.as_ref());
            of_http(found, &at, hook.http_get.as_ref());
        }
    }
}

fn of_probe<'a>(found: &mut Found<'a>, at: &str, probe: &'a Probe) {
    of_http(found, at, probe.http_get.as_ref());
    if let Some(host) = probe.tcp_socket.as_ref().and_then(|a| a.host.as_ref()) {
        push(found, format!("{at}.tcpSocket.host"), host);
    }
    of_exec(found, at, probe.exec.as_ref());
}

fn of_exec<'a>(found: &mut Found<'a>, at: &str, action: Option<&'a ExecAction>) {
    if let Some(action) = action {
        push_all(found, &format!("{at}.exec.command"), &action.command);
    }
}

fn of_http<'a>(found: &mut Found<'a>, at: &str, action: Option<&'a HttpGetAction>) {
    let Some(action) = action else { return };
    push(found, format!("{at}.httpGet.path"), &action.path);
    if let Some(host) = &action.host {
        push(found, format!("{at}.httpGet.host"), host);
    }
    for (i, header) in action.http_headers.iter().enumerate() {
        let field = format!("{at}.httpGet.httpHeaders[{i}].value");
        push(found, field, &header.value);
    }
}

fn push<'a>(found: &mut Found<'a>, field: String, text: &'a str) {
    found.push(TemplateText { field, text });
}

fn push_all<'a>(found: &mut Found<'a>, at: &str, texts: &'a [String]) {
    for (i, text) in texts.iter().enumerate() {
        push(found, format!("{at}[{i}]"), text);
    }
}
