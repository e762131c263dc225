//! The log's tree, read from stored entries and tile hashes.

use crate::domain::digest::Digest;
use crate::log::merkle::leaf_hash;
use crate::log::tile::TileHashes;
use crate::store::Store;

/// The tree of the log in a store.
pub struct StoredTree<'a>(pub &'a dyn Store);

impl TileHashes for StoredTree<'_> {
    fn tile_hashes(&self, level: u8, start: u64, count: u16) -> Option<Vec<Digest>> {
        let count = usize::from(count);
        let hashes = if level == 0 {
            let entries = self.0.entries(start, count).ok()?;
            entries.iter().map(|entry| leaf_hash(&entry.bytes)).collect()
        } else {
            self.0.tile_hashes(level, start, count).ok()?
        };
        (hashes.len() == count).then_some(hashes)
    }
}
