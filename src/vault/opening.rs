//! Opening a vault, and every reason not to.
//!
//! A vault opens only when the head outside the database and the tree inside it
//! agree ([`crate::store::head_lock::open_rule`]), when the clock has not stepped
//! back behind the last entry, when the certificate types issued before are still
//! what they were, and when the public address is the one in every credential.
//!
//! Work that was kept but never acknowledged (the head in the database is further
//! on than the lock) is whole: it is synced, the lock follows, and it stays.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::clock::Clock;
use super::keyring::Keyring;
use super::released::{Published, Released};
use super::slots::{SlotPool, first_list, first_slot};
use super::tree::StoredTree;
use super::writer::{AccessHour, CLOCK_SLACK_SECONDS, Plan, Start, Writer};
use super::{Settings, Vault, VaultError};
use crate::catalog::field::{Disclosable, Kind};
use crate::catalog::{Catalog, CertificateType};
use crate::credential::show_key::KnownShowKeys;
use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::keys::random::Random;
use crate::log::event::LIST_SLOTS;
use crate::log::event::{Event, Minute};
use crate::log::merkle::{self, Edge, Hashes, leaf_hash};
use crate::log::tile::Tiled;
use crate::status::list::{ChunkIndex, StatusList};
use crate::status::slot::Permutation;
use crate::store::head_lock::{HeadLock, LockError, LockedHead, Opening as Rule, Refusal, open_rule};
use crate::store::{Head, Meta, MetaName, PageRequest, Store, StoreError};

/// Everything a vault is opened with.
pub struct Opening {
    /// Where it keeps.
    pub store: Arc<dyn Store>,
    /// The head outside the database.
    pub lock: Box<dyn HeadLock>,
    /// The kinds of certificate.
    pub catalog: Arc<Catalog>,
    /// The keys.
    pub keyring: Arc<Keyring>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// What the operator decided.
    pub settings: Settings,
    /// What to do when the clock is behind the last entry.
    pub clock_step: ClockStep,
}

/// What to do when the clock is behind the last entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClockStep {
    /// Go on and log that the operator did so.
    Override,
    /// Do not open.
    Refuse,
}

/// How a vault is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Health {
    /// Whether it takes work.
    pub writer: WriterHealth,
    /// Entries in the released log.
    pub log_size: u64,
    /// Status lists.
    pub lists: u32,
}

/// Whether the writer takes work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WriterHealth {
    /// It does.
    Running,
    /// It has stopped; the vault must be opened again.
    Stopped,
}

impl Vault {
    /// Opens a vault; a new one begins its log.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then, save that unacknowledged work was synced.
    pub fn open(opening: Opening) -> Result<Self, OpenError> {
        let Opening { store, lock, catalog, keyring, clock, random, mut settings, clock_step } = opening;
        let head = store.head()?;
        let log = number_of_log(head.as_ref(), &settings)?;
        settings.log = u32::from(log);
        let origin = settings.origin();
        let locked = agree(store.as_ref(), lock.as_ref(), head.as_ref(), &origin)?;
        check_url(store.as_ref(), &settings)?;
        check_frozen(store.as_ref(), &catalog)?;
        let size = head.as_ref().map_or(0, |head| head.size);
        let tree = StoredTree { store: store.as_ref(), log };
        let edge = Edge::load(size, &Tiled(&tree)).map_err(|_| OpenError::Log)?;
        let last_time = instant(store.meta(MetaName::EntryTime)?);
        let now = clock.now();
        let stepped_back = now.plus(CLOCK_SLACK_SECONDS) < last_time;
        if stepped_back && clock_step == ClockStep::Refuse {
            return Err(OpenError::ClockBack { now, last_time });
        }
        let reserved = number(store.meta(MetaName::SlotsReserved)?).max(first_slot(log));
        let lists = read_lists(store.as_ref(), log, reserved)?;
        let released = head.clone().unwrap_or_else(|| empty_head(log, &origin));
        let published = Arc::new(RwLock::new(Published::new(Released { head: released }, lists.clone())));
        let start = Start {
            store: Arc::clone(&store),
            lock,
            locked,
            log_key: Arc::clone(&keyring.log),
            log,
            origin: origin.clone(),
            clock: Arc::clone(&clock),
            edge,
            last_time: if stepped_back { now } else { last_time },
            lists,
            hour: read_hour(store.as_ref(), now)?,
            published: Arc::clone(&published),
        };
        let writer = Arc::new(Writer::start(start).map_err(|_| OpenError::NoThread)?);
        let vault = Self {
            slots: SlotPool::after(reserved, log, Permutation::new(keyring.slots.expose())),
            store,
            catalog,
            keyring,
            published,
            writer,
            clock,
            random,
            settings,
            show_keys: super::showing::ShowKeys::default(),
            status_tokens: super::publish::StatusTokens::default(),
            signed_trust: super::publish::SignedTrust::default(),
            typed_tries: super::showing::TypedTries::default(),
            assertions: super::token::SeenAssertions::default(),
            known_show_keys: KnownShowKeys::default(),
            frozen: Mutex::default(),
            trust_changes: Mutex::default(),
        };
        if head.is_none() {
            vault.begin(&origin)?;
        }
        if stepped_back {
            vault.log_clock_override(last_time, now)?;
        }
        vault.log_key_changes()?;
        Ok(vault)
    }

