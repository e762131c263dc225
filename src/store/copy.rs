//! Copies from store to store, and a digest to compare them by.
//!
//! Both read page by page, so a store must be at rest while they run: an online
//! copy is taken with [`Store::checkpoint_copy`] first.

use ring::digest::Context;
use ring::digest::SHA256;

use crate::domain::digest::Digest;
use crate::store::Head;
use crate::store::PAGE_ROWS_MAX;
use crate::store::PageRequest;
use crate::store::Store;
use crate::store::StoreError;

/// What a copy holds, read back from it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Copied {
    /// Its log's head.
    pub head: Option<Head>,
    /// The digest of all its rows.
    pub content: Digest,
}

impl Copied {
    /// Reads a store at rest.
    pub fn of(store: &dyn Store) -> Result<Self, StoreError> {
        Ok(Self { head: store.head()?, content: content_digest(store)? })
    }
}

/// SHA-256 over all rows in the order of table and key, whatever driver keeps them.
///
/// Each row counts as table number, length of key, length of value (both 8
/// bytes), key, value: two different stores do not run together.
pub fn content_digest(store: &dyn Store) -> Result<Digest, StoreError> {
    let mut context = Context::new(&SHA256);
    let mut page = PageRequest::first(PAGE_ROWS_MAX);
    loop {
        let rows = store.export(&page)?;
        for row in &rows.items {
            context.update(&[row.table]);
            for part in [&row.key, &row.value] {
                context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            }
            context.update(&row.key);
            context.update(&row.value);
        }
        match rows.next {
            Some(cursor) => page = PageRequest::after(cursor, PAGE_ROWS_MAX),
            None => break,
        }
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Ok(Digest::from_bytes(bytes))
}

/// Carries every row of a store at rest into an empty one.
///
/// A crash leaves a part of the rows; the target is then thrown away, not opened.
pub fn copy_all(from: &dyn Store, to: &dyn Store) -> Result<(), StoreError> {
    if to.head()?.is_some() {
        return Err(StoreError::AlreadyThere);
    }
    let mut page = PageRequest::first(PAGE_ROWS_MAX);
    loop {
        let rows = from.export(&page)?;
        to.import(rows.items)?;
        match rows.next {
            Some(cursor) => page = PageRequest::after(cursor, PAGE_ROWS_MAX),
            None => return Ok(()),
        }
    }
}
