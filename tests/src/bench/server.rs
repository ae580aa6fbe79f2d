//! Servers that the bench starts as processes of their own, so that their CPU time is theirs: the
//! agent's DNS server over a made-up zone, and an echo as its limit.

use std::{
    io::{self, BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use berth_agent::dns::{DnsConfig, DnsServer, Upstreams};
use berth_core::{
    ids::ZoneSerial,
    zone::{RecordData, Zone},
};

/// The zone of the made-up members.
pub const ORIGIN: &str = "berth.internal";

/// A server in a process of its own; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts this program again as `bench SERVE ARGUMENT`, and reads its address from its first
    /// line.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(serve: &str, argument: &str) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([serve, argument])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("no output"))?;
        BufReader::new(output).read_line(&mut line)?;
        match line.trim().parse() {
            Ok(address) => Ok(Self { child, address }),
            Err(_) => {
                child.kill()?;
                child.wait()?;
                Err(io::Error::other(format!(
                    "{serve} said '{line}' instead of its address"
                )))
            }
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Answers every datagram with itself, from two threads that share a socket.
///
/// # Errors
/// If the socket fails.
pub fn echo(announce: impl FnOnce(SocketAddr)) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    announce(socket.local_addr()?);
    let other = socket.try_clone()?;
    thread::spawn(move || echo_on(&other));
    echo_on(&socket)
}

fn echo_on(socket: &UdpSocket) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let (length, client) = socket.recv_from(&mut buffer)?;
        socket.send_to(&buffer[..length], client)?;
    }
}

/// Serves a zone with that many members, until it is killed.
///
/// # Errors
/// If the server does not start.
pub async fn dns(members: u32, announce: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = DnsServer::start(config(dir.path())).await?;
    let zone = zone(members);
    let hash = zone.hash();
    server.publish(zone, &hash).await?;
    announce(server.local()[0]);
    std::future::pending().await
}

fn config(dir: &Path) -> DnsConfig {
    DnsConfig {
        listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
        upstreams: Upstreams::These(Vec::new()),
        data_dir: dir.to_owned(),
        origin: ORIGIN.to_owned(),
    }
}

/// The name of a made-up member.
pub fn member(number: u32) -> String {
    format!("m-{number}.m{}.default.svc.{ORIGIN}", number / 10)
}

/// The name of the port of ten made-up members.
pub fn port(number: u32) -> String {
    format!("_peer._tcp.m{}.default.svc.{ORIGIN}", number / 10)
}

/// A zone with sets of ten members, each with an address and one port.
pub fn zone(members: u32) -> Zone {
    let mut zone = Zone {
        origin: ORIGIN.to_owned(),
        serial: ZoneSerial(1),
        ..Zone::default()
    };
    for number in 0..members {
        let address = Ipv4Addr::from(0x0a00_0000 + number);
        zone.records
            .insert(member(number), vec![RecordData::A(address)]);
        zone.records
            .entry(port(number))
            .or_default()
            .push(RecordData::Srv {
                priority: 0,
                weight: 100,
                port: 2380,
                target: member(number),
            });
    }
    zone
}
