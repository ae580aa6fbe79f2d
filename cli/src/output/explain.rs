//! `berth explain`: the rules in words.
//!
//! What they say comes from core, so that this program explains what the coordinator decides by the
//! same version. A rule that only the coordinator knows is told with what it said itself.

use std::fmt::Write as _;

use berth_core::{
    time::Timestamp,
    waiting::{Rule, Way},
};
use berth_proto::v1;
use serde_json::{Value, json};

use super::{describe::facts, status::with_age, table::Table};

/// All rules, one a line.
pub(crate) fn list(rules: &[Rule]) -> String {
    let mut table = Table::new(&["RULE", "MEANS"]);
    for rule in rules {
        table.row(vec![rule.to_string(), rule.means().to_owned()]);
    }
    table.render()
}

/// One rule.
pub(crate) fn rule(rule: Rule) -> String {
    facts(&[
        ("Rule", rule.to_string()),
        ("Means", rule.means().to_owned()),
        ("Usually", rule.causes().to_owned()),
    ]) + &ways(&texts(rule))
}

/// Why a member waits.
pub(crate) fn member(member: &v1::MemberStatus, now: Timestamp) -> String {
    let name = ("Member", member.name.clone());
    let Some(waiting) = &member.waiting else {
        return facts(&[name, ("Waits", "no".to_owned())]);
    };
    let waits = ("Waits", with_age(waiting, now));
    match waiting.rule.parse::<Rule>() {
        Ok(rule) => {
            let said = [
                name,
                waits,
                ("Means", rule.means().to_owned()),
                ("Usually", rule.causes().to_owned()),
            ];
            facts(&said) + &ways(&filled(rule, member))
        }
        Err(_) => facts(&[name, waits]) + &ways(std::slice::from_ref(&waiting.frees)),
    }
}

/// Rules for scripts.
pub(crate) fn views(rules: &[Rule]) -> Vec<Value> {
    rules
        .iter()
        .map(|rule| told(*rule, &texts(*rule)))
        .collect()
}

/// A member for scripts.
pub(crate) fn view(member: &v1::MemberStatus) -> Value {
    let waiting = member.waiting.as_ref().map(|waiting| {
        let rule = waiting.rule.parse::<Rule>();
        let mut value = rule.map_or_else(
            |_| json!({ "rule": waiting.rule, "frees": [waiting.frees] }),
            |rule| told(rule, &filled(rule, member)),
        );
        if let Some(fields) = value.as_object_mut() {
            fields.insert("message".to_owned(), waiting.message.clone().into());
            fields.insert("sinceMs".to_owned(), waiting.since_ms.into());
        }
        value
    });
    json!({ "name": member.name, "namespace": member.namespace, "waiting": waiting })
}

fn told(rule: Rule, frees: &[String]) -> Value {
    json!({
        "rule": rule.name(),
        "means": rule.means(),
        "causes": rule.causes(),
        "frees": frees,
    })
}

fn texts(rule: Rule) -> Vec<String> {
    rule.frees().iter().map(Way::to_string).collect()
}

/// What frees the member, with the names that are known in the places where they belong.
fn filled(rule: Rule, member: &v1::MemberStatus) -> Vec<String> {
    let known = [
        ("MEMBER", &member.name),
        ("SET", &member.set),
        ("HOST", &member.host),
    ];
    let fill = |text: String| {
        let known = known.iter().filter(|(_, value)| !value.is_empty());
        known.fold(text, |text, (word, value)| text.replace(word, value))
    };
    texts(rule).into_iter().map(fill).collect()
}

fn ways(texts: &[String]) -> String {
    let mut out = "Freed by:\n".to_owned();
    for text in texts {
        // Writing to a String cannot fail.
        writeln!(out, "  {text}").ok();
    }
    out
}
