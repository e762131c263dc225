//! What a published status list must hold by now: changes that are logged, and due.
//!
//! A list is as of some size of the log, and is right at that size when the log folds
//! to it. It may still be old: a revocation that was logged after it is then missing.
//! A server signs a changed list again within seconds, so a list that lacks a change
//! logged [`DUE_SECONDS`] before it was fetched is refused.
//!
//! # Not here
//!
//! That the list is right at its own size: see `audit.rs`.

use std::collections::BTreeMap;

use crate::cli::report::Failure;
use crate::domain::time::UnixTime;
use crate::log::entry::Entry;
use crate::log::event::{Event, SlotValue};

/// The changes that lists must hold though they were made before them.
#[derive(Debug)]
pub(super) struct Due {
    /// Until when a change must have been logged to be due.
    until: UnixTime,
    /// The size of the log at which each published list was made.
    sizes: BTreeMap<u32, u64>,
    /// At most one for each slot of the published lists.
    changes: BTreeMap<(u32, u32), Change>,
}

/// What became of a slot after its list was made.
#[derive(Debug)]
struct Change {
    /// The first entry that the list does not know.
    first: u64,
    /// When that was logged.
    logged: UnixTime,
    /// What the slot is after the last entry that is due.
    value: SlotValue,
}

impl Due {
    /// Nothing yet. `sizes` are the lists with the sizes of the log they were made at, `at` is when
    /// they were fetched.
    pub(super) fn new(sizes: impl Iterator<Item = (u32, u64)>, at: UnixTime) -> Self {
        Self { until: at.minus(DUE_SECONDS), sizes: sizes.collect(), changes: BTreeMap::new() }
    }

    /// Takes the next entry of the log.
    pub(super) fn take(&mut self, index: u64, entry: &[u8]) {
        // Whether it is an entry was found out when it was folded.
        let Ok(entry) = Entry::decode(entry) else { return };
        let Event::Status { list, index: slot, value, .. } = entry.event() else { return };
        let logged = entry.minute().time();
        // An entry says its minute only: its last second counts.
        let is_due = logged.plus(59) <= self.until;
        if !is_due || self.sizes.get(list).is_none_or(|size| index < *size) {
            return;
        }
        let first = Change { first: index, logged, value: *value };
        self.changes.entry((*list, *slot)).or_insert(first).value = *value;
    }

    /// Checks that no published list lacks a change that is due. `published` is what a list says of a slot.
    ///
    /// # Errors
    /// A refusal that names the list, the slot and the entry: the first one that is missing.
    pub(super) fn check(&self, published: impl Fn(u32, u32) -> Option<SlotValue>) -> Result<(), Failure> {
        let missing = self
            .changes
            .iter()
            .filter(|((list, slot), change)| published(*list, *slot) != Some(change.value))
            .min_by_key(|(_, change)| change.first);
        match missing {
            None => Ok(()),
            Some(((list, slot), change)) => Err(Failure::refused(format!(
                "status list {list} is too old: entry {} of {} changed slot {slot}, and the list lacks it",
                change.first, change.logged
            ))
            .hint("somebody may be serving an old list; fetch it again, and ask the operator if it stays")),
        }
    }
}

/// How long a change may wait for its list. Our own choice: the server signs changed lists every few
/// seconds, and answers may be cached for a minute.
const DUE_SECONDS: i64 = 120;

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_700_000_040;

    fn status(slot: u32, value: SlotValue, minute: i64) -> Vec<u8> {
        let event = Event::Status { list: 0, index: slot, value, class: value.bits() };
        Entry::new(event, UnixTime::clamped(START + 60 * minute), None).unwrap().encode()
    }

    /// A list made at size 10 that says all slots are active, then these entries, fetched in minute 10.
    #[track_caller]
    fn check(entries: &[Vec<u8>], missing: Option<&str>) {
        let mut due = Due::new([(0, 10)].into_iter(), UnixTime::clamped(START + 600));
        for (entry, index) in entries.iter().zip(9..) {
            due.take(index, entry);
        }
        let found = due.check(|_, _| Some(SlotValue::Active)).err().map(|failure| failure.to_string());
        match (missing, &found) {
            (None, None) => {}
            (Some(part), Some(text)) => assert!(text.contains(part), "{text}"),
            _ => panic!("{found:?}"),
        }
    }

    #[test]
    fn a_list_that_lacks_a_revocation_of_minutes_ago_is_refused() {
        use SlotValue::{Active, Ended, Suspended};
        let before = status(7, Ended, 0);
        // Entry 9 is in the list; entry 10 is not.
        check(&[before.clone(), status(5, Ended, 6)], Some("entry 10 of"));
        check(&[before.clone(), status(5, Ended, 7)], Some("slot 5"));
        // Logged so late that the list may not have it yet.
        check(&[before.clone(), status(5, Ended, 8), status(6, Ended, 10)], None);
        check(std::slice::from_ref(&before), None);
        // Lifted again: the list is right.
        check(&[before.clone(), status(5, Suspended, 2), status(5, Active, 3)], None);
        // The first of several is named.
        check(&[before, status(9, Ended, 2), status(5, Ended, 3)], Some("entry 10 of"));
    }
}
