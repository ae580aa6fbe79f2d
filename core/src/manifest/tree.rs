//! YAML (and JSON, which is YAML) to trees in which every node knows its place in the text, so
//! that each later finding can be shown where it was written.
//!
//! The reader is strict and bounded: no key twice, no `yes` for `true`, no tags, no more than
//! [`MAX_NODES`] nodes after aliases are filled in, no nesting deeper than [`MAX_DEPTH`].

use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use serde_json::Value;

use super::scalar;

/// Nodes of one text, aliases filled in; a set takes about a hundred.
const MAX_NODES: usize = 100_000;
/// Nesting of one document; the deepest field of a set lies about 12 deep.
const MAX_DEPTH: usize = 48;

/// A place in a text, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Place {
    fn of(line: usize, column: usize) -> Self {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            line: number(line.max(1)),
            column: number(column.saturating_add(1)),
        }
    }
}

/// Something wrong with the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) message: String,
}

impl Fault {
    /// A fault of the text as a whole.
    pub(super) fn at_start(message: String) -> Self {
        Self {
            place: Place::of(1, 0),
            message,
        }
    }
}

/// A node of a document.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping and what it has.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) node: Node,
}

impl Node {
    /// A mapping without fields, at the start of a text.
    pub(super) fn empty() -> Self {
        Self {
            place: Place::of(1, 0),
            content: Content::Map(Vec::new()),
        }
    }

    /// The entry of a key, if this is a mapping that has it.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
            Content::Scalar(_) | Content::List(_) => None,
        }
    }

    /// The node as JSON. A key without a value counts as left out, as in Kubernetes.
    pub(super) fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(nodes) => nodes.iter().map(Self::to_value).collect(),
            Content::Map(entries) => entries
                .iter()
                .filter(|entry| !matches!(entry.node.content, Content::Scalar(Value::Null)))
                .map(|entry| (entry.key.clone(), entry.node.to_value()))
                .collect(),
        }
    }

    /// Nodes in the tree, and its depth.
    fn size(&self) -> (usize, usize) {
        let below = |nodes: &mut dyn Iterator<Item = &Self>| {
            nodes.fold((1, 1), |(count, depth), node| {
                let (more, deep) = node.size();
                (count + more, depth.max(deep + 1))
            })
        };
        match &self.content {
            Content::Scalar(_) => (1, 1),
            Content::List(nodes) => below(&mut nodes.iter()),
            Content::Map(entries) => below(&mut entries.iter().map(|entry| &entry.node)),
        }
    }
}

/// Reads all documents of a text. Faults do not keep the documents before them from being read;
/// empty documents are left out.
pub(super) fn read(text: &str) -> (Vec<Node>, Vec<Fault>) {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: BTreeMap::new(),
        nodes: 0,
        faults: Vec::new(),
    };
    let mut documents = Vec::new();
    if let Err(Stop(fault)) = reader.documents(&mut documents) {
        reader.faults.push(fault);
    }
    reader.faults.sort_by_key(|fault| fault.place);
    (documents, reader.faults)
}

