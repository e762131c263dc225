//! Tiles and entry bundles, and the paths they are served under (C2SP tlog-tiles).
//!
//! A [`TilePath`] is always in its one canonical form. A [`Tile`] holds 1 to 256
//! hashes, an [`EntryBundle`] 1 to 256 entries of at most 65,535 bytes each.
//!
//! A *tile level* counts in steps of 256: a hash of tile level `l` covers 256^l
//! leaves. Level 0 is not kept by us: it is made from the entries, whose bytes
//! are the truth.

use std::fmt;
use std::str::FromStr;

use crate::domain::digest::Digest;
use crate::log::merkle::Hashes;
use crate::log::merkle::leaf_hash;
use crate::log::merkle::node_hash;

/// What lies under a path.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum TileKind {
    /// Entries: `tile/entries/…`.
    Entries,
    /// Hashes of a tile level from 0 to 63: `tile/0/…`.
    Hashes(u8),
}

/// The path of a tile or bundle, from `tile/` on, in its canonical form.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TilePath {
    kind: TileKind,
    index: u64,
    width: u16,
}

impl TilePath {
    /// The path of tile `index` holding `width` things, 256 when full.
    ///
    /// # Errors
    /// [`TileError::Path`] for a level above 63 or a width of 0 or above 256.
    pub fn new(kind: TileKind, index: u64, width: u16) -> Result<Self, TileError> {
        let level_fits = !matches!(kind, TileKind::Hashes(level) if level > LEVEL_MAX);
        if !level_fits || width == 0 || width > TILE_WIDTH {
            return Err(TileError::Path);
        }
        Ok(Self { kind, index, width })
    }

    /// Entries or hashes.
    pub const fn kind(&self) -> TileKind {
        self.kind
    }

    /// Which tile of its level.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many things are in it: 1 to 256.
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether a log of that size serves this tile: the full one, or the partial one at its end.
    ///
    /// Earlier partial tiles belong to earlier checkpoints.
    pub fn belongs_to(&self, size: u64) -> bool {
        let level = match self.kind {
            TileKind::Entries => 0,
            TileKind::Hashes(level) => level,
        };
        let count = count_at(level, size);
        let full = self.index < count / u64::from(TILE_WIDTH);
        let last = self.index == count / u64::from(TILE_WIDTH)
            && u64::from(self.width) == count % u64::from(TILE_WIDTH);
        if self.width == TILE_WIDTH { full } else { last }
    }

    /// The place, on its own level, of the first thing in it. `None` past 2^64.
    pub fn first(&self) -> Option<u64> {
        self.index.checked_mul(u64::from(TILE_WIDTH))
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Entries => f.write_str("tile/entries/")?,
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        let (mut rest, mut groups) = (self.index, Vec::new());
        loop {
            groups.push(rest % 1000);
            rest /= 1000;
            if rest == 0 {
                break;
            }
        }
        for (place, group) in groups.iter().enumerate().rev() {
            if place == 0 { write!(f, "{group:03}")? } else { write!(f, "x{group:03}/")? }
        }
        if self.width < TILE_WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// Takes `tile/0/x001/x234/067`, `tile/entries/000.p/112`; nothing that is written differently.
impl FromStr for TilePath {
    type Err = TileError;

    fn from_str(text: &str) -> Result<Self, TileError> {
        if text.len() > PATH_BYTES_MAX {
            return Err(TileError::Path);
        }
        let (kind, rest) =
            text.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or(TileError::Path)?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(level.parse().map_err(|_| TileError::Path)?),
        };
        let (groups, width) = match rest.split_once(".p/") {
            Some((groups, width)) => (groups, width.parse().map_err(|_| TileError::Path)?),
            None => (rest, TILE_WIDTH),
        };
        let mut index: u64 = 0;
        for group in groups.split('/') {
            let group: u64 = group.trim_start_matches('x').parse().map_err(|_| TileError::Path)?;
            index =
                index.checked_mul(1000).and_then(|index| index.checked_add(group)).ok_or(TileError::Path)?;
        }
        let path = Self::new(kind, index, width)?;
        // What we read loosely above must be exactly what we would write.
        if path.to_string() == text { Ok(path) } else { Err(TileError::Path) }
    }
}

/// How many tiles one level has for a log of some size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LevelWidths {
    /// The tile level.
    pub level: u8,
    /// Full tiles.
    pub full: u64,
    /// Hashes in the partial tile after them, 0 when there is none.
    pub partial: u16,
}

