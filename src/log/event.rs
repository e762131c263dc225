//! What an entry of the log records, and the fields of its encoding.
//!
//! | event | number | fields after `[1, event, minute, issuer` |
//! |---|---|---|
//! | opened | 1 | origin, null or [origin, size, root] of the log before |
//! | issued | 2 | type code or class, commitment |
//! | status | 3 | list, index, value, class |
//! | list opened | 4 | list |
//! | key | 5 | action, purpose, kid, null or x509 serial |
//! | trust | 6 | version, digest |
//! | accesses | 7 | hour since 1970, count, root |
//! | shredded | 8 | count |
//! | snapshot | 9 | list, digest of its bits, size of the log they are of |
//! | clock override | 10 | from, to, in minutes since 1970 |
//! | seal used | 11 | reserved: unsigned integers, texts, byte strings, nulls |

use std::fmt;

use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::log::cbor;
use crate::log::cbor::Malformed;
use crate::log::cbor::Reader;
use crate::log::cbor::Writer;
use crate::log::checkpoint::Checkpoint;
use crate::log::note::KeyName;

/// What an entry records.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The first entry of a log.
    Opened {
        /// The origin of this log.
        origin: KeyName,
        /// The head of the log it continues, after a loss.
        previous: Option<Checkpoint>,
    },
    /// A certificate was issued.
    Issued {
        /// Its type code; for sensitive types their class.
        type_or_class: String,
        /// The [`commitment`](crate::log::entry::commitment) to its credential.
        commitment: Digest,
    },
    /// A slot of a status list took a value.
    Status {
        /// The list.
        list: u32,
        /// The slot in it, below 2^20.
        index: u32,
        /// The value it has from now on.
        value: SlotValue,
        /// Why, coarsely: 0 reinstated, 1 ended, 2 suspended, 3 to 23 for later.
        class: u8,
    },
    /// A status list was opened: all its slots are active.
    ListOpened {
        /// The list.
        list: u32,
    },
    /// Something happened to a key.
    Key {
        /// What.
        action: KeyAction,
        /// What the key is for: lower-case letters, digits and `-`.
        purpose: String,
        /// Its RFC 7638 thumbprint.
        kid: String,
        /// The serial number of its x509, if it has one.
        x509_serial: Option<Vec<u8>>,
    },
    /// A trust bundle was published.
    Trust {
        /// Its version, which always rises.
        version: u64,
        /// Its digest.
        digest: Digest,
    },
    /// The access records of an hour were closed.
    Accesses {
        /// Whole hours since 1970.
        hour: u64,
        /// How many there were.
        count: u64,
        /// The Merkle root over them.
        root: Digest,
    },
    /// The data keys of holders were destroyed.
    Shredded {
        /// Of how many holders.
        count: u64,
    },
    /// The bits of a list, as they were.
    Snapshot {
        /// The list.
        list: u32,
        /// SHA-256 of its 262,144 bytes.
        digest: Digest,
        /// The size of the log that folds to these bits: this log before this entry, or the log it continues.
        size: u64,
    },
    /// An operator let the clock jump.
    ClockOverride {
        /// The time of the entry before.
        from: Minute,
        /// The time of this entry.
        to: Minute,
    },
    /// A seal was used. Reserved; decodes, so that readers of today pass it.
    SealUsed {
        /// At most 16.
        fields: Vec<Field>,
    },
}

