//! Texts to objects. The only place that reads YAML; manifests and the daemons' configuration
//! files go the same way, so that every mistake in either comes with file, line and column, and
//! all of them at once.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    ids::ObjectKey,
    spec::{Kind, Object},
};

mod decode;
mod hints;
mod messages;
mod object;
mod origin;
mod scalar;
mod tree;

pub use origin::{Origin, Violation};
use tree::{Content, Fault, Node};

/// The largest text that is read, in bytes.
pub const MAX_TEXT: usize = 1 << 20;

/// Mistakes that are told at once; more would not be read.
const MAX_VIOLATIONS: usize = 100;

/// A text with one or more documents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// Its name in messages.
    pub file: String,
    /// YAML or JSON.
    pub text: String,
}

/// An object and where it was written.
#[derive(Debug, Clone)]
pub struct ParsedObject {
    /// The object, validated by itself.
    pub object: Object,
    /// Its key.
    pub key: ObjectKey,
    /// Where it was written.
    pub origin: Origin,
}

impl ParsedObject {
    /// A violation of this object at one of its fields.
    pub fn violation(&self, field: &str, message: &str) -> Violation {
        self.origin.violation(Some(&self.name()), field, message)
    }

    /// The object as messages name it, such as `StatefulSet/etcd`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.object.kind(), self.key.name)
    }
}

/// Reads all objects of all texts. Objects that name no namespace get `default_namespace`.
///
/// # Errors
/// Everything that is wrong with them, in the order of the texts.
pub fn parse(
    sources: &[Source],
    default_namespace: &str,
) -> Result<Vec<ParsedObject>, Vec<Violation>> {
    let mut objects = Vec::new();
    let mut violations = Vec::new();
    for source in sources {
        let (documents, faults) = documents(&source.file, &source.text);
        violations.extend(faults);
        for node in documents.into_iter().flat_map(items) {
            let tree = node.to_value();
            collect(
                one(tree, Origin::new(&source.file, node), default_namespace),
                &mut objects,
                &mut violations,
            );
        }
    }
    if objects.is_empty() && violations.is_empty() {
        let files: Vec<&str> = sources.iter().map(|s| s.file.as_str()).collect();
        violations.push(Violation {
            file: (!files.is_empty()).then(|| files.join(", ")),
            line: None,
            column: None,
            object: None,
            field: String::new(),
            message: "there is no object; write at least one".to_owned(),
        });
    }
    violations.extend(duplicates(&objects));
    if violations.is_empty() {
        Ok(objects)
    } else {
        Err(limited(violations))
    }
}

/// The first of many mistakes, and how many more there are.
fn limited(mut violations: Vec<Violation>) -> Vec<Violation> {
    let more = violations.len().saturating_sub(MAX_VIOLATIONS);
    if more > 0 {
        violations.truncate(MAX_VIOLATIONS);
        violations.push(Violation {
            file: None,
            line: None,
            column: None,
            object: None,
            field: String::new(),
            message: format!("there are {more} more mistakes; correct these first"),
        });
    }
    violations
}

/// Reads one object that an operator sent as JSON. If it names no namespace it gets
/// `default_namespace`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn from_json(value: &Value, default_namespace: &str) -> Result<ParsedObject, Vec<Violation>> {
    one(whole_numbers(value), Origin::default(), default_namespace)
}

/// Objects that are there twice, from texts or JSON: all of one apply belong together.
pub fn duplicates(objects: &[ParsedObject]) -> Vec<Violation> {
    let mut seen: BTreeMap<(Kind, &ObjectKey), &ParsedObject> = BTreeMap::new();
    let mut violations = Vec::new();
    for object in objects {
        let Some(first) = seen.insert((object.object.kind(), &object.key), object) else {
            continue;
        };
        let place = match first.origin.describe() {
            place if place.is_empty() => String::new(),
            place => format!(", first at {place}"),
        };
        violations.push(object.violation(
            "metadata.name",
            &format!(
                "{} in namespace '{}' is there twice{place}; remove one",
                object.name(),
                object.key.namespace
            ),
        ));
    }
    violations
}

