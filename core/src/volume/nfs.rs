//! NFS: servers, paths and options, each checked here once, so that whoever mounts has nothing left
//! to escape. Text of an operator never becomes an option of a mount: options are known by name,
//! and their values by type.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A directory of an NFS server, and how it is mounted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NfsSource {
    /// The server: a name or an address.
    pub server: String,
    /// The exported path.
    pub path: String,
    /// The volume's own directory in it, with the owner record beside the data; `None` if the path
    /// itself is the volume.
    pub sub_dir: Option<String>,
    /// The protocol version.
    pub version: NfsVersion,
    /// How it is mounted.
    pub options: NfsOptions,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// The protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum NfsVersion {
    /// NFS 3, RFC 1813.
    #[serde(rename = "3")]
    V3,
    /// NFS 4.0, RFC 7530.
    #[serde(rename = "4.0")]
    V4_0,
    /// NFS 4.1, RFC 8881.
    #[serde(rename = "4.1")]
    V4_1,
    /// NFS 4.2, RFC 7862.
    #[default]
    #[serde(rename = "4.2")]
    V4_2,
}

impl fmt::Display for NfsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3 => "3",
            Self::V4_0 => "4.0",
            Self::V4_1 => "4.1",
            Self::V4_2 => "4.2",
        })
    }
}

impl FromStr for NfsVersion {
    type Err = OptionError;
    /// Also takes `4`, the newest of its kind.
    fn from_str(text: &str) -> Result<Self, OptionError> {
        match text {
            "3" => Ok(Self::V3),
            "4.0" => Ok(Self::V4_0),
            "4.1" => Ok(Self::V4_1),
            "4" | "4.2" => Ok(Self::V4_2),
            _ => Err(OptionError::Version {
                text: text.to_owned(),
            }),
        }
    }
}

/// How an export is mounted. `nosuid` and `nodev` are always set and are no options.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NfsOptions {
    /// Options in the order in which they were written, checked: `hard`, `timeo=100`.
    checked: Vec<String>,
    /// What `nfsvers` or `vers` among them said; it is no option of the kernel's mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<NfsVersion>,
}

/// Why an option, a server or a path is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OptionError {
    /// No such version.
    #[error("'{text}' is not a version of NFS that is known here; give 3, 4.0, 4.1 or 4.2")]
    Version {
        /// The refused text.
        text: String,
    },
    /// No such option.
    #[error("'{text}' is not on the list of mount options; give one of {known}", known = known())]
    Unknown {
        /// The refused text.
        text: String,
    },
    /// The value of an option.
    #[error("'{text}': give {expected}")]
    Value {
        /// The refused text.
        text: String,
        /// What would be right.
        expected: String,
    },
    /// Two options that say the same thing differently.
    #[error("'{text}' contradicts '{other}'; leave one out")]
    Twice {
        /// The later one.
        text: String,
        /// The earlier one.
        other: String,
    },
    /// A server's name.
    #[error(
        "'{text}' is not the name or address of a server; give one without options, scheme or path"
    )]
    Server {
        /// The refused text.
        text: String,
    },
    /// An exported path.
    #[error("'{text}' is not a plain absolute path; give one such as /exports/data")]
    Path {
        /// The refused text.
        text: String,
    },
}

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// Nothing; options of one group exclude each other.
    Flag(&'static str),
    /// A whole number in a range.
    Number(u32, u32),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A version of the protocol.
    Version,
}

/// The options that are known, from nfs(5). Left out on purpose: `suid`, `dev`, `exec` (they would
/// undo what is always set), `context` and `sec` other than `sys` (no credentials on the host),
/// `mountaddr`, `addr`, `clientaddr` (said by Berth), and the background retries of `bg`.
const OPTIONS: [(&str, Takes); 32] = [
    ("hard", Takes::Flag("recovery")),
    ("soft", Takes::Flag("recovery")),
    ("softerr", Takes::Flag("recovery")),
    ("softreval", Takes::Flag("softreval")),
    ("nosoftreval", Takes::Flag("softreval")),
    ("timeo", Takes::Number(1, 6_000)),
    ("retrans", Takes::Number(0, 100)),
    ("rsize", Takes::Number(1_024, 1_048_576)),
    ("wsize", Takes::Number(1_024, 1_048_576)),
    ("acregmin", Takes::Number(0, 86_400)),
    ("acregmax", Takes::Number(0, 86_400)),
    ("acdirmin", Takes::Number(0, 86_400)),
    ("acdirmax", Takes::Number(0, 86_400)),
    ("actimeo", Takes::Number(0, 86_400)),
    ("ac", Takes::Flag("ac")),
    ("noac", Takes::Flag("ac")),
    ("cto", Takes::Flag("cto")),
    ("nocto", Takes::Flag("cto")),
    ("lock", Takes::Flag("lock")),
    ("nolock", Takes::Flag("lock")),
    ("noatime", Takes::Flag("atime")),
    ("relatime", Takes::Flag("atime")),
    ("nodiratime", Takes::Flag("diratime")),
    ("noexec", Takes::Flag("exec")),
    ("noresvport", Takes::Flag("resvport")),
    ("nconnect", Takes::Number(1, 16)),
    ("port", Takes::Number(1, 65_535)),
    ("proto", Takes::Word(&["tcp"])),
    ("nfsvers", Takes::Version),
    ("vers", Takes::Version),
    (
        "lookupcache",
        Takes::Word(&["all", "none", "pos", "positive"]),
    ),
    ("sec", Takes::Word(&["sys"])),
];

