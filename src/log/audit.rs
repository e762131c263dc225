//! Folding the log: entries in order, status lists out.
//!
//! A [`Fold`] holds the lists that its entries make, bit for bit, and has passed
//! no entry that does not fit. The first that does not is a [`Misfit`], which
//! names it and why; the fold then stays before it.
//!
//! A log that continues another after a loss begins with snapshots of the lists.
//! The bits themselves are not in the log: the auditor offers what it has, from
//! the fold of the old log or as published, and a snapshot takes it only by its
//! digest.
//!
//! # Not here
//!
//! Whether the entries are the log's: [`crate::log::resume`] holds the tree
//! beside the fold. Fetching: that is for the caller.

use std::collections::BTreeMap;
use std::fmt;

use crate::domain::digest::Digest;
use crate::log::checkpoint::Checkpoint;
use crate::log::entry::Entry;
use crate::log::event::Event;
use crate::log::event::LIST_SLOTS;
use crate::log::event::Minute;
use crate::log::event::SlotValue;
use crate::log::misfit::Misfit;
use crate::log::misfit::Reason;
use crate::log::note::KeyName;

/// The status lists that the entries so far make.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fold {
    pub(super) size: u64,
    pub(super) opened: Option<(KeyName, Option<Checkpoint>)>,
    pub(super) minute: Option<Minute>,
    pub(super) hour: Option<u64>,
    pub(super) trust_version: Option<u64>,
    pub(super) lists: BTreeMap<u32, Bits>,
    pub(super) offered: BTreeMap<u32, Bits>,
    pub(super) lists_max: usize,
}

impl Fold {
    /// A fold that has seen nothing.
    pub const fn new() -> Self {
        Self {
            size: 0,
            opened: None,
            minute: None,
            hour: None,
            trust_version: None,
            lists: BTreeMap::new(),
            offered: BTreeMap::new(),
            lists_max: LISTS_MAX,
        }
    }

    /// Takes the next entry of the log.
    ///
    /// # Errors
    /// [`Misfit`] when it does not fit what came before. The fold is then as it was.
    pub fn apply(&mut self, index: u64, entry: &Entry) -> Result<(), Misfit> {
        let misfit = |reason| Misfit { index, reason };
        if index != self.size {
            return Err(misfit(Reason::OutOfOrder));
        }
        self.check_time(entry).map_err(misfit)?;
        if self.opened.is_none() != matches!(entry.event(), Event::Opened { .. }) {
            return Err(misfit(Reason::Opening));
        }
        match entry.event() {
            Event::Opened { origin, previous } => self.opened = Some((origin.clone(), previous.clone())),
            Event::ListOpened { list } => self.open_list(*list).map_err(misfit)?,
            Event::Status { list, index, value, .. } => {
                self.set(*list, *index, *value).map_err(misfit)?;
            }
            Event::Snapshot { list, digest, size } => {
                self.snapshot(*list, digest, *size).map_err(misfit)?;
            }
            Event::Trust { version, .. } => rise(&mut self.trust_version, *version).map_err(misfit)?,
            Event::Accesses { hour, .. } => rise(&mut self.hour, *hour).map_err(misfit)?,
            // After the clock went back, an hour may come again.
            Event::ClockOverride { .. } => self.hour = None,
            Event::Issued { .. } | Event::Key { .. } | Event::Shredded { .. } | Event::SealUsed { .. } => {}
        }
        self.minute = Some(entry.minute());
        self.size += 1;
        Ok(())
    }

    /// Takes the next entry of the log, as it was served.
    ///
    /// # Errors
    /// As [`Fold::apply`]; and when the bytes are no entry, or one of a version or event we do not know.
    pub fn apply_bytes(&mut self, index: u64, entry: &[u8]) -> Result<(), Misfit> {
        let entry = Entry::decode(entry).map_err(|error| Misfit { index, reason: Reason::Entry(error) })?;
        self.apply(index, &entry)
    }

    /// Offers the 262,144 bytes of a list of the log before, for its snapshot to take by digest.
    ///
    /// # Errors
    /// [`OfferError`] when the bytes are not a whole list, or too many are offered.
    pub fn offer(&mut self, list: u32, bits: &[u8]) -> Result<(), OfferError> {
        if self.offered.len() >= self.lists_max && !self.offered.contains_key(&list) {
            return Err(OfferError);
        }
        let bits = Bits::from_bytes(bits).ok_or(OfferError)?;
        self.offered.insert(list, bits);
        Ok(())
    }

