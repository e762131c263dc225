//! The fields of the rows that are a log: entries, hashes of its tree, heads.
//!
//! Every key begins with the log's number, but for the head of the log that is open.

use super::Fields;
use super::Record;
use crate::domain::digest::Digest;
use crate::store::row;
use crate::store::tables::Table;

impl Record for row::Entry {
    const TABLE: Table = Table::Entry;

    fn key(&self) -> Vec<u8> {
        entry_key(self.log, self.index)
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(&self.bytes);
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        let log = u16::from_be_bytes(key.array()?);
        Some(Self { log, index: u64::from_be_bytes(key.array()?), bytes: value.rest() })
    }

    fn fits(&self) -> bool {
        self.bytes.len() <= usize::from(u16::MAX)
    }
}

impl Record for row::Head {
    const TABLE: Table = Table::Meta;

    fn key(&self) -> Vec<u8> {
        head_key().to_vec()
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(&self.log.to_be_bytes());
        value.extend_from_slice(&self.size.to_be_bytes());
        value.extend_from_slice(self.root.as_bytes());
        // An origin too long for its length byte does not fit, and is never kept.
        value.push(u8::try_from(self.origin.len()).unwrap_or(0));
        value.extend_from_slice(self.origin.as_bytes());
        value.extend_from_slice(&self.note);
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        (key.rest() == head_key()).then_some(())?;
        let head = Self {
            log: u16::from_be_bytes(value.array()?),
            size: u64::from_be_bytes(value.array()?),
            root: Digest::from_bytes(value.array()?),
            origin: String::from_utf8(value.short()?).ok()?,
            note: value.rest(),
        };
        head.fits().then_some(head)
    }

    fn fits(&self) -> bool {
        (1..=usize::from(u8::MAX)).contains(&self.origin.len())
    }
}

/// Laid out like the head, under the number of its log.
impl Record for row::ClosedHead {
    const TABLE: Table = Table::Meta;

    fn key(&self) -> Vec<u8> {
        closed_head_key(self.0.log)
    }

    fn write(&self, value: &mut Vec<u8>) {
        self.0.write(value);
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        let key = key.rest();
        let head = row::Head::read(&mut Fields(head_key()), value)?;
        (key == closed_head_key(head.log)).then_some(Self(head))
    }

    fn fits(&self) -> bool {
        self.0.fits()
    }
}

impl Record for row::TileHash {
    const TABLE: Table = Table::TileHash;

    fn key(&self) -> Vec<u8> {
        tile_hash_key(self.log, self.level, self.index)
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(self.hash.as_bytes());
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            log: u16::from_be_bytes(key.array()?),
            level: key.byte()?,
            index: u64::from_be_bytes(key.array()?),
            hash: Digest::from_bytes(value.array()?),
        })
    }
}

pub(crate) fn closed_head_key(log: u16) -> Vec<u8> {
    [head_key(), &log.to_be_bytes()].concat()
}

pub(crate) fn entry_key(log: u16, index: u64) -> Vec<u8> {
    [&log.to_be_bytes()[..], &index.to_be_bytes()].concat()
}

/// Stands before every name that a value has.
pub(crate) fn head_key() -> &'static [u8] {
    &[0]
}

pub(crate) fn tile_hash_key(log: u16, level: u8, index: u64) -> Vec<u8> {
    [&log.to_be_bytes()[..], &[level], &index.to_be_bytes()].concat()
}