fn known() -> String {
    let names: Vec<&str> = OPTIONS.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

impl NfsOptions {
    /// Checks options as operators write them, one per entry.
    ///
    /// # Errors
    /// Each one that is not known, with its position.
    pub fn parse(texts: &[String]) -> Result<Self, Vec<(usize, OptionError)>> {
        let mut errors = Vec::new();
        let mut version = None;
        let mut seen: Vec<(String, &str)> = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            match option(text) {
                Ok(group) => {
                    version = version.or_else(|| said_version(text));
                    let earlier = seen.iter().find(|(g, other)| *g == group && *other != text);
                    if let Some((_, other)) = earlier {
                        let error = OptionError::Twice {
                            text: text.clone(),
                            other: (*other).to_owned(),
                        };
                        errors.push((i, error));
                    }
                    seen.push((group, text));
                }
                Err(error) => errors.push((i, error)),
            }
        }
        if errors.is_empty() {
            let mut checked: Vec<String> = Vec::new();
            for text in texts {
                // Version and protocol are set by whoever mounts: `tcp` is the only one there is.
                let set = said_version(text).is_some() || text.starts_with("proto=");
                if !set && !checked.contains(text) {
                    checked.push(text.clone());
                }
            }
            Ok(Self { checked, version })
        } else {
            Err(errors)
        }
    }

    /// The version of the protocol, if an option says it.
    pub fn version(&self) -> Option<NfsVersion> {
        self.version
    }

    /// Name and value of each option, without version and protocol.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.checked.iter().map(|text| match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text.as_str(), None),
        })
    }

    /// Whether an option is given.
    pub fn has(&self, name: &str) -> bool {
        self.iter().any(|(known, _)| known == name)
    }
}

fn said_version(text: &str) -> Option<NfsVersion> {
    let (name, value) = text.split_once('=')?;
    let says = OPTIONS.contains(&(name, Takes::Version));
    says.then(|| value.parse().ok()).flatten()
}

/// Checks one option; what it is about, so that a second one about the same thing is found.
fn option(text: &str) -> Result<String, OptionError> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let unknown = || OptionError::Unknown {
        text: text.to_owned(),
    };
    let wrong = |expected: String| OptionError::Value {
        text: text.to_owned(),
        expected,
    };
    let (_, takes) = OPTIONS
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(unknown)?;
    match (takes, value) {
        (Takes::Flag(group), None) => Ok((*group).to_owned()),
        (Takes::Flag(_), Some(_)) => Err(wrong(format!("'{name}' without a value"))),
        (Takes::Number(least, most), value) => {
            let plain = value.filter(|v| v.bytes().all(|b| b.is_ascii_digit()));
            let number = plain.and_then(|value| value.parse::<u32>().ok());
            match number {
                Some(number) if (*least..=*most).contains(&number) => Ok(name.to_owned()),
                Some(_) | None => Err(wrong(format!("'{name}=' with {least} to {most}"))),
            }
        }
        (Takes::Word(words), value) => match value {
            Some(value) if words.contains(&value) => Ok(name.to_owned()),
            Some(_) | None => Err(wrong(format!("'{name}=' with {}", words.join(" or ")))),
        },
        (Takes::Version, value) => match value.map(str::parse::<NfsVersion>) {
            Some(Ok(_)) => Ok("version".to_owned()),
            Some(Err(_)) | None => Err(wrong(format!("'{name}=' with 3, 4.0, 4.1 or 4.2"))),
        },
    }
}

/// Checks server and path of an export, and puts them together as the kernel wants them.
///
/// # Errors
/// The one that is wrong.
pub fn server_path(server: &str, path: &str) -> Result<String, OptionError> {
    check_server(server)?;
    check_path(path)?;
    Ok(if server.contains(':') {
        format!("[{server}]:{path}")
    } else {
        format!("{server}:{path}")
    })
}

/// A name or an address, and nothing else: no option, no URL, no path, no port. An IPv6 address is
/// written without brackets.
fn check_server(server: &str) -> Result<(), OptionError> {
    let name = |part: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&part.len())
            && part.bytes().all(inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let right = match server.parse::<IpAddr>() {
        Ok(address) => is_host(address),
        // What is all digits is no name: some would read it as an address.
        Err(_) => {
            server.len() <= 253
                && server.split('.').all(name)
                && server.bytes().any(|b| b.is_ascii_alphabetic())
        }
    };
    if right {
        Ok(())
    } else {
        Err(OptionError::Server {
            text: server.to_owned(),
        })
    }
}