    /// An operator let the time fall: the log says so before anything else is in it.
    fn log_clock_override(&self, from: UnixTime, to: UnixTime) -> Result<(), OpenError> {
        let event = Event::ClockOverride { from: Minute::of(from), to: Minute::of(to) };
        let plan = Plan { events: vec![(None, event)], ..Plan::default() };
        self.writer.commit(plan).map(|_| ()).map_err(|error| VaultError::from(error).into())
    }

    /// The first entry of a new log.
    fn begin(&self, origin: &str) -> Result<(), OpenError> {
        let origin = origin.parse().map_err(|_| OpenError::Log)?;
        let url = self.settings.url.as_bytes().to_vec();
        let hour = self.now().hours().to_be_bytes().to_vec();
        let plan = Plan {
            events: vec![(None, Event::Opened { origin, previous: None })],
            rows: vec![
                Meta { name: MetaName::PublicUrl, bytes: url }.into(),
                Meta { name: MetaName::AccessHour, bytes: hour }.into(),
            ],
            ..Plan::default()
        };
        self.writer.commit(plan).map_err(VaultError::from)?;
        Ok(())
    }

    /// How the vault is.
    pub fn health(&self) -> Health {
        let published = self.published();
        Health {
            writer: if self.writer.stopped() { WriterHealth::Stopped } else { WriterHealth::Running },
            log_size: published.head().size,
            lists: u32::try_from(published.lists().count()).unwrap_or(u32::MAX),
        }
    }

    /// Writes down what a type is when its first certificate is issued: from then on it must stay so.
    pub(super) fn freeze(&self, kind: &CertificateType) -> Result<(), VaultError> {
        let name = kind.path();
        let mut frozen = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        if frozen.is_empty() {
            *frozen = read_frozen(self.store.as_ref())?;
        }
        if frozen.contains_key(&name) {
            return Ok(());
        }
        let mut after = frozen.clone();
        after.insert(name, fields_digest(kind));
        let lines: Vec<String> = after.iter().map(|(name, digest)| format!("{name} {digest}")).collect();
        let meta = Meta { name: MetaName::FrozenTypes, bytes: lines.join("\n").into_bytes() };
        self.writer.commit(Plan { rows: vec![meta.into()], ..Plan::default() })?;
        *frozen = after;
        Ok(())
    }
}

/// The number of the log that is open. A restore that accepted a loss has begun another one: the store
/// knows, not the settings.
fn number_of_log(head: Option<&Head>, settings: &Settings) -> Result<u16, OpenError> {
    match head {
        Some(head) => Ok(head.log),
        None => u16::try_from(settings.log).map_err(|_| OpenError::Log),
    }
}

