//! Slots of the status lists, handed out to parallel hands.
//!
//! The writer reserves blocks of slots durably; from a reserved block any thread may
//! take the next. After a crash the rest of the block stays unused for ever: an
//! unused slot reads 0, like a valid one, and no slot is ever given twice.

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
}

impl SlotPool {
    /// A pool that starts after everything that was ever reserved.
    pub fn after(reserved: u64, permutation: Permutation) -> Self {
        Self { state: Mutex::new(State { next: reserved, end: reserved }), permutation }
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
    let from = state.end;
    let to = (from + BLOCK).min((from / u64::from(LIST_SLOTS) + 1) * u64::from(LIST_SLOTS));
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

/// Slots reserved at a time. At 10,000 issues a second a block lasts a second.
const BLOCK: u64 = 8192;
