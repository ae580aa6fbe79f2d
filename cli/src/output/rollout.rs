//! How the revisions of a set look: as a table, and in JSON and YAML.

use std::collections::BTreeMap;

use berth_core::time::Timestamp;
use berth_proto::{convert::structs, v1};
use serde::Serialize;

use super::{
    age::{instant, since},
    table::Table,
};

/// Revisions, oldest first.
pub(crate) fn table(revisions: &[v1::SetRevision], now: Timestamp) -> String {
    let mut table = Table::new(&[
        "REVISION",
        "AGE",
        "HASH",
        "STATE",
        "MEMBERS",
        "CHANGE-CAUSE",
    ]);
    for revision in revisions {
        let cause = match revision.change_cause.as_str() {
            "" => "<none>",
            cause => cause,
        };
        table.row(vec![
            revision.number.to_string(),
            since(revision.created_ms, now),
            revision.hash.clone(),
            state(revision).to_owned(),
            revision.members.join(","),
            cause.to_owned(),
        ]);
    }
    table.render()
}

/// What it is to the set.
fn state(revision: &v1::SetRevision) -> &'static str {
    match (revision.newest, revision.members.is_empty()) {
        (true, _) => "newest",
        (false, false) => "in use",
        (false, true) => "",
    }
}

/// A revision.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevisionView {
    revision: u64,
    hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    change_cause: String,
    newest: bool,
    members: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    config: Vec<ConfigView>,
}

/// The keys of a config object that a revision uses.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigView {
    kind: String,
    name: String,
    data: BTreeMap<String, String>,
}

impl From<&v1::SetRevision> for RevisionView {
    fn from(revision: &v1::SetRevision) -> Self {
        let config = revision.config.iter().map(|object| ConfigView {
            kind: object.kind.clone(),
            name: object.name.clone(),
            data: object.data.clone().into_iter().collect(),
        });
        Self {
            revision: revision.number,
            hash: revision.hash.clone(),
            created: instant(revision.created_ms).map(|time| time.to_string()),
            change_cause: revision.change_cause.clone(),
            newest: revision.newest,
            members: revision.members.clone(),
            template: revision.template.clone().map(structs::to_value),
            config: config.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_shown_with_what_they_are_to_the_set() {
        let revision = |number, newest, members: &[&str], cause: &str| v1::SetRevision {
            number,
            hash: format!("h{number}"),
            change_cause: cause.to_owned(),
            newest,
            members: members.iter().map(|&name| name.to_owned()).collect(),
            ..v1::SetRevision::default()
        };
        let all = [
            revision(1, false, &[], ""),
            revision(2, false, &["db-0"], "tune"),
            revision(3, true, &["db-1", "db-2"], ""),
        ];
        let shown = table(&all, Timestamp::default());
        let lines: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| {
                line.split("   ")
                    .map(str::trim)
                    .filter(|c| !c.is_empty())
                    .collect()
            })
            .collect();
        assert_eq!(lines[1], ["1", "-", "h1", "-", "-", "<none>"]);
        assert_eq!(lines[2], ["2", "-", "h2", "in use", "db-0", "tune"]);
        assert_eq!(lines[3], ["3", "-", "h3", "newest", "db-1,db-2", "<none>"]);
    }
}
