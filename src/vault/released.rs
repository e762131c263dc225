//! What readers may rely on: the released head and the status lists as of that head.
//!
//! The writer sets both in one step, after the batch and the head lock are on disk.
//! A copy taken under the read lock is therefore a list that equals the log folded
//! to exactly that head.

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
    lists: Vec<StatusList>,
    /// For each list, how often it has changed since the vault was opened.
    changes: Vec<u64>,
}

impl Published {
    /// The state found at opening.
    pub fn new(released: Released, lists: Vec<StatusList>) -> Self {
        let changes = vec![0; lists.len()];
        Self { released, lists, changes }
    }

    /// The released head.
    pub fn head(&self) -> &Head {
        &self.released.head
    }

    /// The status in a slot, or `None` for a list that is not there.
    pub fn value(&self, list: u32, index: u32) -> Option<u8> {
        Some(self.list(list)?.value(SlotIndex::new(index)?).bits())
    }

    /// One list as of the released head.
    pub fn list(&self, list: u32) -> Option<&StatusList> {
        usize::try_from(list).ok().and_then(|place| self.lists.get(place))
    }

    /// How many lists there are.
    pub fn list_count(&self) -> u32 {
        u32::try_from(self.lists.len()).unwrap_or(u32::MAX)
    }

    /// How often a list has changed since the vault was opened.
    pub fn changes(&self, list: u32) -> u64 {
        usize::try_from(list).ok().and_then(|place| self.changes.get(place)).copied().unwrap_or(0)
    }

    pub(super) fn release(&mut self, released: Released) {
        self.released = released;
    }

    /// A slot in the list after the last opens that list.
    pub(super) fn set_bit(&mut self, list: u32, index: SlotIndex, value: SlotValue) {
        let Ok(place) = usize::try_from(list) else { return };
        if let (Some(status), Some(changes)) = (self.lists.get_mut(place), self.changes.get_mut(place)) {
            status.set(index, value);
            *changes += 1;
        }
    }

    pub(super) fn open_list(&mut self) {
        self.lists.push(StatusList::new());
        self.changes.push(0);
    }
}
