//! How tokens, operators and contexts are shown.

use berth_core::time::Timestamp;
use berth_pki::Certified;
use berth_proto::v1;
use serde::Serialize;

use super::{age::instant, table::Table};

fn told(ms: i64) -> Option<String> {
    instant(ms).map(|time| time.to_string())
}

/// A token in JSON and YAML: fields are added, never renamed or removed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenView {
    id: String,
    host: Option<String>,
    created: Option<String>,
    expires: Option<String>,
    used_by: Option<String>,
    used: Option<String>,
    state: &'static str,
}

impl TokenView {
    /// As of a time.
    pub(crate) fn new(token: v1::TokenStatus, now: Timestamp) -> Self {
        let over = instant(token.expires_ms).is_some_and(|end| end <= now);
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let used_by = some(token.used_by);
        let state = match (&used_by, over) {
            (Some(_), _) => "Used",
            (None, true) => "Expired",
            (None, false) => "Good",
        };
        Self {
            id: token.id,
            host: some(token.host),
            created: told(token.created_ms),
            expires: told(token.expires_ms),
            used: told(token.used_ms),
            used_by,
            state,
        }
    }
}

/// For people.
pub(crate) fn tokens(tokens: &[TokenView]) -> String {
    let mut table = Table::new(&["ID", "HOST", "STATE", "EXPIRES", "USED-BY"]);
    for token in tokens {
        table.row(vec![
            token.id.clone(),
            token.host.clone().unwrap_or_default(),
            token.state.to_owned(),
            token.expires.clone().unwrap_or_default(),
            token.used_by.clone().unwrap_or_default(),
        ]);
    }
    table.render()
}

/// An operator in JSON and YAML: fields are added, never renamed or removed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserView {
    name: String,
    role: String,
    namespaces: Vec<String>,
    since: Option<String>,
}

impl From<v1::UserStatus> for UserView {
    fn from(user: v1::UserStatus) -> Self {
        Self {
            name: user.name,
            role: user.role,
            namespaces: user.namespaces,
            since: told(user.since_ms),
        }
    }
}

/// For people.
pub(crate) fn users(users: &[UserView]) -> String {
    let mut table = Table::new(&["NAME", "ROLE", "NAMESPACES", "SINCE"]);
    for user in users {
        let namespaces = match user.namespaces.as_slice() {
            [] => "*".to_owned(),
            some => some.join(","),
        };
        let since = user.since.clone().unwrap_or_default();
        table.row(vec![
            user.name.clone(),
            user.role.clone(),
            namespaces,
            since,
        ]);
    }
    table.render()
}

/// The contexts that there are, with a star at the one in use.
pub(crate) fn contexts(names: &[String], current: Option<&str>) -> String {
    let mut table = Table::new(&["CURRENT", "NAME"]);
    for name in names {
        let star = if Some(name.as_str()) == current {
            "*"
        } else {
            ""
        };
        table.row(vec![star.to_owned(), name.clone()]);
    }
    table.render()
}

/// One context.
pub(crate) fn context(
    name: &str,
    endpoint: &str,
    namespace: &str,
    certified: &Certified,
) -> String {
    format!(
        "context      {name}\nendpoint     {endpoint}\nnamespace    {namespace}\nidentity     {}\n\
         certificate  until {}\n",
        certified.subject, certified.not_after
    )
}
