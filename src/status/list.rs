//! Status lists: 2^20 slots of two bits (Token Status List, draft -20, section 4).
//!
//! A [`StatusList`] has exactly 2^20 slots and none with the value 3, which we
//! do not use. A [`SlotIndex`] is below 2^20, so looking a slot up cannot fail.
//! Within a byte the slot of the lowest index has the least significant bits.

use std::fmt;
use std::io::Read;
use std::io::Write;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use crate::domain::digest::Digest;
use crate::log::event::LIST_SLOTS;
use crate::log::event::SlotValue;

/// The place of a slot in its list: below 2^20.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SlotIndex(u32);

impl SlotIndex {
    /// That place, or `None` from 2^20 on.
    pub const fn new(index: u32) -> Option<Self> {
        if index < LIST_SLOTS { Some(Self(index)) } else { None }
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The chunk it lies in.
    pub fn chunk(self) -> ChunkIndex {
        ChunkIndex(u16::try_from(self.0 / CHUNK_SLOTS).expect("2^20 slots make 4,096 chunks"))
    }

    /// The byte it lies in, and how far it is shifted there.
    fn place(self) -> (usize, u32) {
        let byte = usize::try_from(self.0 / SLOTS_IN_BYTE).expect("2^18 fits in a usize");
        (byte, self.0 % SLOTS_IN_BYTE * 2)
    }
}

/// The place of a chunk, 256 slots in 64 bytes, in its list: below 4,096.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ChunkIndex(u16);

impl ChunkIndex {
    /// That place, or `None` from 4,096 on.
    pub const fn new(index: u16) -> Option<Self> {
        if index < CHUNKS { Some(Self(index)) } else { None }
    }

    /// The number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// The bits of one list.
#[derive(Clone, Eq, PartialEq)]
pub struct StatusList(Vec<u8>);

impl StatusList {
    /// A list in which every slot is active.
    pub fn new() -> Self {
        Self(vec![0; LIST_BYTES])
    }

    /// The list with these 262,144 bytes.
    ///
    /// # Errors
    /// [`ListError::Length`], or [`ListError::Value`] when a slot has the value 3.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, ListError> {
        if bytes.len() != LIST_BYTES {
            return Err(ListError::Length);
        }
        if !bytes.iter().all(is_known) {
            return Err(ListError::Value);
        }
        Ok(Self(bytes))
    }

    /// Reads a compressed list (RFC 1950), which may grow to 262,144 bytes and no further.
    ///
    /// # Errors
    /// [`ListError`], by what is wrong.
    pub fn decompress(compressed: &[u8]) -> Result<Self, ListError> {
        Self::from_bytes(inflate(compressed, LIST_BYTES)?)
    }

    /// Gives a slot a value. Whether it may change like that is not asked here.
    pub fn set(&mut self, index: SlotIndex, value: SlotValue) {
        let (byte, shift) = index.place();
        self.0[byte] = self.0[byte] & !(3 << shift) | value.bits() << shift;
    }

    /// Gives the 256 slots of a chunk their values.
    ///
    /// # Errors
    /// [`ListError::Value`] when one of them is 3; the list is then as it was.
    pub fn set_chunk(&mut self, index: ChunkIndex, bits: &[u8; CHUNK_BYTES]) -> Result<(), ListError> {
        if !bits.iter().all(is_known) {
            return Err(ListError::Value);
        }
        let start = usize::from(index.0) * CHUNK_BYTES;
        self.0[start..start + CHUNK_BYTES].copy_from_slice(bits);
        Ok(())
    }

    /// The value of a slot.
    pub fn value(&self, index: SlotIndex) -> SlotValue {
        let (byte, shift) = index.place();
        SlotValue::try_from(self.0[byte] >> shift & 3).expect("no slot has the value 3")
    }

    /// The 64 bytes of a chunk.
    pub fn chunk(&self, index: ChunkIndex) -> &[u8; CHUNK_BYTES] {
        let start = usize::from(index.0) * CHUNK_BYTES;
        self.0[start..].first_chunk().expect("4,096 chunks of 64 bytes make a list")
    }

    /// The 262,144 bytes: what the log must fold to.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// SHA-256 of those bytes: what a snapshot entry holds.
    pub fn digest(&self) -> Digest {
        Digest::of(&[&self.0])
    }

    /// The list compressed (RFC 1950), at level 6: a few milliseconds.
    pub fn compress(&self) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(&self.0).and_then(|()| encoder.finish()).expect("writing to memory cannot fail")
    }
}

impl Default for StatusList {
    fn default() -> Self {
        Self::new()
    }
}

/// 256 KiB of bits tell a reader of a failed test nothing.
impl fmt::Debug for StatusList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatusList({})", self.digest())
    }
}

/// Why bytes are not a status list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ListError {
    /// Not compressed by zlib, or damaged, or with something after it.
    Compression,
    /// Not 2^20 slots of two bits.
    Length,
    /// A slot has the value 3.
    Value,
}

impl ListError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Compression => "status/list-compression",
            Self::Length => "status/list-length",
            Self::Value => "status/list-value",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Compression => Some("fetch the list again; a cache may have cut it short"),
            Self::Length | Self::Value => None,
        }
    }
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compression => "the status list cannot be decompressed",
            Self::Length => "the status list does not have 2^20 slots of two bits",
            Self::Value => "the status list holds a value that is not in use",
        })
    }
}

impl std::error::Error for ListError {}

