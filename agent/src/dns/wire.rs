//! One DNS message in, one out: what a question is and how an answer is written, whatever socket
//! carried it.
//!
//! The bytes come from anyone on the host, so counts in the header are checked before anything is
//! allocated for them, and only the question and the OPT record are decoded at all. Encoding
//! and decoding of names and records is hickory's.

use std::{iter, ops::Range};

use hickory_resolver::proto::{
    op::{
        Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode,
        emit_message_parts,
    },
    rr::{DNSClass, LowerName, Record, RecordType},
    serialize::binary::{BinDecodable as _, BinDecoder, BinEncoder},
};

/// The UDP payload that we announce and never exceed: what passes IPv6's smallest link unfragmented
/// (DNS flag day 2020).
pub(super) const MAX_UDP: u16 = 1232;
/// The UDP payload of a client without EDNS (RFC 1035, 4.2.1).
const MIN_UDP: u16 = 512;
/// A query has an OPT record, and at most a signature, which we ignore.
const MAX_ADDITIONALS: u16 = 4;
/// Where the header counts the additional records (RFC 1035, 4.1.1).
const ADDITIONAL_COUNT: Range<usize> = 10..12;

/// What carried a message, and so how long its answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// A datagram.
    Udp,
    /// A stream.
    Tcp,
}

/// A question that is well formed and of a kind that we answer.
#[derive(Debug)]
pub(super) struct Request {
    metadata: Metadata,
    query: Query,
    edns: bool,
    limit: u16,
}

impl Request {
    /// The name as it was asked, its case kept.
    pub(super) fn query(&self) -> &Query {
        &self.query
    }

    /// The name in lower case.
    pub(super) fn name(&self) -> LowerName {
        LowerName::new(self.query.name())
    }

    /// The record type.
    pub(super) fn kind(&self) -> RecordType {
        self.query.query_type()
    }

    /// A number that differs from question to question; the client chose it.
    pub(super) fn id(&self) -> u16 {
        self.metadata.id
    }

    /// Whether the client wants names resolved that are not ours.
    pub(super) fn recursion_desired(&self) -> bool {
        self.metadata.recursion_desired
    }
}

/// What an incoming message is.
#[derive(Debug)]
pub(super) enum Parsed {
    /// A question.
    Ask(Request),
    /// Something that we do not answer, and the bytes that say so.
    Refuse(Vec<u8>),
    /// Nothing that may be replied to: too short, or a response (replying to one could go back and
    /// forth for ever).
    Ignore,
}

/// An answer, before it is written.
#[derive(Debug, Default)]
pub(super) struct Response {
    /// The outcome.
    pub(super) code: ResponseCode,
    /// Whether it is about our own zone.
    pub(super) authoritative: bool,
    /// Whether we would resolve other names.
    pub(super) recursion_available: bool,
    /// Records that answer the question.
    pub(super) answers: Vec<Record>,
    /// The SOA of a negative answer.
    pub(super) authorities: Vec<Record>,
    /// Records that save the client the next question.
    pub(super) additionals: Vec<Record>,
}

impl Response {
    /// An answer without records.
    pub(super) fn code(code: ResponseCode) -> Self {
        Self {
            code,
            ..Self::default()
        }
    }
}

/// Reads a message.
pub(super) fn parse(bytes: &[u8], transport: Transport) -> Parsed {
    let mut decoder = BinDecoder::new(bytes);
    let Ok(Header {
        metadata, counts, ..
    }) = Header::read(&mut decoder)
    else {
        return Parsed::Ignore;
    };
    if metadata.message_type == MessageType::Response {
        return Parsed::Ignore;
    }
    if metadata.op_code != OpCode::Query {
        return refuse(&metadata, None, ResponseCode::NotImp);
    }
    if counts.queries != 1
        || counts.answers != 0
        || counts.authorities != 0
        || counts.additionals > MAX_ADDITIONALS
    {
        return refuse(&metadata, None, ResponseCode::FormErr);
    }
    let Ok(query) = Query::read(&mut decoder) else {
        return refuse(&metadata, None, ResponseCode::FormErr);
    };
    let additionals = usize::from(counts.additionals);
    let Ok((_, edns, _)) = Message::read_records(&mut decoder, additionals, true, metadata.op_code)
    else {
        return refuse(&metadata, None, ResponseCode::FormErr);
    };
    let request = Request {
        metadata,
        query,
        edns: edns.is_some(),
        limit: limit(transport, edns.as_ref()),
    };
    check(request, edns.as_ref())
}

