//! Users and groups by name or number. Asked here, in the agent, because name services load
//! libraries: a keeper gets numbers. Whether the host allows them is the policy's to say.

use std::ffi::CString;

use berth_core::{
    ids::ProcessName,
    waiting::{Privilege, Reason},
};
use nix::{
    errno::Errno,
    unistd::{Gid, Group, Uid, User, getgrouplist},
};

use super::{
    policy::{Known, LocalPolicy},
    step_failed,
};
use crate::keeper::spec::Identity;

/// Finds out who a process is to run as, and whether it may.
///
/// # Errors
/// `UserMissing`, `Forbidden`, `StepFailed` if the name service fails.
pub(super) fn resolve(
    policy: &LocalPolicy,
    process: &ProcessName,
    user: &str,
    group: Option<&str>,
    supplemental: &[String],
) -> Result<Identity, Reason> {
    let missing = |privilege| Reason::UserMissing {
        process: process.clone(),
        privilege,
    };
    let failed = |e: Errno| step_failed(format!("look up user {user}"), e.desc());
    let forbids = |refused| policy.forbids(process, refused);
    let account = account(user).map_err(failed)?;
    let account = account.ok_or_else(|| missing(Privilege::User(user.to_owned())))?;
    let by_account = account.groups(account.gid).map_err(failed)?;
    let asked = Known {
        asked: user,
        name: account.name.as_deref(),
        id: account.uid,
    };
    policy.user(asked).map_err(forbids)?;
    let allowed = |name: &str| {
        let found = group_of(name).map_err(failed)?;
        let (gid, known) = found.ok_or_else(|| missing(Privilege::Group(name.to_owned())))?;
        let group = Known {
            asked: name,
            name: known.as_deref(),
            id: gid,
        };
        policy.group(group, &by_account).map_err(forbids)?;
        Ok(gid)
    };
    let gid = group.map_or(Ok(account.gid), allowed)?;
    let mut groups = account.groups(gid).map_err(failed)?;
    for name in supplemental {
        let gid = allowed(name)?;
        if !groups.contains(&gid) {
            groups.push(gid);
        }
    }
    // That of root may also come with the account.
    let root = Known {
        asked: "0",
        name: Some("root"),
        id: Gid::from_raw(0),
    };
    if groups.contains(&root.id) {
        policy.group(root, &groups).map_err(forbids)?;
    }
    Ok(Identity {
        uid: account.uid.as_raw(),
        gid: gid.as_raw(),
        groups: groups.into_iter().map(Gid::as_raw).collect(),
    })
}

/// A user, as far as the host knows it.
struct Account {
    uid: Uid,
    /// Its own group.
    gid: Gid,
    /// None for a number that nobody has.
    name: Option<String>,
}

impl Account {
    /// Its groups, with this one in place of its own.
    fn groups(&self, gid: Gid) -> Result<Vec<Gid>, Errno> {
        match self.name.as_deref().map(CString::new) {
            Some(Ok(name)) => getgrouplist(&name, gid),
            Some(Err(_)) | None => Ok(vec![gid]),
        }
    }
}

fn account(user: &str) -> Result<Option<Account>, Errno> {
    let number = user.parse::<u32>().ok();
    let found = match number {
        Some(number) => User::from_uid(Uid::from_raw(number)),
        None => User::from_name(user),
    };
    let known = found?.map(|found| Account {
        uid: found.uid,
        gid: found.gid,
        name: Some(found.name),
    });
    // A number without an account has no group of its own but the same number.
    let nameless = |number| Account {
        uid: Uid::from_raw(number),
        gid: Gid::from_raw(number),
        name: None,
    };
    Ok(known.or_else(|| number.map(nameless)))
}

