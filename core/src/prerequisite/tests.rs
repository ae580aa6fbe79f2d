//! What is found on hosts, and whether it is what is asked for.

use super::*;

fn sysctl(value: &str) -> Prerequisite {
    Prerequisite::Sysctl {
        name: "vm.max_map_count".to_owned(),
        value: value.to_owned(),
    }
}

fn value(text: &str) -> Fact {
    Fact::Value(text.to_owned())
}

fn holds(required: &Prerequisite, fact: &Fact) -> bool {
    required.judge(fact) == Finding::Met
}

#[test]
fn sysctls_are_compared_as_numbers_where_they_are_some() {
    for (wanted, found, expected) in [
        (">=262144", "262144", true),
        (">= 262144", "65530", false),
        (">=262144", "1048576", true),
        ("<10", "9", true),
        ("<10", "10", false),
        (">1", "1", false),
        ("<=1", "1", true),
        ("!=2", "1", true),
        ("!=2", "02", false),
        ("1", "1", true),
        ("=1", "0", false),
        ("cubic", "cubic", true),
        ("!=cubic", "bbr", true),
        ("4096 87380 6291456", "4096\t87380\t6291456", true),
        (">=4096", "4096\t87380\t6291456", false),
        ("-1", "-1", true),
    ] {
        assert_eq!(
            holds(&sysctl(wanted), &value(found)),
            expected,
            "{found} {wanted}"
        );
    }
    assert!(!holds(&sysctl("1"), &Fact::Absent));
    assert!(!holds(&sysctl("1"), &Fact::Unknown("no answer".to_owned())));
    assert_eq!(Comparison::parse(">="), Err(ComparisonError::Empty));
    assert!(Comparison::parse(">=many").is_err());
}

#[test]
fn a_slip_of_a_sign_is_not_taken_for_a_value() {
    for (text, meant) in [
        ("=>262144", "write '>=262144'"),
        ("=< 1", "write '<=1'"),
        ("=!2", "write '!=2'"),
        ("<>2", "write '!=2'"),
        ("===2", "write '=2'"),
        ("!2", "write one of >=, <=, >, <, = and != before the value"),
        (
            "~>2",
            "write one of >=, <=, >, <, = and != before the value",
        ),
        (
            ">>2",
            "write one of >=, <=, >, <, = and != before the value",
        ),
    ] {
        let told = Comparison::parse(text).unwrap_err().to_string();
        assert_eq!(told, format!("'{text}' is no comparison; {meant}"));
    }
}

#[test]
fn paths_users_ports_and_units_are_judged_by_what_is_there() {
    let path = |kind| Prerequisite::Path {
        path: "/opt/db".to_owned(),
        kind,
    };
    for (kind, found, expected) in [
        (PathType::Exists, FoundPath::Other, true),
        (PathType::Directory, FoundPath::Directory, true),
        (PathType::Directory, FoundPath::File, false),
        (PathType::File, FoundPath::Executable, true),
        (PathType::Executable, FoundPath::File, false),
        (PathType::Executable, FoundPath::Executable, true),
    ] {
        assert_eq!(holds(&path(kind), &Fact::Kind(found)), expected, "{kind:?}");
    }
    assert!(!holds(&path(PathType::Exists), &Fact::Absent));
    let user = Prerequisite::User {
        name: "db".to_owned(),
    };
    assert!(holds(&user, &value("999")) && !holds(&user, &Fact::Absent));
    let port = Prerequisite::Port {
        port: 80,
        protocol: Protocol::Tcp,
    };
    assert!(holds(&port, &Fact::Absent) && !holds(&port, &value("nginx")));
    let unit = |state| Prerequisite::Unit {
        name: "ntp.service".to_owned(),
        state,
    };
    assert!(holds(&unit(UnitState::Active), &value("active")));
    assert!(!holds(&unit(UnitState::Active), &value("activating")));
    assert!(!holds(&unit(UnitState::Active), &Fact::Absent));
    assert!(holds(&unit(UnitState::Inactive), &Fact::Absent));
    assert!(!holds(
        &unit(UnitState::Inactive),
        &Fact::Unknown("no systemd".to_owned())
    ));
}

#[test]
fn what_is_unmet_says_what_was_found_and_what_to_do() {
    let Finding::Unmet { found } = sysctl(">=262144").judge(&value("65530")) else {
        panic!("it is not met");
    };
    let unmet = Unmet {
        required: sysctl(">=262144"),
        found,
    };
    assert_eq!(
        unmet.to_string(),
        "requires sysctl vm.max_map_count >=262144, found 65530; set it there with sysctl -w, and \
         in /etc/sysctl.d"
    );
}
