//! What a command is about: `sts/etcd`, `sts etcd`, `member/etcd-0`, `host/host-1`.
//!
//! Members and hosts are no stored objects, but people name them in the same way.

use std::fmt;

use berth_core::spec::Kind;

use crate::error::CliError;

/// A kind that can be named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetKind {
    /// An object of the store.
    Object(Kind),
    /// A member of a set.
    Member,
    /// A machine with an agent.
    Host,
}

/// A kind and, perhaps, a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The kind.
    pub(crate) kind: TargetKind,
    /// The name, if one was given.
    pub(crate) name: Option<String>,
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(kind) => kind.fmt(f),
            Self::Member => f.write_str("Member"),
            Self::Host => f.write_str("Host"),
        }
    }
}

fn kind(text: &str) -> Result<TargetKind, CliError> {
    match text.to_ascii_lowercase().as_str() {
        // The words of Kubernetes name what takes their place here.
        "member" | "members" | "pod" | "pods" | "po" => Ok(TargetKind::Member),
        "host" | "hosts" | "node" | "nodes" | "no" => Ok(TargetKind::Host),
        _ => text
            .parse()
            .map(TargetKind::Object)
            .map_err(|_| CliError::Usage {
                message: format!("there is no kind '{text}'"),
                hint: "use sts, svc, cm, secret, pool, sc, pv, pvc, member or host; events are \
                       shown by `berth events`"
                    .to_owned(),
            }),
    }
}

/// Reads `KIND`, `KIND NAME` or `KIND/NAME`.
pub(crate) fn parse(first: &str, second: Option<&str>) -> Result<Target, CliError> {
    let (kind_text, slashed) = match first.split_once('/') {
        Some((kind, name)) => (kind, Some(name)),
        None => (first, None),
    };
    let kind = kind(kind_text)?;
    let name = match (slashed, second) {
        (Some(_), Some(_)) => {
            return Err(CliError::Usage {
                message: format!("'{first}' already has a name, and another one follows"),
                hint: "give KIND/NAME or KIND NAME".to_owned(),
            });
        }
        (Some(""), None) => {
            return Err(CliError::Usage {
                message: format!("'{first}' lacks the name"),
                hint: "give KIND/NAME, such as sts/etcd".to_owned(),
            });
        }
        (name, None) | (None, name) => name.map(str::to_owned),
    };
    Ok(Target { kind, name })
}

/// Reads a target that must have a name.
pub(crate) fn parse_named(
    first: &str,
    second: Option<&str>,
) -> Result<(TargetKind, String), CliError> {
    let target = parse(first, second)?;
    match target.name {
        Some(name) => Ok((target.kind, name)),
        None => Err(CliError::Usage {
            message: format!("which {}? the name is missing", target.kind),
            hint: "give KIND/NAME or KIND NAME, such as sts/etcd".to_owned(),
        }),
    }
}

/// Reads `sts/NAME`, `sts NAME`, or a bare `NAME`, where only a set makes sense.
pub(crate) fn parse_set(first: &str, second: Option<&str>) -> Result<String, CliError> {
    if !first.contains('/') && second.is_none() {
        return Ok(first.to_owned());
    }
    match parse_named(first, second)? {
        (TargetKind::Object(Kind::StatefulSet), name) => Ok(name),
        (kind, _) => Err(CliError::Usage {
            message: format!("this works on a StatefulSet, not on a {kind}"),
            hint: "give sts/NAME".to_owned(),
        }),
    }
}

/// Reads `member/NAME`, or a bare `NAME`, where only a member makes sense.
pub(crate) fn parse_member(text: &str) -> Result<String, CliError> {
    if !text.contains('/') {
        return Ok(text.to_owned());
    }
    match parse_named(text, None)? {
        (TargetKind::Member, name) => Ok(name),
        (kind, _) => Err(CliError::Usage {
            message: format!("this works on a member, not on a {kind}"),
            hint: "give the member's name, such as etcd-0".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same() {
        let slashed = parse("sts/etcd", None).unwrap();
        assert_eq!(slashed, parse("StatefulSets", Some("etcd")).unwrap());
        assert_eq!(slashed.kind, TargetKind::Object(Kind::StatefulSet));
        assert_eq!(parse("members", None).unwrap().kind, TargetKind::Member);
        assert_eq!(parse_set("etcd", None).unwrap(), "etcd");
        assert_eq!(parse_set("sts", Some("etcd")).unwrap(), "etcd");
        assert_eq!(parse("pods", None).unwrap().kind, TargetKind::Member);
        assert_eq!(parse_member("member/etcd-0").unwrap(), "etcd-0");
    }

    #[test]
    fn wrong_ones_say_what_would_be_right() {
        for (first, second) in [("deployments", None), ("sts/", None), ("sts/a", Some("b"))] {
            let error = parse(first, second).unwrap_err();
            assert!(!error.hint().is_empty(), "{error}");
        }
        assert!(parse_named("sts", None).is_err());
        assert!(parse_set("svc/web", None).is_err());
        assert!(parse_member("sts/etcd").is_err());
    }
}