/// Refuses what we understand and do not answer.
fn check(request: Request, edns: Option<&Edns>) -> Parsed {
    let code = if edns.is_some_and(|edns| edns.version() > 0) {
        ResponseCode::BADVERS
    } else if request.query.query_class() != DNSClass::IN
        || matches!(request.kind(), RecordType::AXFR | RecordType::IXFR)
    {
        ResponseCode::Refused
    } else if request.kind() == RecordType::OPT {
        ResponseCode::FormErr
    } else {
        return Parsed::Ask(request);
    };
    refuse(&request.metadata.clone(), Some(&request), code)
}

fn limit(transport: Transport, edns: Option<&Edns>) -> u16 {
    match transport {
        Transport::Tcp => u16::MAX,
        Transport::Udp => edns.map_or(MIN_UDP, |edns| edns.max_payload().clamp(MIN_UDP, MAX_UDP)),
    }
}

fn refuse(metadata: &Metadata, request: Option<&Request>, code: ResponseCode) -> Parsed {
    let mut message = Message::response(metadata.id, metadata.op_code);
    message.metadata = Metadata::response_from_request(metadata);
    message.metadata.response_code = code;
    if let Some(request) = request {
        message.queries.push(request.query.clone());
        if request.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(MAX_UDP);
            message.edns = Some(edns);
        }
    }
    // Nothing in it is longer than what was read; if hickory still cannot write it, silence is
    // the safe reply.
    message.to_vec().map_or(Parsed::Ignore, Parsed::Refuse)
}

/// Writes an answer. What does not fit is left out: additional records silently, because they are
/// only a help; answers with the TC bit, so that the client asks again over TCP.
///
/// `None` if it cannot be written at all.
pub(super) fn encode(request: &Request, mut response: Response) -> Option<Vec<u8>> {
    let (bytes, cut) = write(request, &response)?;
    if !cut || response.additionals.is_empty() {
        return Some(bytes);
    }
    response.additionals.clear();
    write(request, &response).map(|(bytes, _)| bytes)
}

/// Writes as much as fits, and says whether something was left out.
fn write(request: &Request, response: &Response) -> Option<(Vec<u8>, bool)> {
    let mut metadata = Metadata::response_from_request(&request.metadata);
    metadata.response_code = response.code;
    metadata.authoritative = response.authoritative;
    metadata.recursion_available = response.recursion_available;
    let mut bytes = Vec::with_capacity(usize::from(MIN_UDP));
    let mut encoder = BinEncoder::new(&mut bytes);
    // hickory writes the OPT record last and drops it when the answers fill the message, so its
    // room is kept free and it is added here.
    let opt = if request.edns { opt() } else { Vec::new() };
    encoder.set_max_size(request.limit.saturating_sub(u16::try_from(opt.len()).ok()?));
    let header = emit_message_parts(
        &metadata,
        &mut iter::once(&request.query),
        &mut response.answers.iter(),
        &mut response.authorities.iter(),
        &mut response.additionals.iter(),
        None,
        None,
        &mut encoder,
    )
    .ok()?;
    // A record that did not fit may have left its beginning behind.
    encoder.trim();
    if request.edns {
        bytes.extend(opt);
        let additionals = header.counts.additionals + 1;
        bytes[ADDITIONAL_COUNT].copy_from_slice(&additionals.to_be_bytes());
    }
    Some((bytes, header.metadata.truncation))
}

/// Our OPT record: the root name, the type, our payload size, no extended code, version 0, no
/// options (RFC 6891, 6.1.2).
fn opt() -> Vec<u8> {
    let mut record = vec![0];
    record.extend(u16::from(RecordType::OPT).to_be_bytes());
    record.extend(MAX_UDP.to_be_bytes());
    record.extend([0; 6]);
    record
}
