//! What was on the wire once goes on meaning the same: agents, coordinators and clients of several releases
//! talk to each other. `wire.txt` beside this has every field, value and call that there ever was; a
//! line of it that the schema has no more is a break.
//!
//! What is new is added to it by `BERTH_BLESS=1 cargo test -p berth-proto --test wire`, which takes no line
//! away. Who means to break takes the line out by hand, and says why in the commit.

#![expect(clippy::unwrap_used, reason = "a test without its files has failed")]

use std::{collections::BTreeSet, fs};

use berth_proto::v1::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    MethodDescriptorProto,
};

const FILE: &str = "tests/wire.txt";

fn schema() -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let ours = set.file.iter().filter(|file| file.package() == "berth.v1");
    let mut lines = BTreeSet::new();
    for file in ours {
        let package = format!(".{}", file.package());
        for message in &file.message_type {
            of_message(&package, message, &mut lines);
        }
        for one in &file.enum_type {
            of_enum(&package, one, &mut lines);
        }
        for service in &file.service {
            let name = format!("{package}.{}", service.name());
            lines.extend(service.method.iter().map(|method| call(&name, method)));
        }
    }
    lines
}

fn of_message(scope: &str, message: &DescriptorProto, lines: &mut BTreeSet<String>) {
    let name = format!("{scope}.{}", message.name());
    lines.extend(message.field.iter().map(|one| field(&name, message, one)));
    for nested in &message.nested_type {
        of_message(&name, nested, lines);
    }
    for nested in &message.enum_type {
        of_enum(&name, nested, lines);
    }
}

fn of_enum(scope: &str, one: &EnumDescriptorProto, lines: &mut BTreeSet<String>) {
    lines.extend(one.value.iter().map(|value| {
        let (name, number) = (value.name(), value.number());
        format!("value {scope}.{} {number} {name}", one.name())
    }));
}

fn field(message: &str, of: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let kind = match field.type_name() {
        "" => field.r#type().as_str_name(),
        name => name,
    };
    let oneof = field.oneof_index.filter(|_| !field.proto3_optional());
    let oneof = oneof.and_then(|index| of.oneof_decl.get(usize::try_from(index).ok()?));
    let oneof = oneof.map_or_else(String::new, |oneof| format!(" in {}", oneof.name()));
    let (number, name, label) = (field.number(), field.name(), field.label().as_str_name());
    format!("field {message} {number} {name} {label} {kind}{oneof}")
}

fn call(service: &str, method: &MethodDescriptorProto) -> String {
    let stream = |streams: bool| if streams { "stream " } else { "" };
    format!(
        "call {service}/{} ({}{}) returns ({}{})",
        method.name(),
        stream(method.client_streaming()),
        method.input_type(),
        stream(method.server_streaming()),
        method.output_type()
    )
}

#[test]
fn nothing_that_was_on_the_wire_means_something_else() {
    let text = fs::read_to_string(FILE).unwrap_or_default();
    let known: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let schema = schema();
    let gone: Vec<&String> = known.difference(&schema).collect();
    assert!(
        gone.is_empty(),
        "other releases still say this: leave it as it is, and give what is new a number of its own: \
         {gone:#?}"
    );
    if std::env::var_os("BERTH_BLESS").is_some() {
        let all: Vec<&str> = schema.iter().map(String::as_str).collect();
        fs::write(FILE, all.join("\n") + "\n").unwrap();
        return;
    }
    let new: Vec<&String> = schema.difference(&known).collect();
    assert!(
        new.is_empty(),
        "new, and not in {FILE} yet; run BERTH_BLESS=1 cargo test -p berth-proto --test wire: {new:#?}"
    );
}