impl Event {
    /// Its name for machines and people.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Issued { .. } => "issued",
            Self::Status { .. } => "status",
            Self::ListOpened { .. } => "list-opened",
            Self::Key { .. } => "key",
            Self::Trust { .. } => "trust",
            Self::Accesses { .. } => "accesses",
            Self::Shredded { .. } => "shredded",
            Self::Snapshot { .. } => "snapshot",
            Self::ClockOverride { .. } => "clock-override",
            Self::SealUsed { .. } => "seal-used",
        }
    }

    /// Its number in the encoding.
    pub const fn number(&self) -> u64 {
        match self {
            Self::Opened { .. } => 1,
            Self::Issued { .. } => 2,
            Self::Status { .. } => 3,
            Self::ListOpened { .. } => 4,
            Self::Key { .. } => 5,
            Self::Trust { .. } => 6,
            Self::Accesses { .. } => 7,
            Self::Shredded { .. } => 8,
            Self::Snapshot { .. } => 9,
            Self::ClockOverride { .. } => 10,
            Self::SealUsed { .. } => 11,
        }
    }

    pub(super) fn fields(&self) -> usize {
        match self {
            Self::ListOpened { .. } | Self::Shredded { .. } => 1,
            Self::Opened { .. } | Self::Issued { .. } | Self::Trust { .. } | Self::ClockOverride { .. } => 2,
            Self::Accesses { .. } | Self::Snapshot { .. } => 3,
            Self::Status { .. } | Self::Key { .. } => 4,
            Self::SealUsed { fields } => fields.len(),
        }
    }

    /// What the types of the fields do not ensure.
    pub(super) fn check(&self) -> Result<(), EntryError> {
        let (fits, part) = match self {
            Self::Issued { type_or_class, .. } => (is_word(type_or_class, WORD_LENGTH_MAX), "type"),
            Self::Status { index, .. } if *index >= LIST_SLOTS => (false, "index"),
            Self::Status { value, class, .. } => (class_fits(*value, *class), "class"),
            Self::Key { purpose, .. } if !is_word(purpose, WORD_LENGTH_MAX) => (false, "purpose"),
            Self::Key { kid, .. } if !is_word(kid, KID_LENGTH_MAX) => (false, "kid"),
            Self::Key { x509_serial: Some(serial), .. } => {
                ((1..=SERIAL_BYTES_MAX).contains(&serial.len()), "serial")
            }
            Self::Accesses { hour, .. } => (*hour <= HOUR_MAX, "hour"),
            Self::SealUsed { fields } => (fields.len() <= FIELDS_MAX, "fields"),
            _ => (true, ""),
        };
        if fits { Ok(()) } else { Err(EntryError::Malformed { part }) }
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Opened { origin, previous } => {
                writer.text(origin.as_str());
                match previous {
                    Some(head) => {
                        writer.array(3);
                        writer.text(head.origin().as_str());
                        writer.unsigned(head.size());
                        writer.bytes(head.root().as_bytes());
                    }
                    None => writer.null(),
                }
            }
            Self::Issued { type_or_class, commitment } => {
                writer.text(type_or_class);
                writer.bytes(commitment.as_bytes());
            }
            Self::Status { list, index, value, class } => {
                writer.unsigned(u64::from(*list));
                writer.unsigned(u64::from(*index));
                writer.unsigned(u64::from(value.bits()));
                writer.unsigned(u64::from(*class));
            }
            Self::ListOpened { list } => writer.unsigned(u64::from(*list)),
            Self::Key { action, purpose, kid, x509_serial } => {
                writer.text(action.name());
                writer.text(purpose);
                writer.text(kid);
                match x509_serial {
                    Some(serial) => writer.bytes(serial),
                    None => writer.null(),
                }
            }
            Self::Trust { version, digest } => {
                writer.unsigned(*version);
                writer.bytes(digest.as_bytes());
            }
            Self::Accesses { hour, count, root } => {
                writer.unsigned(*hour);
                writer.unsigned(*count);
                writer.bytes(root.as_bytes());
            }
            Self::Shredded { count } => writer.unsigned(*count),
            Self::Snapshot { list, digest, size } => {
                writer.unsigned(u64::from(*list));
                writer.bytes(digest.as_bytes());
                writer.unsigned(*size);
            }
            Self::ClockOverride { from, to } => {
                writer.unsigned(from.number());
                writer.unsigned(to.number());
            }
            Self::SealUsed { fields } => fields.iter().for_each(|field| field.encode(writer)),
        }
    }

    pub(super) fn decode(number: u64, fields: usize, reader: &mut Reader<'_>) -> Result<Self, EntryError> {
        let event = match number {
            1 => Self::Opened { origin: name(reader)?, previous: previous(reader)? },
            2 => Self::Issued { type_or_class: reader.text()?.to_owned(), commitment: digest(reader)? },
            3 => Self::Status {
                list: number_of(reader, "list")?,
                index: number_of(reader, "index")?,
                value: number_of::<u8>(reader, "value")?
                    .try_into()
                    .map_err(|_| EntryError::Malformed { part: "value" })?,
                class: number_of(reader, "class")?,
            },
            4 => Self::ListOpened { list: number_of(reader, "list")? },
            5 => Self::Key {
                action: KeyAction::parse(reader.text()?).ok_or(EntryError::Malformed { part: "action" })?,
                purpose: reader.text()?.to_owned(),
                kid: reader.text()?.to_owned(),
                x509_serial: if reader.null() { None } else { Some(reader.bytes()?.to_vec()) },
            },
            6 => Self::Trust { version: reader.unsigned()?, digest: digest(reader)? },
            7 => {
                Self::Accesses { hour: reader.unsigned()?, count: reader.unsigned()?, root: digest(reader)? }
            }
            8 => Self::Shredded { count: reader.unsigned()? },
            9 => Self::Snapshot {
                list: number_of(reader, "list")?,
                digest: digest(reader)?,
                size: reader.unsigned()?,
            },
            10 => Self::ClockOverride { from: minute(reader)?, to: minute(reader)? },
            11 => {
                if fields > FIELDS_MAX {
                    return Err(EntryError::Malformed { part: "fields" });
                }
                Self::SealUsed {
                    fields: (0..fields).map(|_| Field::decode(reader)).collect::<Result<_, _>>()?,
                }
            }
            event => return Err(EntryError::UnknownEvent { event }),
        };
        if event.fields() == fields { Ok(event) } else { Err(EntryError::Malformed { part: "items" }) }
    }
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyAction {
    /// What it signed in a certain time is no longer believed.
    Compromised,
    /// It was made.
    Generated,
    /// It signs no more.
    Retired,
}

