//! JSON and YAML.

use serde::Serialize;
use serde_json::{Value, json};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_keeps_texts_apart_from_numbers_and_booleans() {
        let object = json!({
            "kind": "ConfigMap", "apiVersion": "berth/v1",
            "a": "yes", "b": "12", "c": "two\nlines\n",
        });
        let written = yaml(&object).unwrap();
        assert_eq!(
            written,
            "a: \"yes\"\napiVersion: berth/v1\nb: \"12\"\nc: |\n  two\n  lines\nkind: ConfigMap\n"
        );
    }
}