/// The tiles of a log of that size, by level, from level 0 to the last that has any.
pub fn widths_for_size(size: u64) -> Vec<LevelWidths> {
    let width = u64::from(TILE_WIDTH);
    (0..=LEVEL_MAX)
        .map(|level| (level, count_at(level, size)))
        .take_while(|(_, count)| *count > 0)
        .map(|(level, count)| LevelWidths {
            level,
            full: count / width,
            partial: u16::try_from(count % width).expect("a remainder of 256"),
        })
        .collect()
}

/// A tile: 1 to 256 hashes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tile(Vec<Digest>);

impl Tile {
    /// A tile of these hashes.
    ///
    /// # Errors
    /// [`TileError::Width`] when they are none or more than 256.
    pub fn new(hashes: Vec<Digest>) -> Result<Self, TileError> {
        if hashes.is_empty() || hashes.len() > usize::from(TILE_WIDTH) {
            return Err(TileError::Width);
        }
        Ok(Self(hashes))
    }

    /// The tile of level 0 over these entries.
    ///
    /// # Errors
    /// As [`Tile::new`].
    pub fn of_entries<E: AsRef<[u8]>>(entries: &[E]) -> Result<Self, TileError> {
        if entries.len() > usize::from(TILE_WIDTH) {
            return Err(TileError::Width);
        }
        Self::new(entries.iter().map(|entry| leaf_hash(entry.as_ref())).collect())
    }

    /// Reads a tile that was served as that path.
    ///
    /// # Errors
    /// [`TileError::Width`] when the bytes are not as many hashes as the path says.
    pub fn decode(bytes: &[u8], width: u16) -> Result<Self, TileError> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || hashes.len() != usize::from(width) {
            return Err(TileError::Width);
        }
        Self::new(hashes.iter().map(|bytes| Digest::from_bytes(*bytes)).collect())
    }

    /// The bytes to serve.
    pub fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(|hash| *hash.as_bytes()).collect()
    }

    /// The hashes.
    pub fn hashes(&self) -> &[Digest] {
        &self.0
    }

    /// The hash this tile has on the next tile level; `None` unless it is full.
    pub fn parent(&self) -> Option<Digest> {
        if self.0.len() < usize::from(TILE_WIDTH) { None } else { fold(self.0.clone()) }
    }
}

/// A bundle: 1 to 256 entries of at most 65,535 bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EntryBundle(Vec<Vec<u8>>);

impl EntryBundle {
    /// A bundle of these entries.
    ///
    /// # Errors
    /// [`TileError::Width`] when they are none or more than 256, [`TileError::EntryTooLong`].
    pub fn new(entries: Vec<Vec<u8>>) -> Result<Self, TileError> {
        if entries.is_empty() || entries.len() > usize::from(TILE_WIDTH) {
            return Err(TileError::Width);
        }
        if entries.iter().any(|entry| entry.len() > ENTRY_BYTES_MAX) {
            return Err(TileError::EntryTooLong);
        }
        Ok(Self(entries))
    }

    /// Reads a bundle that was served as that path.
    ///
    /// # Errors
    /// [`TileError::Bundle`] when it ends within an entry, [`TileError::Width`] when it
    /// holds fewer or more entries than the path says.
    pub fn decode(bytes: &[u8], width: u16) -> Result<Self, TileError> {
        let (mut rest, mut entries) = (bytes, Vec::new());
        while !rest.is_empty() {
            if entries.len() == usize::from(width.min(TILE_WIDTH)) {
                return Err(TileError::Width);
            }
            let (length, after) = rest.split_first_chunk::<2>().ok_or(TileError::Bundle)?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (entry, after) = after.split_at_checked(length).ok_or(TileError::Bundle)?;
            entries.push(entry.to_vec());
            rest = after;
        }
        if entries.len() != usize::from(width) {
            return Err(TileError::Width);
        }
        Self::new(entries)
    }

    /// The bytes to serve: each entry behind its length in two bytes, most significant first.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.iter().map(|entry| entry.len() + 2).sum());
        for entry in &self.0 {
            let length = u16::try_from(entry.len()).expect("an entry of a bundle has at most 65,535 bytes");
            bytes.extend(length.to_be_bytes());
            bytes.extend(entry);
        }
        bytes
    }

    /// The entries.
    pub fn entries(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// The entries, to keep.
    pub fn into_entries(self) -> Vec<Vec<u8>> {
        self.0
    }
}

