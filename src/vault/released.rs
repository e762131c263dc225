//! What readers may rely on: the released head and the status lists as of that head.
//!
//! The writer sets both in one step, after the batch and the head lock are on disk.
//! A copy taken under the read lock is therefore a list that equals the log folded
//! to exactly that head.

use std::collections::BTreeMap;

use crate::log::event::SlotValue;
use crate::status::list::{SlotIndex, StatusList};
use crate::store::Head;

/// A head that was released.
#[derive(Clone, Debug)]
pub struct Released {
    /// The signed head.
    pub head: Head,
}

/// The released head and the lists that belong to it.
pub struct Published {
    released: Released,
    lists: BTreeMap<u32, StatusList>,
    /// Bits of the batch that is on its way to disk: kept or not, it is not known yet.
    pending: BTreeMap<(u32, SlotIndex), SlotValue>,
    /// For each list, how often it has changed since the vault was opened.
    changes: BTreeMap<u32, u64>,
}

impl Published {
    /// The state found at opening.
    pub fn new(released: Released, lists: BTreeMap<u32, StatusList>) -> Self {
        let changes = lists.keys().map(|list| (*list, 0)).collect();
        Self { released, lists, pending: BTreeMap::new(), changes }
    }

    /// The released head.
    pub fn head(&self) -> &Head {
        &self.released.head
    }

    /// The status in a slot, or `None` for a list that is not there.
    pub fn value(&self, list: u32, index: u32) -> Option<u8> {
        Some(self.list(list)?.value(SlotIndex::new(index)?).bits())
    }

    /// Whether a slot has this value, or the batch on its way to disk gives it this value.
    pub fn has_or_awaits(&self, list: u32, index: u32, value: u8) -> bool {
        let awaited = SlotIndex::new(index).and_then(|index| self.pending.get(&(list, index)));
        self.value(list, index) == Some(value) || awaited.is_some_and(|awaited| awaited.bits() == value)
    }

    /// One list as of the released head.
    pub fn list(&self, list: u32) -> Option<&StatusList> {
        self.lists.get(&list)
    }

    /// The numbers of the lists.
    pub fn lists(&self) -> impl Iterator<Item = u32> {
        self.lists.keys().copied()
    }

    /// How often a list has changed since the vault was opened.
    pub fn changes(&self, list: u32) -> u64 {
        self.changes.get(&list).copied().unwrap_or(0)
    }

    pub(super) fn release(&mut self, released: Released) {
        self.released = released;
    }

    /// Names the bits that the next batch sets, before it goes to disk.
    pub(super) fn await_bits(&mut self, bits: &[(u32, SlotIndex, SlotValue)]) {
        self.pending = bits.iter().map(|(list, index, value)| ((*list, *index), *value)).collect();
    }

    /// Gives a slot of a list that is there its value.
    pub(super) fn set_bit(&mut self, list: u32, index: SlotIndex, value: SlotValue) {
        if let (Some(status), Some(changes)) = (self.lists.get_mut(&list), self.changes.get_mut(&list)) {
            status.set(index, value);
            *changes += 1;
        }
    }

    pub(super) fn open_list(&mut self, list: u32) {
        self.lists.insert(list, StatusList::new());
        self.changes.insert(list, 0);
    }
}
