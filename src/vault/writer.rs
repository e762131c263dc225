//! The one writer.
//!
//! Whatever changes the vault becomes a [`Plan`] in a bounded queue: rows sealed and
//! signatures made by the verb, and the conditions under which they hold. The writer
//! takes what is waiting, checks each plan against the store and against the plans
//! before it, gives events their minute and their place in the log, and commits the
//! lot at once. While one batch is on its way to disk the next one fills; there is no
//! timer between them.
//!
//! # Order of writes
//!
//! 1. one synced batch   rows, status bits, access records, log entries, tiles, signed head
//! 2. head lock          the same head, outside the database
//! 3. release            `/log`, `/status` and receipts use the new head
//! 4. answers            from here the world may rely on it
//!
//! A crash before 1 leaves nothing. Between 1 and 4 it leaves work that is kept but
//! was not answered; the same request, sent again, finds it by its key. An error in
//! 1 or 2 means that the truth is not known: the writer stops for good, and the vault
//! must be opened again.
//!
//! # Invariants
//!
//! - A request key has at most one outcome; a number is given once; a showing is
//!   redeemed once. Refusals, too, are answered only after the batch they were
//!   judged against is on disk.
//! - The minute of entries never falls. A clock up to [`CLOCK_SLACK_SECONDS`] behind is
//!   clamped; further behind, nothing is written.
//!
//! Over 600 lines, because the one order of writes is read in one place.
//!
//! # Not here
//!
//! No certificate signing, no sealing, no network. It signs one thing: the log's head.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use super::clock::Clock;
use super::released::{Published, Released};
use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::keys::Signer;
use crate::log::append::append;
use crate::log::checkpoint::Checkpoint;
use crate::log::entry::Entry;
use crate::log::event::SlotValue;
use crate::log::event::{Event, Minute};
use crate::log::merkle::{self, Edge};
use crate::status::list::{CHUNK_BYTES, ChunkIndex, SlotIndex, StatusList};
use crate::store::head_lock::{HeadLock, LockedHead};
use crate::store::{
    self, Access, AccessLeaf, Change, Commit, Head, HolderId, IssuerTag, Meta, MetaName, Rest, Row, RowId,
    RowKey, Sealed, ShowingId, Store, StoreError, Tag, TileHash,
};

/// A change that a verb has prepared, to be kept wholly or not at all.
#[derive(Default)]
pub struct Plan {
    /// Under which key the same request finds its outcome again.
    pub request: Option<Request>,
    /// What must hold at the moment of keeping.
    pub conditions: Vec<Condition>,
    /// What is kept.
    pub rows: Vec<Row>,
    /// What the log says of it, with the issuer's code where there is one.
    pub events: Vec<(Option<String>, Event)>,
    /// Access records to be chained.
    pub accesses: Vec<NewAccess>,
    /// Changes for the auditors' list: what was done to which record, by which of the events above.
    pub changes: Vec<NewChange>,
    /// Bits of the status lists: (list, index, value). Each has its event above.
    pub bits: Vec<(u32, SlotIndex, SlotValue)>,
    /// A status list that begins with this plan.
    pub opens_list: Option<u32>,
    /// What the caller is answered, sealed; kept beside the request key.
    pub answer: Vec<u8>,
}

/// A request's key and content: what makes a repetition recognisable.
#[derive(Clone, Copy)]
pub struct Request {
    /// Keyed hash of caller and key.
    pub tag: Tag,
    /// Digest of what was asked.
    pub digest: Digest,
    /// Until when a repetition finds the answer.
    pub expires: UnixTime,
}

/// One access record.
pub struct NewAccess {
    /// Whose certificate was looked at.
    pub holder: HolderId,
    /// The record, sealed under the holder's key.
    pub sealed: Vec<u8>,
}

/// One change for the auditors' list.
pub struct NewChange {
    /// Whose certificate.
    pub issuer: IssuerTag,
    /// The certificate's record.
    pub key: RowKey,
    /// [`crate::domain::lifecycle::ChangeKind`] by its number.
    pub kind: u8,
    /// Which of the plan's events it is.
    pub event: usize,
}