/// The number of a group, and its name, if it has one.
fn group_of(group: &str) -> Result<Option<(Gid, Option<String>)>, Errno> {
    let number = group.parse::<u32>().ok().map(Gid::from_raw);
    let found = match number {
        Some(number) => Group::from_gid(number),
        None => Group::from_name(group),
    };
    let known = found?.map(|found| (found.gid, Some(found.name)));
    Ok(known.or_else(|| number.map(|number| (number, None))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(
        policy: &LocalPolicy,
        user: &str,
        group: Option<&str>,
        more: &[&str],
    ) -> Result<Identity, Reason> {
        let more: Vec<_> = more.iter().map(ToString::to_string).collect();
        resolve(policy, &"db".parse().unwrap(), user, group, &more)
    }

    /// What was refused, and by which key.
    fn refusal(asked: Result<Identity, Reason>) -> (Privilege, String) {
        let reason = asked.unwrap_err();
        let Reason::Forbidden(forbidden) = reason else {
            panic!("{reason}");
        };
        (forbidden.privilege, forbidden.key)
    }

    fn group(name: &str) -> Privilege {
        Privilege::Group(name.to_owned())
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        let policy = LocalPolicy {
            allowed_groups: vec!["daemon".to_owned()],
            ..LocalPolicy::default()
        };
        let daemon = ask(&policy, "daemon", None, &[]).unwrap();
        let by_number = ask(&policy, &daemon.uid.to_string(), None, &[]);
        assert_eq!(by_number.unwrap(), daemon);
        let nameless = ask(&policy, "54321", None, &[]).unwrap();
        assert_eq!((nameless.uid, nameless.gid), (54321, 54321));
        assert_eq!(nameless.groups, [54321]);
        let other = ask(&policy, "54321", Some("daemon"), &[]).unwrap();
        assert_eq!(other.gid, daemon.gid);
    }

    #[test]
    fn a_missing_name_is_named_as_what_it_is() {
        let policy = LocalPolicy::default();
        let user = Privilege::User("no-such-user".to_owned());
        for (asked, told) in [
            (ask(&policy, "no-such-user", None, &[]), user),
            (
                ask(&policy, "daemon", Some("no-such"), &[]),
                group("no-such"),
            ),
            (ask(&policy, "daemon", None, &["no-such"]), group("no-such")),
        ] {
            let error = asked.unwrap_err();
            assert!(
                matches!(&error, Reason::UserMissing { privilege, .. } if *privilege == told),
                "{error}"
            );
        }
    }

    #[test]
    fn root_is_forbidden_however_it_is_called() {
        let policy = LocalPolicy {
            allowed_groups: vec!["root".to_owned(), "0".to_owned()],
            ..LocalPolicy::default()
        };
        for (user, group, more) in [
            ("root", None, &[][..]),
            ("0", None, &[]),
            ("daemon", Some("root"), &[]),
            ("daemon", Some("0"), &[]),
            ("daemon", None, &["root"]),
        ] {
            let (_, key) = refusal(ask(&policy, user, group, more));
            assert_eq!(key, "policy.allowRoot", "{user} {group:?} {more:?}");
        }
        let allow_root = LocalPolicy {
            allow_root: true,
            ..LocalPolicy::default()
        };
        assert_eq!(ask(&allow_root, "root", None, &[]).unwrap().uid, 0);
    }

    #[test]
    fn a_list_of_users_allows_no_others() {
        let policy = LocalPolicy {
            allowed_users: vec!["daemon".to_owned()],
            ..LocalPolicy::default()
        };
        assert!(ask(&policy, "daemon", None, &[]).is_ok());
        let (what, key) = refusal(ask(&policy, "nobody", None, &[]));
        assert_eq!(what, Privilege::User("nobody".to_owned()));
        assert_eq!(key, "policy.allowedUsers");
    }

    #[test]
    fn a_group_is_the_accounts_own_or_is_listed() {
        let none = LocalPolicy::default();
        let told = (group("daemon"), "policy.allowedGroups".to_owned());
        assert_eq!(refusal(ask(&none, "54321", Some("daemon"), &[])), told);
        assert_eq!(refusal(ask(&none, "54321", None, &["daemon"])), told);
        let daemon = ask(&none, "daemon", Some("daemon"), &["daemon"]).unwrap();
        assert_eq!(daemon.groups, [daemon.gid], "its own, once");
        let number = daemon.gid.to_string();
        for listed in ["daemon", &number] {
            let policy = LocalPolicy {
                allowed_groups: vec![listed.to_owned()],
                ..LocalPolicy::default()
            };
            for asked in ["daemon", &number] {
                let got = ask(&policy, "54321", None, &[asked, asked, "54321"]).unwrap();
                assert_eq!(got.groups, [54321, daemon.gid], "{listed} {asked}");
            }
        }
    }

    #[test]
    fn who_is_refused_is_told_what_would_allow_it_and_where() {
        let policy = LocalPolicy {
            file: "/etc/berth/other.yaml".into(),
            ..LocalPolicy::default()
        };
        let error = ask(&policy, "54321", None, &["daemon"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "process db: group 'daemon' is not allowed by policy.allowedGroups in \
             /etc/berth/other.yaml of its host"
        );
    }
}
