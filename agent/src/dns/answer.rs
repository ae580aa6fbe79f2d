//! Answers from the zone: authoritative, from one snapshot, without waiting for anything.

use hickory_resolver::proto::{
    op::ResponseCode,
    rr::{LowerName, Name, RData, Record, RecordType},
};

use super::{
    index::{Found, Index, Node, TTL},
    wire::{Request, Response},
};

/// Answers a question about our own names; `None` if the name is none of ours.
pub(super) fn answer(index: &Index, request: &Request) -> Option<Response> {
    let name = request.name();
    let node = match index.find(&name) {
        Found::Foreign => return None,
        Found::Unknown => return Some(Response::code(ResponseCode::ServFail)),
        Found::Missing => return Some(negative(index, &name, ResponseCode::NXDomain)),
        Found::Node(node) => node,
    };
    let answers = records(node, request.kind(), request.query().name(), request.id());
    if answers.is_empty() {
        return Some(negative(index, &name, ResponseCode::NoError));
    }
    let additionals = addresses_of_targets(index, &answers);
    Some(Response {
        authoritative: true,
        answers,
        additionals,
        ..Response::code(ResponseCode::NoError)
    })
}

fn negative(index: &Index, name: &LowerName, code: ResponseCode) -> Response {
    Response {
        authoritative: true,
        authorities: vec![index.soa(name)],
        ..Response::code(code)
    }
}

/// The records of a name, beginning at another one from question to question, so that clients that
/// take the first do not all take the same.
fn records(node: &Node, kind: RecordType, owner: &Name, turn: u16) -> Vec<Record> {
    let set = node.records(kind);
    let start = usize::from(turn) % set.len().max(1);
    let (before, after) = set.split_at(start);
    after
        .iter()
        .chain(before)
        .map(|data| Record::from_rdata(owner.clone(), TTL, data.clone()))
        .collect()
}

/// The addresses of the hosts that the answer points to.
fn addresses_of_targets(index: &Index, answers: &[Record]) -> Vec<Record> {
    let mut found = Vec::new();
    for record in answers {
        let target = if let RData::SRV(srv) = &record.data {
            &srv.target
        } else if let RData::NS(ns) = &record.data {
            &ns.0
        } else {
            continue;
        };
        if let Found::Node(node) = index.find(&LowerName::new(target)) {
            for kind in [RecordType::A, RecordType::AAAA] {
                found.extend(records(node, kind, target, 0));
            }
        }
    }
    found
}
