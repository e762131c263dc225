//! Which fields each row has, and in which order they stand in key and value.

use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::store::HolderId;
use crate::store::IssuerTag;
use crate::store::KeyTag;
use crate::store::MetaName;
use crate::store::RowKey;
use crate::store::Sealed;
use crate::store::ShowingId;
use crate::store::Tag;
use crate::store::codec::Fields;
use crate::store::codec::Record;
use crate::store::row;
use crate::store::tables::Table;

/// The note that a row expires: a sweep reads these in the order of time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Expiry {
    pub(crate) expires: UnixTime,
    pub(crate) table: Table,
    pub(crate) key: Vec<u8>,
}

impl Record for Expiry {
    const TABLE: Table = Table::Expiry;

    fn key(&self) -> Vec<u8> {
        [&time(self.expires)[..], &[self.table.number()], &self.key].concat()
    }

    fn write(&self, _: &mut Vec<u8>) {}

    fn read(key: &mut Fields<'_>, _: &mut Fields<'_>) -> Option<Self> {
        Some(Self { expires: read_time(key)?, table: Table::from_number(key.byte()?)?, key: key.rest() })
    }
}

impl Record for row::Access {
    const TABLE: Table = Table::Access;

    fn key(&self) -> Vec<u8> {
        access_key(self.holder, self.at, self.seq)
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(self.sealed.as_bytes());
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            holder: HolderId(key.array()?),
            at: read_newest_first(key)?,
            seq: !u64::from_be_bytes(key.array()?),
            sealed: Sealed::from(value.rest()),
        })
    }
}

impl Record for row::AccessLeaf {
    const TABLE: Table = Table::AccessLeaf;

    fn key(&self) -> Vec<u8> {
        [hour_bytes(self.hour), self.seq.to_be_bytes()].concat()
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(self.hash.as_bytes());
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            hour: i64::from_be_bytes(turn_sign(key.array()?)),
            seq: u64::from_be_bytes(key.array()?),
            hash: Digest::from_bytes(value.array()?),
        })
    }
}

impl Record for row::Certificate {
    const TABLE: Table = Table::Certificate;

    fn key(&self) -> Vec<u8> {
        self.key.0.to_vec()
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(self.sealed.as_bytes());
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        Some(Self { key: RowKey(key.array()?), sealed: Sealed::from(value.rest()) })
    }
}

impl Record for row::CertificateTag {
    const TABLE: Table = Table::CertificateTag;

    fn key(&self) -> Vec<u8> {
        self.tag.0.to_vec()
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(&self.key.0);
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        Some(Self { tag: Tag(key.array()?), key: RowKey(value.array()?) })
    }
}

impl Record for row::Change {
    const TABLE: Table = Table::Change;

    fn key(&self) -> Vec<u8> {
        [&time(self.at)[..], &self.issuer.0, &self.entry.to_be_bytes()].concat()
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(&self.key.0);
        value.push(self.kind);
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            at: read_time(key)?,
            issuer: IssuerTag(key.array()?),
            entry: u64::from_be_bytes(key.array()?),
            key: RowKey(value.array()?),
            kind: value.byte()?,
        })
    }
}

impl Record for row::Client {
    const TABLE: Table = Table::Client;

    fn key(&self) -> Vec<u8> {
        client_key(&self.id)
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(self.sealed.as_bytes());
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        let client = Self { id: String::from_utf8(key.rest()).ok()?, sealed: Sealed::from(value.rest()) };
        client.fits().then_some(client)
    }

    fn fits(&self) -> bool {
        (1..=CLIENT_ID_BYTES_MAX).contains(&self.id.len())
    }
}

impl Record for row::Credential {
    const TABLE: Table = Table::Credential;

    fn key(&self) -> Vec<u8> {
        credential_key(self.key, self.seq)
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(self.sealed.as_bytes());
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            key: RowKey(key.array()?),
            seq: u32::from_be_bytes(key.array()?),
            sealed: Sealed::from(value.rest()),
        })
    }
}

impl Record for row::Holder {
    const TABLE: Table = Table::Holder;

