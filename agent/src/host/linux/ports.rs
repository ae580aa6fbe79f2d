//! Whether declared ports are free, before anything is started: a program that finds its port taken
//! says so in its own words or not at all; here the holder is named.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::Path,
};

use berth_core::{
    spec::{Port, Protocol},
    waiting::Reason,
};

use super::step_failed;

/// The state of a listening TCP socket in `/proc/net/tcp`; a bound UDP socket has another.
const LISTEN: &str = "0A";

/// A socket that holds a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    at: SocketAddr,
    inode: u64,
}

/// Who holds a port on any address of the host, if somebody does.
pub(super) fn held_anywhere(port: u16, protocol: Protocol) -> Option<String> {
    let held = search(protocol, |held| held.at.port() == port)?;
    let (by, pid) = program_of(held.inode);
    Some(format!("{} of {by} (pid {pid})", held.at))
}

/// Looks whether the ports are free on the address, and whether the address is this host's.
///
/// # Errors
/// `PortTaken` for the first port that is not free; `StepFailed`.
pub(super) fn check(address: &str, ports: &[Port]) -> Result<(), Reason> {
    let step = || format!("check the ports of address '{address}'");
    let address: IpAddr = address.parse().map_err(|e| step_failed(step(), e))?;
    UdpSocket::bind((address, 0)).map_err(|e| step_failed(step(), e))?;
    for port in ports {
        let number = u16::try_from(port.container_port).map_err(|e| step_failed(step(), e))?;
        let wanted = SocketAddr::new(address, number);
        if let Some(held) = holder(wanted, port.protocol) {
            let (by, pid) = program_of(held.inode);
            return Err(Reason::PortTaken {
                socket: held.at.to_string(),
                by,
                pid,
            });
        }
    }
    Ok(())
}

fn holder(wanted: SocketAddr, protocol: Protocol) -> Option<Held> {
    search(protocol, |held| clash(held.at, wanted))
}

/// The first listening socket that is one of those looked for.
fn search(protocol: Protocol, wanted: impl Fn(&Held) -> bool) -> Option<Held> {
    let files = match protocol {
        Protocol::Tcp => ["tcp", "tcp6"],
        Protocol::Udp => ["udp", "udp6"],
    };
    files.into_iter().find_map(|file| {
        let text = fs::read_to_string(Path::new("/proc/self/net").join(file)).ok()?;
        let listening = |state: &str| protocol == Protocol::Udp || state == LISTEN;
        let mut held = text
            .lines()
            .skip(1)
            .filter_map(|line| parse(line, listening));
        held.find(&wanted)
    })
}

/// Whether a socket at one address keeps another from the same port: the same address, or
/// everywhere.
fn clash(held: SocketAddr, wanted: SocketAddr) -> bool {
    let everywhere = match held.ip() {
        IpAddr::V4(ip) => ip.is_unspecified() && wanted.is_ipv4(),
        // A socket on `::` may or may not take IPv4 too; that it does is the usual.
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    held.port() == wanted.port() && (everywhere || held.ip().to_canonical() == wanted.ip())
}

/// A line of `/proc/net/{tcp,udp}{,6}`.
fn parse(line: &str, wanted_state: impl Fn(&str) -> bool) -> Option<Held> {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    if !wanted_state(state) {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    Some(Held {
        at: SocketAddr::new(parse_address(address)?, u16::from_str_radix(port, 16).ok()?),
        inode: inode.parse().ok()?,
    })
}

/// The kernel prints each 32-bit word of the address as a number of its own byte order.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    if text.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let words = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
    let bytes: [u8; 16] = words.try_into().ok()?;
    Some(Ipv6Addr::from(bytes).into())
}

/// The program that has a socket, and its process id; `unknown` and 0 if no process shows it (it
/// may be the kernel's own, as that of an NFS server).
fn program_of(inode: u64) -> (String, u32) {
    let target = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        let dir = Path::new("/proc").join(pid.to_string());
        let fds = fs::read_dir(dir.join("fd")).into_iter().flatten().flatten();
        let has =
            |fd: fs::DirEntry| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == &*target);
        if fds.into_iter().any(has) {
            let name = fs::read_to_string(dir.join("comm")).unwrap_or_default();
            return (name.trim().to_owned(), pid);
        }
    }
    ("unknown".to_owned(), 0)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn port(number: u16, protocol: Protocol) -> Port {
        Port {
            name: String::new(),
            container_port: number.into(),
            protocol,
        }
    }

    #[test]
    fn a_taken_port_names_its_holder_also_when_it_listens_everywhere() {
        for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
            let listener = TcpListener::bind(listen).unwrap();
            let number = listener.local_addr().unwrap().port();
            let error = check("127.0.0.1", &[port(number, Protocol::Tcp)]).unwrap_err();
            let Reason::PortTaken { socket, pid, .. } = error else {
                panic!("{error}");
            };
            assert_eq!(socket, listener.local_addr().unwrap().to_string());
            assert_eq!(pid, std::process::id());
            check("127.0.0.1", &[port(number, Protocol::Udp)]).unwrap();
        }
    }

    #[test]
    fn a_port_of_another_address_is_free() {
        let listener = TcpListener::bind("127.0.0.2:0").unwrap();
        let number = listener.local_addr().unwrap().port();
        check("127.0.0.3", &[port(number, Protocol::Tcp)]).unwrap();
    }

    #[test]
    fn a_bound_udp_socket_holds_its_port() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let number = socket.local_addr().unwrap().port();
        let error = check("127.0.0.1", &[port(number, Protocol::Udp)]).unwrap_err();
        assert!(matches!(error, Reason::PortTaken { .. }));
    }

    #[test]
    fn an_address_of_another_host_is_refused() {
        let error = check("192.0.2.1", &[]).unwrap_err();
        assert!(matches!(error, Reason::StepFailed { .. }));
        assert!(check("", &[]).is_err());
    }

    #[test]
    fn lines_of_both_families_are_understood() {
        let line = "0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 00000000 0 0 77 1";
        let held = parse(line, |state| state == LISTEN).unwrap();
        assert_eq!(held.at, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(held.inode, 77);
        let line = "0: 0000000000000000FFFF00000100007F:1F90 0:0 0A 0:0 00:0 0 0 0 78 1";
        let held = parse(line, |state| state == LISTEN).unwrap();
        assert!(clash(held.at, "127.0.0.1:8080".parse().unwrap()));
        assert_eq!(parse(line, |state| state == "01"), None);
    }
}
