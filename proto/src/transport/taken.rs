//! Who has a port or a socket that is taken, by what the kernel shows in `/proc`: whoever is told
//! `address already in use` asks that next.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::Path,
};

/// A socket that listens, as `/proc/net/tcp` has its state.
const LISTENS: &str = "0A";
/// The flag of a unix socket that listens (`__SO_ACCEPTCON`), and its type, a stream.
const ACCEPTS: &str = "00010000";

/// The programs that listen on a port, such as `nginx (process 812)`; empty if that cannot be seen.
pub(super) fn port(address: SocketAddr) -> Vec<String> {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    let both = ["/proc/net/tcp", "/proc/net/tcp6"].map(read);
    let lines = both.iter().flat_map(|text| text.lines());
    holders(
        &lines
            .filter_map(|line| listens(line, address))
            .collect::<Vec<_>>(),
    )
}

/// The programs that listen on a unix socket.
pub(super) fn socket(path: &Path) -> Vec<String> {
    let text = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let path = path.to_string_lossy();
    let inodes = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, _, _, flags, _, _, inode, at] = fields.as_slice() else {
            return None;
        };
        (*flags == ACCEPTS && *at == path).then(|| (*inode).to_owned())
    });
    holders(&inodes.collect::<Vec<_>>())
}

/// The inode of the socket of a line, if it listens where nobody else then can.
fn listens(line: &str, wanted: SocketAddr) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, local, _, LISTENS, _, _, _, _, _, inode, ..] = fields.as_slice() else {
        return None;
    };
    let (address, port) = local.split_once(':')?;
    let address = parse(address)?;
    let same = address == wanted.ip() || address.is_unspecified() || wanted.ip().is_unspecified();
    let taken = same && u16::from_str_radix(port, 16).ok()? == wanted.port();
    taken.then(|| (*inode).to_owned())
}

/// An address as the kernel writes it: words of four bytes in the order of this machine.
fn parse(text: &str) -> Option<IpAddr> {
    let words = text.as_bytes().chunks(8).map(|word| {
        let word = std::str::from_utf8(word).ok()?;
        u32::from_str_radix(word, 16).ok().map(u32::to_ne_bytes)
    });
    let bytes: Vec<u8> = words.collect::<Option<Vec<_>>>()?.concat();
    if let Ok(four) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(four.into());
    }
    <[u8; 16]>::try_from(bytes.as_slice())
        .ok()
        .map(IpAddr::from)
}

/// Who has one of these sockets open. Only root sees those of other users.
fn holders(inodes: &[String]) -> Vec<String> {
    let wanted: Vec<String> = inodes.iter().map(|n| format!("socket:[{n}]")).collect();
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        if has(&process.path(), &wanted).unwrap_or(false) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            // A program may call itself whatever it likes.
            let name: String = name.trim().escape_debug().collect();
            found.push(format!("{name} (process {pid})"));
        }
    }
    found
}

fn has(process: &Path, wanted: &[String]) -> io::Result<bool> {
    if wanted.is_empty() {
        return Ok(false);
    }
    for file in fs::read_dir(process.join("fd"))?.flatten() {
        let Ok(target) = fs::read_link(file.path()) else {
            continue;
        };
        if wanted
            .iter()
            .any(|socket| target.as_os_str() == socket.as_str())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::unix::net::UnixListener};

    use super::*;

    #[test]
    fn whoever_listens_is_named() {
        let this = format!("(process {})", std::process::id());
        let names_this = |found: &[String]| found.iter().any(|one| one.ends_with(&this));
        for at in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(at) else {
                // Without IPv6.
                assert!(at.starts_with('['));
                continue;
            };
            let address = listener.local_addr().unwrap();
            assert!(names_this(&port(address)), "{address}: {:?}", port(address));
            let mut other = address;
            other.set_port(1);
            assert!(!names_this(&port(other)));
        }
        let dir = std::env::temp_dir().join(format!("berth-taken-{}", std::process::id()));
        let _listener = UnixListener::bind(&dir).unwrap();
        let found = socket(&dir);
        fs::remove_file(&dir).unwrap();
        assert!(names_this(&found), "{found:?}");
        assert_eq!(socket(Path::new("/nowhere")), [""; 0]);
    }

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        let four = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
        assert_eq!(parse(&four), Some([127, 0, 0, 1].into()));
        assert_eq!(parse("0000000000000000000000000000000Z"), None);
        assert_eq!(parse("00000000000000"), None);
    }
}
