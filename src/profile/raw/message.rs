//! A small protobuf message, built in place.

/// Bytes of one message. A sample of the deepest stack has 128 ids of at most 5 bytes; texts are cut to `TEXT`.
const ROOM: usize = 4096;

/// Bytes of the longest text.
pub(super) const TEXT: usize = 1024;

/// A message on the stack of who writes it: nothing is allocated.
#[derive(Debug)]
pub(super) struct Message {
    bytes: [u8; ROOM],
    len: usize,
}

impl Message {
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; ROOM],
            len: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// What does not fit is left out. By the constants above everything fits.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
        }
    }

    pub(super) fn varint(&mut self, mut value: u64) {
        let mut bytes = [0; 10];
        let mut len = 0;
        for byte in &mut bytes {
            len += 1;
            *byte = value as u8 & 0x7f;
            value >>= 7;
            if value == 0 {
                break;
            }
            *byte |= 0x80;
        }
        self.put(bytes.get(..len).unwrap_or_default());
    }

    /// A number's field; 0 is what is meant where there is none.
    pub(super) fn number(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(value);
        }
    }

    /// A field of bytes: a text, a message, packed numbers.
    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.head(field, bytes.len());
        self.put(bytes);
    }

    /// What stands before `len` bytes of a field.
    pub(super) fn head(&mut self, field: u32, len: usize) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(len as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::proto;
    use super::*;
    use prost::Message as _;

    #[test]
    fn prost_reads_what_is_written() {
        let mut values = Message::new();
        for value in [0_i64, 1, -1, 127, 128, i64::MAX, i64::MIN] {
            values.varint(value as u64);
        }
        let mut message = Message::new();
        message.bytes(2, values.as_slice());
        let read = proto::Sample::decode(message.as_slice()).unwrap();
        assert_eq!(read.value, [0, 1, -1, 127, 128, i64::MAX, i64::MIN]);
        message.clear();
        message.number(1, 300);
        message.number(3, 0);
        message.number(4, u64::MAX);
        let read = proto::Label::decode(message.as_slice()).unwrap();
        assert_eq!((read.key, read.num, read.num_unit), (300, 0, -1));
    }
}
