//! The store on RocksDB: one folder, one process, one column family for each table.
//!
//! # What is promised of the disk
//!
//! - Every batch is one record of the one write-ahead log, synced before `apply` answers: it is there
//!   whole or not.
//! - After a crash the log is replayed to its first torn record (point in time),
//!   and what was replayed is flushed to tables and synced before the store
//!   opens (RocksDB's default). Whether the end of the log was lost is for the head lock to find.
//! - Checksums are verified on every read; a log file that should be there and is not stops the opening.
//! - Memory is bounded: one block cache for all tables, index and filters inside it, one bound over all
//!   write buffers.
//!
//! A failed write stops this store; RocksDB's own attempts to resume are not used.
//!
//! # Closing
//!
//! Background work is cancelled and waited for before the database is dropped; dropping first is known
//! to crash.
//!
//! # Not here
//!
//! What rows mean: `codec`. RocksDB's words about an error go to the trace.

use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::path::Path;

use rocksdb::BlockBasedIndexType;
use rocksdb::BlockBasedOptions;
use rocksdb::BottommostLevelCompaction;
use rocksdb::Cache;
use rocksdb::ColumnFamily;
use rocksdb::ColumnFamilyDescriptor;
use rocksdb::CompactOptions;
use rocksdb::DB;
use rocksdb::DBCompressionType;
use rocksdb::DBRecoveryMode;
use rocksdb::ErrorKind;
use rocksdb::LogLevel;
use rocksdb::Options;
use rocksdb::ReadOptions;
use rocksdb::WaitForCompactOptions;
use rocksdb::WriteBatch;
use rocksdb::WriteOptions;
use rocksdb::checkpoint::Checkpoint;

use crate::store::Rest;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::codec;
use crate::store::tables::KeyRange;
use crate::store::tables::Mutation;
use crate::store::tables::Pair;
use crate::store::tables::SCAN_BYTES_MAX;
use crate::store::tables::Stop;
use crate::store::tables::Table;
use crate::store::tables::Tables;

/// A store in a folder.
pub struct Rocks {
    db: DB,
    stop: Stop,
    /// Held as long as the store is open: keeps other processes out, and says so in our words.
    _in_use: File,
}

impl Rocks {
    /// Makes a new store. A crash leaves a folder that `create` takes again and `open` refuses.
    pub fn create(dir: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(|error| failed("create the folder", &error))?;
        let store = Self::connect(dir, IfMissing::Create)?;
        if store.get(Table::Meta, codec::layout_key())?.is_some() {
            return Err(StoreError::AlreadyThere);
        }
        store.apply(vec![codec::layout_row()])?;
        // RocksDB syncs its own folder; that the folder is in its parent is for us to sync.
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(|error| failed("sync the folder", &error))?;
        Ok(store)
    }

    /// Opens a store that is there.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        // RocksDB writes to a folder even when it finds no database in it; CURRENT is its root.
        if !dir.join("CURRENT").is_file() {
            return Err(StoreError::Missing);
        }
        let store = Self::connect(dir, IfMissing::Refuse)?;
        codec::check_layout(store.get(Table::Meta, codec::layout_key())?.as_deref())?;
        Ok(store)
    }

    fn connect(dir: &Path, if_missing: IfMissing) -> Result<Self, StoreError> {
        let in_use = File::create(dir.join(IN_USE_FILE)).map_err(|error| failed("open the lock", &error))?;
        in_use.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::InUse,
            TryLockError::Error(error) => failed("take the lock", &error),
        })?;
        let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
        let families = Table::ALL
            .into_iter()
            .map(|table| ColumnFamilyDescriptor::new(table.name(), family_options(table, &cache)));
        let db = DB::open_cf_descriptors(&database_options(if_missing), dir, families)
            .map_err(|error| told("open", &error))?;
        Ok(Self { db, stop: Stop::default(), _in_use: in_use })
    }

    fn family(&self, table: Table) -> &ColumnFamily {
        self.db.cf_handle(table.name()).expect("every table's column family is opened")
    }
}

impl Drop for Rocks {
    fn drop(&mut self) {
        self.db.cancel_all_background_work(true);
    }
}

impl Tables for Rocks {
    fn stop(&self) -> &Stop {
        &self.stop
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get_cf(self.family(table), key).map_err(|error| told("read", &error))
    }

    fn scan(&self, table: Table, range: &KeyRange, limit: usize) -> Result<(Vec<Pair>, Rest), StoreError> {
        let mut options = ReadOptions::default();
        if let Some(until) = &range.until {
            options.set_iterate_upper_bound(until.clone());
        }
        let mut iterator = self.db.raw_iterator_cf_opt(self.family(table), options);
        iterator.seek(&range.from);
        let mut pairs = Vec::new();
        let mut bytes = 0;
        while let Some((key, value)) = iterator.item() {
            if pairs.len() == limit || bytes > SCAN_BYTES_MAX {
                return Ok((pairs, Rest::More));
            }
            bytes += key.len() + value.len();
            pairs.push((key.to_vec(), value.to_vec()));
            iterator.next();
        }
        // An iterator also ends where it cannot read on.
        iterator.status().map_err(|error| told("read on", &error))?;
        Ok((pairs, Rest::None))
    }

    fn apply(&self, batch: Vec<Mutation>) -> Result<(), StoreError> {
        let mut writes = WriteBatch::default();
        for mutation in batch {
            match mutation {
                Mutation::Delete { table, key } => writes.delete_cf(self.family(table), key),
                Mutation::DeleteRange { table, from, until } => {
                    writes.delete_range_cf(self.family(table), from, until);
                }
                Mutation::Put { table, key, value } => writes.put_cf(self.family(table), key, value),
            }
        }
        self.db.write_opt(writes, &synced()).map_err(|error| told("write", &error))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.db.flush_wal(true).map_err(|error| told("sync", &error))
    }