/// Whether an address can be that of one host. Link-local ones cannot be told apart between
/// networks, and one of them hands out the credentials of cloud machines.
fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !v4.is_link_local() && !v4.is_multicast() && !v4.is_broadcast() && !v4.is_unspecified()
        }
        IpAddr::V6(v6) => {
            let inner = v6.to_ipv4_mapped();
            inner.is_none_or(|v4| is_host(IpAddr::V4(v4)))
                && !v6.is_unicast_link_local()
                && !v6.is_multicast()
                && !v6.is_unspecified()
        }
    }
}

fn check_path(path: &str) -> Result<(), OptionError> {
    let plain = path.len() <= 1024
        && path.starts_with('/')
        && !path.contains("//")
        && !path.split('/').any(|part| part == "." || part == "..")
        && !path
            .chars()
            .any(|c| c.is_control() || c == ',' || c == '\\');
    if plain {
        Ok(())
    } else {
        Err(OptionError::Path {
            text: path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<NfsOptions, Vec<(usize, OptionError)>> {
        let texts: Vec<String> = texts.iter().map(|t| (*t).to_owned()).collect();
        NfsOptions::parse(&texts)
    }

    #[test]
    fn options_on_the_list_are_taken_as_they_are() {
        let options = parse(&["hard", "timeo=50", "lookupcache=none", "nconnect=4"]).unwrap();
        let all: Vec<_> = options.iter().collect();
        assert_eq!(all[1], ("timeo", Some("50")));
        assert!(options.has("hard") && !options.has("soft"));
    }

    #[test]
    fn nothing_else_is_an_option() {
        for text in [
            "suid",
            "dev",
            "exec",
            "rw,suid",
            "hard,suid",
            "timeo=5,suid",
            "timeo=",
            "timeo=+5",
            "timeo=0",
            "timeo=99999999999",
            "hard=1",
            "addr=10.0.0.1",
            "sec=krb5",
            "bg",
            "",
            " hard",
            "lookupcache=some",
            "context=x",
            "vers=2",
            "nfsvers=4.3",
            "nfsvers",
            "proto=udp",
            "timeo=5\nsuid",
            "timeo=5\0",
        ] {
            let refused = parse(&["hard", text]).unwrap_err();
            assert_eq!((refused.len(), refused[0].0), (1, 1), "{text:?}");
        }
        let refused = parse(&["hard", "soft"]).unwrap_err();
        assert!(matches!(refused[0].1, OptionError::Twice { .. }));
        assert!(parse(&["timeo=5", "timeo=6"]).is_err());
    }

    #[test]
    fn the_version_is_taken_out_of_the_options() {
        let options = parse(&["hard", "nfsvers=4.1", "hard", "proto=tcp"]).unwrap();
        assert_eq!(options.version(), Some(NfsVersion::V4_1));
        assert_eq!(options.iter().collect::<Vec<_>>(), [("hard", None)]);
        assert_eq!(
            parse(&["vers=4"]).unwrap().version(),
            Some(NfsVersion::V4_2)
        );
        assert_eq!(parse(&["hard"]).unwrap().version(), None);
        let refused = parse(&["vers=3", "nfsvers=4.1"]).unwrap_err();
        assert!(matches!(refused[0].1, OptionError::Twice { .. }));
    }

    #[test]
    fn a_server_is_a_name_or_an_address() {
        for server in ["nas", "nas-1.example.org", "10.0.0.7", "fd00::7", "nas_1"] {
            assert!(server_path(server, "/x").is_ok(), "{server}");
        }
        assert_eq!(server_path("fd00::7", "/x").unwrap(), "[fd00::7]:/x");
        for server in [
            "",
            "[::1]",
            "nas:2049",
            "nas,suid",
            "nfs://nas",
            "file:///etc",
            "-o",
            "nas/x",
            "na s",
            "nas\n",
            "nas\0",
            "a..b",
            "../nas",
            "10.0.0.7 -o suid",
            "user@nas",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "2852039166",
            "0251.0376.0251.0376",
        ] {
            let error = server_path(server, "/x").unwrap_err();
            assert!(matches!(error, OptionError::Server { .. }), "{server:?}");
        }
    }

    #[test]
    fn a_path_is_plain_and_absolute() {
        for path in ["/", "/exports", "/exports/web 0", "/a.b/c..d"] {
            assert!(server_path("nas", path).is_ok(), "{path}");
        }
        for path in [
            "", "exports", "/a/../b", "/..", "/a/./b", "/a//b", "/a,suid", "/a\nb", "/a\0b",
            "/a\\b",
        ] {
            let error = server_path("nas", path).unwrap_err();
            assert!(matches!(error, OptionError::Path { .. }), "{path:?}");
        }
    }
}