    /// The number of entries taken: the index of the next.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The origin the log gives itself, once its first entry was taken.
    pub fn origin(&self) -> Option<&KeyName> {
        self.opened.as_ref().map(|(origin, _)| origin)
    }

    /// The head of the log that this one says it continues. To be compared with that log.
    pub fn previous(&self) -> Option<&Checkpoint> {
        self.opened.as_ref().and_then(|(_, previous)| previous.as_ref())
    }

    /// The time of the last entry.
    pub const fn minute(&self) -> Option<Minute> {
        self.minute
    }

    /// The numbers of the lists that are open.
    pub fn lists(&self) -> impl Iterator<Item = u32> {
        self.lists.keys().copied()
    }

    /// The 262,144 bytes that must be published for a list, or `None` when it is not open.
    pub fn list(&self, list: u32) -> Option<&[u8]> {
        self.lists.get(&list).map(|bits| bits.0.as_slice())
    }

    /// The first slot in which a published list differs from the log, if any does.
    ///
    /// # Errors
    /// [`Reason::ListUnopened`] for a list the log never opened, [`Reason::ListLength`] for one of
    /// another length.
    pub fn first_difference(&self, list: u32, published: &[u8]) -> Result<Option<u32>, Reason> {
        let own = self.lists.get(&list).ok_or(Reason::ListUnopened)?;
        if published.len() != LIST_BYTES {
            return Err(Reason::ListLength);
        }
        let Some(place) = own.0.iter().zip(published).position(|(own, other)| own != other) else {
            return Ok(None);
        };
        let within = (own.0[place] ^ published[place]).trailing_zeros() / 2;
        Ok(u32::try_from(place).ok().map(|place| place * SLOTS_IN_BYTE + within))
    }

    fn check_time(&self, entry: &Entry) -> Result<(), Reason> {
        let Some(last) = self.minute else { return Ok(()) };
        match entry.event() {
            Event::ClockOverride { from, to } if *from == last && *to == entry.minute() => Ok(()),
            Event::ClockOverride { .. } => Err(Reason::ClockOverride),
            _ if entry.minute() < last => Err(Reason::TimeFalls),
            _ => Ok(()),
        }
    }

    fn open_list(&mut self, list: u32) -> Result<(), Reason> {
        if self.lists.contains_key(&list) {
            return Err(Reason::ListOpenedTwice);
        }
        self.room()?;
        self.lists.insert(list, Bits::active());
        Ok(())
    }

    fn set(&mut self, list: u32, index: u32, value: SlotValue) -> Result<(), Reason> {
        let bits = self.lists.get_mut(&list).ok_or(Reason::ListUnopened)?;
        if !is_legal(bits.value(index), value) {
            return Err(Reason::IllegalChange);
        }
        bits.set(index, value);
        Ok(())
    }

    fn snapshot(&mut self, list: u32, digest: &Digest, size: u64) -> Result<(), Reason> {
        if let Some(bits) = self.lists.get(&list) {
            let fits = size == self.size && bits.digest() == *digest;
            return if fits { Ok(()) } else { Err(Reason::SnapshotDiffers) };
        }
        let previous = self.previous().ok_or(Reason::ListUnopened)?;
        if size != previous.size() {
            return Err(Reason::SnapshotDiffers);
        }
        let offered = self.offered.get(&list).ok_or(Reason::SnapshotUnknown)?;
        if offered.digest() != *digest {
            return Err(Reason::SnapshotDiffers);
        }
        self.room()?;
        let bits = self.offered.remove(&list).ok_or(Reason::SnapshotUnknown)?;
        self.lists.insert(list, bits);
        Ok(())
    }

    fn room(&self) -> Result<(), Reason> {
        if self.lists.len() < self.lists_max { Ok(()) } else { Err(Reason::TooManyLists) }
    }
}

impl Default for Fold {
    fn default() -> Self {
        Self::new()
    }
}

/// What was offered is not a whole list, or one too many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OfferError;

