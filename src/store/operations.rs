//! The domain operations, on any driver that keeps ordered tables of bytes.
//!
//! # Order of writes
//!
//! `commit` reads the head, checks that the new one continues it, and hands the
//! driver one batch. A crash before the driver is done leaves nothing of it.
//!
//! # Not here
//!
//! How bytes reach a disk: `rocks`, `sim`. What they mean: `codec`.

use std::path::Path;

use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::store::Commit;
use crate::store::Copied;
use crate::store::Cursor;
use crate::store::Head;
use crate::store::HolderId;
use crate::store::IssuerTag;
use crate::store::KeyTag;
use crate::store::MetaName;
use crate::store::PAGE_ROWS_MAX;
use crate::store::Page;
use crate::store::PageRequest;
use crate::store::RawRow;
use crate::store::Rest;
use crate::store::Row;
use crate::store::RowKey;
use crate::store::ShowingId;
use crate::store::Span;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Swept;
use crate::store::Tag;
use crate::store::codec;
use crate::store::codec::Record;
use crate::store::row;
use crate::store::tables::KeyRange;
use crate::store::tables::Mutation;
use crate::store::tables::Pair;
use crate::store::tables::Table;
use crate::store::tables::Tables;

impl<T: Tables> Store for T {
    fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.stop().check()?;
        let old = self.head()?;
        let step = check_head(old.as_ref(), &commit)?;
        let mut batch = Vec::with_capacity(commit.rows.len() + 2);
        if let (Step::Begins, Some(old)) = (step, old) {
            codec::put(&row::ClosedHead(old), &mut batch)?;
        }
        for row in &commit.rows {
            codec::mutations(row, &mut batch)?;
        }
        if let Some(head) = &commit.head {
            codec::put(head, &mut batch)?;
        }
        // From here on an error means that we do not know what the disk has.
        self.stop().guard(self.apply(batch))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.stop().check()?;
        self.stop().guard(Tables::sync(self))
    }

    fn sweep(&self, now: UnixTime) -> Result<Swept, StoreError> {
        let due = KeyRange { from: Vec::new(), until: Some(codec::time_bytes(now.plus(1)).to_vec()) };
        let (notes, rest) = scan(self, Table::Expiry, &due, SWEEP_ROWS)?;
        let Some((last, _)) = notes.last() else {
            return Ok(Swept { rows: 0, rest });
        };
        // One range instead of many single deletions: the next sweep begins behind it without reading
        // them again.
        let until = [&last[..], &[0]].concat();
        let mut batch = vec![Mutation::DeleteRange { table: Table::Expiry, from: Vec::new(), until }];
        for (key, value) in &notes {
            let note: codec::Expiry = codec::decode(key, value)?;
            // The row may be gone, or may have been put again to live longer.
            let Some(value) = get(self, note.table, &note.key)? else { continue };
            if codec::expiry_of(note.table, &note.key, &value)?.is_some_and(|expires| expires <= now) {
                batch.push(Mutation::Delete { table: note.table, key: note.key });
            }
        }
        let rows = batch.len() - 1;
        self.stop().guard(self.apply(batch))?;
        Ok(Swept { rows, rest })
    }

    fn forget(&self) -> Result<(), StoreError> {
        self.stop().check()?;
        self.purge(Table::Holder)
    }

    fn checkpoint_copy(&self, dir: &Path) -> Result<Copied, StoreError> {
        self.stop().check()?;
        if let Some(above) = dir.parent() {
            std::fs::create_dir_all(above).map_err(|_| StoreError::Io)?;
        }
        Copied::of(self.copy_to(dir)?.as_ref())
    }

    fn certificate(&self, key: RowKey) -> Result<Option<row::Certificate>, StoreError> {
        one(self, &key.0)
    }

    fn certificate_by_tag(&self, tag: Tag) -> Result<Option<RowKey>, StoreError> {
        Ok(one::<T, row::CertificateTag>(self, &tag.0)?.map(|row| row.key))
    }

    fn number_owner(&self, tag: Tag) -> Result<Option<RowKey>, StoreError> {
        Ok(one::<T, row::NumberTag>(self, &tag.0)?.map(|row| row.key))
    }

    fn credential(&self, key: RowKey, seq: u32) -> Result<Option<row::Credential>, StoreError> {
        one(self, &codec::credential_key(key, seq))
    }

    fn credentials(&self, key: RowKey, page: &PageRequest) -> Result<Page<row::Credential>, StoreError> {
        list(self, &key.0, page)
    }

    fn slot_owner(&self, list: u32, index: u32) -> Result<Option<RowKey>, StoreError> {
        Ok(one::<T, row::Slot>(self, &codec::slot_key(list, index))?.map(|row| row.key))
    }

    fn status_chunks(&self, page: &PageRequest) -> Result<Page<row::StatusChunk>, StoreError> {
        list(self, &[], page)
    }

    fn holder(&self, id: HolderId) -> Result<Option<row::Holder>, StoreError> {
        one(self, &id.0)
    }

    fn holder_by_tag(&self, tag: Tag) -> Result<Option<HolderId>, StoreError> {
        Ok(one::<T, row::HolderTag>(self, &tag.0)?.map(|row| row.id))
    }

    fn wallet(&self, holder: HolderId, page: &PageRequest) -> Result<Page<row::Wallet>, StoreError> {
        list(self, &holder.0, page)
    }

    fn issued_by(&self, issuer: IssuerTag, page: &PageRequest) -> Result<Page<row::Issued>, StoreError> {
        list(self, &issuer.0, page)
    }

    fn signed_by(
        &self,
        signer: KeyTag,
        span: Span,
        page: &PageRequest,
    ) -> Result<Page<row::SignedBy>, StoreError> {
        list_span(self, &signer.0, span, page)
    }

    fn showing(&self, id: ShowingId) -> Result<Option<row::Showing>, StoreError> {
        one(self, &id.0)
    }

    fn show_code(&self, tag: Tag) -> Result<Option<row::ShowCode>, StoreError> {
        one(self, &tag.0)
    }

    fn accesses(&self, holder: HolderId, page: &PageRequest) -> Result<Page<row::Access>, StoreError> {
        list(self, &holder.0, page)
    }

    fn access_leaves(&self, hour: i64, page: &PageRequest) -> Result<Page<row::AccessLeaf>, StoreError> {
        list(self, &codec::hour_bytes(hour), page)
    }

    fn request(&self, tag: Tag) -> Result<Option<row::Request>, StoreError> {
        one(self, &tag.0)
    }

    fn client(&self, id: &str) -> Result<Option<row::Client>, StoreError> {
        one(self, &codec::client_key(id))
    }

    fn clients(&self, page: &PageRequest) -> Result<Page<row::Client>, StoreError> {
        list(self, &[], page)
    }

    fn changes(&self, span: Span, page: &PageRequest) -> Result<Page<row::Change>, StoreError> {
        list_span(self, &[], span, page)
    }

    fn entries(&self, log: u16, start: u64, count: usize) -> Result<Vec<row::Entry>, StoreError> {
        let mut entries: Vec<row::Entry> = Vec::new();
        for (key, value) in run(self, Table::Entry, |index| codec::entry_key(log, index), start, count)? {
            entries.push(codec::decode(&key, &value)?);
        }
        Ok(entries)
    }

    fn tile_hashes(&self, log: u16, level: u8, start: u64, count: usize) -> Result<Vec<Digest>, StoreError> {
        let mut hashes = Vec::new();
        let mut expected = start;
        let key = |index| codec::tile_hash_key(log, level, index);
        for (key, value) in run(self, Table::TileHash, key, start, count)? {
            let row: row::TileHash = codec::decode(&key, &value)?;
            if row.index != expected {
                break;
            }
            expected = expected.saturating_add(1);
            hashes.push(row.hash);
        }
        Ok(hashes)
    }

    fn meta(&self, name: MetaName) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(one::<T, row::Meta>(self, &codec::meta_key(name))?.map(|row| row.bytes))
    }

    fn head(&self) -> Result<Option<Head>, StoreError> {
        one(self, codec::head_key())
    }

    fn closed_head(&self, log: u16) -> Result<Option<Head>, StoreError> {
        Ok(one::<T, row::ClosedHead>(self, &codec::closed_head_key(log))?.map(|row| row.0))
    }

    fn export(&self, page: &PageRequest) -> Result<Page<RawRow>, StoreError> {
        let (mut from, mut tables) = match page.after.as_ref().map(Cursor::as_bytes) {
            None => (Vec::new(), &Table::ALL[..]),
            Some([number, key @ ..]) => {
                let place = Table::ALL.iter().position(|table| table.number() == *number);
                (after(key), &Table::ALL[place.ok_or(StoreError::Cursor)?..])
            }
            Some([]) => return Err(StoreError::Cursor),
        };
        // A page ends with its table: the next table begins the next page.
        while let Some((table, rest)) = tables.split_first() {
            let range = KeyRange { from: std::mem::take(&mut from), until: None };
            let (pairs, more) = scan(self, *table, &range, page.limit)?;
            if let Some((last, _)) = pairs.last() {
                let cursor = Cursor([&[table.number()], &last[..]].concat());
                let next = (more == Rest::More || !rest.is_empty()).then_some(cursor);
                let raw = |(key, value)| RawRow { table: table.number(), key, value };
                return Ok(Page { items: pairs.into_iter().map(raw).collect(), next });
            }
            tables = rest;
        }
        Ok(Page { items: Vec::new(), next: None })
    }

    fn import(&self, rows: Vec<RawRow>) -> Result<(), StoreError> {
        self.stop().check()?;
        let mut batch = Vec::with_capacity(rows.len());
        for RawRow { table, key, value } in rows {
            let table = Table::from_number(table)
                .ok_or(StoreError::Version { table: Table::Meta.name(), found: table })?;
            codec::check(table, &key, &value)?;
            batch.push(Mutation::Put { table, key, value });
        }
        self.stop().guard(self.apply(batch))
    }
}