/// Applies the opening rule; what was kept but never acknowledged becomes part of the lock.
fn agree(
    store: &dyn Store,
    lock: &dyn HeadLock,
    head: Option<&Head>,
    origin: &str,
) -> Result<LockedHead, OpenError> {
    let locked = lock.read()?;
    let log = head.map_or(0, |head| head.log);
    let tree = StoredTree { store, log };
    let root_at = |size| merkle::root(size, &Tiled(&tree)).ok();
    if head.is_some_and(|head| head.origin != origin) {
        return Err(OpenError::Refused(Refusal::OtherOrigin));
    }
    match open_rule(locked.as_ref(), head, root_at) {
        Rule::Ready => match locked {
            Some(locked) if locked.origin == origin => Ok(locked),
            Some(_) => Err(OpenError::Refused(Refusal::OtherOrigin)),
            None => Err(OpenError::Refused(Refusal::NoLock)),
        },
        Rule::AdvanceLock(to) => {
            let from = locked.ok_or(OpenError::Refused(Refusal::NoLock))?;
            // The batch is whole, but the machine may have stopped before its sync returned.
            store.sync()?;
            lock.advance(&from, &to)?;
            tracing::warn!(log.size = to.size, "kept work that was not acknowledged; the head lock follows");
            Ok(to)
        }
        Rule::Refuse(refusal) => Err(OpenError::Refused(refusal)),
    }
}

/// Records issued before name the address; another address would break every one of them.
fn check_url(store: &dyn Store, settings: &Settings) -> Result<(), OpenError> {
    match store.meta(MetaName::PublicUrl)? {
        Some(bytes) if bytes != settings.url.as_bytes() => {
            Err(OpenError::OtherUrl { was: String::from_utf8_lossy(&bytes).into_owned() })
        }
        _ => Ok(()),
    }
}

fn check_frozen(store: &dyn Store, catalog: &Catalog) -> Result<(), OpenError> {
    let frozen = read_frozen(store).map_err(|_| OpenError::Log)?;
    for (path, digest) in &frozen {
        // A type that is gone would leave certificates that nobody can read or verify.
        let kind = catalog.types().iter().find(|kind| kind.path() == *path);
        if kind.is_none_or(|kind| fields_digest(kind) != *digest) {
            return Err(OpenError::TypeChanged { path: path.clone() });
        }
    }
    Ok(())
}

fn read_frozen(store: &dyn Store) -> Result<BTreeMap<String, Digest>, VaultError> {
    let bytes = store.meta(MetaName::FrozenTypes)?.unwrap_or_default();
    let text = String::from_utf8(bytes).map_err(|_| VaultError::Unreadable)?;
    let lines = text.lines().map(|line| {
        let (name, digest) = line.split_once(' ')?;
        Some((name.to_string(), Digest::from_hex(digest)?))
    });
    lines.collect::<Option<_>>().ok_or(VaultError::Unreadable)
}

/// What may not change once a certificate of the type exists: numbers, keys, kinds and sizes of its
/// fields, and whether they may be disclosed. Labels and masks may be mended.
fn fields_digest(kind: &CertificateType) -> Digest {
    let mut text = String::from("kabao/fields/1\n");
    for field in kind.fields() {
        let disclosable = if field.disclosable == Disclosable::Yes { "disclosable" } else { "kept" };
        let (number, key, name, size) = (field.number, &field.key, field.kind.name(), field.bytes_max());
        text.push_str(&format!("{number} {key} {name} {size} {disclosable}\n"));
        if let Kind::Rows { columns, .. } = &field.kind {
            for column in columns {
                text.push_str(&format!("  {} {}\n", column.key, column.kind.name()));
            }
        }
    }
    Digest::of(&[text.as_bytes()])
}

/// The status lists: those of this log, by the slots it reserved, and those of logs that have closed.
pub(super) fn read_lists(
    store: &dyn Store,
    log: u16,
    reserved: u64,
) -> Result<BTreeMap<u32, StatusList>, OpenError> {
    let next = u32::try_from(reserved.div_ceil(u64::from(LIST_SLOTS))).map_err(|_| OpenError::Log)?;
    let closed = store.meta(MetaName::Lists)?.unwrap_or_default();
    let (closed, rest) = closed.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(OpenError::Log);
    }
    let closed = closed.iter().map(|number| u32::from_be_bytes(*number));
    let mut lists: BTreeMap<u32, StatusList> =
        (first_list(log)..next).chain(closed).map(|list| (list, StatusList::new())).collect();
    let mut page = store.status_chunks(&PageRequest::first(PAGE))?;
    loop {
        for row in &page.items {
            let list = lists.get_mut(&row.list).ok_or(OpenError::Log)?;
            let chunk = ChunkIndex::new(row.chunk).ok_or(OpenError::Log)?;
            list.set_chunk(chunk, &row.bits).map_err(|_| OpenError::Log)?;
        }
        let Some(next) = page.next else { return Ok(lists) };
        page = store.status_chunks(&PageRequest::after(next, PAGE))?;
    }
}