impl OfferError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        "log/offer"
    }
}

impl fmt::Display for OfferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the bytes of a status list, or one list too many")
    }
}

impl std::error::Error for OfferError {}

/// Whether a slot may go from one value to another: an end may only be ended again, more gravely.
const fn is_legal(from: SlotValue, to: SlotValue) -> bool {
    matches!(
        (from, to),
        (SlotValue::Active, SlotValue::Ended | SlotValue::Suspended)
            | (SlotValue::Suspended, SlotValue::Active | SlotValue::Ended)
            | (SlotValue::Ended, SlotValue::Ended)
    )
}

fn rise(last: &mut Option<u64>, next: u64) -> Result<(), Reason> {
    if last.is_some_and(|last| next <= last) {
        return Err(Reason::VersionFalls);
    }
    *last = Some(next);
    Ok(())
}

/// The bits of one list: 2^20 slots of two bits, the least significant first.
///
/// No slot has the value 3.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Bits(Vec<u8>);

impl Bits {
    fn active() -> Self {
        Self(vec![0; LIST_BYTES])
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let is_known = |byte: &u8| byte & (byte >> 1) & 0b0101_0101 == 0;
        (bytes.len() == LIST_BYTES && bytes.iter().all(is_known)).then(|| Self(bytes.to_vec()))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn value(&self, index: u32) -> SlotValue {
        let (place, shift) = place(index);
        SlotValue::try_from(self.0[place] >> shift & 3).expect("no slot has the value 3")
    }

    fn set(&mut self, index: u32, value: SlotValue) {
        let (place, shift) = place(index);
        self.0[place] = self.0[place] & !(3 << shift) | value.bits() << shift;
    }

    fn digest(&self) -> Digest {
        Digest::of(&[&self.0])
    }
}

/// 256 KiB of bits tell a reader of a failed test nothing.
impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bits({})", self.digest())
    }
}

/// The byte of a slot, and how far its bits are shifted in it. An entry's index is below 2^20.
fn place(index: u32) -> (usize, u32) {
    let byte = usize::try_from(index / SLOTS_IN_BYTE).expect("2^18 fits in a usize");
    (byte, index % SLOTS_IN_BYTE * 2)
}

const SLOTS_IN_BYTE: u32 = 4;

/// Bytes of a list: 2^20 slots of two bits.
const LIST_BYTES: usize = 262_144;

const _: () = assert!(LIST_SLOTS == 1 << 20 && LIST_BYTES == 1 << 18);

/// Lists held at once: 1 GiB of them. Our own choice; a nation needs 1,336.
pub(super) const LISTS_MAX: usize = 4096;

#[cfg(test)]
pub(super) mod tests {
    use super::SlotValue::Active;
    use super::SlotValue::Ended;
    use super::SlotValue::Suspended;
    use super::*;
    use crate::domain::time::UnixTime;
    use crate::log::event::EntryError;

    const START: i64 = 1_700_000_000;

    /// The log `log.example/0` with these events, a minute apart.
    pub(in crate::log) fn log(previous: Option<Checkpoint>, events: &[Event]) -> Vec<Vec<u8>> {
        let opened = Event::Opened { origin: "log.example/0".parse().unwrap(), previous };
        let at = |minutes: i64| UnixTime::clamped(START + 60 * minutes);
        [&[opened], events]
            .concat()
            .into_iter()
            .zip(0..)
            .map(|(event, minute)| Entry::new(event, at(minute), None).unwrap().encode())
            .collect()
    }

    pub(in crate::log) fn status(list: u32, index: u32, value: SlotValue) -> Event {
        let class = value.bits();
        Event::Status { list, index, value, class }
    }

    pub(in crate::log) fn fold(entries: &[Vec<u8>]) -> Result<Fold, Misfit> {
        let mut fold = Fold::new();
        apply(&mut fold, entries)?;
        Ok(fold)
    }

    fn apply(fold: &mut Fold, entries: &[Vec<u8>]) -> Result<(), Misfit> {
        for (entry, index) in entries.iter().zip(0..) {
            let before = fold.clone();
            if let Err(misfit) = fold.apply_bytes(index, entry) {
                assert_eq!(*fold, before, "a misfit changed the fold");
                return Err(misfit);
            }
        }
        Ok(())
    }

