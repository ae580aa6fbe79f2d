//! Runs one attempt of a probe. When it is tried and what its result means is decided in
//! [`berth_core::probe`].

use std::{net::IpAddr, time::Duration};

use berth_core::{
    ids::ProcessName,
    probe::Outcome,
    spec::{ExecAction, Handler, PortRef, Probe, TcpSocketAction},
};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use crate::host::{ExecOrder, KeeperClient};

mod grpc;
mod http;

/// Beyond a program's own time limit, for its keeper to say how it ended.
const EXEC_MARGIN: Duration = Duration::from_secs(1);

/// What an attempt needs to know of the process.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The process.
    pub(crate) process: ProcessName,
    /// The member's address.
    pub(crate) address: String,
    /// Its keeper.
    pub(crate) keeper: KeeperClient,
}

/// Tries a probe once. Returns within its timeout, whatever the process does.
pub(crate) async fn attempt(probe: &Probe, target: &Target) -> Outcome {
    let limit = Duration::from_secs(u64::from(probe.timeout_seconds.max(1)));
    let late = |_| Outcome::Failure(format!("no answer within {} s", limit.as_secs()));
    match probe.handler() {
        Some(Handler::HttpGet(action)) => {
            let host = action.host.as_deref().unwrap_or(&target.address);
            timeout(limit, http::get(action, host))
                .await
                .unwrap_or_else(late)
        }
        Some(Handler::TcpSocket(action)) => timeout(limit, connect(action, &target.address))
            .await
            .unwrap_or_else(late),
        Some(Handler::Exec(action)) => exec(action, limit, target).await,
        Some(Handler::Grpc(action)) => timeout(limit, grpc::check(action, &target.address))
            .await
            .unwrap_or_else(late),
        Some(Handler::Notify) => Outcome::NotTried("it is listened to, not asked".to_owned()),
        None => Outcome::NotTried("the probe says nothing to do".to_owned()),
    }
}

async fn connect(action: &TcpSocketAction, address: &str) -> Outcome {
    let host = action.host.as_deref().unwrap_or(address);
    match open(host, &action.port).await {
        Ok(_) => Outcome::Success,
        Err(error) => Outcome::Failure(error),
    }
}

/// Connects to a host given by address or name.
async fn open(host: &str, port: &PortRef) -> Result<TcpStream, String> {
    let port = match port {
        PortRef::Number(number) => u16::try_from(*number).map_err(|_| "no port".to_owned())?,
        PortRef::Name(name) => return Err(format!("port '{name}' was not resolved")),
    };
    let connected = match host.parse::<IpAddr>() {
        Ok(ip) => TcpStream::connect((ip, port)).await,
        Err(_) => match lookup_host((host, port)).await {
            Ok(addresses) => TcpStream::connect(&addresses.collect::<Vec<_>>()[..]).await,
            Err(error) => Err(error),
        },
    };
    connected.map_err(|error| format!("{host}:{port}: {error}"))
}

async fn exec(action: &ExecAction, limit: Duration, target: &Target) -> Outcome {
    let order = ExecOrder {
        process: target.process.clone(),
        argv: action.command.clone(),
        timeout_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
    };
    match timeout(limit + EXEC_MARGIN, target.keeper.exec(order)).await {
        Ok(Ok(result)) if result.timed_out => {
            Outcome::Failure(format!("no end within {} s", limit.as_secs()))
        }
        Ok(Ok(result)) if result.exit.success() => Outcome::Success,
        Ok(Ok(result)) => {
            let said = result.output.lines().next().unwrap_or_default().trim();
            let colon = if said.is_empty() { "" } else { ": " };
            Outcome::Failure(format!("{}{colon}{said}", result.exit))
        }
        Ok(Err(reason)) => Outcome::NotTried(reason.to_string()),
        Err(_) => Outcome::NotTried("the keeper does not answer".to_owned()),
    }
}

#[cfg(test)]
mod tests;
