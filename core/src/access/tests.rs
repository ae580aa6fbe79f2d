//! Who may do what, and with which token one may join.

use std::time::Duration;

use super::*;

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

fn token(only: Option<&str>) -> JoinToken {
    JoinToken {
        hash: "h".to_owned(),
        host: only.map(host),
        created: Timestamp(0),
        expires: Timestamp(1000),
        used: None,
    }
}

#[test]
fn a_token_is_good_for_one_host_once_and_for_a_while() {
    let any = token(None);
    let check = |token: &JoinToken, hash: &str, name: &str, known, now| {
        token.check(hash, &host(name), known, Timestamp(now))
    };
    assert_eq!(check(&any, "h", "host-1", false, 999), Ok(()));
    assert_eq!(
        check(&any, "h", "host-1", false, 1000),
        Err(TokenRefusal::Expired(Timestamp(1000)))
    );
    // A name that somebody has is had with a token for it only.
    assert_eq!(
        check(&any, "h", "host-1", true, 0),
        Err(TokenRefusal::Known(host("host-1")))
    );
    let own = token(Some("host-1"));
    assert_eq!(check(&own, "h", "host-1", true, 0), Ok(()));
    assert_eq!(
        check(&own, "h", "host-2", false, 0),
        Err(TokenRefusal::OtherHost(host("host-1")))
    );
    let used = JoinToken {
        used: Some((host("host-1"), Timestamp(5))),
        ..own
    };
    let refusal = check(&used, "h", "host-1", true, 6).unwrap_err();
    assert!(
        refusal.to_string().contains("was used by host host-1"),
        "{refusal}"
    );
    // Whoever does not know the secret is not told more.
    assert_eq!(
        check(&used, "x", "host-1", true, 6),
        Err(TokenRefusal::Unknown)
    );
    assert!(!used.is_forgotten(Timestamp(1001)));
    assert!(used.is_forgotten(Timestamp(1000).plus(FORGET_AFTER)));
}

#[test]
fn a_removed_host_comes_back_with_a_new_certificate_only() {
    let mut access = Access::default();
    let caller = |issued| Caller::Host {
        host: host("host-1"),
        issued: Timestamp(issued),
    };
    let agent = Rights::Agent(host("host-1"));
    assert_eq!(access.rights(&caller(5)), Ok(agent.clone()));
    let until = Timestamp(5).plus(Duration::from_millis(1));
    let revocation = Revocation { until };
    access.revocations.insert(host("host-1"), revocation);
    let refused = AccessError::HostRevoked(host("host-1"));
    assert_eq!(access.rights(&caller(6)), Err(refused));
    assert_eq!(access.rights(&caller(7)), Ok(agent));
}

#[test]
fn an_operator_is_what_the_store_says_now() {
    let mut access = Access::default();
    let ann: UserName = "ann".parse().unwrap();
    let caller = Caller::User {
        name: ann.clone(),
        issued: Timestamp(5),
    };
    assert_eq!(
        access.rights(&caller),
        Err(AccessError::NoUser(ann.clone()))
    );
    let user = User {
        role: Role::Operator,
        namespaces: ["shop".parse().unwrap()].into(),
        since: Timestamp(5),
    };
    access.users.insert(ann.clone(), user.clone());
    let rights = access.rights(&caller).unwrap();
    assert!(rights.limited());
    assert!(rights.reach(&"shop".parse().unwrap()));
    // Exactly: no name is a pattern.
    for other in ["sho", "shop2", "default"] {
        assert!(!rights.reach(&other.parse().unwrap()), "{other}");
    }
    let since = Timestamp(6);
    access.users.insert(ann.clone(), User { since, ..user });
    assert_eq!(access.rights(&caller), Err(AccessError::UserRevoked(ann)));
}

#[test]
fn nobody_and_agents_reach_no_namespace() {
    let access = Access::default();
    let default: Namespace = "default".parse().unwrap();
    assert_eq!(access.rights(&Caller::Nobody), Ok(Rights::Nothing));
    assert!(!Rights::Nothing.reach(&default));
    assert!(!Rights::Agent(host("host-1")).reach(&default));
    assert!(Rights::Root.reach(&default));
    assert_eq!("admin".parse(), Ok(Role::Admin));
    let error = "root".parse::<Role>().unwrap_err().to_string();
    assert!(error.ends_with("give viewer, operator or admin"), "{error}");
}
