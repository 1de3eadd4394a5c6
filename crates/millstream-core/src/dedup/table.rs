//! The keys that were claimed last: a table of open addressing, three quarters full at most, 24 bytes a slot.

use super::{Claim, KeyHash};

/// Slots of the smallest table.
const FEWEST_SLOTS: usize = 16;

/// What an unused slot holds: no key has this hash.
const UNUSED: Claim = Claim { key: KeyHash { high: 0, low: 0 }, time: 0 };

/// Keys with the newest time of each.
#[derive(Debug)]
pub(super) struct Table {
    /// A power of two of them.
    slots: Vec<Claim>,
    used: usize,
    most_slots: usize,
}

impl Table {
    /// An empty one, that never takes more than about so many bytes.
    pub(super) fn new(limit_bytes: usize) -> Self {
        let most_slots = (limit_bytes / size_of::<Claim>()).max(FEWEST_SLOTS);
        Self { slots: Vec::new(), used: 0, most_slots: 1 << most_slots.ilog2() }
    }

    /// How many keys can be put before it is full.
    pub(super) fn room(&self) -> usize {
        most_keys(self.most_slots) - self.used
    }

    /// The most keys that it ever holds.
    pub(super) fn most_keys(&self) -> usize {
        most_keys(self.most_slots)
    }

    /// The time of a key.
    pub(super) fn time_of(&self, key: KeyHash) -> Option<i64> {
        if self.slots.is_empty() {
            return None;
        }
        let slot = &self.slots[self.slot(key)];
        (*slot != UNUSED).then_some(slot.time)
    }

    /// Puts a key; of two times the newer one counts. To be called while there is room.
    pub(super) fn put(&mut self, claim: Claim) {
        if self.used >= most_keys(self.slots.len()) {
            self.grow();
        }
        let slot = self.slot(claim.key);
        let slot = &mut self.slots[slot];
        if slot.key == claim.key {
            slot.time = slot.time.max(claim.time);
        } else {
            *slot = claim;
            self.used += 1;
        }
    }

    /// Lets keys go whose time is older.
    pub(super) fn forget(&mut self, oldest: i64) {
        let kept: Vec<Claim> =
            self.slots.iter().filter(|slot| slot.key != UNUSED.key && slot.time >= oldest).copied().collect();
        self.clear();
        for claim in kept {
            self.put(claim);
        }
    }

    /// Hands all keys over, ascending, and is empty if they were taken.
    pub(super) fn hand_over<E>(&mut self, take: impl FnOnce(&[Claim]) -> Result<(), E>) -> Result<(), E> {
        self.slots.sort_unstable_by_key(|slot| slot.key);
        let first = self.slots.partition_point(|slot| slot.key == UNUSED.key);
        take(&self.slots[first..])?;
        self.clear();
        Ok(())
    }

    /// Lets all keys go.
    pub(super) fn clear(&mut self) {
        self.slots.fill(UNUSED);
        self.used = 0;
    }

    /// The slot of a key, or the one where it would be put.
    fn slot(&self, key: KeyHash) -> usize {
        let mask = self.slots.len() - 1;
        #[expect(clippy::cast_possible_truncation, reason = "only the last bits are wanted")]
        let mut at = key.low as usize & mask;
        while self.slots[at].key != key && self.slots[at].key != UNUSED.key {
            at = (at + 1) & mask;
        }
        at
    }

    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(FEWEST_SLOTS);
        let before = std::mem::replace(&mut self.slots, vec![UNUSED; slots]);
        self.used = 0;
        for claim in before.into_iter().filter(|claim| claim.key != UNUSED.key) {
            self.put(claim);
        }
    }
}

fn most_keys(slots: usize) -> usize {
    slots / 4 * 3
}
