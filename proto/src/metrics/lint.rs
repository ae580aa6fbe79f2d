//! Whether a text is what a scraper expects: the OpenMetrics grammar as far as Berth uses it, and the
//! conventions for names (https://prometheus.io/docs/practices/naming). Strict: it is for tests.

use std::collections::{BTreeMap, BTreeSet};

/// What a text shows of one metric.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// `gauge` or `counter`.
    pub kind: String,
    /// The sentence about it.
    pub help: String,
    /// The names of the labels of its values.
    pub labels: BTreeSet<String>,
    /// How many values it has.
    pub samples: usize,
}

/// The metrics of a text, by name as their values have it.
///
/// # Errors
/// The first line that is wrong, and what is wrong with it.
pub fn lint(text: &str) -> Result<BTreeMap<String, Shown>, String> {
    let body = text
        .strip_suffix("# EOF\n")
        .ok_or("it does not end with # EOF")?;
    let mut found: BTreeMap<String, Shown> = BTreeMap::new();
    let mut current = String::new();
    let mut help = None;
    let mut seen = BTreeSet::new();
    for line in body.lines() {
        let wrong = |what: &str| format!("{what}: {line}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, words) = rest.split_once(' ').ok_or_else(|| wrong("no help"))?;
            help = Some((name.to_owned(), words.to_owned()));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
            let (helped, words) = help.take().ok_or_else(|| wrong("a type without help"))?;
            if helped != name || !words.ends_with('.') {
                return Err(wrong("its help is not a sentence of its own"));
            }
            current = shown_name(name, kind).map_err(|what| wrong(&what))?;
            let shown = Shown {
                kind: kind.to_owned(),
                help: words,
                ..Shown::default()
            };
            if found.insert(current.clone(), shown).is_some() {
                return Err(wrong("a metric twice"));
            }
        } else {
            let (name, labels) = sample(line).map_err(|what| wrong(&what))?;
            let shown = found.get_mut(&name).filter(|_| name == current);
            let shown = shown.ok_or_else(|| wrong("a value away from its type"))?;
            let series = line.rsplit_once(' ').map_or(line, |(series, _)| series);
            if !seen.insert(series.to_owned()) {
                return Err(wrong("a series twice"));
            }
            shown.samples += 1;
            shown.labels.extend(labels);
        }
    }
    Ok(found)
}

/// The name that the values of a metric have.
fn shown_name(name: &str, kind: &str) -> Result<String, String> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(letters) {
        return Err("a name of other letters than a-z, 0-9 and _".to_owned());
    }
    // Base units only: a scale belongs into the value.
    let scaled = [
        "_ms",
        "_millis",
        "_milliseconds",
        "_minutes",
        "_kib",
        "_mib",
        "_percent",
    ];
    if scaled.iter().any(|unit| name.ends_with(unit)) || name.ends_with("_total") {
        return Err("a name that ends with what it must not".to_owned());
    }
    match kind {
        "counter" => Ok(format!("{name}_total")),
        "gauge" => Ok(name.to_owned()),
        other => Err(format!("type {other} is not used here")),
    }
}

/// The name and the labels of a line with a value.
fn sample(line: &str) -> Result<(String, BTreeSet<String>), String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeSet::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, value) = rest.split_once("=\"").ok_or("a label without a value")?;
            if !label.chars().all(|c| c.is_ascii_lowercase() || c == '_') || label.is_empty() {
                return Err(format!("label '{label}'"));
            }
            if !labels.insert(label.to_owned()) {
                return Err(format!("label '{label}' twice"));
            }
            rest = after_quote(value).ok_or("a label's value without an end")?;
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').ok_or("labels without an end")?;
    }
    let value = rest.strip_prefix(' ').ok_or("no space before the value")?;
    let number: f64 = value.parse().map_err(|_| "no number")?;
    if number.is_nan() {
        return Err("not a number".to_owned());
    }
    Ok((name.to_owned(), labels))
}

/// What comes after the quote that ends a value.
fn after_quote(text: &str) -> Option<&str> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return text.get(at + 1..),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told() {
        let head = "# HELP a A sentence.\n# TYPE a gauge\n";
        let end = "# EOF\n";
        assert!(lint(&format!("{head}a 1\na{{b=\"c\"}} 2\n{end}")).is_ok());
        for (text, expected) in [
            (format!("{head}a 1\n"), "it does not end"),
            (format!("a 1\n{end}"), "a value away from its type"),
            (format!("{head}a 1\na 2\n{end}"), "a series twice"),
            (format!("{head}{head}{end}"), "a metric twice"),
            (
                format!("{head}a{{b=c}} 1\n{end}"),
                "a label without a value",
            ),
            (
                format!("{head}a{{b=\"c\",b=\"d\"}} 1\n{end}"),
                "label 'b' twice",
            ),
            (format!("{head}a x\n{end}"), "no number"),
            (
                format!("# HELP a b.\n# TYPE a summary\n{end}"),
                "type summary",
            ),
            (
                format!("# HELP a_ms b.\n# TYPE a_ms gauge\n{end}"),
                "a name that ends",
            ),
            (
                format!("# HELP a b\n# TYPE a gauge\n{end}"),
                "its help is not",
            ),
            (format!("# TYPE a gauge\n{end}"), "a type without help"),
        ] {
            let told = lint(&text).unwrap_err();
            assert!(told.starts_with(expected), "{told}");
        }
    }
}