/// What a commit does to the log.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Step {
    /// Another log begins; the one there is, if any, closes.
    Begins,
    /// The log grows, or stays.
    Continues,
}

/// A log only grows, without holes: the entries of a commit are those between the old head and the new
/// one. Those of a log that begins start at 0.
fn check_head(old: Option<&Head>, commit: &Commit) -> Result<Step, StoreError> {
    let step = match (old, &commit.head) {
        (Some(old), Some(new)) if new.log > old.log && new.origin != old.origin => Step::Begins,
        _ => Step::Continues,
    };
    let old = old.filter(|_| step == Step::Continues);
    if let (Some(old), Some(new)) = (old, &commit.head) {
        let falls = new.size < old.size;
        let forks = new.size == old.size && new.root != old.root;
        if falls || forks || new.origin != old.origin || new.log != old.log {
            return Err(StoreError::Head);
        }
    }
    let head = commit.head.as_ref().or(old);
    let start = old.map_or(0, |head| head.size);
    let end = head.map_or(start, |head| head.size);
    let mut places: Vec<(u16, u64)> = commit
        .rows
        .iter()
        .filter_map(|row| match row {
            Row::Entry(entry) => Some((entry.log, entry.index)),
            _ => None,
        })
        .collect();
    places.sort_unstable();
    let log = head.map_or(0, |head| head.log);
    if places.into_iter().eq((start..end).map(|index| (log, index))) {
        Ok(step)
    } else {
        Err(StoreError::Head)
    }
}