/// A fault after which the text cannot be read on.
struct Stop(Fault);

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: BTreeMap<usize, (Node, usize, usize)>,
    nodes: usize,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Stop> {
        loop {
            match self.parser.next_event() {
                None => return Ok(None),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(event)) => return Ok(Some(event)),
                Some(Err(e)) => {
                    let at = e.marker();
                    return Err(Stop(Fault {
                        place: Place::of(at.line(), at.col()),
                        message: format!("the text is not YAML: {}; correct it", e.info()),
                    }));
                }
            }
        }
    }

    fn documents(&mut self, documents: &mut Vec<Node>) -> Result<(), Stop> {
        while let Some((event, span)) = self.next()? {
            if is_structure(&event) {
                continue;
            }
            if let Some(node) = self.node(event, span, 1)?
                && !matches!(node.content, Content::Scalar(Value::Null))
            {
                documents.push(node);
            }
        }
        Ok(())
    }

    /// The node that begins with an event; `None` for the end of a collection.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Option<Node>, Stop> {
        let place = Place::of(span.start.line(), span.start.col());
        let stop = |message: String| Stop(Fault { place, message });
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(stop(format!(
                "the text has more than {MAX_NODES} values; split it"
            )));
        }
        if depth > MAX_DEPTH {
            return Err(stop(format!(
                "values lie in each other more than {MAX_DEPTH} deep; correct the text"
            )));
        }
        let (content, anchor, tag) = match event {
            Event::Alias(id) => return self.alias(id, depth).map(Some).map_err(stop),
            Event::Scalar(text, style, anchor, tag) => {
                let as_text = tag
                    .as_ref()
                    .is_some_and(|t| t.is_yaml_core_schema_tag("str"));
                let value = if style == ScalarStyle::Plain && !as_text {
                    scalar::plain(&text)
                } else {
                    Value::String(text.into_owned())
                };
                let tag = if as_text { None } else { tag };
                (Content::Scalar(value), anchor, tag)
            }
            Event::SequenceStart(_, anchor, tag) => (self.list(depth)?, anchor, tag),
            Event::MappingStart(_, anchor, tag) => (self.map(depth)?, anchor, tag),
            // Ends of collections. The others do not come here, and the enum is not exhaustive, so
            // that clippy's list would need a wildcard as well.
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::UnresolvedAlias(_)
            | Event::Anchor(..)
            | Event::Comment(..)
            | Event::SequenceEnd
            | Event::MappingEnd
            | _ => return Ok(None),
        };
        if tag.is_some() {
            self.fault(place, "tags are not used here; remove it".to_owned());
        }
        let node = Node { place, content };
        if anchor != 0 {
            let (count, deep) = node.size();
            self.anchors.insert(anchor, (node.clone(), count, deep));
        }
        Ok(Some(node))
    }

    fn alias(&mut self, id: usize, depth: usize) -> Result<Node, String> {
        let (node, count, deep) = self
            .anchors
            .get(&id)
            .ok_or_else(|| "the alias lies in what it stands for; correct it".to_owned())?;
        self.nodes = self.nodes.saturating_add(*count);
        if self.nodes > MAX_NODES || depth + deep > MAX_DEPTH {
            return Err("the aliases grow too large; write the values out".to_owned());
        }
        Ok(node.clone())
    }

    fn list(&mut self, depth: usize) -> Result<Content, Stop> {
        let mut nodes = Vec::new();
        while let Some((event, span)) = self.next()? {
            match self.node(event, span, depth + 1)? {
                Some(node) => nodes.push(node),
                None => break,
            }
        }
        Ok(Content::List(nodes))
    }

    fn map(&mut self, depth: usize) -> Result<Content, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = BTreeSet::new();
        while let Some((event, span)) = self.next()? {
            let key_place = Place::of(span.start.line(), span.start.col());
            let key = if let Event::Scalar(text, ..) = &event {
                Some(text.clone().into_owned())
            } else {
                None
            };
            if self.node(event, span, depth + 1)?.is_none() {
                break;
            }
            let Some((event, span)) = self.next()? else {
                break;
            };
            let Some(node) = self.node(event, span, depth + 1)? else {
                break;
            };
            match key {
                None => self.fault(key_place, "a key is a text; correct it".to_owned()),
                Some(key) if key == "<<" => self.fault(
                    key_place,
                    "merge keys are not part of YAML 1.2; write the values out".to_owned(),
                ),
                Some(key) if !seen.insert(key.clone()) => self.fault(
                    key_place,
                    format!("'{key}' is there twice; remove one of the two"),
                ),
                Some(key) => entries.push(Entry {
                    key,
                    key_place,
                    node,
                }),
            }
        }
        Ok(Content::Map(entries))
    }

    fn fault(&mut self, place: Place, message: String) {
        self.faults.push(Fault { place, message });
    }
}

/// Events that only say where a stream or a document begins or ends.
fn is_structure(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd
    )
}
