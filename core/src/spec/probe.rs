//! Probes: how to find out whether a process has started, serves, lives.

use serde::{Deserialize, Serialize};

/// A probe, with the numbers of Kubernetes as defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Probe {
    /// Asks over HTTP; 200 to 399 is a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGetAction>,
    /// Connects; an open port is a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TcpSocketAction>,
    /// Runs a program in the member's namespaces; exit 0 is a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecAction>,
    /// Asks the health service of gRPC; `SERVING` is a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcAction>,
    /// Listens to what the process says itself, by the protocol of systemd's `sd_notify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<NotifyAction>,
    /// From the start of the process to the first attempt, in seconds.
    pub initial_delay_seconds: u32,
    /// After which an attempt has failed, in seconds; at least 1.
    pub timeout_seconds: u32,
    /// Between attempts, in seconds; at least 1.
    pub period_seconds: u32,
    /// Successes in a row that count; 1 for startup and liveness.
    pub success_threshold: u32,
    /// Failures in a row that count.
    pub failure_threshold: u32,
    /// From the stop signal to KILL when this probe failed, in seconds; the member's own when left
    /// out. For startup and liveness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_grace_period_seconds: Option<u32>,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            http_get: None,
            tcp_socket: None,
            exec: None,
            grpc: None,
            notify: None,
            initial_delay_seconds: 0,
            timeout_seconds: 1,
            period_seconds: 10,
            success_threshold: 1,
            failure_threshold: 3,
            termination_grace_period_seconds: None,
        }
    }
}

/// What a probe does, once validated: exactly one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handler<'a> {
    /// Asks over HTTP.
    HttpGet(&'a HttpGetAction),
    /// Connects.
    TcpSocket(&'a TcpSocketAction),
    /// Runs a program.
    Exec(&'a ExecAction),
    /// Asks the health service of gRPC.
    Grpc(&'a GrpcAction),
    /// Listens.
    Notify,
}

impl Probe {
    /// The one handler that validation made sure of; `None` for an invalid probe.
    pub fn handler(&self) -> Option<Handler<'_>> {
        let mut given = self.handlers();
        let first = given.next();
        first.filter(|_| given.next().is_none())
    }

    /// Every handler that is given.
    pub fn handlers(&self) -> impl Iterator<Item = Handler<'_>> {
        let all = [
            self.http_get.as_ref().map(Handler::HttpGet),
            self.tcp_socket.as_ref().map(Handler::TcpSocket),
            self.exec.as_ref().map(Handler::Exec),
            self.grpc.as_ref().map(Handler::Grpc),
            self.notify.as_ref().map(|_| Handler::Notify),
        ];
        all.into_iter().flatten()
    }
}

/// A port by number, or by the name of one of the process's ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PortRef {
    /// By number.
    Number(u32),
    /// By name.
    Name(String),
}

impl Default for PortRef {
    fn default() -> Self {
        Self::Number(0)
    }
}

/// An HTTP GET request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HttpGetAction {
    /// `/` when left out.
    pub path: String,
    /// Which port.
    pub port: PortRef,
    /// The member's address when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Headers to send.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_headers: Vec<HttpHeader>,
}

/// One header of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HttpHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A TCP connection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TcpSocketAction {
    /// Which port.
    pub port: PortRef,
    /// The member's address when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// A question to the health service of gRPC (`grpc.health.v1`), without TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GrpcAction {
    /// Which port, at the member's address.
    pub port: PortRef,
    /// The service that is asked about; the server as a whole when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// What the process says itself. There is nothing to choose.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NotifyAction {}

/// A program, run in the member's namespaces as the process's user.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExecAction {
    /// The program, by absolute path, and its arguments.
    pub command: Vec<String>,
}