    fn key(&self) -> Vec<u8> {
        self.id.0.to_vec()
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(self.sealed.as_bytes());
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        Some(Self { id: HolderId(key.array()?), sealed: Sealed::from(value.rest()) })
    }
}

impl Record for row::HolderTag {
    const TABLE: Table = Table::HolderTag;

    fn key(&self) -> Vec<u8> {
        self.tag.0.to_vec()
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(&self.id.0);
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        Some(Self { tag: Tag(key.array()?), id: HolderId(value.array()?) })
    }
}

impl Record for row::Issued {
    const TABLE: Table = Table::Issued;

    fn key(&self) -> Vec<u8> {
        issued_key(self.issuer, self.issued, self.key)
    }

    fn write(&self, _: &mut Vec<u8>) {}

    fn read(key: &mut Fields<'_>, _: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            issuer: IssuerTag(key.array()?),
            issued: read_newest_first(key)?,
            key: RowKey(key.array()?),
        })
    }
}

impl Record for row::Meta {
    const TABLE: Table = Table::Meta;

    fn key(&self) -> Vec<u8> {
        meta_key(self.name)
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(&self.bytes);
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        let number = key.byte()?;
        let name = META_NAMES.into_iter().find(|name| meta_number(*name) == number)?;
        Some(Self { name, bytes: value.rest() })
    }
}

impl Record for row::NumberTag {
    const TABLE: Table = Table::NumberTag;

    fn key(&self) -> Vec<u8> {
        self.tag.0.to_vec()
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(&self.key.0);
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        Some(Self { tag: Tag(key.array()?), key: RowKey(value.array()?) })
    }
}

impl Record for row::Request {
    const TABLE: Table = Table::Request;

    fn key(&self) -> Vec<u8> {
        self.tag.0.to_vec()
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(&time(self.expires));
        value.extend_from_slice(self.digest.as_bytes());
        value.extend_from_slice(self.sealed.as_bytes());
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            tag: Tag(key.array()?),
            expires: read_time(value)?,
            digest: Digest::from_bytes(value.array()?),
            sealed: Sealed::from(value.rest()),
        })
    }

    fn expires(&self) -> Option<UnixTime> {
        Some(self.expires)
    }
}

impl Record for row::ShowCode {
    const TABLE: Table = Table::ShowCode;

    fn key(&self) -> Vec<u8> {
        self.tag.0.to_vec()
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(&time(self.expires));
        value.extend_from_slice(&self.id.0);
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        Some(Self { tag: Tag(key.array()?), expires: read_time(value)?, id: ShowingId(value.array()?) })
    }

    fn expires(&self) -> Option<UnixTime> {
        Some(self.expires)
    }
}

impl Record for row::Showing {
    const TABLE: Table = Table::Showing;

    fn key(&self) -> Vec<u8> {
        self.id.0.to_vec()
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(&time(self.expires));
        value.extend_from_slice(self.sealed.as_bytes());
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            id: ShowingId(key.array()?),
            expires: read_time(value)?,
            sealed: Sealed::from(value.rest()),
        })
    }

    fn expires(&self) -> Option<UnixTime> {
        Some(self.expires)
    }
}

impl Record for row::SignedBy {
    const TABLE: Table = Table::SignedBy;

    fn key(&self) -> Vec<u8> {
        [&self.signer.0[..], &time(self.at), &self.key.0].concat()
    }

    fn write(&self, _: &mut Vec<u8>) {}

    fn read(key: &mut Fields<'_>, _: &mut Fields<'_>) -> Option<Self> {
        Some(Self { signer: KeyTag(key.array()?), at: read_time(key)?, key: RowKey(key.array()?) })
    }
}

impl Record for row::Slot {
    const TABLE: Table = Table::Slot;

    fn key(&self) -> Vec<u8> {
        slot_key(self.list, self.index)
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(&self.key.0);
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            list: u32::from_be_bytes(key.array()?),
            index: u32::from_be_bytes(key.array()?),
            key: RowKey(value.array()?),
        })
    }
}

impl Record for row::StatusChunk {
    const TABLE: Table = Table::StatusChunk;

