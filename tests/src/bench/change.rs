//! Durable changes, one after another, from the call to the reply.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{Figure, Goal, Value, bed::Bed, limits, process, samples::Samples};
use crate::wait;

/// Changes that are measured.
const CHANGES: usize = 500;

/// The figures.
///
/// # Errors
/// If a change is refused.
pub async fn run(bed: &mut Bed) -> anyhow::Result<Vec<Figure>> {
    let mut ours = Samples::default();
    for i in 0..CHANGES {
        ours.push(bed.apply(config_map(i)).await?);
    }
    let folder = tempfile::tempdir()?;
    let limit = Value::Times(limits::durable_appends(folder.path(), CHANGES)?);
    let etcd = etcd(folder.path()).await?;
    let ours = Value::Times(ours);
    let name = "durable change over gRPC";
    Ok(vec![
        Figure::new(name, ours.clone(), ("4 KiB append and fdatasync", limit))
            .goal(Goal::AtMost(0.4)),
        Figure::new(name, ours, ("etcd put (JSON gateway)", etcd)),
    ])
}

fn config_map(number: usize) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: change }}\n\
         data: {{ value: '{number}' }}\n"
    )
}

/// The same number of puts to an etcd of one member, over one connection.
async fn etcd(folder: &Path) -> anyhow::Result<Value> {
    if !process::installed("etcd") {
        return Ok(Value::Missing("etcd is not installed".into()));
    }
    let etcd = Etcd::start(folder)?;
    let mut stream = wait::until("etcd to take a key", async || etcd.connect()).await;
    let times: io::Result<Samples> = (0..CHANGES).map(|i| put(&mut stream, i)).collect();
    Ok(Value::Times(times?))
}

struct Etcd {
    child: Child,
    client: SocketAddr,
}

impl Etcd {
    fn start(folder: &Path) -> io::Result<Self> {
        // Both at once, so that they differ.
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (first, second) = (free()?, free()?);
        let (client, peer) = (first.local_addr()?, second.local_addr()?);
        drop((first, second));
        let child = Command::new("etcd")
            .arg("--data-dir")
            .arg(folder.join("etcd"))
            .arg(format!("--listen-client-urls=http://{client}"))
            .arg(format!("--advertise-client-urls=http://{client}"))
            .arg(format!("--listen-peer-urls=http://{peer}"))
            .arg(format!("--initial-advertise-peer-urls=http://{peer}"))
            .arg(format!("--initial-cluster=default=http://{peer}"))
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("etcd.log"))?)
            .spawn()?;
        Ok(Self { child, client })
    }

    /// A connection over which a key could be put.
    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(self.client)?;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        put(&mut stream, 0)?;
        Ok(stream)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Puts the key `a` (base64 `YQ==`) with a value of its own each time.
fn put(stream: &mut BufReader<TcpStream>, number: usize) -> io::Result<Duration> {
    // Eight digits are whole groups of base64: any eight characters of its alphabet are a value.
    let body = format!(r#"{{"key":"YQ==","value":"{number:08}"}}"#);
    let request = format!(
        "POST /v3/kv/put HTTP/1.1\r\nHost: etcd\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let start = Instant::now();
    stream.get_mut().write_all(request.as_bytes())?;
    let mut length = 0;
    let mut line = String::new();
    let mut status = String::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        if status.is_empty() {
            status.clone_from(&line);
        }
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    if status.contains(" 200 ") {
        Ok(start.elapsed())
    } else {
        Err(io::Error::other(format!("etcd: {status}")))
    }
}
