//! Protocol buffers on the wire: fields in, bytes out.

const VARINT: u64 = 0;
const LENGTH: u64 = 2;

/// A message that is being written.
#[derive(Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// A number; 0 is left out, as it is what a missing one means.
    pub fn number(&mut self, field: u64, value: u64) {
        if value != 0 {
            self.varint(field << 3 | VARINT);
            self.varint(value);
        }
    }

    /// Bytes or text.
    pub fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | LENGTH);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// A message.
    pub fn message(&mut self, field: u64, value: &Self) {
        self.bytes(field, &value.0);
    }

    /// Several numbers.
    pub fn packed(&mut self, field: u64, values: &[u64]) {
        let mut all = Self::default();
        values.iter().for_each(|value| all.varint(*value));
        self.message(field, &all);
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}