fn get<T: Tables>(tables: &T, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    tables.stop().check()?;
    tables.get(table, key)
}

fn scan<T: Tables>(
    tables: &T,
    table: Table,
    range: &KeyRange,
    limit: usize,
) -> Result<(Vec<Pair>, Rest), StoreError> {
    tables.stop().check()?;
    tables.scan(table, range, limit)
}

fn one<T: Tables, R: Record>(tables: &T, key: &[u8]) -> Result<Option<R>, StoreError> {
    get(tables, R::TABLE, key)?.map(|value| codec::decode(key, &value)).transpose()
}

/// The rows whose keys begin so.
fn list<T: Tables, R: Record>(tables: &T, prefix: &[u8], page: &PageRequest) -> Result<Page<R>, StoreError> {
    page_of(tables, prefix, KeyRange::prefix(prefix), page)
}

/// The rows whose keys begin so and go on with a time in the span.
fn list_span<T: Tables, R: Record>(
    tables: &T,
    prefix: &[u8],
    span: Span,
    page: &PageRequest,
) -> Result<Page<R>, StoreError> {
    let from = [prefix, &codec::time_bytes(span.from)].concat();
    let until = [prefix, &codec::time_bytes(span.until)].concat();
    page_of(tables, prefix, KeyRange { from, until: Some(until) }, page)
}

/// A cursor is what a key has after its prefix, so it stays under the prefix whatever it says.
fn page_of<T: Tables, R: Record>(
    tables: &T,
    prefix: &[u8],
    mut range: KeyRange,
    page: &PageRequest,
) -> Result<Page<R>, StoreError> {
    if let Some(cursor) = &page.after {
        if cursor.as_bytes().is_empty() || cursor.as_bytes().len() > CURSOR_BYTES_MAX {
            return Err(StoreError::Cursor);
        }
        let from = after(&[prefix, cursor.as_bytes()].concat());
        range.from = range.from.max(from);
    }
    if range.until.as_ref().is_some_and(|until| *until <= range.from) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let (pairs, rest) = scan(tables, R::TABLE, &range, page.limit)?;
    let last = pairs.last().and_then(|(key, _)| key.get(prefix.len()..));
    let next = last.filter(|_| rest == Rest::More).map(|place| Cursor(place.to_vec()));
    let items = pairs.iter().map(|(key, value)| codec::decode(key, value)).collect::<Result<_, _>>()?;
    Ok(Page { items, next })
}

/// The pairs of a numbered table from one number on, however many scans it takes.
fn run<T: Tables>(
    tables: &T,
    table: Table,
    key: impl Fn(u64) -> Vec<u8>,
    start: u64,
    count: usize,
) -> Result<Vec<Pair>, StoreError> {
    let count = count.min(PAGE_ROWS_MAX);
    let end = start.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    let mut range = KeyRange { from: key(start), until: Some(key(end)) };
    let mut found: Vec<Pair> = Vec::new();
    while found.len() < count {
        let (pairs, rest) = scan(tables, table, &range, count - found.len())?;
        found.extend(pairs);
        match found.last() {
            Some((last, _)) if rest == Rest::More => range.from = after(last),
            _ => break,
        }
    }
    Ok(found)
}

/// The first key behind this one.
fn after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// Rows one sweep looks at. Our own choice: the writer must not be held up for long.
const SWEEP_ROWS: usize = 2048;

/// Longer than any key that a list has.
const CURSOR_BYTES_MAX: usize = 256;