/// What must hold at the moment of keeping.
#[expect(missing_docs, reason = "each variant says what its members are")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Condition {
    /// The keyed hash of a holder's code leads to this holder, or to nobody yet.
    HolderIs { tag: Tag, holder: Option<HolderId> },
    /// The clock has not passed this instant.
    NotAfter(UnixTime),
    /// No certificate of this issuer and type has the number.
    NumberFree(Tag),
    /// The record still has the sealed bytes that were read.
    RecordIs { key: RowKey, digest: Digest },
    /// The showing is there and was not redeemed.
    ShowingOpen(ShowingId),
}

/// How a plan ended well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Done {
    /// It is kept.
    Kept,
    /// The same request was kept before; this is its sealed answer.
    Repeated(Vec<u8>),
}

/// Why a plan was not kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refused {
    /// The clock stepped back further than we clamp.
    ClockBack,
    /// A condition no longer holds: read again and plan anew.
    Moved(Condition),
    /// The certificate number is taken.
    NumberTaken(RowKey),
    /// Too much is waiting.
    Overloaded,
    /// The request key was used for something else.
    RequestReused,
    /// The writer has stopped: the state of the disk is not known.
    Stopped,
}

/// The queue to the one writer thread, which ends when this is dropped.
pub struct Writer {
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    stopped: Arc<AtomicBool>,
    sweep: Arc<AtomicBool>,
}

/// What the writer starts from: the state found and checked when the vault was opened.
pub struct Start {
    /// Where it keeps.
    pub store: Arc<dyn Store>,
    /// The head outside the database.
    pub lock: Box<dyn HeadLock>,
    /// The head it holds.
    pub locked: LockedHead,
    /// Signs the head.
    pub log_key: Arc<dyn Signer>,
    /// The log's number.
    pub log: u16,
    /// The log's name.
    pub origin: String,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The log's right edge.
    pub edge: Edge,
    /// Time of the last entry.
    pub last_time: UnixTime,
    /// The status lists.
    pub lists: BTreeMap<u32, StatusList>,
    /// Access records of the running hour.
    pub hour: AccessHour,
    /// What is released to readers.
    pub published: Arc<RwLock<Published>>,
}

/// The access records of one hour: their number and tree.
#[derive(Clone)]
pub struct AccessHour {
    /// Hours since 1970.
    pub hour: i64,
    /// The tree over the records' digests.
    pub edge: Edge,
}

type Reply = Box<dyn FnOnce(Result<Done, Refused>) + Send>;

struct Job {
    plan: Plan,
    reply: Reply,
}