/// An object as operators write it. Secret values are in it.
pub fn to_json(object: &Object) -> Value {
    // The types have text keys and no floats: they always have a JSON form.
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.insert("apiVersion".to_owned(), Value::from("berth/v1"));
    }
    value
}

/// Reads a configuration file: one document, all of whose fields are known to the type.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_config<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Vec<Violation>> {
    let (mut documents, mut violations) = documents(file, text);
    if let Some(second) = documents.get(1) {
        let origin = Origin::new(file, second.clone());
        let message = "a configuration file has one document; remove this one";
        violations.push(origin.violation(None, "", message));
    }
    // An empty file is a mapping without fields: everything may have a default.
    let root = if documents.is_empty() {
        Node::empty()
    } else {
        documents.swap_remove(0)
    };
    let decoded = decode::decode(root.to_value(), false);
    let origin = Origin::new(file, root);
    for finding in decoded.findings {
        let field = decode::field_of(&finding.path);
        violations.push(if finding.key {
            origin.key_violation(None, &field, &finding.message)
        } else {
            origin.violation(None, &field, &finding.message)
        });
    }
    match decoded.value {
        Some(value) if violations.is_empty() => Ok(value),
        Some(_) | None => Err(violations),
    }
}

/// The documents of a text, and what is wrong with the text itself.
fn documents(file: &str, text: &str) -> (Vec<Node>, Vec<Violation>) {
    let tell = |fault: Fault| Violation {
        file: Some(file.to_owned()),
        line: Some(fault.place.line),
        column: Some(fault.place.column),
        object: None,
        field: String::new(),
        message: fault.message,
    };
    if text.len() > MAX_TEXT {
        let message = format!(
            "the text has {} bytes, the limit is {MAX_TEXT}; split it",
            text.len()
        );
        return (Vec::new(), vec![tell(Fault::at_start(message))]);
    }
    let (documents, faults) = tree::read(text);
    (documents, faults.into_iter().map(tell).collect())
}

/// The objects of a document: itself, or the items of a `List`.
fn items(node: Node) -> Vec<Node> {
    let is_list = node.entry("kind").is_some_and(
        |kind| matches!(&kind.node.content, Content::Scalar(Value::String(text)) if text == "List"),
    );
    match (
        is_list,
        node.entry("items").map(|items| &items.node.content),
    ) {
        (true, Some(Content::List(nodes))) => nodes.clone(),
        (true | false, _) => vec![node],
    }
}

fn one(
    tree: Value,
    origin: Origin,
    default_namespace: &str,
) -> Result<ParsedObject, Vec<Violation>> {
    let object = object::read(tree, &origin, default_namespace)?;
    match object.meta().key() {
        Ok(key) => Ok(ParsedObject {
            object,
            key,
            origin,
        }),
        Err(e) => Err(vec![origin.violation(None, "metadata", &e.to_string())]),
    }
}

fn collect(
    outcome: Result<ParsedObject, Vec<Violation>>,
    objects: &mut Vec<ParsedObject>,
    violations: &mut Vec<Violation>,
) {
    match outcome {
        Ok(object) => objects.push(object),
        Err(more) => violations.extend(more),
    }
}

/// A Struct of gRPC knows only floating point numbers; those that are whole become whole again.
fn whole_numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            // Up to 2^53 every whole number has its own floating point number.
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= 9.0e15 => {
                format!("{float:.0}")
                    .parse()
                    .map_or_else(|_| value.clone(), |n: i64| Value::from(n))
            }
            Some(_) | None => value.clone(),
        },
        Value::Array(list) => list.iter().map(whole_numbers).collect(),
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), whole_numbers(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod security_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod volume_tests;
