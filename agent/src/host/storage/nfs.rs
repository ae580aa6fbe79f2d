//! NFS as the kernel takes it: the settings of a mount, and what it says of the mounts that there
//! are. Server, path and options were checked where they were written; here every one of them is
//! passed as a value of its own, so that none can become two.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket},
    os::fd::OwnedFd,
};

use berth_core::volume::{NfsSource, NfsVersion, server_path};
use rustix::mount::MountAttrFlags;

use super::mount::{Setting, mount_detached};

/// The port that is asked for only to find an address, and the one that servers have.
const NFS_PORT: u16 = 2049;

/// The file where the kernel lists the exports that are mounted.
pub(crate) const VOLUMES: &str = "/proc/fs/nfsfs/volumes";

/// Finds the server's address. It may take as long as the resolver does.
pub(crate) fn resolve(server: &str) -> Result<IpAddr, String> {
    let found = (server, NFS_PORT).to_socket_addrs();
    let found = found.map_err(|e| format!("the name of the server is not found: {e}"))?;
    // One answer for the whole start: version 4 first, as most servers listen on it.
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    let first = addresses.first().copied();
    first.ok_or_else(|| "the name of the server has no address".to_owned())
}

/// The address that this host has towards the server: it may call back there.
fn own_address(server: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match server {
        IpAddr::V4(_) => [0, 0, 0, 0].into(),
        IpAddr::V6(_) => [0_u16; 8].into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    // Sends nothing.
    socket.connect(SocketAddr::new(server, NFS_PORT)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Mounts a share nowhere.
pub(crate) fn mount_share(source: &NfsSource, address: IpAddr) -> Result<OwnedFd, String> {
    let settings = settings(source, address, own_address(address))?;
    mount_detached("nfs", &settings, attributes(source))
}

/// The settings of a mount. A share is never mounted together with another one (`nosharecache`):
/// then its device is this mount's alone, and when the kernel lists it no more, it is gone.
pub(crate) fn settings(
    source: &NfsSource,
    address: IpAddr,
    own: Option<IpAddr>,
) -> Result<Vec<Setting>, String> {
    let share = server_path(&source.server, &source.path).map_err(|e| e.to_string())?;
    let protocol = if address.is_ipv6() { "tcp6" } else { "tcp" };
    let mut settings = vec![
        Setting::value("source", share),
        Setting::value("vers", source.version),
        Setting::value("proto", protocol),
        Setting::value("addr", address),
        Setting::flag("nosharecache"),
    ];
    match source.version {
        NfsVersion::V3 => {
            settings.push(Setting::value("mountaddr", address));
            settings.push(Setting::value("mountproto", protocol));
            // Locks need a daemon on the host. One host at a time writes to a volume, so the
            // kernel's own locks do, unless the operator wants the server's.
            if !source.options.has("lock") && !source.options.has("nolock") {
                settings.push(Setting::flag("nolock"));
            }
        }
        NfsVersion::V4_0 | NfsVersion::V4_1 | NfsVersion::V4_2 => {
            settings.extend(own.map(|own| Setting::value("clientaddr", own)));
        }
    }
    // Unless it is said, a client of version 4 looks for Kerberos first, which takes its time.
    if !source.options.has("sec") {
        settings.push(Setting::value("sec", "sys"));
    }
    for (name, value) in source.options.iter() {
        if attribute(name).is_none() {
            settings.push(match value {
                Some(value) => Setting::value(name, value),
                None => Setting::flag(name),
            });
        }
    }
    if source.read_only {
        settings.push(Setting::flag("ro"));
    }
    Ok(settings)
}

/// Options that are the mount's, not the file system's.
fn attribute(name: &str) -> Option<MountAttrFlags> {
    Some(match name {
        "noatime" => MountAttrFlags::MOUNT_ATTR_NOATIME,
        "relatime" => MountAttrFlags::MOUNT_ATTR_RELATIME,
        "nodiratime" => MountAttrFlags::MOUNT_ATTR_NODIRATIME,
        "noexec" => MountAttrFlags::MOUNT_ATTR_NOEXEC,
        _ => return None,
    })
}

fn attributes(source: &NfsSource) -> MountAttrFlags {
    let names = source
        .options
        .iter()
        .filter_map(|(name, _)| attribute(name));
    let mut all = names.fold(MountAttrFlags::empty(), MountAttrFlags::union);
    all.set(MountAttrFlags::MOUNT_ATTR_RDONLY, source.read_only);
    all
}

/// The devices of the exports that are mounted, from the text of [`VOLUMES`]: `0:57`.
pub(crate) fn devices(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().skip(1);
    lines.filter_map(|line| line.split_ascii_whitespace().nth(3))
}

#[cfg(test)]
mod tests {
    use berth_core::volume::NfsOptions;

    use super::*;

    fn source(version: NfsVersion, options: &[&str]) -> NfsSource {
        let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
        NfsSource {
            server: "nas.example".to_owned(),
            path: "/exports/web 0".to_owned(),
            sub_dir: None,
            version,
            options: NfsOptions::parse(&options).unwrap(),
            read_only: false,
        }
    }

    fn told(source: &NfsSource) -> Vec<String> {
        let own = Some([10, 0, 0, 2].into());
        let settings = settings(source, [10, 0, 0, 1].into(), own).unwrap();
        let text = |s: Setting| match s.value {
            Some(value) => format!("{}={value}", s.name),
            None => s.name,
        };
        settings.into_iter().map(text).collect()
    }

    #[test]
    fn each_setting_is_passed_by_itself() {
        assert_eq!(
            told(&source(NfsVersion::V4_2, &["hard", "timeo=50", "noatime"])),
            [
                "source=nas.example:/exports/web 0",
                "vers=4.2",
                "proto=tcp",
                "addr=10.0.0.1",
                "nosharecache",
                "clientaddr=10.0.0.2",
                "sec=sys",
                "hard",
                "timeo=50"
            ]
        );
        let mut old = source(NfsVersion::V3, &["soft"]);
        old.read_only = true;
        assert_eq!(
            told(&old)[5..],
            [
                "mountaddr=10.0.0.1",
                "mountproto=tcp",
                "nolock",
                "sec=sys",
                "soft",
                "ro"
            ]
        );
        let locks = told(&source(NfsVersion::V3, &["lock", "sec=sys"]));
        assert!(!locks.contains(&"nolock".to_owned()), "{locks:?}");
        assert_eq!(locks.iter().filter(|s| *s == "sec=sys").count(), 1);
    }

    #[test]
    fn options_of_the_mount_are_attributes() {
        let mut source = source(NfsVersion::V4_1, &["noexec", "nodiratime"]);
        let wanted = MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_NODIRATIME;
        assert_eq!(attributes(&source), wanted);
        source.read_only = true;
        assert_eq!(
            attributes(&source),
            wanted | MountAttrFlags::MOUNT_ATTR_RDONLY
        );
    }

    #[test]
    fn what_was_not_checked_before_is_checked_here() {
        let mut source = source(NfsVersion::V4_2, &[]);
        source.server = "nas,suid".to_owned();
        assert!(settings(&source, [10, 0, 0, 1].into(), None).is_err());
    }

    #[test]
    fn the_kernels_list_gives_the_devices() {
        let text = "NV SERVER   PORT DEV          FSID                              FSC\n\
                    v4 7f000001  801 0:57         0:0                               no \n\
                    v3 0a000202  801 0:103        a1b2c3d4:0                        no \n";
        assert_eq!(devices(text).collect::<Vec<_>>(), ["0:57", "0:103"]);
        assert_eq!(devices("").count(), 0);
    }

    #[test]
    fn an_address_needs_no_resolver() {
        assert_eq!(resolve("127.0.0.7"), Ok([127, 0, 0, 7].into()));
    }
}
