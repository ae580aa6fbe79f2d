//! JSON and YAML, and objects between their wire form and JSON.

use serde::Serialize;
use serde_json::{Map, Number, Value, json};

use crate::{args::Format, error::CliError};

/// Writes a value as JSON or YAML; `None` if the format is one for people.
pub(crate) fn structured<T: Serialize>(
    format: Format,
    value: &T,
) -> Result<Option<String>, CliError> {
    match format {
        Format::Table | Format::Wide => Ok(None),
        Format::Json => serde_json::to_string_pretty(value)
            .map(|text| Some(text + "\n"))
            .map_err(|error| cannot("JSON", error)),
        Format::Yaml => yaml(value).map(Some),
    }
}

/// Writes a value as JSON in one line.
pub(crate) fn json_line<T: Serialize>(value: &T) -> Result<String, CliError> {
    serde_json::to_string(value).map_err(|error| cannot("JSON", error))
}

/// Writes a value as YAML.
pub(crate) fn yaml<T: Serialize>(value: &T) -> Result<String, CliError> {
    serde_saphyr::to_string(value).map_err(|error| cannot("YAML", error))
}

fn cannot(language: &str, error: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::Failed {
        message: format!("cannot write {language}"),
        source: Some(Box::new(error)),
        hint: "use another format with -o, and report this as a bug".to_owned(),
    }
}

/// A list in the envelope of Kubernetes.
pub(crate) fn list(items: Vec<Value>) -> Value {
    json!({ "apiVersion": "berth/v1", "kind": "List", "items": items })
}

/// An object as JSON. The wire knows only floating point numbers, manifests mostly have whole
/// ones, so whole numbers are written as such.
pub(crate) fn manifest(object: &prost_types::Struct) -> Value {
    Value::Object(
        object
            .fields
            .iter()
            .map(|(name, value)| (name.clone(), json_of(value)))
            .collect::<Map<_, _>>(),
    )
}

fn json_of(value: &prost_types::Value) -> Value {
    use prost_types::value::Kind;
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(b)) => Value::Bool(*b),
        Some(Kind::StringValue(s)) => Value::String(s.clone()),
        Some(Kind::NumberValue(n)) => number(*n),
        Some(Kind::ListValue(list)) => list.values.iter().map(json_of).collect(),
        Some(Kind::StructValue(object)) => manifest(object),
    }
}

/// The largest whole number up to which every one has a floating point form of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn number(n: f64) -> Value {
    if n.fract() == 0.0 && n.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within range")]
        return Value::Number(Number::from(n as i64));
    }
    Number::from_f64(n).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use prost_types::{Struct, Value as Wire, value::Kind};

    use super::*;

    #[test]
    fn whole_numbers_stay_whole() {
        assert_eq!(number(3.0).to_string(), "3");
        assert_eq!(number(-1.0).to_string(), "-1");
        assert_eq!(number(0.5).to_string(), "0.5");
        assert_eq!(number(1e300).as_f64(), Some(1e300));
        assert_eq!(number(f64::NAN), Value::Null);
    }

    #[test]
    fn yaml_keeps_texts_apart_from_numbers_and_booleans() {
        let text = |s: &str| Wire {
            kind: Some(Kind::StringValue(s.to_owned())),
        };
        let object = Struct {
            fields: [
                ("kind".to_owned(), text("ConfigMap")),
                ("apiVersion".to_owned(), text("berth/v1")),
                ("a".to_owned(), text("yes")),
                ("b".to_owned(), text("12")),
                ("c".to_owned(), text("two\nlines\n")),
            ]
            .into(),
        };
        let written = yaml(&manifest(&object)).unwrap();
        assert_eq!(
            written,
            "a: \"yes\"\napiVersion: berth/v1\nb: \"12\"\nc: |\n  two\n  lines\nkind: ConfigMap\n"
        );
    }
}
