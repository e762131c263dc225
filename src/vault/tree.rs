//! The log's tree, read from stored entries and tile hashes.

use crate::domain::digest::Digest;
use crate::log::merkle::leaf_hash;
use crate::log::tile::TileHashes;
use crate::store::Store;

/// The tree of a log in a store.
pub(super) struct StoredTree<'a> {
    /// The store.
    pub(super) store: &'a dyn Store,
    /// The log's number.
    pub(super) log: u16,
}

impl TileHashes for StoredTree<'_> {
    fn tile_hashes(&self, level: u8, start: u64, count: u16) -> Option<Vec<Digest>> {
        let count = usize::from(count);
        let hashes = if level == 0 {
            let entries = self.store.entries(self.log, start, count).ok()?;
            entries.iter().map(|entry| leaf_hash(&entry.bytes)).collect()
        } else {
            self.store.tile_hashes(self.log, level, start, count).ok()?
        };
        (hashes.len() == count).then_some(hashes)
    }
}