/// The hour whose access records are not anchored yet: the running one, or the last before a stop.
fn read_hour(store: &dyn Store, now: UnixTime) -> Result<AccessHour, OpenError> {
    let hour = match store.meta(MetaName::AccessHour)? {
        Some(bytes) => i64::try_from(number(Some(bytes))).map_err(|_| OpenError::Log)?,
        None => now.hours(),
    };
    let mut edge = Edge::empty();
    let mut page = store.access_leaves(hour, &PageRequest::first(PAGE))?;
    loop {
        for row in &page.items {
            edge.push(leaf_hash(row.hash.as_bytes()));
        }
        let Some(next) = page.next else { return Ok(AccessHour { hour, edge }) };
        page = store.access_leaves(hour, &PageRequest::after(next, PAGE))?;
    }
}

fn empty_head(log: u16, origin: &str) -> Head {
    Head { log, origin: origin.to_string(), size: 0, root: Digest::of(&[]), note: vec![] }
}

pub(super) fn number(bytes: Option<Vec<u8>>) -> u64 {
    bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}

pub(super) fn instant(bytes: Option<Vec<u8>>) -> UnixTime {
    let seconds = bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_be_bytes);
    UnixTime::clamped(seconds)
}

/// Proof that [`Hashes`] is what the tree gives.
const _: fn(&dyn Store) = |store| {
    fn hashes(_: &impl Hashes) {}
    hashes(&Tiled(&StoredTree { store, log: 0 }));
};

/// Why a vault is not opened.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OpenError {
    /// The clock is behind the last entry.
    ClockBack {
        /// What the clock says.
        now: UnixTime,
        /// When the last entry was written.
        last_time: UnixTime,
    },
    /// The head lock cannot be used.
    Lock(LockError),
    /// The log in the store is damaged.
    Log,
    /// The operating system gave no thread.
    NoThread,
    /// The public address is not the one that credentials name.
    OtherUrl {
        /// The one they name.
        was: String,
    },
    /// The database and the head lock do not agree.
    Refused(Refusal),
    /// The store cannot be used.
    Store(StoreError),
    /// A type of which certificates exist was changed.
    TypeChanged {
        /// Its path: code and version.
        path: String,
    },
    /// The first entries could not be kept.
    Vault(VaultError),
}

impl OpenError {
    /// Stable name for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ClockBack { .. } => "open/clock-back",
            Self::Lock(error) => error.code(),
            Self::Log => "open/log-damaged",
            Self::NoThread => "open/no-thread",
            Self::OtherUrl { .. } => "open/other-url",
            Self::Refused(refusal) => refusal.code(),
            Self::Store(error) => error.code(),
            Self::TypeChanged { .. } => "open/type-changed",
            Self::Vault(error) => error.code(),
        }
    }

    /// What the operator can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::ClockBack { .. } => {
                Some("set the machine's clock right, or start with `--override-clock`, which is logged")
            }
            Self::Lock(error) => error.hint(),
            Self::Log => Some("restore from a backup"),
            Self::NoThread => Some("raise the limit on threads"),
            Self::OtherUrl { .. } => Some("set `url` back: every credential issued names it"),
            Self::Refused(refusal) => Some(refusal.hint()),
            Self::Store(error) => error.hint(),
            Self::TypeChanged { .. } => {
                Some("put the file back as it was; a changed type is a new type with a code of its own")
            }
            Self::Vault(error) => error.hint(),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockBack { now, last_time } => {
                write!(f, "the clock says {now}, but the last entry of the log is of {last_time}")
            }
            Self::Lock(error) => error.fmt(f),
            Self::Log => f.write_str("the log in the database is damaged"),
            Self::NoThread => f.write_str("the operating system gives no thread"),
            Self::OtherUrl { was } => write!(f, "certificates were issued under `{was}`"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::TypeChanged { path } => {
                write!(f, "certificates of `{path}` exist, and its fields are not what they were")
            }
            Self::Vault(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<LockError> for OpenError {
    fn from(error: LockError) -> Self {
        Self::Lock(error)
    }
}

impl From<VaultError> for OpenError {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

/// Rows read at a time.
const PAGE: usize = 4096;