/// Where the hashes of tile levels are read. Level 0 are the leaf hashes, made from the entries.
pub trait TileHashes {
    /// The hashes `start .. start + count` of a tile level, `count` up to 256; `None` unless all are kept.
    fn tile_hashes(&self, level: u8, start: u64, count: u16) -> Option<Vec<Digest>>;
}

/// Any binary level of a tree, computed from its tiles.
#[derive(Debug)]
pub struct Tiled<'a, T: ?Sized>(pub &'a T);

impl<T: TileHashes + ?Sized> Hashes for Tiled<'_, T> {
    fn hash(&self, level: u8, index: u64) -> Option<Digest> {
        let within = level % LEVEL_BITS;
        let count: u16 = 1 << within;
        let start = index.checked_mul(u64::from(count))?;
        let hashes = self.0.tile_hashes(level / LEVEL_BITS, start, count)?;
        if hashes.len() == usize::from(count) { fold(hashes) } else { None }
    }
}

/// Why a path, tile or bundle is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TileError {
    /// The bundle ends within an entry.
    Bundle,
    /// An entry of more than 65,535 bytes.
    EntryTooLong,
    /// Not the canonical path of a tile.
    Path,
    /// Not as many hashes or entries as there should be.
    Width,
}

impl TileError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Bundle => "log/bundle",
            Self::EntryTooLong => "log/entry-too-long",
            Self::Path => "log/tile-path",
            Self::Width => "log/tile-width",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Bundle | Self::Width => Some("fetch it again; a cache may have cut it short"),
            Self::Path => Some("a path looks like `tile/0/x001/234` or `tile/entries/000.p/17`"),
            Self::EntryTooLong => None,
        }
    }
}

impl fmt::Display for TileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bundle => "the entry bundle ends within an entry",
            Self::EntryTooLong => "an entry of the log is longer than 65,535 bytes",
            Self::Path => "not the path of a tile",
            Self::Width => "the tile or bundle does not hold as much as it should",
        })
    }
}

impl std::error::Error for TileError {}

/// How many hashes of a tile level a log of that size has.
fn count_at(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(level) * u32::from(LEVEL_BITS)).unwrap_or(0)
}

