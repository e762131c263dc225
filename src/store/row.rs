//! What the store keeps, row by row.
//!
//! A [`Row`] is put, a [`RowId`] names one that may go. What has no `RowId` is
//! never deleted by a commit: log entries, tile hashes, status bits, access
//! leaves, the index of what a key signed. The store sees tags and [`Sealed`]
//! bytes; `vault::records` seals before and opens after.
//!
//! # Not here
//!
//! How a row is laid out: [`codec`](crate::store::codec).

use std::fmt;

use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::store::id::HolderId;
use crate::store::id::IssuerTag;
use crate::store::id::KeyTag;
use crate::store::id::RowKey;
use crate::store::id::ShowingId;
use crate::store::id::Tag;

/// Bytes that mean nothing to the store. `Debug` shows how many there are.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, taken out.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl From<Vec<u8>> for Sealed {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Sealed {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// A certificate's record; replaced on every change, with its history inside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    /// Its name.
    pub key: RowKey,
    /// The record.
    pub sealed: Sealed,
}

/// From a certificate's identifier to its record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateTag {
    /// Of the identifier.
    pub tag: Tag,
    /// The record.
    pub key: RowKey,
}

/// From (issuer, type, number) to the record that has it: there is one at most.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NumberTag {
    /// Of issuer, type and number.
    pub tag: Tag,
    /// The record.
    pub key: RowKey,
}

/// A signed credential of a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credential {
    /// The record.
    pub key: RowKey,
    /// Which of the record's credentials, from 0.
    pub seq: u32,
    /// The credential.
    pub sealed: Sealed,
}

/// Which record owns a status slot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Slot {
    /// The list.
    pub list: u32,
    /// The place in it.
    pub index: u32,
    /// The record.
    pub key: RowKey,
}

/// 256 slots of a status list. A chunk that was never put is all zero.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatusChunk {
    /// The list.
    pub list: u32,
    /// Which 256 slots of it.
    pub chunk: u16,
    /// Their bits.
    pub bits: [u8; 64],
}

/// A holder's wrapped key. Deleting it shreds all that hangs on it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Holder {
    /// The holder.
    pub id: HolderId,
    /// The wrapped key.
    pub sealed: Sealed,
}

/// From a holder's number to the holder. A holder may have several.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HolderTag {
    /// Of the number's type and the number.
    pub tag: Tag,
    /// The holder.
    pub id: HolderId,
}

/// A certificate in a wallet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wallet {
    /// Whose wallet.
    pub holder: HolderId,
    /// When the certificate was issued: the wallet lists the newest first.
    pub issued: UnixTime,
    /// The record.
    pub key: RowKey,
    /// What a list of certificates shows.
    pub sealed: Sealed,
}

/// A certificate among those of its issuer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Issued {
    /// The issuer.
    pub issuer: IssuerTag,
    /// When it was issued: the newest come first.
    pub issued: UnixTime,
    /// The record.
    pub key: RowKey,
}

/// That a key signed for a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedBy {
    /// The signing key.
    pub signer: KeyTag,
    /// When it signed.
    pub at: UnixTime,
    /// The record.
    pub key: RowKey,
}

/// A showing of certificates.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Showing {
    /// Its name.
    pub id: ShowingId,
    /// From then on a sweep may delete it. Who reads it compares with the clock.
    pub expires: UnixTime,
    /// What may be shown, to whom.
    pub sealed: Sealed,
}

/// From a show code to its showing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShowCode {
    /// Of the code.
    pub tag: Tag,
    /// From then on a sweep may delete it. Who reads it compares with the clock.
    pub expires: UnixTime,
    /// The showing.
    pub id: ShowingId,
}

/// That somebody looked at a holder's certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Access {
    /// Whose certificate.
    pub holder: HolderId,
    /// When.
    pub at: UnixTime,
    /// Keeps two accesses of one second apart.
    pub seq: u64,
    /// Who, when, for which case, which field names.
    pub sealed: Sealed,
}

/// The leaf of an access record in the tree of its hour.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessLeaf {
    /// The hour, counted from 1970.
    pub hour: i64,
    /// Its place in the hour, from 0.
    pub seq: u64,
    /// The leaf.
    pub hash: Digest,
}

/// What a request was answered, so that the same request gets the same answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// Of the caller and the request id.
    pub tag: Tag,
    /// Of what was asked: the same id with another body is not the same request.
    pub digest: Digest,
    /// From then on a sweep may delete it. Who reads it compares with the clock.
    pub expires: UnixTime,
    /// The answer.
    pub sealed: Sealed,
}

/// A registered system.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    /// Its name, 1 to 128 bytes.
    pub id: String,
    /// The registration.
    pub sealed: Sealed,
}

/// A log entry. Public.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The log's number.
    pub log: u16,
    /// Its place in the log.
    pub index: u64,
    /// The entry.
    pub bytes: Vec<u8>,
}

/// A hash of the log's tree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TileHash {
    /// The log's number.
    pub log: u16,
    /// The level, as the log counts it.
    pub level: u8,
    /// Its place in the level.
    pub index: u64,
    /// The hash.
    pub hash: Digest,
}