impl KeyAction {
    /// Its name in the encoding.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compromised => "compromised",
            Self::Generated => "generated",
            Self::Retired => "retired",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Compromised, Self::Generated, Self::Retired].into_iter().find(|action| action.name() == text)
    }
}

/// The value of a status slot: two bits (Token Status List section 7.1).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum SlotValue {
    /// 0: active, expired, or not in use.
    #[default]
    Active,
    /// 1: any end but expiry. It never goes back.
    Ended,
    /// 2: suspended until lifted.
    Suspended,
}

impl SlotValue {
    /// The two bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Ended => 1,
            Self::Suspended => 2,
        }
    }
}

/// Takes 0, 1 and 2. The value 3 is for applications, and ours does not use it.
impl TryFrom<u8> for SlotValue {
    type Error = EntryError;

    fn try_from(bits: u8) -> Result<Self, EntryError> {
        match bits {
            0 => Ok(Self::Active),
            1 => Ok(Self::Ended),
            2 => Ok(Self::Suspended),
            _ => Err(EntryError::Malformed { part: "value" }),
        }
    }
}

/// A minute since 1970, before the year 10000.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Minute(i64);

impl Minute {
    /// The minute that instant lies in.
    pub const fn of(time: UnixTime) -> Self {
        Self(time.minutes())
    }

    /// The instant it begins.
    pub fn time(self) -> UnixTime {
        UnixTime::clamped(self.0 * 60)
    }

    /// Whole minutes since 1970.
    pub fn number(self) -> u64 {
        u64::try_from(self.0).expect("a minute is not before 1970")
    }

    pub(super) fn new(number: u64) -> Option<Self> {
        let minutes = i64::try_from(number).ok()?;
        UnixTime::new(minutes.checked_mul(60)?).map(Self::of)
    }
}

/// A field whose meaning is for later.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Field {
    /// A byte string.
    Bytes(Vec<u8>),
    /// Null.
    Null,
    /// A text.
    Text(String),
    /// An unsigned integer.
    Unsigned(u64),
}

impl Field {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Bytes(bytes) => writer.bytes(bytes),
            Self::Null => writer.null(),
            Self::Text(text) => writer.text(text),
            Self::Unsigned(number) => writer.unsigned(*number),
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, EntryError> {
        match reader.major() {
            Some(cbor::UNSIGNED) => Ok(Self::Unsigned(reader.unsigned()?)),
            Some(cbor::BYTES) => Ok(Self::Bytes(reader.bytes()?.to_vec())),
            Some(cbor::TEXT) => Ok(Self::Text(reader.text()?.to_owned())),
            _ if reader.null() => Ok(Self::Null),
            _ => Err(EntryError::Malformed { part: "fields" }),
        }
    }
}

