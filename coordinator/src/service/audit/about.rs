//! What a call is about: of its first message, the fields that name things, by the schema. A field that
//! is not listed here is not looked at, so that no text of an object and no secret is ever written down.

use std::{collections::BTreeMap, sync::LazyLock};

use berth_core::audit::Entry;
use berth_proto::v1::FILE_DESCRIPTOR_SET;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, BodyStream, StreamBody};
use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorSet, field_descriptor_proto::Type};
use tonic::{Code, body::Body};

/// Fields that name things, or say what is done with them.
const NAMES: [&str; 21] = [
    "kind",
    "namespace",
    "default_namespace",
    "name",
    "set",
    "member",
    "process",
    "host",
    "role",
    "namespaces",
    "id",
    "token_id",
    "file",
    "replicas",
    "to_revision",
    "offline",
    "paused",
    "unschedulable",
    "stop_pinned",
    "dry_run",
    "confirmed",
];
/// Messages in messages that are looked into.
const WITHIN: [&str; 4] = ["ref", "sources", "command", "objects"];
/// Bytes before a message: whether it is compressed, and how long it is.
const HEAD: usize = 5;
/// The one method whose answer says what it was about: its request has texts.
const APPLY: &str = "berth.v1.ObjectService/Apply";

/// What a message has, by the numbers of its fields.
type Fields = BTreeMap<u32, Field>;

#[derive(Debug)]
struct Field {
    name: String,
    /// The message that it is, if it is one.
    message: Option<String>,
    text: bool,
}

/// Of the schema, what is looked at.
struct Schema {
    /// Of each method, what it takes and gives.
    methods: BTreeMap<String, (String, String)>,
    messages: BTreeMap<String, Fields>,
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    // Whether it can be read is known from a test.
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default();
    let mut schema = Schema {
        methods: BTreeMap::new(),
        messages: BTreeMap::new(),
    };
    for file in set.file {
        let package = file.package().to_owned();
        for message in &file.message_type {
            let name = format!(".{package}.{}", message.name());
            schema.messages.insert(name, fields(message));
        }
        for service in &file.service {
            for method in &service.method {
                let name = format!("{package}.{}/{}", service.name(), method.name());
                let types = (method.input_type(), method.output_type());
                let types = (types.0.to_owned(), types.1.to_owned());
                schema.methods.insert(name, types);
            }
        }
    }
    schema
});

fn fields(message: &DescriptorProto) -> Fields {
    let looked_at = message.field.iter().filter_map(|field| {
        let name = field.name();
        let message = (field.r#type() == Type::Message).then(|| field.type_name().to_owned());
        let known = match &message {
            Some(_) => WITHIN.contains(&name),
            None => NAMES.contains(&name),
        };
        let field_of = Field {
            name: name.to_owned(),
            message,
            text: field.r#type() == Type::String,
        };
        Some((u32::try_from(field.number()).ok()?, field_of)).filter(|_| known)
    });
    looked_at.collect()
}

/// Tells of a request.
pub(super) fn request(method: &str, message: &[u8], entry: &mut Entry) {
    if let Some((input, _)) = SCHEMA.methods.get(method) {
        tell(input, message, entry);
    }
}

/// Tells of an answer, if that is what says what was done.
pub(super) fn response(method: &str, message: &[u8], entry: &mut Entry) {
    if let Some((_, output)) = SCHEMA.methods.get(method).filter(|_| method == APPLY) {
        tell(output, message, entry);
    }
}

fn tell(kind: &str, message: &[u8], entry: &mut Entry) {
    let Some(fields) = SCHEMA.messages.get(kind) else {
        return;
    };
    let mut rest = message;
    while let Some((number, value)) = next(&mut rest) {
        let Some(field) = fields.get(&number) else {
            continue;
        };
        match (value, &field.message) {
            (Value::Bytes(bytes), Some(message)) => tell(message, bytes, entry),
            (Value::Bytes(bytes), None) if field.text => {
                entry.tell(&field.name, &String::from_utf8_lossy(bytes));
            }
            (Value::Number(number), None) => entry.tell(&field.name, &number.to_string()),
            (Value::Bytes(_), None) | (Value::Number(_), Some(_)) | (Value::Other, _) => {}
        }
    }
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The next field of a message; `None` at its end, or where it is none.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let tag = varint(rest)?;
    let number = u32::try_from(tag >> 3).ok()?;
    let value = match tag & 7 {
        0 => Value::Number(varint(rest)?),
        1 => {
            rest.split_off(..8)?;
            Value::Other
        }
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Value::Bytes(rest.split_off(..length)?)
        }
        5 => {
            rest.split_off(..4)?;
            Value::Other
        }
        _ => return None,
    };
    Some((number, value))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(rest).ok()
}