/// A change of a certificate's status, in the order of time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// When it was recorded.
    pub at: UnixTime,
    /// Whose certificate.
    pub issuer: IssuerTag,
    /// The log entry that tells it. Keeps two changes of one second apart.
    pub entry: u64,
    /// The record.
    pub key: RowKey,
    /// Which change, as the vault numbers them.
    pub kind: u8,
}

/// One value there is one of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Meta {
    /// Its name.
    pub name: MetaName,
    /// The value, laid out and versioned by who puts it.
    pub bytes: Vec<u8>,
}

/// The head of a log, with the signed text that tells it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Head {
    /// The log's number: 0, and a higher one after each restore that accepted a loss.
    pub log: u16,
    /// The log's origin, 1 to 255 bytes.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// The signed checkpoint.
    pub note: Vec<u8>,
}

/// The last head of a log that has closed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ClosedHead(pub(super) Head);

/// The values there are one of.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum MetaName {
    /// The hour of access records that is being filled, and how far it is.
    AccessHour,
    /// The last time a log entry bears.
    EntryTime,
    /// Which versions of the certificate types have been frozen by a first issue.
    FrozenTypes,
    /// Which keys the index and the envelopes are under.
    KeyVersions,
    /// The status lists of the logs that have closed: they give no new slots.
    Lists,
    /// The signed statements of what was lost, one for each log that began after a loss.
    LossStatements,
    /// The vault's public URL and origin, fixed when it was made.
    PublicUrl,
    /// Deletions that a restored copy must repeat.
    Shredded,
    /// How many status slots have been reserved.
    SlotsReserved,
    /// The emergency stop.
    Stops,
    /// The right edge of the log's tree.
    TreeEdge,
    /// The trust bundle's version and text.
    Trust,
}

/// A row to put. What stood at its name before is gone.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "each variant is documented at the struct it holds")]
#[non_exhaustive]
pub enum Row {
    Access(Access),
    AccessLeaf(AccessLeaf),
    Certificate(Certificate),
    CertificateTag(CertificateTag),
    Change(Change),
    Client(Client),
    Credential(Credential),
    Entry(Entry),
    Holder(Holder),
    HolderTag(HolderTag),
    Issued(Issued),
    Meta(Meta),
    NumberTag(NumberTag),
    Request(Request),
    ShowCode(ShowCode),
    Showing(Showing),
    SignedBy(SignedBy),
    Slot(Slot),
    StatusChunk(StatusChunk),
    TileHash(TileHash),
    Wallet(Wallet),
    /// Not a row to put but one to delete. What is not there is not missed.
    Delete(RowId),
}

/// The name of a row that may be deleted.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RowId {
    /// An access record whose time to be kept is over.
    Access {
        /// Whose certificate.
        holder: HolderId,
        /// When.
        at: UnixTime,
        /// Which of that second.
        seq: u64,
    },
    /// A record.
    Certificate(RowKey),
    /// An identifier's tag, as when the index key changes.
    CertificateTag(Tag),
    /// A registered system.
    Client(String),
    /// A credential of a record.
    Credential {
        /// The record.
        key: RowKey,
        /// Which of its credentials.
        seq: u32,
    },
    /// A holder's key: all that hangs on it is shredded. [`Store::forget`](crate::store::Store::forget)
    /// comes after.
    Holder(HolderId),
    /// A holder's tag.
    HolderTag(Tag),
    /// A certificate among those of its issuer.
    Issued {
        /// The issuer.
        issuer: IssuerTag,
        /// When it was issued.
        issued: UnixTime,
        /// The record.
        key: RowKey,
    },
    /// A number's tag.
    NumberTag(Tag),
    /// A kept answer.
    Request(Tag),
    /// A show code: redeemed, or void.
    ShowCode(Tag),
    /// A showing.
    Showing(ShowingId),
    /// A certificate in a wallet.
    Wallet {
        /// Whose wallet.
        holder: HolderId,
        /// When the certificate was issued.
        issued: UnixTime,
        /// The record.
        key: RowKey,
    },
}

/// Rows that come to be together, or not at all.
///
/// They are applied in their order: of two that name the same row the later
/// one stands. With a head, the entries among the rows must be exactly those
/// from the old head's size to the new one's; without a head there are none.
/// A head of a log with a higher number closes the log before: its entries are
/// those from 0, and the closed log stays readable.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Commit {
    /// What to put and to delete.
    pub rows: Vec<Row>,
    /// The log's new head.
    pub head: Option<Head>,
}

macro_rules! rows_from {
    ($($name:ident),*) => {
        $(impl From<$name> for Row {
            fn from(row: $name) -> Self {
                Self::$name(row)
            }
        })*
    };
}

rows_from!(
    Access,
    AccessLeaf,
    Certificate,
    CertificateTag,
    Change,
    Client,
    Credential,
    Entry,
    Holder,
    HolderTag,
    Issued,
    Meta,
    NumberTag,
    Request,
    ShowCode,
    Showing,
    SignedBy,
    Slot,
    StatusChunk,
    TileHash,
    Wallet
);

impl From<RowId> for Row {
    fn from(id: RowId) -> Self {
        Self::Delete(id)
    }
}