/// Whether none of the four slots of a byte has the value 3.
const fn is_known(byte: &u8) -> bool {
    *byte & (*byte >> 1) & 0b0101_0101 == 0
}

/// Decompresses to at most so many bytes; all input must be used.
fn inflate(compressed: &[u8], bytes_max: usize) -> Result<Vec<u8>, ListError> {
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let (mut decoder, mut bytes) = (ZlibDecoder::new(compressed).take(limit), Vec::new());
    decoder.read_to_end(&mut bytes).map_err(|_| ListError::Compression)?;
    if bytes.len() > bytes_max {
        return Err(ListError::Length);
    }
    let used = decoder.get_ref().total_in();
    if u64::try_from(compressed.len()) == Ok(used) { Ok(bytes) } else { Err(ListError::Compression) }
}

/// Bytes of a chunk.
pub const CHUNK_BYTES: usize = 64;

/// Chunks of a list.
pub const CHUNKS: u16 = 4096;

/// Bits of one slot: `bits` of the token.
pub(super) const BITS: u8 = 2;

const CHUNK_SLOTS: u32 = 256;
const SLOTS_IN_BYTE: u32 = 4;

/// 2^20 slots of two bits (DESIGN).
pub(super) const LIST_BYTES: usize = 262_144;

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::SlotValue::Active;
    use super::SlotValue::Ended;
    use super::SlotValue::Suspended;
    use super::*;

    fn slot(index: u32) -> SlotIndex {
        SlotIndex::new(index).unwrap()
    }

    #[test]
    fn the_least_significant_bits_come_first_as_in_the_draft() {
        // Two-bit vector of the draft: statuses 1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3.
        let statuses = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3];
        let bytes = [0xc9, 0x44, 0xf9];
        for (index, status) in statuses.into_iter().enumerate() {
            let (byte, shift) = slot(u32::try_from(index).unwrap()).place();
            assert_eq!(bytes[byte] >> shift & 3, status, "slot {index}");
        }
        let mut list = StatusList::new();
        list.set(slot(0), Ended);
        list.set(slot(1), Suspended);
        assert_eq!(list.as_bytes()[0], 0b0000_1001);
    }

    #[test]
    fn the_compressed_vectors_of_the_draft_are_read() {
        for (text, expected) in
            [("eNrbuRgAAhcBXQ", &[0xb9, 0xa3][..]), ("eNo76fITAAPfAgc", &[0xc9, 0x44, 0xf9])]
        {
            let compressed = URL_SAFE_NO_PAD.decode(text).unwrap();
            assert_eq!(inflate(&compressed, LIST_BYTES).unwrap(), expected);
        }
    }

    #[test]
    fn a_list_survives_compression_bytes_and_chunks() {
        let mut list = StatusList::new();
        for index in (0..LIST_SLOTS).step_by(97) {
            list.set(slot(index), if index % 2 == 0 { Ended } else { Suspended });
        }
        assert_eq!(StatusList::decompress(&list.compress()).unwrap(), list);
        assert_eq!(StatusList::from_bytes(list.as_bytes().to_vec()).unwrap(), list);
        let mut copy = StatusList::new();
        for index in 0..CHUNKS {
            let chunk = ChunkIndex::new(index).unwrap();
            copy.set_chunk(chunk, list.chunk(chunk)).unwrap();
        }
        assert_eq!(copy, list);
        for (index, value) in [(0, Ended), (97, Suspended), (98, Active)] {
            assert_eq!(list.value(slot(index)), value);
        }
        assert_eq!(slot(LIST_SLOTS - 1).chunk(), ChunkIndex::new(CHUNKS - 1).unwrap());
        assert_eq!((SlotIndex::new(LIST_SLOTS), ChunkIndex::new(CHUNKS)), (None, None));
    }

    #[test]
    fn setting_a_slot_leaves_its_neighbours() {
        let mut list = StatusList::new();
        for index in 0..8 {
            list.set(slot(index), Suspended);
        }
        list.set(slot(5), Ended);
        list.set(slot(2), Active);
        let values: Vec<_> = (0..9).map(|index| list.value(slot(index)).bits()).collect();
        assert_eq!(values, [2, 2, 0, 2, 2, 1, 2, 2, 0]);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        assert_eq!(StatusList::from_bytes(vec![0; LIST_BYTES - 1]), Err(ListError::Length));
        let mut bytes = vec![0; LIST_BYTES];
        bytes[LIST_BYTES - 1] = 0b1100_0000;
        assert_eq!(StatusList::from_bytes(bytes), Err(ListError::Value));
        let mut list = StatusList::new();
        let chunk = ChunkIndex::new(0).unwrap();
        assert_eq!(list.set_chunk(chunk, &[0b0000_0110; CHUNK_BYTES]), Ok(()));
        assert_eq!(list.set_chunk(chunk, &[0b0000_1100; CHUNK_BYTES]), Err(ListError::Value));
        let compressed = StatusList::new().compress();
        assert_eq!(StatusList::decompress(&compressed[..9]), Err(ListError::Compression));
        assert_eq!(StatusList::decompress(&[&compressed[..], &[0]].concat()), Err(ListError::Compression));
    }

    #[test]
    fn decompression_stops_where_a_list_would_end() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&[0; 64]).unwrap();
        let bomb = encoder.finish().unwrap();
        assert_eq!(inflate(&bomb, 64).map(|bytes| bytes.len()), Ok(64));
        assert_eq!(inflate(&bomb, 63), Err(ListError::Length));
        assert_eq!(inflate(&bomb, 0), Err(ListError::Length));
    }
}