    #[track_caller]
    fn check(events: &[Event], expected: Option<Reason>) {
        let index = u64::try_from(events.len()).unwrap();
        let expected = expected.map(|reason| Misfit { index, reason });
        assert_eq!(fold(&log(None, events)).err(), expected);
    }

    #[test]
    fn the_log_folds_to_the_bits_to_publish() {
        let events = [
            Event::ListOpened { list: 0 },
            status(0, 0, Ended),
            status(0, 1, Suspended),
            status(0, 2, Suspended),
            status(0, 2, Active),
            status(0, 1_048_575, Suspended),
            status(0, 1_048_575, Ended),
            Event::ListOpened { list: 1 },
            Event::Shredded { count: 1 },
        ];
        let fold = fold(&log(None, &events)).unwrap();
        let mut expected = vec![0; LIST_BYTES];
        (expected[0], expected[LIST_BYTES - 1]) = (0b0000_1001, 0b0100_0000);
        assert_eq!(fold.list(0), Some(&expected[..]));
        assert_eq!(fold.list(1), Some(&vec![0; LIST_BYTES][..]));
        assert_eq!((fold.list(2), fold.size()), (None, 10));
        assert_eq!(fold.lists().collect::<Vec<_>>(), [0, 1]);

        assert_eq!(fold.first_difference(0, &expected), Ok(None));
        expected[LIST_BYTES - 1] = 0b1000_0000;
        assert_eq!(fold.first_difference(0, &expected), Ok(Some(1_048_575)));
        expected[0] = 0b0001_1001;
        assert_eq!(fold.first_difference(0, &expected), Ok(Some(2)));
        assert_eq!(fold.first_difference(2, &expected), Err(Reason::ListUnopened));
        assert_eq!(fold.first_difference(0, &expected[1..]), Err(Reason::ListLength));
    }

    #[test]
    fn the_first_entry_that_does_not_fit_is_named() {
        let opened = Event::ListOpened { list: 0 };
        check(&[status(0, 0, Ended)], Some(Reason::ListUnopened));
        check(&[opened.clone(), opened.clone()], Some(Reason::ListOpenedTwice));
        let trust = |version| Event::Trust { version, digest: Digest::of(&[]) };
        check(&[trust(1), trust(2)], None);
        check(&[trust(1), trust(1)], Some(Reason::VersionFalls));
        let accesses = |hour| Event::Accesses { hour, count: 0, root: Digest::of(&[]) };
        check(&[accesses(7), accesses(9)], None);
        check(&[accesses(7), accesses(6)], Some(Reason::VersionFalls));
        let again = Event::Opened { origin: "log.example/0".parse().unwrap(), previous: None };
        check(&[again], Some(Reason::Opening));

        let entries = log(None, &[opened]);
        let misfit = |index, reason| Err(Misfit { index, reason });
        assert_eq!(Fold::new().apply_bytes(0, &entries[1]), misfit(0, Reason::Opening));
        assert_eq!(Fold::new().apply_bytes(1, &entries[1]), misfit(1, Reason::OutOfOrder));
        let error = EntryError::UnknownVersion { version: 2 };
        let newer = hex::decode("8202ff").unwrap();
        assert_eq!(Fold::new().apply_bytes(0, &newer), misfit(0, Reason::Entry(error)));
        assert_eq!(
            Misfit { index: 7, reason: Reason::IllegalChange }.to_string(),
            "entry 7 does not fit: a status cannot change like that"
        );
    }

    #[test]
    fn an_end_never_goes_back() {
        let check = |values: &[SlotValue], expected| {
            let statuses: Vec<_> = values.iter().map(|value| status(0, 5, *value)).collect();
            check(&[&[Event::ListOpened { list: 0 }], &statuses[..]].concat(), expected);
        };
        check(&[Suspended, Active, Suspended, Ended, Ended], None);
        for illegal in [&[Active][..], &[Ended, Active], &[Ended, Suspended], &[Suspended, Suspended]] {
            check(illegal, Some(Reason::IllegalChange));
        }
    }

