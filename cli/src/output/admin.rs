//! How the history of the coordinator's store and its backups are shown.

use berth_core::store::backup::Header;
use berth_proto::v1;
use serde::Serialize;

use super::age::instant;

/// The history in JSON and YAML: fields are added, never renamed or removed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryView {
    history: String,
    term: u64,
    latched: bool,
    restored: Option<String>,
    mismatched: Vec<MismatchView>,
    awaited: Vec<String>,
}

/// A host whose agent has what was never sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MismatchView {
    host: String,
    why: String,
    term: u64,
    since: Option<String>,
}

impl From<v1::StoreHistory> for HistoryView {
    fn from(history: v1::StoreHistory) -> Self {
        let mismatched = history.mismatched.into_iter().map(|one| MismatchView {
            host: one.host,
            why: one.why,
            term: one.term,
            since: instant(one.since_ms).map(|time| time.to_string()),
        });
        Self {
            mismatched: mismatched.collect(),
            history: history.history,
            term: history.term,
            latched: history.latched,
            restored: instant(history.restored_ms).map(|time| time.to_string()),
            awaited: history.awaited,
        }
    }
}

impl HistoryView {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![format!("history {}, term {}", self.history, self.term)];
        if let Some(restored) = &self.restored {
            lines.push(format!("restored from a backup at {restored}"));
        }
        for one in &self.mismatched {
            let since = one.since.as_deref().unwrap_or("-");
            lines.push(format!(
                "host {} does not match since {since}: {}",
                one.host, one.why
            ));
        }
        if self.latched {
            lines.push("nothing is started or moved until `berth admin accept-restore`".to_owned());
        }
        if !self.awaited.is_empty() {
            let hosts = self.awaited.join(", ");
            lines.push(format!(
                "nothing is started before these are heard of: {hosts}"
            ));
        }
        lines.join("\n")
    }
}

/// Of what a backup is, for people.
pub(crate) fn header(header: &Header) -> String {
    let Header {
        cluster,
        history,
        opened,
        revision,
        made,
        records,
        sealed_with,
    } = header;
    let secrets = match sealed_with {
        Some(key) => format!("sealed with the key {key}"),
        None => "plain".to_owned(),
    };
    format!(
        "cluster   {cluster}\nmade      {made}\nhistory   {history}, opened {opened} times\n\
         revision  {revision}\nrecords   {records}\nsecrets   {secrets}"
    )
}
