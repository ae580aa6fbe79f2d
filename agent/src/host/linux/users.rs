//! Users and groups by name or number, and the host's policy about them. Asked here, in the agent,
//! because name services load libraries: a keeper gets numbers.

use std::ffi::CString;

use berth_core::{ids::ProcessName, waiting::Reason};
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use super::step_failed;
use crate::keeper::spec::Identity;

/// Who processes may run as on this host. The host's own word: no coordinator overrules it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserPolicy {
    /// Whether user 0 or group 0 is allowed.
    pub allow_root: bool,
    /// The only users allowed, by name or number; all (but root) if empty.
    pub allowed_users: Vec<String>,
}

/// Finds out who a process is to run as, and whether it may.
///
/// # Errors
/// `UserMissing`, `UserForbidden`, `StepFailed` if the name service fails.
pub(super) fn resolve(
    policy: &UserPolicy,
    process: &ProcessName,
    user: &str,
    group: Option<&str>,
    supplemental: &[String],
) -> Result<Identity, Reason> {
    let missing = |name: &str| Reason::UserMissing {
        process: process.clone(),
        user: name.to_owned(),
    };
    let failed = |e: nix::errno::Errno| step_failed(format!("look up user {user}"), e.desc());
    let found = match user.parse::<u32>() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(user),
    };
    let found = found.map_err(failed)?;
    let uid = match (&found, user.parse::<u32>()) {
        (Some(found), _) => found.uid,
        (None, Ok(number)) => Uid::from_raw(number),
        (None, Err(_)) => return Err(missing(user)),
    };
    let gid = match group {
        Some(name) => group_number(name, failed)?.ok_or_else(|| missing(name))?,
        // A number without an account has no group of its own but the same number.
        None => found
            .as_ref()
            .map_or_else(|| Gid::from_raw(uid.as_raw()), |found| found.gid),
    };
    let mut groups = match found
        .as_ref()
        .map(|found| CString::new(found.name.as_str()))
    {
        Some(Ok(name)) => getgrouplist(&name, gid).map_err(failed)?,
        Some(Err(_)) | None => vec![gid],
    };
    for name in supplemental {
        let gid = group_number(name, failed)?.ok_or_else(|| missing(name))?;
        if !groups.contains(&gid) {
            groups.push(gid);
        }
    }
    let named = found.as_ref().map(|found| found.name.as_str());
    if !policy.allows(user, named, uid, &groups) {
        return Err(Reason::UserForbidden {
            process: process.clone(),
            user: user.to_owned(),
        });
    }
    Ok(Identity {
        uid: uid.as_raw(),
        gid: gid.as_raw(),
        groups: groups.into_iter().map(Gid::as_raw).collect(),
    })
}

fn group_number(
    name: &str,
    failed: impl Fn(nix::errno::Errno) -> Reason,
) -> Result<Option<Gid>, Reason> {
    if let Ok(number) = name.parse::<u32>() {
        return Ok(Some(Gid::from_raw(number)));
    }
    let group = Group::from_name(name).map_err(failed)?;
    Ok(group.map(|group| group.gid))
}

impl UserPolicy {
    fn allows(&self, asked: &str, name: Option<&str>, uid: Uid, groups: &[Gid]) -> bool {
        let root = uid.is_root() || groups.iter().any(|gid| gid.as_raw() == 0);
        if root && !self.allow_root {
            return false;
        }
        let number = uid.to_string();
        let listed = |allowed: &String| {
            *allowed == asked || Some(allowed.as_str()) == name || *allowed == number
        };
        self.allowed_users.is_empty() || self.allowed_users.iter().any(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(policy: &UserPolicy, user: &str, group: Option<&str>) -> Result<Identity, Reason> {
        resolve(policy, &"db".parse().unwrap(), user, group, &[])
    }

    #[test]
    fn more_groups_are_added_once_each_and_that_of_root_is_forbidden() {
        let policy = UserPolicy::default();
        let ask = |groups: &[&str]| {
            let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
            resolve(&policy, &"db".parse().unwrap(), "54321", None, &groups)
        };
        assert_eq!(ask(&["7", "54321", "7"]).unwrap().groups, [54321, 7]);
        let error = ask(&["no-such-group"]).unwrap_err();
        assert!(matches!(error, Reason::UserMissing { user, .. } if user == "no-such-group"));
        let error = ask(&["root"]).unwrap_err();
        assert!(matches!(error, Reason::UserForbidden { .. }), "{error}");
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        let policy = UserPolicy::default();
        let daemon = ask(&policy, "daemon", None).unwrap();
        assert_eq!(ask(&policy, &daemon.uid.to_string(), None).unwrap(), daemon);
        let nameless = ask(&policy, "54321", None).unwrap();
        assert_eq!((nameless.uid, nameless.gid), (54321, 54321));
        assert_eq!(nameless.groups, [54321]);
        let other = ask(&policy, "54321", Some("daemon")).unwrap();
        assert_eq!(other.gid, daemon.gid);
    }

    #[test]
    fn a_missing_name_is_named() {
        let policy = UserPolicy::default();
        let error = ask(&policy, "no-such-user", None).unwrap_err();
        assert!(matches!(error, Reason::UserMissing { user, .. } if user == "no-such-user"));
        let error = ask(&policy, "daemon", Some("no-such-group")).unwrap_err();
        assert!(matches!(error, Reason::UserMissing { user, .. } if user == "no-such-group"));
    }

    #[test]
    fn root_is_forbidden_however_it_is_called() {
        let policy = UserPolicy::default();
        for (user, group) in [("root", None), ("0", None), ("daemon", Some("root"))] {
            let error = ask(&policy, user, group).unwrap_err();
            assert!(matches!(error, Reason::UserForbidden { .. }), "{user}");
        }
        let allow_root = UserPolicy {
            allow_root: true,
            allowed_users: Vec::new(),
        };
        assert_eq!(ask(&allow_root, "root", None).unwrap().uid, 0);
    }

    #[test]
    fn a_list_of_users_allows_no_others() {
        let policy = UserPolicy {
            allow_root: false,
            allowed_users: vec!["daemon".to_owned()],
        };
        assert!(ask(&policy, "daemon", None).is_ok());
        let error = ask(&policy, "nobody", None).unwrap_err();
        assert!(matches!(error, Reason::UserForbidden { .. }));
    }
}