/// The first message of a body, as far as it is looked at, and the body as it was.
pub(super) async fn first_message(mut body: Body, longest: usize) -> (Bytes, Body) {
    let mut read = BytesMut::new();
    let mut frames = Vec::new();
    while !is_enough(&read, longest) {
        let Some(frame) = body.frame().await else {
            break;
        };
        let data = frame.as_ref().ok().and_then(|frame| frame.data_ref());
        let more = data.is_some();
        read.extend_from_slice(data.map_or(&[], |data| data));
        frames.push(frame);
        if !more {
            break;
        }
    }
    let frames = futures_util::stream::iter(frames).chain(BodyStream::new(body));
    (message(read.freeze()), Body::new(StreamBody::new(frames)))
}

/// What of a frame of gRPC is the message; nothing if it is not whole, or compressed, which none is.
fn message(frame: Bytes) -> Bytes {
    match length(&frame) {
        Some(length) if frame.first() == Some(&0) && frame.len() >= HEAD + length => {
            frame.slice(HEAD..HEAD + length)
        }
        Some(_) | None => Bytes::new(),
    }
}

/// How long the message of a frame is, once that is there.
fn length(frame: &[u8]) -> Option<usize> {
    let head = frame.get(1..HEAD)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(head)).ok()
}

/// Whether there is a whole message, or one that is too long to be looked at: the services refuse it.
fn is_enough(frame: &[u8], longest: usize) -> bool {
    length(frame).is_some_and(|length| length > longest || frame.len() >= HEAD + length)
}

/// The first message of an answer, if that is what says what was done.
pub(super) async fn answer(method: &str, code: Code, body: Body) -> (Bytes, Body) {
    if method == APPLY && code == Code::Ok {
        first_message(body, usize::MAX).await
    } else {
        (Bytes::new(), body)
    }
}

#[cfg(test)]
mod tests {
    use berth_proto::v1;

    use super::*;

    fn told(method: &str, message: &impl prost::Message) -> Entry {
        let mut entry = Entry::default();
        request(method, &message.encode_to_vec(), &mut entry);
        entry
    }

    #[test]
    fn what_a_request_names_is_told_and_what_it_carries_is_not() {
        let apply = v1::ApplyRequest {
            sources: vec![v1::Source {
                file: "db.yaml".to_owned(),
                text: "canary".to_owned(),
            }],
            confirmed: true,
            ..v1::ApplyRequest::default()
        };
        let entry = told(APPLY, &apply);
        assert_eq!(entry.about["file"], ["db.yaml"]);
        assert_eq!(entry.about["confirmed"], ["1"]);
        assert_eq!(entry.about.len(), 2, "{entry:?}");
        let join = v1::JoinRequest {
            token_id: "t1".to_owned(),
            secret: b"canary".to_vec(),
            host: "host-1".to_owned(),
            ..v1::JoinRequest::default()
        };
        let entry = told("berth.v1.IdentityService/Join", &join);
        assert_eq!(entry.about["host"], ["host-1"]);
        assert!(!format!("{entry:?}").contains("canary"));
        let delete = v1::DeleteRequest {
            r#ref: Some(v1::ObjectRef {
                kind: "Secret".to_owned(),
                namespace: "shop".to_owned(),
                name: "db".to_owned(),
            }),
            ..v1::DeleteRequest::default()
        };
        let entry = told("berth.v1.ObjectService/Delete", &delete);
        let one = |field: &str| entry.about[field].first().cloned().unwrap();
        assert_eq!(
            [one("kind"), one("namespace"), one("name")],
            ["Secret", "shop", "db"]
        );
    }

    #[test]
    fn no_bytes_are_too_strange_to_be_looked_at() {
        let mut seed = 1_u32;
        for length in 0..2_000 {
            let bytes: Vec<u8> = (0..length % 64)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    seed.to_be_bytes()[0]
                })
                .collect();
            let mut entry = Entry::default();
            request(APPLY, &bytes, &mut entry);
            assert!(message(Bytes::from(bytes.clone())).len() <= bytes.len());
        }
    }

    #[tokio::test]
    async fn a_body_is_passed_on_as_it_was() {
        let text = b"\0\0\0\0\x03abc and what follows".to_vec();
        for longest in [2, 100] {
            let body = Body::new(http_body_util::Full::new(Bytes::from(text.clone())));
            let (first, body) = first_message(body, longest).await;
            assert_eq!(&*first, b"abc");
            let whole = body.collect().await.unwrap().to_bytes();
            assert_eq!(&*whole, text);
        }
        let cut = Bytes::from_static(b"\0\0\0\0\x09abc");
        let (first, body) =
            first_message(Body::new(http_body_util::Full::new(cut.clone())), 100).await;
        assert!(first.is_empty());
        assert_eq!(body.collect().await.unwrap().to_bytes(), cut);
    }
}
