//! What serde says about a mistake, in the words of somebody who writes a manifest.
//!
//! serde's errors are texts; their few forms are taken apart here, and a test holds each form
//! against the real thing. A form that is not known is shown as it is.

use serde_json::Value;

use super::hints;

/// A mistake, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// What to tell the operator.
    pub(super) message: String,
    /// The field below the error's path that it is about, if it names one.
    pub(super) field: Option<String>,
    /// Whether it is about the key itself.
    pub(super) key: bool,
    /// Whether the field is missing.
    pub(super) missing: bool,
    /// The fields that were probably meant instead.
    pub(super) meant: Vec<String>,
    /// A word that could be there instead of an unknown one.
    pub(super) word: Option<String>,
}

/// Takes an error of serde apart. With `hide`, the message shows nothing of what was written.
pub(super) fn understand(text: &str, hide: bool) -> Problem {
    let whole = |message: String| Problem {
        message,
        field: None,
        key: false,
        missing: false,
        meant: Vec::new(),
        word: None,
    };
    if let Some((name, expected)) = unknown(text, "unknown field ") {
        return Problem {
            message: unknown_field(name, &expected),
            field: Some(name.to_owned()),
            key: true,
            missing: false,
            meant: meant(name, &expected),
            word: None,
        };
    }
    if let Some(name) = text.strip_prefix("missing field ") {
        let name = name.trim_matches('`').to_owned();
        return Problem {
            message: "it is required; give it".to_owned(),
            field: Some(name),
            key: false,
            missing: true,
            meant: Vec::new(),
            word: None,
        };
    }
    if hide {
        return whole("the value is not a text; put it in quotes".to_owned());
    }
    if let Some((word, expected)) = unknown(text, "unknown variant ") {
        let words = expected.join(", ");
        let message = match (hints::word(word, &expected), nearest(word, &expected)) {
            (Some(hint), _) => format!("'{word}' is not known here; {hint}"),
            (None, Some(near)) => {
                format!("'{word}' is not known here; did you mean {near}? ({words})")
            }
            (None, None) => format!("'{word}' is not known here; use {words}"),
        };
        return Problem {
            word: expected.first().map(ToString::to_string),
            ..whole(message)
        };
    }
    for form in ["invalid type: ", "invalid value: "] {
        if let Some((found, expected)) = text
            .strip_prefix(form)
            .and_then(|rest| rest.rsplit_once(", expected "))
        {
            return whole(wrong_type(found, expected));
        }
    }
    whole(text.to_owned())
}

/// `unknown field `a`, expected one of `b`, `c`` and its relatives.
fn unknown<'a>(text: &'a str, form: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let rest = text.strip_prefix(form)?.strip_prefix('`')?;
    let (name, rest) = rest.split_once('`')?;
    let expected = rest.split('`').skip(1).step_by(2).collect();
    Some((name, expected))
}

/// The fields that an unknown one stands for.
fn meant(name: &str, expected: &[&str]) -> Vec<String> {
    let upstream: &[&str] = match name {
        "containers" => &["processes"],
        "initContainers" => &["initProcesses"],
        // An image says what is run in it, and as whom.
        "image" => &["command", "user"],
        _ => {
            return nearest(name, expected)
                .into_iter()
                .map(ToOwned::to_owned)
                .collect();
        }
    };
    let known = upstream.iter().filter(|field| expected.contains(field));
    known.map(ToString::to_string).collect()
}

/// The parts of an unknown field that have places of their own, each with what to do about it: who
/// moves them as they are would only be refused again.
pub(super) fn parts(name: &str, value: &Value) -> Vec<(String, String)> {
    let parts = value.as_object().filter(|_| hints::has_parts(name));
    let parts = parts.into_iter().flat_map(|parts| parts.keys());
    parts
        .map(|part| (part.clone(), unknown_field(part, &[])))
        .collect()
}

fn unknown_field(name: &str, expected: &[&str]) -> String {
    match (hints::field(name, expected), nearest(name, expected)) {
        (Some(hint), _) => format!("there is no field '{name}' here; {hint}"),
        (None, Some(near)) => {
            format!("there is no field '{name}' here; did you mean '{near}'?")
        }
        (None, None) if expected.is_empty() => {
            format!("there is no field '{name}' here; remove it")
        }
        (None, None) => format!(
            "there is no field '{name}' here; use one of {}",
            expected.join(", ")
        ),
    }
}

fn wrong_type(found: &str, expected: &str) -> String {
    let written = found
        .strip_prefix("string ")
        .map(|text| format!("the text {text}"))
        .unwrap_or_else(|| {
            let plain = found.replace('`', "");
            match plain.as_str() {
                "null" | "unit value" => "nothing".to_owned(),
                "sequence" => "a list".to_owned(),
                "map" => "a mapping".to_owned(),
                other => other
                    .strip_prefix("floating point ")
                    .map(|n| format!("the number {n}"))
                    .or_else(|| {
                        other
                            .strip_prefix("integer ")
                            .map(|n| format!("the number {n}"))
                    })
                    .or_else(|| other.strip_prefix("boolean ").map(ToOwned::to_owned))
                    .unwrap_or_else(|| other.to_owned()),
            }
        });
    match expected {
        "a string"
            if written.starts_with("the number")
                || ["true", "false"].contains(&written.as_str()) =>
        {
            format!("{written} is not a text; put it in quotes")
        }
        "a boolean" => format!("{written} is not allowed here; write true or false"),
        "i64" => format!("{written} is not allowed here; write a whole number"),
        "u8" | "u16" | "u32" | "u64" | "usize" => {
            format!("{written} is not allowed here; write a whole number of 0 or more")
        }
        "a string" => format!("{written} is not allowed here; write a text"),
        "a sequence" => format!("{written} is not allowed here; write a list"),
        "a map" => format!("{written} is not allowed here; write a mapping"),
        other if other.starts_with("struct ") => {
            format!("{written} is not allowed here; write a mapping with fields")
        }
        "string or map" => {
            format!("{written} is not allowed here; write one word")
        }
        other => format!("{written} is not allowed here; write {other}"),
    }
}

/// The word that was most likely meant, if one is near.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = word.to_ascii_lowercase();
    known
        .iter()
        .map(|k| (distance(&lower, &k.to_ascii_lowercase()), *k))
        .filter(|(distance, k)| *distance <= 2 && *distance * 2 <= k.len().max(word.len()))
        .min()
        .map(|(_, k)| k)
}

/// How many letters to add, remove or replace to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.iter().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(x != *y))
                .min(above + 1)
                .min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
