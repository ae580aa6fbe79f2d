//! Rules about what a set requires of a host. Nothing of it is rendered: it is the same for all
//! members.

use std::collections::BTreeSet;

use super::Problems;
use crate::{
    prerequisite::Comparison,
    spec::{RequiredUnit, Requires},
    template::ROOT,
};

/// The types of units that have a state worth asking for.
const UNIT_TYPES: [&str; 8] = [
    ".service",
    ".socket",
    ".mount",
    ".automount",
    ".target",
    ".timer",
    ".path",
    ".swap",
];

pub(super) fn check(problems: &mut Problems, requires: &Requires) {
    let at = format!("{ROOT}.requires");
    for (name, value) in &requires.sysctls {
        let field = format!("{at}.sysctls.{name}");
        problems.check(&field, sysctl_name(name));
        problems.check(field, Comparison::parse(value).map(drop));
    }
    for (i, user) in requires.users.iter().enumerate() {
        problems.check(format!("{at}.users[{i}]"), plain("name of a user", user));
    }
    for (i, one) in requires.paths.iter().enumerate() {
        problems.check(format!("{at}.paths[{i}].path"), absolute(&one.path));
    }
    for (i, one) in requires.ports.iter().enumerate() {
        if !(1..=65_535).contains(&one.port) {
            let message = format!("{} is no port; give 1 to 65535", one.port);
            problems.add(format!("{at}.ports[{i}].port"), message);
        }
    }
    for (i, unit) in requires.units.iter().enumerate() {
        problems.check(format!("{at}.units[{i}].name"), unit_name(unit));
    }
    twice(problems, &at, requires);
}

/// Of a unit that is asked for twice, one word is always wrong.
fn twice(problems: &mut Problems, at: &str, requires: &Requires) {
    let mut names = BTreeSet::new();
    for (i, unit) in requires.units.iter().enumerate() {
        if !unit.name.is_empty() && !names.insert(&unit.name) {
            let message = format!("'{}' is there twice; keep one of them", unit.name);
            problems.add(format!("{at}.units[{i}].name"), message);
        }
    }
}

fn sysctl_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-./:@".contains(c);
    let parts = || name.split(['.', '/']);
    if name.chars().all(fits) && parts().count() > 1 && parts().all(|part| !part.is_empty()) {
        return Ok(());
    }
    Err(format!(
        "'{name}' is no name of a sysctl; write it as `sysctl -a` does, such as vm.max_map_count"
    ))
}

fn plain(what: &str, text: &str) -> Result<(), String> {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c == '{' || c == ':') {
        return Err(format!(
            "'{text}' is no {what}; give it as it stands on the hosts"
        ));
    }
    Ok(())
}

fn absolute(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!(
            "'{path}' does not begin with /; give a path on the hosts"
        ));
    }
    if path.contains("{{") || path.split('/').any(|part| part == "..") {
        return Err(format!(
            "'{path}' is not fixed; write it out, without {{{{ }}}} and .."
        ));
    }
    if path.contains('\0') {
        return Err("a path has no zero byte; remove it".to_owned());
    }
    Ok(())
}

fn unit_name(unit: &RequiredUnit) -> Result<(), String> {
    let name = &unit.name;
    let fits = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let typed = UNIT_TYPES.iter().any(|end| {
        let stem = name.strip_suffix(end);
        stem.is_some_and(|stem| !stem.is_empty())
    });
    if typed && name.chars().all(fits) && !name.starts_with('-') {
        return Ok(());
    }
    Err(format!(
        "'{name}' is no unit; give it with its type, such as chronyd.service"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::spec::validate::tests::{good, problems, with};

    fn one(requires: Value) -> Vec<String> {
        problems(with(good(), "/spec/template/spec/requires", requires))
    }

    #[test]
    fn what_hosts_can_have_is_accepted() {
        let requires = json!({
            "sysctls": {
                "vm.max_map_count": ">=262144",
                "net.ipv4.conf.eth0/100.rp_filter": "0",
            },
            "users": ["elasticsearch", "1000"],
            "paths": [{ "path": "/opt/es" }, { "path": "/opt/es/bin/es", "type": "Executable" }],
            "ports": [{ "port": 9200 }, { "port": 9200, "protocol": "UDP" }],
            "units": [{ "name": "chronyd.service" }, { "name": "a@b.mount", "state": "inactive" }],
        });
        assert_eq!(one(requires), [""; 0]);
    }

    #[test]
    fn what_no_host_can_have_is_refused_at_its_field() {
        let at = "spec.template.spec.requires";
        for (requires, problem) in [
            (
                json!({ "sysctls": { "vm": "1" } }),
                "sysctls.vm: 'vm' is no name of a sysctl",
            ),
            (json!({ "sysctls": { "a/../b": "1" } }), "sysctls.a/../b: "),
            (
                json!({ "sysctls": { "a.b": ">=" } }),
                "sysctls.a.b: the value is missing",
            ),
            (
                json!({ "sysctls": { "a.b": ">x" } }),
                "sysctls.a.b: 'x' is not a whole number",
            ),
            (
                json!({ "sysctls": { "a.b": "=>12" } }),
                "sysctls.a.b: '=>12' is no comparison; write '>=12'",
            ),
            (
                json!({ "users": [""] }),
                "users[0]: '' is no name of a user",
            ),
            (
                json!({ "paths": [{ "path": "opt" }] }),
                "paths[0].path: 'opt' does not begin with /",
            ),
            (
                json!({ "paths": [{ "path": "/{{ x }}" }] }),
                "paths[0].path: '/{{ x }}' is not fixed",
            ),
            (
                json!({ "ports": [{ "port": 0 }] }),
                "ports[0].port: 0 is no port",
            ),
            (
                json!({ "ports": [{ "port": 70_000 }] }),
                "ports[0].port: 70000 is no port",
            ),
            (
                json!({ "units": [{ "name": "chronyd" }] }),
                "units[0].name: 'chronyd' is no unit",
            ),
            (
                json!({ "units": [{ "name": "a.service" }, { "name": "a.service" }] }),
                "units[1].name: 'a.service' is there twice",
            ),
        ] {
            let found = one(requires);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].starts_with(&format!("{at}.{problem}")),
                "{found:?}"
            );
        }
    }
}