    #[test]
    fn time_falls_only_where_an_operator_let_it() {
        let at = |minutes: i64| UnixTime::clamped(START + 60 * minutes);
        let encode = |event, minutes| Entry::new(event, at(minutes), None).unwrap().encode();
        let start = &log(None, &[Event::Shredded { count: 1 }])[..];
        let shredded = |minutes| encode(Event::Shredded { count: 2 }, minutes);
        let jump = |from, to, minutes| {
            let event = Event::ClockOverride { from: Minute::of(at(from)), to: Minute::of(at(to)) };
            encode(event, minutes)
        };
        let check = |entries: &[Vec<u8>], expected: Option<(u64, Reason)>| {
            let expected = expected.map(|(index, reason)| Misfit { index, reason });
            assert_eq!(fold(&[start, entries].concat()).err(), expected);
        };
        check(&[shredded(1)], None);
        check(&[shredded(0)], Some((2, Reason::TimeFalls)));
        check(&[jump(1, -500, -500), shredded(-500)], None);
        check(&[jump(1, -500, -500), shredded(-501)], Some((3, Reason::TimeFalls)));
        check(&[jump(0, -500, -500)], Some((2, Reason::ClockOverride)));
        check(&[jump(1, -500, -499)], Some((2, Reason::ClockOverride)));
    }

    #[test]
    fn a_log_that_continues_another_takes_its_lists_by_digest() {
        let old = fold(&log(None, &[Event::ListOpened { list: 0 }, status(0, 9, Ended)])).unwrap();
        let bits = old.list(0).unwrap();
        let previous = Checkpoint::new("log.example/old".parse().unwrap(), 3, Digest::of(&[b"r"])).unwrap();
        let snapshot = |size| Event::Snapshot { list: 0, digest: Digest::of(&[bits]), size };
        let new = |size| log(Some(previous.clone()), &[snapshot(size), status(0, 8, Ended)]);
        let misfit = |index, reason| Err(Misfit { index, reason });

        let mut fold = Fold::new();
        assert_eq!(fold.offer(0, &bits[1..]), Err(OfferError));
        assert_eq!(fold.offer(0, &vec![3; LIST_BYTES]), Err(OfferError));
        assert_eq!(apply(&mut fold.clone(), &new(3)), misfit(1, Reason::SnapshotUnknown));
        fold.offer(0, bits).unwrap();
        assert_eq!(apply(&mut fold.clone(), &new(2)), misfit(1, Reason::SnapshotDiffers));
        apply(&mut fold, &new(3)).unwrap();
        assert_eq!(fold.previous(), Some(&previous));
        assert_eq!(fold.list(0).unwrap()[2], 0b0000_0101);

        let mut fold = Fold::new();
        fold.offer(0, &vec![0; LIST_BYTES]).unwrap();
        assert_eq!(apply(&mut fold, &new(3)), misfit(1, Reason::SnapshotDiffers));
        // Only a log that continues another may take over a list.
        let mut fold = Fold::new();
        fold.offer(0, bits).unwrap();
        assert_eq!(apply(&mut fold, &log(None, &[snapshot(3)])), misfit(1, Reason::ListUnopened));
    }

    #[test]
    fn a_snapshot_within_a_log_must_be_what_the_log_makes() {
        let digest = Digest::of(&[&vec![0; LIST_BYTES]]);
        let opened = Event::ListOpened { list: 0 };
        check(&[opened.clone(), Event::Snapshot { list: 0, digest, size: 2 }], None);
        let wrong = Event::Snapshot { list: 0, digest, size: 1 };
        assert_eq!(fold(&log(None, &[opened, wrong])).unwrap_err().reason, Reason::SnapshotDiffers);
    }

    #[test]
    fn a_log_cannot_make_an_auditor_hold_more_lists_than_it_will() {
        let entries = log(None, &[Event::ListOpened { list: 0 }, Event::ListOpened { list: 1 }]);
        let mut fold = Fold { lists_max: 1, ..Fold::new() };
        assert_eq!(apply(&mut fold, &entries), Err(Misfit { index: 2, reason: Reason::TooManyLists }));
        fold.offer(0, &vec![0; LIST_BYTES]).unwrap();
        assert_eq!(fold.offer(1, &vec![0; LIST_BYTES]), Err(OfferError));
    }
}