impl Writer {
    /// Starts the one thread.
    ///
    /// # Errors
    /// The operating system's, when it gives no thread.
    pub fn start(start: Start) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::sync_channel(QUEUE_MAX);
        let stopped = Arc::new(AtomicBool::new(false));
        let sweep = Arc::new(AtomicBool::new(false));
        let mut state = State { start, stopped: Arc::clone(&stopped), sweep: Arc::clone(&sweep) };
        let thread = std::thread::Builder::new().name("writer".into()).spawn(move || state.run(&jobs))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), stopped, sweep })
    }

    /// Hands a plan over and is told later how it ended.
    pub fn submit(&self, plan: Plan, reply: Reply) {
        let Some(queue) = &self.queue else { return reply(Err(Refused::Stopped)) };
        match queue.try_send(Job { plan, reply }) {
            Ok(()) => {}
            Err(TrySendError::Full(job)) => (job.reply)(Err(Refused::Overloaded)),
            Err(TrySendError::Disconnected(job)) => (job.reply)(Err(Refused::Stopped)),
        }
    }

    /// Hands a plan over and waits for its end.
    ///
    /// # Errors
    /// [`Refused`]; nothing of the plan was kept then, save that after
    /// [`Refused::Stopped`] the same request must be sent again to know.
    pub fn commit(&self, plan: Plan) -> Result<Done, Refused> {
        let (answer, wait) = mpsc::sync_channel(1);
        self.submit(plan, Box::new(move |outcome| drop(answer.send(outcome))));
        wait.recv().unwrap_or(Err(Refused::Stopped))
    }

    /// Hands several plans over together and waits for all: they share their batches.
    pub fn commit_all(&self, plans: Vec<Plan>) -> Vec<Result<Done, Refused>> {
        let waits: Vec<_> = plans
            .into_iter()
            .map(|plan| {
                let (answer, wait) = mpsc::sync_channel(1);
                self.submit(plan, Box::new(move |outcome| drop(answer.send(outcome))));
                wait
            })
            .collect();
        waits.into_iter().map(|wait| wait.recv().unwrap_or(Err(Refused::Stopped))).collect()
    }

    /// Lets the writer drop what has expired, between two batches.
    pub fn sweep(&self) {
        self.sweep.store(true, Ordering::SeqCst);
    }

    /// Whether the writer has stopped because the state of the disk is not known.
    pub fn stopped(&self) -> bool {
        // A thread that ended by itself has stopped, too.
        self.stopped.load(Ordering::SeqCst) || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// Waits until what was handed over is answered.
impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct State {
    start: Start,
    stopped: Arc<AtomicBool>,
    sweep: Arc<AtomicBool>,
}

/// What earlier plans of the same batch have changed, and what the batch will write.
#[derive(Default)]
struct Batch {
    numbers: HashMap<Tag, RowKey>,
    holders: HashMap<Tag, HolderId>,
    records: HashMap<RowKey, Digest>,
    redeemed: HashSet<ShowingId>,
    requests: HashMap<Tag, (Digest, Vec<u8>)>,
    rows: Vec<Row>,
    entries: Vec<Vec<u8>>,
    bits: Vec<(u32, SlotIndex, SlotValue)>,
    opened: Vec<u32>,
    /// Code of an entry that is not one: a fault of ours, and the batch is not written.
    broken: Option<&'static str>,
}

impl State {
    fn run(&mut self, jobs: &Receiver<Job>) {
        loop {
            // While something is left to drop, nothing is waited for.
            let wait = if self.sweep.load(Ordering::SeqCst) { Duration::ZERO } else { TICK };
            let first = match jobs.recv_timeout(wait) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut group: Vec<Job> = first.into_iter().collect();
            let mut bytes: usize = group.iter().map(|job| job.plan.size()).sum();
            while group.len() < GROUP_MAX && bytes < GROUP_BYTES_MAX {
                let Ok(job) = jobs.try_recv() else { break };
                bytes += job.plan.size();
                group.push(job);
            }
            self.keep(group);
            if self.sweep.swap(false, Ordering::SeqCst) {
                self.drop_expired();
            }
            if self.stopped.load(Ordering::SeqCst) {
                // What waits is refused; the senders see a closed queue from here on.
                while let Ok(job) = jobs.try_recv() {
                    (job.reply)(Err(Refused::Stopped));
                }
                return;
            }
        }
    }

    /// Drops some of what has expired; what is left waits for the next batch or tick.
    fn drop_expired(&self) {
        match self.start.store.sweep(self.start.clock.now()) {
            Ok(swept) if swept.rest == Rest::More => self.sweep.store(true, Ordering::SeqCst),
            Ok(_) => {}
            Err(error) => {
                tracing::error!(error.code = error.code(), "what has expired could not be dropped");
                self.stopped.store(true, Ordering::SeqCst);
            }
        }
    }

    /// Judges, keeps, releases and answers one group.
    fn keep(&mut self, group: Vec<Job>) {
        let Some(now) = self.entry_time() else {
            for job in group {
                (job.reply)(Err(Refused::ClockBack));
            }
            return;
        };
        let mut batch = Batch::default();
        let mut hour = self.start.hour.clone();
        self.close_hour(now, &mut hour, &mut batch);
        let mut answers = Vec::with_capacity(group.len());
        for job in group {
            let outcome = match self.judge(&job.plan, now, &batch) {
                Ok(None) => {
                    self.take(job.plan, now, &mut hour, &mut batch);
                    Ok(Done::Kept)
                }
                Ok(Some(answer)) => Ok(Done::Repeated(answer)),
                Err(refused) => Err(refused),
            };
            answers.push((job.reply, outcome));
        }
        if batch.rows.is_empty() && batch.entries.is_empty() {
            return answer(answers);
        }
        match self.write(now, hour, batch) {
            Ok(()) => answer(answers),
            Err(error) => {
                tracing::error!(
                    error.code = error.code(),
                    "the writer stops: the state of the disk is not known"
                );
                self.stopped.store(true, Ordering::SeqCst);
                for (reply, _) in answers {
                    reply(Err(Refused::Stopped));
                }
            }
        }
    }

    /// The time of this batch's entries, or `None` while the clock is too far behind.
    fn entry_time(&self) -> Option<UnixTime> {
        let now = self.start.clock.now();
        if now >= self.start.last_time {
            Some(now)
        } else if now.plus(CLOCK_SLACK_SECONDS) >= self.start.last_time {
            Some(self.start.last_time)
        } else {
            tracing::error!("the clock stepped back: nothing is written until it has caught up");
            None
        }
    }

    /// `None` to keep the plan, `Some` with the answer of the same request kept before.
    fn judge(&self, plan: &Plan, now: UnixTime, batch: &Batch) -> Result<Option<Vec<u8>>, Refused> {
        if let Some(request) = &plan.request {
            let before = match batch.requests.get(&request.tag) {
                Some((digest, answer)) => Some((*digest, answer.clone())),
                None => stored(self.start.store.request(request.tag))?
                    .filter(|stored| stored.expires > now)
                    .map(|stored| (stored.digest, stored.sealed.into_bytes())),
            };
            if let Some((digest, answer)) = before {
                return if digest == request.digest { Ok(Some(answer)) } else { Err(Refused::RequestReused) };
            }
        }
        for condition in &plan.conditions {
            self.holds(*condition, now, batch)?;
        }
        Ok(None)
    }

    fn holds(&self, condition: Condition, now: UnixTime, batch: &Batch) -> Result<(), Refused> {
        let store = &self.start.store;
        let holds = match condition {
            Condition::HolderIs { tag, holder } => {
                let found = match batch.holders.get(&tag) {
                    Some(found) => Some(*found),
                    None => stored(store.holder_by_tag(tag))?,
                };
                found == holder
            }
            Condition::NotAfter(last) => now <= last,
            Condition::NumberFree(tag) => {
                let owner = match batch.numbers.get(&tag) {
                    Some(owner) => Some(*owner),
                    None => stored(store.number_owner(tag))?,
                };
                if let Some(owner) = owner {
                    return Err(Refused::NumberTaken(owner));
                }
                true
            }
            Condition::RecordIs { key, digest } => {
                let found = match batch.records.get(&key) {
                    Some(found) => Some(*found),
                    None => stored(store.certificate(key))?.map(|row| Digest::of(&[row.sealed.as_bytes()])),
                };
                found == Some(digest)
            }
            Condition::ShowingOpen(id) => {
                !batch.redeemed.contains(&id) && stored(store.showing(id))?.is_some()
            }
        };
        if holds { Ok(()) } else { Err(Refused::Moved(condition)) }
    }

    /// Adds a plan that was found good to the batch.
    fn take(&mut self, plan: Plan, now: UnixTime, hour: &mut AccessHour, batch: &mut Batch) {
        for row in &plan.rows {
            match row {
                Row::NumberTag(row) => drop(batch.numbers.insert(row.tag, row.key)),
                Row::HolderTag(row) => drop(batch.holders.insert(row.tag, row.id)),
                Row::Certificate(row) => {
                    batch.records.insert(row.key, Digest::of(&[row.sealed.as_bytes()]));
                }
                Row::Delete(RowId::Showing(id)) => drop(batch.redeemed.insert(*id)),
                _ => {}
            }
        }
        batch.rows.extend(plan.rows);
        batch.bits.extend(plan.bits);
        batch.opened.extend(plan.opens_list);
        let first_entry = self.start.edge.size() + u64::try_from(batch.entries.len()).unwrap_or(u64::MAX);
        for change in plan.changes {
            let entry = first_entry + u64::try_from(change.event).unwrap_or(u64::MAX);
            let NewChange { issuer, key, kind, .. } = change;
            batch.rows.push(Change { at: now, issuer, entry, key, kind }.into());
        }
        for (issuer, event) in plan.events {
            // The minute is known only here; an override must name the one its entry has.
            let event = match event {
                Event::ClockOverride { from, .. } => Event::ClockOverride { from, to: Minute::of(now) },
                event => event,
            };
            match Entry::new(event, now, issuer.as_deref()) {
                Ok(entry) => batch.entries.push(entry.encode()),
                Err(error) => batch.broken = Some(error.code()),
            }
        }
        for access in plan.accesses {
            let leaf = Digest::of(&[&access.sealed]);
            let seq = hour.edge.size();
            hour.edge.push(merkle::leaf_hash(leaf.as_bytes()));
            batch.rows.push(AccessLeaf { hour: hour.hour, seq, hash: leaf }.into());
            // The time of keeping, so that hour, seq and time of one row belong together.
            let NewAccess { holder, sealed } = access;
            batch.rows.push(Access { holder, at: now, seq, sealed: sealed.into() }.into());
        }
        if let Some(request) = plan.request {
            batch.requests.insert(request.tag, (request.digest, plan.answer.clone()));
            let Request { tag, digest, expires } = request;
            batch.rows.push(store::Request { tag, digest, expires, sealed: plan.answer.into() }.into());
        }
    }

    /// When the hour has turned, anchors the access records of the hour that ended.
    fn close_hour(&self, now: UnixTime, hour: &mut AccessHour, batch: &mut Batch) {
        if now.hours() <= hour.hour {
            return;
        }
        if hour.edge.size() > 0 {
            let past = u64::try_from(hour.hour).unwrap_or_default();
            let event = Event::Accesses { hour: past, count: hour.edge.size(), root: hour.edge.root() };
            match Entry::new(event, now, None) {
                Ok(entry) => batch.entries.push(entry.encode()),
                Err(error) => batch.broken = Some(error.code()),
            }
        }
        *hour = AccessHour { hour: now.hours(), edge: Edge::empty() };
        batch
            .rows
            .push(Meta { name: MetaName::AccessHour, bytes: now.hours().to_be_bytes().to_vec() }.into());
    }

    /// Steps 1 to 3 of the order of writes.
    fn write(&mut self, now: UnixTime, hour: AccessHour, mut batch: Batch) -> Result<(), WriteError> {
        if let Some(code) = batch.broken {
            tracing::error!(error.code = code, "an entry of the log could not be made");
            return Err(WriteError::Log);
        }
        let before = self.start.edge.size();
        // Before they are on disk: these lists are ours alone, and a write that fails stops us for good.
        batch.rows.extend(set_bits(&mut self.start.lists, &batch.bits));
        let mut released = None;
        if !batch.entries.is_empty() {
            let appended = append(&self.start.edge, &batch.entries).map_err(|_| WriteError::Log)?;
            let note = self.sign_head(appended.size(), appended.root())?;
            for (offset, bytes) in batch.entries.iter().enumerate() {
                let index = before + u64::try_from(offset).map_err(|_| WriteError::Log)?;
                batch.rows.push(store::Entry { log: self.start.log, index, bytes: bytes.clone() }.into());
            }
            for known in appended.hashes() {
                let (log, level) = (self.start.log, known.level);
                batch.rows.push(TileHash { log, level, index: known.index, hash: known.hash }.into());
            }
            let bytes = now.seconds().to_be_bytes().to_vec();
            batch.rows.push(Meta { name: MetaName::EntryTime, bytes }.into());
            let head = Head {
                log: self.start.log,
                origin: self.start.origin.clone(),
                size: appended.size(),
                root: appended.root(),
                note,
            };
            released = Some((head, appended.into_edge()));
        }
        if !batch.bits.is_empty() {
            // A reader may see a changed record before its bit is released: it must not take that for tampering.
            self.published_mut().await_bits(&batch.bits);
        }
        // From here the batch is ours to keep, but nobody has been told. If we stop before the
        // answers, the same requests find their outcomes by their keys.
        let head = released.as_ref().map(|(head, _)| head.clone());
        self.start.store.commit(Commit { rows: batch.rows, head }).map_err(WriteError::Store)?;
        if let Some((head, _)) = &released {
            let to = LockedHead::from(head);
            self.start.lock.advance(&self.start.locked, &to).map_err(|_| WriteError::Lock)?;
            self.start.locked = to;
        }
        self.start.hour = hour;
        for list in &batch.opened {
            self.start.lists.insert(*list, StatusList::new());
        }
        let published = Arc::clone(&self.start.published);
        let mut published = published.write().unwrap_or_else(PoisonError::into_inner);
        for list in batch.opened {
            published.open_list(list);
        }
        for (list, index, value) in batch.bits {
            published.set_bit(list, index, value);
        }
        if let Some((head, edge)) = released {
            self.start.edge = edge;
            self.start.last_time = now;
            published.release(Released { head });
        }
        Ok(())
    }

    fn published_mut(&self) -> RwLockWriteGuard<'_, Published> {
        self.start.published.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn sign_head(&self, size: u64, root: Digest) -> Result<Vec<u8>, WriteError> {
        let origin = self.start.origin.parse().map_err(|_| WriteError::Log)?;
        let checkpoint = Checkpoint::new(origin, size, root).map_err(|_| WriteError::Log)?;
        let note = checkpoint.sign(self.start.log_key.as_ref()).map_err(|_| WriteError::Signer)?;
        Ok(note.into_bytes())
    }
}

/// Sets a batch's bits in the writer's own lists; gives the chunks as the batch leaves them.
fn set_bits(lists: &mut BTreeMap<u32, StatusList>, bits: &[(u32, SlotIndex, SlotValue)]) -> Vec<Row> {
    let mut chunks: BTreeSet<(u32, ChunkIndex)> = BTreeSet::new();
    for (list, index, value) in bits {
        let Some(status) = lists.get_mut(list) else { continue };
        status.set(*index, *value);
        chunks.insert((*list, index.chunk()));
    }
    let row = |(list, chunk): (u32, ChunkIndex)| {
        let bits: [u8; CHUNK_BYTES] = *lists.get(&list)?.chunk(chunk);
        Some(store::StatusChunk { list, chunk: chunk.number(), bits }.into())
    };
    chunks.into_iter().filter_map(row).collect()
}

fn answer(answers: Vec<(Reply, Result<Done, Refused>)>) {
    for (reply, outcome) in answers {
        reply(outcome);
    }
}

fn stored<T>(read: Result<T, StoreError>) -> Result<T, Refused> {
    read.map_err(|error| {
        tracing::error!(error.code = error.code(), "the writer cannot read");
        Refused::Stopped
    })
}

impl Plan {
    fn size(&self) -> usize {
        self.rows.iter().map(row_size).sum::<usize>()
            + self.accesses.iter().map(|access| access.sealed.len()).sum::<usize>()
    }
}

/// About how much of a batch a row takes: what is sealed, and a little for the rest.
fn row_size(row: &Row) -> usize {
    let sealed = |sealed: &Sealed| sealed.as_bytes().len();
    let content = match row {
        Row::Certificate(row) => sealed(&row.sealed),
        Row::Credential(row) => sealed(&row.sealed),
        Row::Showing(row) => sealed(&row.sealed),
        Row::Client(row) => sealed(&row.sealed),
        _ => 0,
    };
    content + ROW_BYTES
}

/// Why a batch could not be kept. All are fatal.
#[derive(Debug)]
enum WriteError {
    Lock,
    Log,
    Signer,
    Store(StoreError),
}

impl WriteError {
    fn code(&self) -> &'static str {
        match self {
            Self::Lock => "writer/head-lock",
            Self::Log => "writer/log",
            Self::Signer => "writer/log-key",
            Self::Store(error) => error.code(),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClockBack => "the clock stepped back; nothing is written",
            Self::Moved(_) => "what was read has changed meanwhile",
            Self::NumberTaken(_) => "the certificate number is taken",
            Self::Overloaded => "too much is waiting",
            Self::RequestReused => "the idempotency key was used for another request",
            Self::Stopped => "the writer has stopped",
        })
    }
}

/// Plans that may wait. Beyond it, callers are pushed back before memory grows.
const QUEUE_MAX: usize = 4096;

/// Plans of one batch. Tessera's 256 and our queue: one sync serves them all.
const GROUP_MAX: usize = 1024;

/// Bytes of one batch: RocksDB merges groups up to 1 MB.
const GROUP_BYTES_MAX: usize = 1024 * 1024;

/// About the size of a row without its content.
const ROW_BYTES: usize = 64;

/// How far the clock may be behind the last entry and is clamped (DESIGN, "Life of a certificate").
pub const CLOCK_SLACK_SECONDS: i64 = 2;

/// How often the writer looks at the hour when nothing comes.
const TICK: Duration = Duration::from_secs(5);
