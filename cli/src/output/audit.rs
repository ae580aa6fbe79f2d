//! How calls of the audit log are shown. Their names are what callers said: nothing in them may end a line
//! or do something to a terminal.

use berth_core::audit;
use berth_proto::v1;
use serde::Serialize;
use std::collections::BTreeMap;

use super::{age::instant, table::Table};

/// A call in JSON and YAML: fields are added, never renamed or removed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallView {
    sequence: u64,
    time: Option<String>,
    who: String,
    role: String,
    from: String,
    method: String,
    about: BTreeMap<String, Vec<String>>,
    result: Option<String>,
}

impl From<v1::AuditedCall> for CallView {
    fn from(call: v1::AuditedCall) -> Self {
        let about = call.about.into_iter();
        Self {
            sequence: call.sequence,
            time: instant(call.time_ms).map(|time| time.to_string()),
            who: call.who,
            role: call.role,
            from: call.from,
            method: call.method,
            about: about.map(|field| (field.name, field.values)).collect(),
            result: Some(call.result).filter(|result| !result.is_empty()),
        }
    }
}

impl CallView {
    /// For people.
    pub(crate) fn table(calls: &[Self]) -> String {
        let mut table = Table::new(&["TIME", "WHO", "ROLE", "FROM", "METHOD", "RESULT", "ABOUT"]);
        for call in calls {
            let about = call.about.iter();
            let about = about.map(|(name, values)| format!("{name}={}", values.join(",")));
            let cells = [
                call.time.as_deref().unwrap_or_default(),
                &call.who,
                &call.role,
                &call.from,
                call.method.trim_start_matches("berth.v1."),
                call.result.as_deref().unwrap_or_default(),
                &about.collect::<Vec<_>>().join(" "),
            ];
            table.row(cells.map(audit::escaped).into());
        }
        table.render()
    }
}
