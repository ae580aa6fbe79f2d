//! What is done beside the start of a process and before its stop signal: a program, a request or a
//! pause, each in a child of the keeper, as the process's user. When it is done and what follows is
//! decided in core; here it is begun, ended and told.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use berth_core::{
    keeper::{Event, Exit, Slot},
    rendered::Hook,
    spec::{HttpGetAction, PortRef},
    waiting::Reason,
};

use super::{
    jobs::{Asker, HookKind, Job},
    run::Keeper,
    sys,
    wire::KeeperEvent,
};
use crate::host::step_failed;

/// Hooks have no time limit of their own: the machine ends those that take too long.
const NO_LIMIT: Duration = Duration::MAX;

impl HookKind {
    /// What the machine is told when the hook has ended.
    fn ended(self, slot: Slot, well: bool) -> Event {
        match self {
            Self::PostStart => Event::PostStartEnded(slot, well),
            Self::PreStop => Event::PreStopEnded(slot),
        }
    }
}

impl Keeper {
    /// Begins a hook. Returns an event if it has ended already.
    pub(crate) fn begin_hook(&mut self, slot: Slot, kind: HookKind) -> Option<Event> {
        let rendered = &self.processes.get(slot.0)?.rendered;
        let hook = match kind {
            HookKind::PostStart => rendered.post_start.clone(),
            HookKind::PreStop => rendered.pre_stop.clone(),
        };
        let Some(hook) = hook else {
            return Some(kind.ended(slot, true));
        };
        if kind == HookKind::PostStart {
            let process = rendered.name.clone();
            self.tell(KeeperEvent::PostStart { process });
        }
        match self.hook(slot, &hook, Asker::Hook(slot, kind)) {
            Ok(job) => {
                self.jobs.push(job);
                None
            }
            Err(reason) => {
                self.hook_failed(slot, kind, &reason.to_string());
                Some(kind.ended(slot, false))
            }
        }
    }

    fn hook(&self, slot: Slot, hook: &Hook, asker: Asker) -> Result<Job, Reason> {
        let work: Box<dyn FnOnce() -> i32> = match hook {
            Hook::Exec(argv) => return self.execute(slot, argv, asker, NO_LIMIT),
            Hook::HttpGet(action) => Box::new(|| i32::from(http_get(action).is_err())),
            Hook::Sleep(seconds) => Box::new(|| {
                // A signal ends it, and that ends the hook.
                nix::unistd::sleep(*seconds);
                0
            }),
        };
        let process = self.processes.get(slot.0);
        let process = process.ok_or_else(|| step_failed("begin a hook", "no such process"))?;
        let pid = sys::fork(|| match process.privileges.apply() {
            Ok(()) => work(),
            Err(_) => 126,
        });
        let pid = pid.map_err(|e| step_failed("fork", e.desc()))?;
        Ok(Job::new(pid, asker, NO_LIMIT, None))
    }

    /// Ends the hook of a process, if one is at work; nothing follows from how it ends.
    pub(crate) fn end_hook(&mut self, slot: Slot) {
        for job in &mut self.jobs {
            if matches!(job.asker, Asker::Hook(of, _) if of == slot) {
                job.asker = Asker::Nobody;
                job.kill();
            }
        }
    }

    /// A hook has ended.
    pub(crate) fn hook_ended(&mut self, slot: Slot, kind: HookKind, job: Job, exit: Exit) {
        if !exit.success() {
            let output = job.result(exit).output;
            let colon = if output.is_empty() { "" } else { ": " };
            self.hook_failed(
                slot,
                kind,
                &format!("it {exit}{colon}{}", output.trim_end()),
            );
        }
        self.feed(kind.ended(slot, exit.success()));
    }

    fn hook_failed(&mut self, slot: Slot, kind: HookKind, error: &str) {
        let Some(process) = self.processes.get(slot.0) else {
            return;
        };
        let process = process.rendered.name.clone();
        match kind {
            HookKind::PostStart => {
                let error = Some(error.to_owned());
                let reason = Reason::PostStart {
                    process: process.clone(),
                    error,
                };
                self.complain(&reason);
                self.tell(KeeperEvent::PostStartFailed { process, reason });
            }
            HookKind::PreStop => {
                self.complain(&step_failed(format!("preStop of {process}"), error))
            }
        }
    }
}

/// Sends a GET request, in a child of the keeper, where it may block. An answer marks the end of the
/// hook; what it says does not matter, as in Kubernetes.
fn http_get(action: &HttpGetAction) -> std::io::Result<usize> {
    let host = action.host.as_deref().unwrap_or_default();
    let PortRef::Number(port) = &action.port else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let port = u16::try_from(*port).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    let address = (host, port).to_socket_addrs()?.next();
    let mut stream = TcpStream::connect(address.ok_or(std::io::ErrorKind::NotFound)?)?;
    stream.write_all(request(action, host, port).as_bytes())?;
    stream.read_to_end(&mut Vec::new())
}

fn request(action: &HttpGetAction, host: &str, port: u16) -> String {
    let host = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let headers = action.http_headers.iter();
    // A value comes from a template; a line of its own would be another header.
    let plain = |text: &str| text.replace(['\r', '\n'], " ");
    let headers = headers.map(|h| format!("{}: {}\r\n", h.name, plain(&h.value)));
    let headers: String = headers.collect();
    let path = action.path.replace(['\r', '\n', ' '], "%20");
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n")
}

#[cfg(test)]
mod tests {
    use berth_core::spec::HttpHeader;

    use super::*;

    #[test]
    fn a_request_has_its_headers_and_no_line_more() {
        let action = HttpGetAction {
            path: "/drain now".to_owned(),
            port: PortRef::Number(80),
            host: Some("::1".to_owned()),
            http_headers: vec![HttpHeader {
                name: "X-Why".to_owned(),
                value: "stop\r\nX-Other: 1".to_owned(),
            }],
        };
        assert_eq!(
            request(&action, "::1", 80),
            "GET /drain%20now HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\
             X-Why: stop  X-Other: 1\r\n\r\n"
        );
    }
}