/// Why bytes are not an entry, or fields do not make one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EntryError {
    /// Not an entry in its one encoding.
    Malformed {
        /// What is wrong with it.
        part: &'static str,
    },
    /// An event that this program does not know.
    UnknownEvent {
        /// Its number.
        event: u64,
    },
    /// A version that this program does not know.
    UnknownVersion {
        /// Its number.
        version: u64,
    },
}

impl EntryError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed { .. } => "log/entry-malformed",
            Self::UnknownEvent { .. } => "log/unknown-event",
            Self::UnknownVersion { .. } => "log/unknown-version",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Malformed { .. } => None,
            Self::UnknownEvent { .. } | Self::UnknownVersion { .. } => {
                Some("read this log with a newer version of kabao")
            }
        }
    }
}

impl From<Malformed> for EntryError {
    fn from(Malformed(part): Malformed) -> Self {
        Self::Malformed { part }
    }
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { part } => write!(f, "not an entry of the log: {part}"),
            Self::UnknownEvent { event } => write!(f, "the log holds an event of an unknown kind ({event})"),
            Self::UnknownVersion { version } => {
                write!(f, "the log holds an entry of an unknown version ({version})")
            }
        }
    }
}

impl std::error::Error for EntryError {}

/// Whether a coarse class may go with a value: what is known must agree, the rest is for later.
const fn class_fits(value: SlotValue, class: u8) -> bool {
    matches!(
        (class, value),
        (0, SlotValue::Active)
            | (1, SlotValue::Ended)
            | (2, SlotValue::Suspended)
            | (3..=CLASS_MAX, SlotValue::Ended | SlotValue::Suspended)
    )
}

fn is_word(text: &str, length_max: usize) -> bool {
    !text.is_empty() && text.len() <= length_max && is_all(text, |byte| is_code(byte) || is_small(byte))
}

pub(super) fn is_all(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    text.bytes().all(allowed)
}

pub(super) const fn is_code(byte: u8) -> bool {
    byte.is_ascii_digit() || byte.is_ascii_uppercase()
}

const fn is_small(byte: u8) -> bool {
    byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_')
}

fn number_of<N: TryFrom<u64>>(reader: &mut Reader<'_>, part: &'static str) -> Result<N, EntryError> {
    reader.unsigned()?.try_into().map_err(|_| EntryError::Malformed { part })
}

fn digest(reader: &mut Reader<'_>) -> Result<Digest, EntryError> {
    let bytes = reader.bytes()?.try_into().map_err(|_| EntryError::Malformed { part: "digest" })?;
    Ok(Digest::from_bytes(bytes))
}

fn minute(reader: &mut Reader<'_>) -> Result<Minute, EntryError> {
    Minute::new(reader.unsigned()?).ok_or(EntryError::Malformed { part: "minute" })
}

fn name(reader: &mut Reader<'_>) -> Result<KeyName, EntryError> {
    reader.text()?.parse().map_err(|_| EntryError::Malformed { part: "origin" })
}

fn previous(reader: &mut Reader<'_>) -> Result<Option<Checkpoint>, EntryError> {
    if reader.null() {
        return Ok(None);
    }
    if reader.array()? != 3 {
        return Err(EntryError::Malformed { part: "previous" });
    }
    let (origin, size, root) = (name(reader)?, reader.unsigned()?, digest(reader)?);
    Checkpoint::new(origin, size, root).map(Some).map_err(|_| EntryError::Malformed { part: "previous" })
}

/// Slots of a status list (DESIGN: 2^20).
pub const LIST_SLOTS: u32 = 1 << 20;

/// Characters of a type code (21), a class or a purpose. Our own choice.
const WORD_LENGTH_MAX: usize = 40;

/// Characters of a kid; an RFC 7638 thumbprint with SHA-256 has 43.
const KID_LENGTH_MAX: usize = 64;

/// Bytes of an x509 serial number (RFC 5280 section 4.1.2.2).
const SERIAL_BYTES_MAX: usize = 20;

/// Fields of a reserved event. Our own choice.
const FIELDS_MAX: usize = 16;

/// The highest coarse class: what one byte of CBOR holds.
const CLASS_MAX: u8 = 23;

/// The last hour of the year 9999.
const HOUR_MAX: u64 = 70_389_527;