    fn purge(&self, table: Table) -> Result<(), StoreError> {
        let family = self.family(table);
        self.db.flush_cf(family).map_err(|error| told("flush", &error))?;
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        options.set_exclusive_manual_compaction(true);
        self.db.compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &options);
        // The write-ahead log still has the deleted value until every table it serves has been flushed.
        for table in Table::ALL {
            self.db.flush_cf(self.family(table)).map_err(|error| told("flush", &error))?;
        }
        // The old files are deleted by the background; waiting for it also tells whether it failed.
        self.db.wait_for_compact(&WaitForCompactOptions::default()).map_err(|error| told("compact", &error))
    }

    fn copy_to(&self, dir: &Path) -> Result<Box<dyn Store>, StoreError> {
        if dir.try_exists().map_err(|error| failed("look for the copy", &error))? {
            return Err(StoreError::AlreadyThere);
        }
        let checkpoint = Checkpoint::new(&self.db).map_err(|error| told("begin the copy", &error))?;
        checkpoint.create_checkpoint(dir).map_err(|error| told("copy", &error))?;
        Ok(Box::new(Self::open(dir)?))
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum IfMissing {
    Create,
    Refuse,
}

fn database_options(if_missing: IfMissing) -> Options {
    let mut options = Options::default();
    options.create_if_missing(if_missing == IfMissing::Create);
    // A table that a later release added.
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_db_write_buffer_size(WRITE_BUFFERS_BYTES);
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_bytes_per_sync(SYNC_STEP_BYTES);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_manifest_file_size(MANIFEST_BYTES_MAX);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(INFO_LOG_BYTES_MAX);
    options.set_keep_log_file_num(INFO_LOGS_KEPT);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

fn family_options(table: Table, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_format_version(BLOCK_FORMAT);
    // Index and filters in parts and in the cache: their memory does not grow with the table.
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    if access(table) == Reading::ByKey {
        blocks.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
        blocks.set_whole_key_filtering(true);
        blocks.set_partition_filters(true);
        blocks.set_optimize_filters_for_memory(true);
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(2);
    options.set_arena_block_size(ARENA_BLOCK_BYTES);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    options
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Reading {
    ByKey,
    InOrder,
}

/// How a table is mostly read: by whole keys, of which some are not there, or along its order.
fn access(table: Table) -> Reading {
    match table {
        Table::Certificate
        | Table::CertificateTag
        | Table::Client
        | Table::Credential
        | Table::Holder
        | Table::HolderTag
        | Table::Meta
        | Table::NumberTag
        | Table::Request
        | Table::ShowCode
        | Table::Showing
        | Table::Slot => Reading::ByKey,
        Table::Access
        | Table::AccessLeaf
        | Table::Change
        | Table::Entry
        | Table::Expiry
        | Table::Issued
        | Table::SignedBy
        | Table::StatusChunk
        | Table::TileHash
        | Table::Wallet => Reading::InOrder,
    }
}

fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

/// Our error for RocksDB's; its own words go to the trace.
fn told(doing: &str, error: &rocksdb::Error) -> StoreError {
    tracing::error!(store.doing = doing, store.error = %error, "RocksDB could not {doing}");
    match error.kind() {
        ErrorKind::Corruption => StoreError::Corrupt { table: "database" },
        // The lock file is RocksDB's second guard; it has no kind of its own.
        ErrorKind::IOError if error.as_ref().contains("/LOCK") => StoreError::InUse,
        _ => StoreError::Io,
    }
}

fn failed(doing: &str, error: &std::io::Error) -> StoreError {
    tracing::error!(store.doing = doing, store.error = %error, "the store could not {doing}");
    StoreError::Io
}

/// Our lock, beside RocksDB's own.
const IN_USE_FILE: &str = "IN_USE";

/// The process stays below 512 MiB (DESIGN, "Speed"): 160 of cache, 96 of write buffers, the rest is ours.
const BLOCK_CACHE_BYTES: usize = 160 << 20;
const WRITE_BUFFERS_BYTES: usize = 96 << 20;

/// One table's buffer; two of them at most.
const WRITE_BUFFER_BYTES: usize = 16 << 20;

/// Small, since each of the tables has one at least.
const ARENA_BLOCK_BYTES: usize = 256 << 10;

/// An idle table pins old logs; past this it is flushed. Replaying as much takes under a second.
const WAL_BYTES_MAX: u64 = 128 << 20;

/// Compactions write back as they go, so that a commit's sync does not wait for theirs.
const SYNC_STEP_BYTES: u64 = 1 << 20;

/// One flush and one compaction: the machine has two cores, and they are for answering.
const BACKGROUND_JOBS: i32 = 2;

/// Below the usual limit of 1024 for a process, sockets included.
const OPEN_FILES_MAX: i32 = 512;

const MANIFEST_BYTES_MAX: usize = 16 << 20;
const INFO_LOG_BYTES_MAX: usize = 1 << 20;
const INFO_LOGS_KEPT: usize = 3;

/// About one wrong guess in a hundred.
const BLOOM_BITS_PER_KEY: f64 = 10.0;

/// The newest that RocksDB 8 and later read.
const BLOCK_FORMAT: i32 = 6;

#[cfg(test)]
mod tests;
