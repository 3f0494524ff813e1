//! The body as bytes: gzip, field numbers, and what a decoder would hide (unknown fields, bad UTF-8, repeats).

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::limits::MAX_UNCOMPRESSED_BYTES;
use super::{Rule, Violations};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

const STRING_TABLE: u64 = 6;
const TIME_NANOS: u64 = 9;
const COMMENT: u64 = 13;

/// The decompressed message, fit for prost (bad UTF-8 is reported and replaced); `None` if nothing can be read.
pub(super) fn check(body: &[u8], found: &mut Violations) -> Option<Vec<u8>> {
    if !body.starts_with(&GZIP_MAGIC) {
        found.report(
            Rule::Gzip,
            format!("starts with {:02x?}", &body[..body.len().min(4)]),
        );
        return None;
    }
    let mut message = Vec::new();
    if let Err(error) = MultiGzDecoder::new(body).read_to_end(&mut message) {
        found.report(Rule::Gzip, error);
        return None;
    }
    found.check(
        message.len() <= MAX_UNCOMPRESSED_BYTES,
        Rule::UncompressedSize,
        format!(
            "{} bytes, more than {MAX_UNCOMPRESSED_BYTES}",
            message.len()
        ),
    );
    let Some(fields) = fields(&message) else {
        found.report(
            Rule::Decodes,
            "the bytes are not a sequence of protobuf fields",
        );
        return None;
    };
    known_fields(&fields, Message::Profile, found);
    let times = fields
        .iter()
        .filter(|field| field.number == TIME_NANOS)
        .count();
    found.check(
        times <= 1,
        Rule::TimeNanosOnce,
        format!("field 9 occurs {times} times"),
    );
    Some(with_valid_strings(&fields, found))
}

/// One field of a message as it stands in the bytes.
struct Field<'a> {
    number: u64,
    value: Value<'a>,
    /// Key and value together.
    bytes: &'a [u8],
}

enum Value<'a> {
    Varint(u64),
    Fixed,
    Bytes(&'a [u8]),
}

/// Splits a message; `None` if it is cut or uses a wire type that proto3 has not.
fn fields(message: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let start = rest;
        let key = varint(&mut rest)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut rest)?),
            1 => {
                take(&mut rest, 8)?;
                Value::Fixed
            }
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                Value::Bytes(take(&mut rest, length)?)
            }
            5 => {
                take(&mut rest, 4)?;
                Value::Fixed
            }
            _ => return None,
        };
        fields.push(Field {
            number: key >> 3,
            value,
            bytes: &start[..start.len() - rest.len()],
        });
    }
    Some(fields)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

/// The message types of profile.proto.
#[derive(Debug, Clone, Copy)]
enum Message {
    Profile,
    ValueType,
    Sample,
    Label,
    Mapping,
    Location,
    Line,
    Function,
}

impl Message {
    /// Its fields are 1..=this.
    fn last_field(self) -> u64 {
        match self {
            Message::Profile => 15,
            Message::ValueType => 2,
            Message::Sample | Message::Line => 3,
            Message::Label => 4,
            Message::Mapping => 10,
            Message::Location | Message::Function => 5,
        }
    }

    fn nested(self, field: u64) -> Option<Message> {
        match (self, field) {
            (Message::Profile, 1 | 11) => Some(Message::ValueType),
            (Message::Profile, 2) => Some(Message::Sample),
            (Message::Profile, 3) => Some(Message::Mapping),
            (Message::Profile, 4) => Some(Message::Location),
            (Message::Profile, 5) => Some(Message::Function),
            (Message::Sample, 3) => Some(Message::Label),
            (Message::Location, 4) => Some(Message::Line),
            _ => None,
        }
    }
}

fn known_fields(list: &[Field<'_>], message: Message, found: &mut Violations) {
    for field in list {
        let number = field.number;
        found.check(
            (1..=message.last_field()).contains(&number),
            Rule::KnownFields,
            format!("{message:?} has no field {number}"),
        );
        if let (Some(nested), Value::Bytes(bytes)) = (message.nested(number), &field.value) {
            match fields(bytes) {
                Some(list) => known_fields(&list, nested, found),
                None => found.report(Rule::Decodes, format!("a {nested:?} is cut short")),
            }
        }
    }
}

/// The message with each string made UTF-8, so that one bad name does not hide the other violations.
fn with_valid_strings(fields: &[Field<'_>], found: &mut Violations) -> Vec<u8> {
    let comments = comment_indices(fields);
    let mut message = Vec::new();
    let mut index = 0;
    for field in fields {
        match field.value {
            Value::Bytes(bytes) if field.number == STRING_TABLE => {
                let text = String::from_utf8_lossy(bytes);
                if text.as_bytes() != bytes {
                    found.report(Rule::Utf8, format!("string {index} ({text:?})"));
                    found.check(
                        !comments.contains(&index),
                        Rule::CommentUtf8,
                        format!("comment {index} ({text:?})"),
                    );
                }
                prost::encoding::string::encode(6, &text.into_owned(), &mut message);
                index += 1;
            }
            _ => message.extend_from_slice(field.bytes),
        }
    }
    message
}

/// Packed or one by one: both are legal.
fn comment_indices(fields: &[Field<'_>]) -> Vec<u64> {
    let mut indices = Vec::new();
    for field in fields.iter().filter(|field| field.number == COMMENT) {
        match field.value {
            Value::Varint(index) => indices.push(index),
            Value::Bytes(mut packed) => {
                while let Some(index) = varint(&mut packed) {
                    indices.push(index);
                }
            }
            Value::Fixed => {}
        }
    }
    indices
}
