//! Thrift's compact protocol, as far as Parquet uses it: fields are walked over in place.

/// What is no Thrift, or goes on behind the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

/// How deep values that are passed over may lie inside of each other.
const MAX_DEPTH: u32 = 32;

/// Kinds of values.
pub(super) mod kind {
    pub(crate) const TRUE: u8 = 1;
    pub(crate) const FALSE: u8 = 2;
    pub(crate) const BYTE: u8 = 3;
    pub(crate) const I16: u8 = 4;
    pub(crate) const I32: u8 = 5;
    pub(crate) const I64: u8 = 6;
    pub(crate) const DOUBLE: u8 = 7;
    pub(crate) const BINARY: u8 = 8;
    pub(crate) const LIST: u8 = 9;
    pub(crate) const SET: u8 = 10;
    pub(crate) const MAP: u8 = 11;
    pub(crate) const STRUCT: u8 = 12;
    pub(crate) const UUID: u8 = 13;
}

/// A place in bytes.
pub(super) struct Compact<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A field of a struct: its number and the kind of its value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) id: i16,
    pub(super) kind: u8,
}

impl<'a> Compact<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How far it is.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn byte(&mut self) -> Result<u8, Damaged> {
        let byte = *self.bytes.get(self.at).ok_or(Damaged)?;
        self.at += 1;
        Ok(byte)
    }

    fn skip_bytes(&mut self, count: u64) -> Result<(), Damaged> {
        let count = usize::try_from(count).map_err(|_| Damaged)?;
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len()).ok_or(Damaged)?;
        self.at = end;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, Damaged> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Damaged)
    }

    /// A number of any width.
    pub(super) fn number(&mut self) -> Result<i64, Damaged> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    /// The next field of a struct, whose last one had the number `last`; none at its end.
    pub(super) fn field(&mut self, last: i16) -> Result<Option<Field>, Damaged> {
        let byte = self.byte()?;
        let kind = byte & 0x0f;
        if kind == 0 {
            return Ok(None);
        }
        let delta = i16::from(byte >> 4);
        let id = if delta == 0 {
            i16::try_from(self.number()?).map_err(|_| Damaged)?
        } else {
            last.checked_add(delta).ok_or(Damaged)?
        };
        Ok(Some(Field { id, kind }))
    }

    /// Length of a list and the kind of its items; each takes a byte at least.
    pub(super) fn list(&mut self) -> Result<(u64, u8), Damaged> {
        let byte = self.byte()?;
        let (short, kind) = (u64::from(byte >> 4), byte & 0x0f);
        let length = if short == 15 { self.varint()? } else { short };
        if length > (self.bytes.len() - self.at) as u64 {
            return Err(Damaged);
        }
        Ok((length, kind))
    }

    /// Walks over the fields of a struct: `take` gets each and says whether it read the value.
    pub(super) fn fields(
        &mut self,
        mut take: impl FnMut(&mut Self, Field) -> Result<bool, Damaged>,
    ) -> Result<(), Damaged> {
        let mut last = 0;
        while let Some(field) = self.field(last)? {
            last = field.id;
            if !take(self, field)? {
                self.skip(field.kind, 0)?;
            }
        }
        Ok(())
    }

    /// Passes over a value of a field.
    pub(super) fn skip(&mut self, kind: u8, depth: u32) -> Result<(), Damaged> {
        if depth > MAX_DEPTH {
            return Err(Damaged);
        }
        match kind {
            kind::TRUE | kind::FALSE => Ok(()),
            kind::BYTE => self.skip_bytes(1),
            kind::I16 | kind::I32 | kind::I64 => self.varint().map(|_| ()),
            kind::DOUBLE => self.skip_bytes(8),
            kind::UUID => self.skip_bytes(16),
            kind::BINARY => {
                let length = self.varint()?;
                self.skip_bytes(length)
            }
            kind::LIST | kind::SET => {
                let (length, of) = self.list()?;
                (0..length).try_for_each(|_| self.skip_item(of, depth + 1))
            }
            kind::MAP => {
                let length = self.varint()?;
                if length == 0 {
                    return Ok(());
                }
                let kinds = self.byte()?;
                (0..length).try_for_each(|_| {
                    self.skip_item(kinds >> 4, depth + 1)?;
                    self.skip_item(kinds & 0x0f, depth + 1)
                })
            }
            kind::STRUCT => {
                let mut last = 0;
                while let Some(field) = self.field(last)? {
                    last = field.id;
                    self.skip(field.kind, depth + 1)?;
                }
                Ok(())
            }
            _ => Err(Damaged),
        }
    }

    /// Passes over an item of a list: there a truth value is a byte.
    fn skip_item(&mut self, kind: u8, depth: u32) -> Result<(), Damaged> {
        if matches!(kind, kind::TRUE | kind::FALSE) { self.skip_bytes(1) } else { self.skip(kind, depth) }
    }
}
