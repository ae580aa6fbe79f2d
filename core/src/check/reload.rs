//! The rule about config that is delivered to members that run.

use crate::{
    check::{
        Case, Verdict,
        standing::{as_run, available, grant, heard, id, is_wanted, serves},
        updates,
    },
    ids::{MemberId, TemplateHash},
    order::ConfigData,
    plan::Step,
    report::Phase,
    spec::{ConfigUpdate, MemberSpec, UpdateKind},
    state::{Ordered, Set, State},
    time::Timestamp,
};

pub(super) fn reload_fits(case: &Case<'_>) -> Verdict {
    let Step::Reload {
        member: id,
        revision,
        ..
    } = case.step
    else {
        return Ok(());
    };
    let Some((set, member)) = grant(case.state, id) else {
        return Ok(());
    };
    let target = updates::goal(set) == revision;
    if set.spec.config_update != ConfigUpdate::Reload || !target {
        return Err(format!("{id} is not to run with {revision} as it is"));
    }
    if member.ordered != Ordered::Run || !is_wanted(set, id.ordinal) {
        return Err(format!("{id} does not run, or is not wanted"));
    }
    let host = case.state.hosts.get(&member.host);
    if !host.is_some_and(|host| host.contact.connected) {
        return Err(format!(
            "{id} would not hear of it: {} is out of contact",
            member.host
        ));
    }
    let alone = updates::kind(set) == UpdateKind::OnDelete || updates::kept(set, id.ordinal);
    if alone || updates::halted(set) {
        return Err(format!("{id} is not to be updated now"));
    }
    let of = |hash: &TemplateHash| set.revisions.get(hash);
    let (Some(old), Some(new)) = (of(&member.revision), of(revision)) else {
        return Err(format!("a revision of {id} is not known"));
    };
    let (before, after) = (as_run(old, id.ordinal), as_run(new, id.ordinal));
    if before != after {
        return Err(format!("{id} would run with another template"));
    }
    if environment(&after.spec, &old.config) != environment(&after.spec, &new.config) {
        return Err(format!("{id} would run with another environment"));
    }
    one_at_a_time(case.state, (set, revision), id, case.now)
}

/// Every value that a config gives to the environments of a template, in order.
fn environment(spec: &MemberSpec, config: &ConfigData) -> Vec<Option<String>> {
    let map = |name: &str, key: &str| {
        let object = config.config_maps.get(name)?;
        object.get(key).cloned()
    };
    let secret = |name: &str, key: &str| {
        let object = config.secrets.get(name)?;
        object.get(key).map(|value| value.expose().to_owned())
    };
    let mut found = Vec::new();
    for process in spec.init_processes.iter().chain(&spec.processes) {
        for source in process.env.iter().filter_map(|v| v.value_from.as_ref()) {
            let own = source.config_map_key_ref.as_ref();
            found.push(own.and_then(|s| map(&s.name, &s.key)));
            let own = source.secret_key_ref.as_ref();
            found.push(own.and_then(|s| secret(&s.name, &s.key)));
        }
        for source in &process.env_from {
            let whole = source.config_map_ref.iter();
            for object in whole.map(|r| config.config_maps.get(&r.name)) {
                found.push(object.map(|object| format!("{object:?}")));
            }
            let whole = source.secret_ref.iter();
            for object in whole.filter_map(|r| config.secrets.get(&r.name)) {
                for (key, value) in object {
                    found.push(Some(format!("{key}={}", value.expose())));
                }
            }
        }
    }
    found
}

/// The files of the one before are written, and it serves, unless this one serves nobody anyway.
fn one_at_a_time(
    state: &State,
    (set, revision): (&Set, &TemplateHash),
    this: &MemberId,
    now: Timestamp,
) -> Verdict {
    let serves = serves(state, this);
    for (ordinal, member) in &set.members {
        let other = id(&this.set, *ordinal);
        let in_contact = state.hosts.get(&member.host);
        let concerned = member.ordered != Ordered::Nothing
            && member.revision == *revision
            && is_wanted(set, *ordinal)
            && in_contact.is_some_and(|host| host.contact.connected);
        if !concerned {
            continue;
        }
        let waits = heard(state, &other).is_some_and(|seen| {
            let report = &seen.report;
            member.ordered == Ordered::Run
                && report.phase == Phase::Running
                && report.revision.as_ref() != Some(revision)
        });
        if waits || (serves && !available(state, &other, now)) {
            return Err(format!("{this} is to wait for {other}"));
        }
    }
    Ok(())
}
