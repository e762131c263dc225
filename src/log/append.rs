//! Growing the log: an edge and entries in, the new edge and completed hashes out.
//!
//! An [`Appended`] was computed twice: once from the entries as they came, once
//! from the bundles as they will be served. One flipped bit between the two has
//! ended logs (DigiCert Yeti 2022), so a head that is signed from an `Appended`
//! belongs to the bytes that are kept.
//!
//! # Not here
//!
//! No signing and no writing. The writer keeps entries, hashes and signed head
//! in one synced batch.

use std::fmt;

use crate::domain::digest::Digest;
use crate::log::merkle::Edge;
use crate::log::merkle::leaf_hash;
use crate::log::tile::ENTRY_BYTES_MAX;
use crate::log::tile::EntryBundle;
use crate::log::tile::LEVEL_BITS;
use crate::log::tile::TILE_WIDTH;

/// A hash of a tile level from 1 on, which became known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TileHash {
    /// Tile level: it covers 256^level leaves.
    pub level: u8,
    /// Its place on that level.
    pub index: u64,
    /// The hash.
    pub hash: Digest,
}

/// What appending entries makes of a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Appended {
    edge: Edge,
    hashes: Vec<TileHash>,
}

impl Appended {
    /// The number of entries, these included.
    pub const fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The root over all entries.
    pub fn root(&self) -> Digest {
        self.edge.root()
    }

    /// The hashes of tile levels from 1 on that became known, in the order they did.
    pub fn hashes(&self) -> &[TileHash] {
        &self.hashes
    }

    /// The right edge.
    pub const fn edge(&self) -> &Edge {
        &self.edge
    }

    /// The right edge, to go on with once these entries are kept.
    pub fn into_edge(self) -> Edge {
        self.edge
    }
}

/// Appends entries to the log that has this edge.
///
/// # Errors
/// [`AppendError`]; the log is as it was.
pub fn append(edge: &Edge, entries: &[Vec<u8>]) -> Result<Appended, AppendError> {
    if let Some(place) = entries.iter().position(|entry| entry.len() > ENTRY_BYTES_MAX) {
        return Err(AppendError::EntryTooLong { place });
    }
    let mut appended = Appended { edge: edge.clone(), hashes: Vec::new() };
    for entry in entries {
        let hashes = &mut appended.hashes;
        appended.edge.push_telling(leaf_hash(entry), |level, index, hash| {
            if level > 0 && level % LEVEL_BITS == 0 {
                hashes.push(TileHash { level: level / LEVEL_BITS, index, hash });
            }
        });
    }
    let again = from_bundles(edge, entries)?;
    if again == appended.edge { Ok(appended) } else { Err(AppendError::Unsound) }
}

/// The edge once more, from the bytes that will be served.
fn from_bundles(edge: &Edge, entries: &[Vec<u8>]) -> Result<Edge, AppendError> {
    let (mut edge, mut rest) = (edge.clone(), entries);
    while !rest.is_empty() {
        let filled = usize::try_from(edge.size() % u64::from(TILE_WIDTH)).expect("a remainder of 256");
        let room = usize::from(TILE_WIDTH) - filled;
        let (bundle, after) = rest.split_at(room.min(rest.len()));
        let width = u16::try_from(bundle.len()).expect("a bundle holds at most 256 entries");
        let bytes = EntryBundle::new(bundle.to_vec()).map_err(|_| AppendError::Unsound)?.encode();
        let bundle = EntryBundle::decode(&bytes, width).map_err(|_| AppendError::Unsound)?;
        bundle.entries().iter().for_each(|entry| edge.push(leaf_hash(entry)));
        rest = after;
    }
    Ok(edge)
}

/// Why entries cannot be appended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AppendError {
    /// An entry of more than 65,535 bytes.
    EntryTooLong {
        /// Which of the entries handed in.
        place: usize,
    },
    /// Computed twice, the hashes differ: this machine cannot be trusted. Stop.
    Unsound,
}

impl AppendError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::EntryTooLong { .. } => "log/entry-too-long",
            Self::Unsound => "log/unsound",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::EntryTooLong { .. } => None,
            Self::Unsound => {
                Some("stop the service and test the memory of this machine; nothing was written")
            }
        }
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EntryTooLong { .. } => "an entry of the log is longer than 65,535 bytes",
            Self::Unsound => "the same entries hashed twice gave two results",
        })
    }
}

impl std::error::Error for AppendError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::merkle::tests::definition;

    fn entries(from: u64, to: u64) -> Vec<Vec<u8>> {
        (from..to).map(|n| n.to_be_bytes().to_vec()).collect()
    }

    #[test]
    fn however_entries_are_batched_the_log_is_the_same() {
        let all = append(&Edge::empty(), &entries(0, 1000)).unwrap();
        for step in [1, 7, 255, 256, 257, 999] {
            let (mut edge, mut hashes, mut from) = (Edge::empty(), Vec::new(), 0);
            while from < 1000 {
                let to = (from + step).min(1000);
                let part = append(&edge, &entries(from, to)).unwrap();
                assert_eq!(part.size(), to);
                hashes.extend_from_slice(part.hashes());
                (edge, from) = (part.into_edge(), to);
            }
            assert_eq!((edge, hashes), (all.edge().clone(), all.hashes().to_vec()), "in steps of {step}");
        }
    }

    #[test]
    fn a_completed_tile_gives_its_hash_to_the_next_level() {
        let appended = append(&Edge::empty(), &entries(0, 70_000)).unwrap();
        let leaves: Vec<Digest> = entries(0, 70_000).iter().map(|entry| leaf_hash(entry)).collect();
        assert_eq!(appended.root(), definition(&leaves));
        for (level, width) in [(1, 256), (2, 65_536)] {
            let known: Vec<_> = appended.hashes().iter().filter(|hash| hash.level == level).collect();
            assert_eq!(known.len(), leaves.len() / width);
            for (place, (hash, tile)) in known.iter().zip(leaves.chunks(width)).enumerate() {
                assert_eq!((hash.index, hash.hash), (u64::try_from(place).unwrap(), definition(tile)));
            }
        }
    }

    #[test]
    fn an_entry_that_no_bundle_can_hold_is_refused() {
        let long = vec![b"fits".to_vec(), vec![0; ENTRY_BYTES_MAX + 1]];
        assert_eq!(append(&Edge::empty(), &long), Err(AppendError::EntryTooLong { place: 1 }));
        assert_eq!(append(&Edge::empty(), &[]).unwrap().into_edge(), Edge::empty());
    }
}
