//! A tree to a type, with every mistake reported and not only the first.
//!
//! serde stops at the first thing that does not fit. So it is run again and again: each finding is
//! recorded, the field that caused it is taken away (every field has a default), or a list element
//! is replaced by an empty one of a type that fits, until the rest can be read.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::messages;

/// More mistakes in one document than anybody reads.
const MAX_FINDINGS: usize = 100;

/// One step into a tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// A way into a tree, from its root.
pub(super) type Path = Vec<Step>;

/// Something that does not fit the type.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) path: Path,
    pub(super) message: String,
    /// Whether the key itself is wrong, not what it has.
    pub(super) key: bool,
    /// The fields that were probably meant, for an unknown one; the list, for an unknown word in
    /// one. What seems to be wrong with them may only be so because of this.
    pub(super) meant: Vec<Path>,
}

/// What could be read, and everything that could not.
pub(super) struct Decoded<T> {
    /// `None` if too much was wrong to read anything.
    pub(super) value: Option<T>,
    pub(super) findings: Vec<Finding>,
}

/// Reads a value as a type. With `hide`, no message shows what was written.
pub(super) fn decode<T: DeserializeOwned>(mut tree: Value, hide: bool) -> Decoded<T> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut attempts: BTreeMap<Path, usize> = BTreeMap::new();
    let value = loop {
        let error = match serde_path_to_error::deserialize::<_, T>(&tree) {
            Ok(value) => break Some(value),
            Err(error) => error,
        };
        let mut path = path_of(error.path());
        let text = error.inner().to_string();
        let problem = messages::understand(&text, hide);
        if let Some(field) = &problem.field
            && path.last() != Some(&Step::Key(field.clone()))
        {
            path.push(Step::Key(field.clone()));
        }
        let listed = match path.split_last() {
            Some((Step::Index(_), list)) => problem.word.clone().map(|word| (word, list.to_vec())),
            Some((Step::Key(_), _)) | None => None,
        };
        let attempt = attempts.entry(path.clone()).or_default();
        if *attempt == 0 {
            findings.push(Finding {
                path: path.clone(),
                message: problem.message,
                key: problem.key,
                meant: match &listed {
                    Some((_, list)) => vec![list.clone()],
                    None => {
                        let meant = problem.meant.into_iter();
                        meant
                            .filter_map(|field| absent(&mut tree, &path, field))
                            .collect()
                    }
                },
            });
            if let Some(field) = problem.field.as_deref().filter(|_| problem.key) {
                findings.extend(parts(&mut tree, &path, field));
            }
        }
        *attempt += 1;
        let more = findings.len() < MAX_FINDINGS;
        // A known word stands in for an unknown one, so that the rest of the list keeps its place.
        if let (Some((word, _)), 1, true) = (listed, *attempt, more)
            && let Some(slot) = reach(&mut tree, &path)
        {
            *slot = Value::String(word);
            continue;
        }
        if !more || !repair(&mut tree, &path, *attempt, problem.missing) {
            break None;
        }
    };
    Decoded { value, findings }
}

/// What is wrong with the parts of an unknown field: it is taken away with all that is in it.
fn parts(tree: &mut Value, path: &[Step], field: &str) -> Vec<Finding> {
    let Some(value) = reach(tree, path) else {
        return Vec::new();
    };
    let parts = messages::parts(field, value).into_iter();
    let finding = |(part, message)| Finding {
        path: path.iter().cloned().chain([Step::Key(part)]).collect(),
        message,
        key: true,
        meant: Vec::new(),
    };
    parts.map(finding).collect()
}

/// The path of a field beside the one at `path`, if it is not there.
fn absent(tree: &mut Value, path: &[Step], field: String) -> Option<Path> {
    let (_, parents) = path.split_last()?;
    if reach(tree, parents)?.get(&field).is_some() {
        return None;
    }
    let mut path = parents.to_vec();
    path.push(Step::Key(field));
    Some(path)
}

fn path_of(path: &serde_path_to_error::Path) -> Path {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// Empty values of each type, tried in turn.
fn placeholder(attempt: usize) -> Option<Value> {
    match attempt {
        1 => Some(Value::String(String::new())),
        2 => Some(Value::Object(serde_json::Map::new())),
        3 => Some(Value::Array(Vec::new())),
        4 => Some(Value::from(0)),
        5 => Some(Value::Bool(false)),
        _ => None,
    }
}

/// Changes the tree so that the finding at a path is gone. Whether that was possible.
fn repair(tree: &mut Value, path: &[Step], attempt: usize, missing: bool) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    let Some(parent) = reach(tree, parents) else {
        return false;
    };
    match (last, parent) {
        (Step::Key(key), Value::Object(map)) => {
            // What is left out has its default; only what must be there needs a stand-in.
            let stand_in = if missing || attempt > 1 {
                placeholder(if missing { attempt } else { attempt - 1 })
            } else {
                None
            };
            match stand_in {
                Some(value) => {
                    map.insert(key.clone(), value);
                    true
                }
                None => attempt == 1 && map.remove(key).is_some(),
            }
        }
        (Step::Index(index), Value::Array(list)) => {
            match (list.get_mut(*index), placeholder(attempt)) {
                (Some(slot), Some(value)) => {
                    *slot = value;
                    true
                }
                (Some(_) | None, _) => false,
            }
        }
        (Step::Key(_) | Step::Index(_), _) => false,
    }
}

fn reach<'a>(tree: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    path.iter()
        .try_fold(tree, |value, step| match (step, value) {
            (Step::Key(key), Value::Object(map)) => map.get_mut(key),
            (Step::Index(index), Value::Array(list)) => list.get_mut(*index),
            (Step::Key(_) | Step::Index(_), _) => None,
        })
}

/// A path as fields are written: `spec.template.spec.processes[0].command`.
pub(super) fn field_of(path: &[Step]) -> String {
    let mut field = String::new();
    for step in path {
        match step {
            Step::Key(key) => {
                if !field.is_empty() {
                    field.push('.');
                }
                field.push_str(key);
            }
            Step::Index(index) => field.push_str(&format!("[{index}]")),
        }
    }
    field
}
