//! Slots of the status lists, handed out to parallel hands.
//!
//! The writer reserves blocks of slots durably; from a reserved block any thread may
//! take the next. After a crash the rest of the block stays unused for ever: an
//! unused slot reads 0, like a valid one, and no slot is ever given twice.
//!
//! Lists belong to one log: their numbers begin at [`LISTS_PER_LOG`] times the log's.
//! A log that begins after a loss therefore never gives a slot that the log before
//! may have given, however little of that log is left.

use std::sync::{Mutex, PoisonError};

use super::VaultError;
use super::writer::{Plan, Writer};
use crate::log::event::{Event, LIST_SLOTS};
use crate::status::slot::{Permutation, Slot};
use crate::store::{Meta, MetaName};

/// Reserved slots that were not handed out yet.
pub struct SlotPool {
    state: Mutex<State>,
    permutation: Permutation,
}

struct State {
    /// The next number to hand out.
    next: u64,
    /// The first number that is not reserved.
    end: u64,
    /// The first number that belongs to the next log.
    limit: u64,
}

impl SlotPool {
    /// A pool of a log's slots that starts after everything that was ever reserved.
    pub fn after(reserved: u64, log: u16, permutation: Permutation) -> Self {
        let limit = first_slot(log) + first_slot(1);
        Self { state: Mutex::new(State { next: reserved, end: reserved, limit }), permutation }
    }

    /// Takes so many slots; reserves a block through the writer when too few are left.
    ///
    /// # Errors
    /// The writer's, when a block cannot be reserved.
    pub fn take(&self, count: usize, writer: &Writer) -> Result<Vec<Slot>, VaultError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::with_capacity(count);
        for _ in 0..count {
            if state.next == state.end {
                reserve(&mut state, writer)?;
            }
            let number = state.next;
            state.next += 1;
            taken.push(self.permutation.slot(number).ok_or(VaultError::Overloaded)?);
        }
        Ok(taken)
    }
}

/// Reserves the next block; it never crosses from one list into the next.
fn reserve(state: &mut State, writer: &Writer) -> Result<(), VaultError> {
    let (from, to) = next_block(state.end, state.limit).ok_or(VaultError::Overloaded)?;
    let mut plan = Plan::default();
    if from.is_multiple_of(u64::from(LIST_SLOTS)) {
        let list = u32::try_from(from / u64::from(LIST_SLOTS)).map_err(|_| VaultError::Overloaded)?;
        plan.events.push((None, Event::ListOpened { list }));
        plan.opens_list = Some(list);
    }
    plan.rows.push(Meta { name: MetaName::SlotsReserved, bytes: to.to_be_bytes().to_vec() }.into());
    writer.commit(plan)?;
    state.next = from;
    state.end = to;
    Ok(())
}

fn next_block(from: u64, limit: u64) -> Option<(u64, u64)> {
    let to = (from + BLOCK).min((from / u64::from(LIST_SLOTS) + 1) * u64::from(LIST_SLOTS));
    (from < limit).then_some((from, to))
}

/// The first slot of a log.
pub fn first_slot(log: u16) -> u64 {
    u64::from(log) * u64::from(LISTS_PER_LOG) * u64::from(LIST_SLOTS)
}

/// The first list of a log.
pub fn first_list(log: u16) -> u32 {
    u32::from(log) * LISTS_PER_LOG
}

/// Lists of one log: four thousand million slots, and the most that an audit holds.
pub const LISTS_PER_LOG: u32 = 4096;

/// Slots reserved at a time. At 10,000 issues a second a block lasts a second.
const BLOCK: u64 = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_stays_in_its_list_and_a_log_in_its_lists() {
        let list = u64::from(LIST_SLOTS);
        assert_eq!(next_block(0, first_slot(1)), Some((0, BLOCK)));
        assert_eq!(next_block(list - 5, first_slot(1)), Some((list - 5, list)));
        assert_eq!(next_block(first_slot(1) - 5, first_slot(1)), Some((first_slot(1) - 5, first_slot(1))));
        // The next log may have given the next slot: this one gives no more.
        assert_eq!(next_block(first_slot(1), first_slot(1)), None);
        assert_eq!(next_block(first_slot(1), first_slot(2)), Some((first_slot(1), first_slot(1) + BLOCK)));
        assert_eq!(u64::from(first_list(3)) * list, first_slot(3));
    }
}
