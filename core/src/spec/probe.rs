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
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            http_get: None,
            tcp_socket: None,
            exec: None,
            initial_delay_seconds: 0,
            timeout_seconds: 1,
            period_seconds: 10,
            success_threshold: 1,
            failure_threshold: 3,
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
}

impl Probe {
    /// The one handler that validation made sure of; `None` for an invalid probe.
    pub fn handler(&self) -> Option<Handler<'_>> {
        match (&self.http_get, &self.tcp_socket, &self.exec) {
            (Some(action), None, None) => Some(Handler::HttpGet(action)),
            (None, Some(action), None) => Some(Handler::TcpSocket(action)),
            (None, None, Some(action)) => Some(Handler::Exec(action)),
            _ => None,
        }
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

/// A program, run in the member's namespaces as the process's user.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExecAction {
    /// The program, by absolute path, and its arguments.
    pub command: Vec<String>,
}