    fn key(&self) -> Vec<u8> {
        [&self.list.to_be_bytes()[..], &self.chunk.to_be_bytes()].concat()
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(&self.bits);
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            list: u32::from_be_bytes(key.array()?),
            chunk: u16::from_be_bytes(key.array()?),
            bits: value.array()?,
        })
    }
}

impl Record for row::Wallet {
    const TABLE: Table = Table::Wallet;

    fn key(&self) -> Vec<u8> {
        wallet_key(self.holder, self.issued, self.key)
    }

    fn write(&self, value: &mut Vec<u8>) {
        value.extend_from_slice(self.sealed.as_bytes());
    }

    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            holder: HolderId(key.array()?),
            issued: read_newest_first(key)?,
            key: RowKey(key.array()?),
            sealed: Sealed::from(value.rest()),
        })
    }
}

pub(crate) fn access_key(holder: HolderId, at: UnixTime, seq: u64) -> Vec<u8> {
    [&holder.0[..], &newest_first(at), &(!seq).to_be_bytes()].concat()
}

pub(crate) fn client_key(id: &str) -> Vec<u8> {
    id.as_bytes().to_vec()
}

pub(crate) fn credential_key(key: RowKey, seq: u32) -> Vec<u8> {
    [&key.0[..], &seq.to_be_bytes()].concat()
}

/// Negative hours come before the others.
pub(crate) fn hour_bytes(hour: i64) -> [u8; 8] {
    turn_sign(hour.to_be_bytes())
}

pub(crate) fn issued_key(issuer: IssuerTag, issued: UnixTime, key: RowKey) -> Vec<u8> {
    [&issuer.0[..], &newest_first(issued), &key.0].concat()
}

pub(crate) fn meta_key(name: MetaName) -> Vec<u8> {
    vec![meta_number(name)]
}

pub(crate) fn slot_key(list: u32, index: u32) -> Vec<u8> {
    [list.to_be_bytes(), index.to_be_bytes()].concat()
}

pub(crate) fn wallet_key(holder: HolderId, issued: UnixTime, key: RowKey) -> Vec<u8> {
    [&holder.0[..], &newest_first(issued), &key.0].concat()
}

pub(crate) fn time(at: UnixTime) -> [u8; 8] {
    at.seconds().to_be_bytes()
}

/// Stable. Never reused; 0 and 255 are taken. A new name also goes into [`META_NAMES`].
pub(crate) fn meta_number(name: MetaName) -> u8 {
    match name {
        MetaName::AccessHour => 1,
        MetaName::EntryTime => 2,
        MetaName::FrozenTypes => 3,
        MetaName::KeyVersions => 4,
        MetaName::Lists => 5,
        MetaName::PublicUrl => 6,
        MetaName::Shredded => 7,
        MetaName::SlotsReserved => 8,
        MetaName::Stops => 9,
        MetaName::TreeEdge => 10,
        MetaName::Trust => 11,
        MetaName::LossStatements => 12,
    }
}

fn newest_first(at: UnixTime) -> [u8; 8] {
    (!at.seconds()).to_be_bytes()
}

fn read_time(fields: &mut Fields<'_>) -> Option<UnixTime> {
    UnixTime::new(i64::from_be_bytes(fields.array()?))
}

fn read_newest_first(fields: &mut Fields<'_>) -> Option<UnixTime> {
    UnixTime::new(!i64::from_be_bytes(fields.array()?))
}

fn turn_sign([first, rest @ ..]: [u8; 8]) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[0] = first ^ 0x80;
    bytes[1..].copy_from_slice(&rest);
    bytes
}

/// A system's name in one row key. Our own choice.
const CLIENT_ID_BYTES_MAX: usize = 128;

/// Every name; the test of `codec` goes through them.
pub(crate) const META_NAMES: [MetaName; 12] = [
    MetaName::AccessHour,
    MetaName::EntryTime,
    MetaName::FrozenTypes,
    MetaName::KeyVersions,
    MetaName::Lists,
    MetaName::LossStatements,
    MetaName::PublicUrl,
    MetaName::Shredded,
    MetaName::SlotsReserved,
    MetaName::Stops,
    MetaName::TreeEdge,
    MetaName::Trust,
];