/// The root over a number of hashes that is a power of two.
fn fold(mut hashes: Vec<Digest>) -> Option<Digest> {
    while hashes.len() > 1 {
        hashes = hashes.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    hashes.pop()
}

/// Hashes or entries in a full tile (C2SP tlog-tiles).
pub const TILE_WIDTH: u16 = 256;

/// Bytes of one entry: its length is told in 16 bits (C2SP tlog-tiles).
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// Binary levels in one tile level.
pub(super) const LEVEL_BITS: u8 = 8;

/// The highest tile level that may be written (C2SP tlog-tiles).
const LEVEL_MAX: u8 = 63;

/// The longest canonical path is `tile/entries/`, seven groups and `.p/255`.
const PATH_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::merkle::Edge;
    use crate::log::merkle::tests::Leaves;
    use crate::log::merkle::tests::definition;

    struct Levels(Vec<Vec<Digest>>);

    impl TileHashes for Levels {
        fn tile_hashes(&self, level: u8, start: u64, count: u16) -> Option<Vec<Digest>> {
            let start = usize::try_from(start).ok()?;
            let hashes = self.0.get(usize::from(level))?.get(start..start + usize::from(count))?;
            Some(hashes.to_vec())
        }
    }

    #[track_caller]
    fn check(text: &str, expected: Option<(TileKind, u64, u16)>) {
        let actual = text.parse::<TilePath>().ok();
        assert_eq!(actual.map(|path| (path.kind(), path.index(), path.width())), expected, "{text:?}");
    }

    #[test]
    fn a_path_has_one_form() {
        check("tile/0/x001/x234/067", Some((TileKind::Hashes(0), 1_234_067, 256)));
        check("tile/63/000", Some((TileKind::Hashes(63), 0, 256)));
        check("tile/entries/273.p/112", Some((TileKind::Entries, 273, 112)));
        check("tile/1/x018/x446/x744/x073/x709/x551/615", Some((TileKind::Hashes(1), u64::MAX, 256)));
        for wrong in [
            "tile/00/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/+1/000",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/x001",
            "tile/0/xx01/002",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/1/",
            "tile/0/000.p/",
            "tile/0/",
            "tile/0",
            "/tile/0/000",
            "tile/data/000",
            "tile/1/x018/x446/x744/x073/x709/x551/616",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/000",
            "",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn widths_are_those_of_the_specification() {
        let check = |size, expected: &[(u8, u64, u16)]| {
            let actual: Vec<_> =
                widths_for_size(size).iter().map(|width| (width.level, width.full, width.partial)).collect();
            assert_eq!(actual, expected, "size {size}");
        };
        check(0, &[]);
        check(1, &[(0, 0, 1)]);
        check(256, &[(0, 1, 0), (1, 0, 1)]);
        check(70_000, &[(0, 273, 112), (1, 1, 17), (2, 0, 1)]);
        assert_eq!(widths_for_size(u64::MAX).len(), 8);
    }

    #[test]
    fn a_log_serves_its_full_tiles_and_its_last_partial_ones() {
        let serves = |text: &str, size| text.parse::<TilePath>().unwrap().belongs_to(size);
        assert!(serves("tile/0/272", 70_000) && serves("tile/0/273.p/112", 70_000));
        assert!(serves("tile/entries/273.p/112", 70_000) && serves("tile/2/000.p/1", 70_000));
        for text in [
            "tile/0/273",
            "tile/0/273.p/111",
            "tile/0/272.p/112",
            "tile/2/000",
            "tile/3/000.p/1",
            "tile/63/000.p/1",
        ] {
            assert!(!serves(text, 70_000), "{text}");
        }
        assert!(!serves("tile/0/000.p/1", 0));
    }

    #[test]
    fn every_binary_level_can_be_computed_from_tiles() {
        let leaves = Leaves::counted(70_000);
        let first: Vec<Digest> = leaves.0.as_chunks::<256>().0.iter().map(|tile| definition(tile)).collect();
        let second: Vec<Digest> = first.as_chunks::<256>().0.iter().map(|tile| definition(tile)).collect();
        assert_eq!(Tile::new(leaves.0[..256].to_vec()).unwrap().parent(), Some(first[0]));
        assert_eq!(Tile::new(leaves.0[..255].to_vec()).unwrap().parent(), None);
        let levels = Levels(vec![leaves.0.clone(), first, second]);
        let mut edge = Edge::empty();
        leaves.0.iter().for_each(|leaf| edge.push(*leaf));
        assert_eq!(Edge::load(70_000, &Tiled(&levels)).unwrap(), edge);
        assert_eq!(Tiled(&levels).hash(16, 1), None);
    }

    #[test]
    fn a_tile_is_as_wide_as_its_path_says() {
        let tile = Tile::of_entries(&[b"one", b"two"]).unwrap();
        assert_eq!(Tile::decode(&tile.encode(), 2), Ok(tile.clone()));
        assert_eq!(Tile::decode(&tile.encode(), 1), Err(TileError::Width));
        assert_eq!(Tile::decode(&tile.encode()[..63], 2), Err(TileError::Width));
        assert_eq!(Tile::decode(&[], 0), Err(TileError::Width));
        assert_eq!(Tile::new(vec![leaf_hash(b""); 257]), Err(TileError::Width));
    }

    #[test]
    fn a_bundle_holds_its_entries_and_nothing_else() {
        let entries = vec![b"".to_vec(), b"one".to_vec(), vec![7; ENTRY_BYTES_MAX]];
        let bundle = EntryBundle::new(entries).unwrap();
        let bytes = bundle.encode();
        assert_eq!(bytes[..7], [0, 0, 0, 3, b'o', b'n', b'e']);
        assert_eq!(EntryBundle::decode(&bytes, 3), Ok(bundle));
        assert_eq!(EntryBundle::decode(&bytes, 2), Err(TileError::Width));
        assert_eq!(EntryBundle::decode(&bytes, 4), Err(TileError::Width));
        assert_eq!(EntryBundle::decode(&bytes[..bytes.len() - 1], 3), Err(TileError::Bundle));
        assert_eq!(EntryBundle::decode(&[0], 1), Err(TileError::Bundle));
        assert_eq!(EntryBundle::decode(&[0; 1024], u16::MAX), Err(TileError::Width));
        assert_eq!(EntryBundle::new(vec![vec![0; ENTRY_BYTES_MAX + 1]]), Err(TileError::EntryTooLong));
    }
}
