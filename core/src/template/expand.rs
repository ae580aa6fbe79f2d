//! `$(VAR)` in commands, arguments and environment, as Kubernetes has it: `$$(VAR)` is the text
//! `$(VAR)`, and a reference to a variable that does not exist stays as it is.

use std::collections::BTreeMap;

use crate::spec::Sealed;

/// Expands the references in one text. `None` if the result is longer than `limit` bytes.
pub(crate) fn expand(
    text: &str,
    variables: &BTreeMap<String, Sealed>,
    limit: usize,
) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let after = from.get(1..).unwrap_or_default();
        rest = if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            after
        } else if let Some((name, after)) = reference(after) {
            match variables.get(name) {
                Some(value) => out.push_str(value.expose()),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            after
        } else {
            out.push('$');
            after
        };
        if out.len() > limit {
            return None;
        }
    }
    out.push_str(rest);
    (out.len() <= limit).then_some(out)
}

/// The variables that a text refers to.
pub(crate) fn references(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once('$')?;
            if let Some(escaped) = after.strip_prefix('$') {
                rest = escaped;
            } else if let Some((name, after)) = reference(after) {
                rest = after;
                return Some(name);
            } else {
                rest = after;
            }
        }
    })
}

/// `(NAME)` and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('(')?.split_once(')')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> BTreeMap<String, Sealed> {
        [("A", "1"), ("B", "two")]
            .map(|(name, value)| (name.to_owned(), Sealed::new(value.to_owned())))
            .into()
    }

    #[test]
    fn references_are_expanded_as_in_kubernetes() {
        for (text, expected) in [
            ("$(A)", "1"),
            ("x$(A)y$(B)z", "x1ytwoz"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$$$$(A)", "$$(A)"),
            ("$(NONE)", "$(NONE)"),
            ("$A", "$A"),
            ("$(A", "$(A"),
            ("$", "$"),
            ("100$", "100$"),
            ("$(A)$", "1$"),
            ("$(é)é", "$(é)é"),
        ] {
            let got = expand(text, &variables(), 100);
            assert_eq!(got.as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn references_are_found_where_they_are_expanded() {
        for (text, expected) in [
            ("$(A)/$(B)", &["A", "B"][..]),
            ("$$(A)$(B)", &["B"]),
            ("$$$(A)$", &["A"]),
            ("$A$(A", &[]),
        ] {
            assert_eq!(references(text).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn a_text_that_grows_beyond_the_limit_is_refused() {
        assert_eq!(expand("$(B)$(B)", &variables(), 5), None);
        assert!(expand("$(B)$(B)", &variables(), 6).is_some());
    }
}
