//! Failed logins by address and by name, and how long the next one has to wait. Pure, in a memory that does not grow.
//!
//! Both are kept in a fixed number of slots, chosen by a hash that nobody outside can foresee: two that meet in one share their pauses,
//! and nobody can crowd another out. Names that nobody has are counted like others, so that a pause tells nothing about them.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

const SLOTS: usize = 4096;
/// Attempts that fail without a pause.
const FREE: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Somebody who fails on purpose keeps the owner of a name out for so long.
const LONGEST_BY_NAME: Duration = Duration::from_mins(1);
const LONGEST_BY_ADDRESS: Duration = Duration::from_mins(15);
/// Without a failure for so long, all begins anew.
const FORGET: Duration = Duration::from_hours(1);

pub(super) struct Attempts {
    by_address: Vec<Option<Slot>>,
    by_name: Vec<Option<Slot>>,
    hashes: RandomState,
}

#[derive(Clone, Copy)]
struct Slot {
    failures: u32,
    last: Instant,
    until: Instant,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self { by_address: vec![None; SLOTS], by_name: vec![None; SLOTS], hashes: RandomState::new() }
    }

    /// Begins an attempt, which counts as failed until [`Self::succeeded`] says otherwise: many at one moment are no way around.
    /// During a pause it is refused with what is left of it, and not counted.
    pub(super) fn begin(&mut self, address: IpAddr, name: &str, now: Instant) -> Result<(), Duration> {
        let (address, name) = self.slots(address, name, now);
        let left = |slot: &Option<Slot>| slot.map_or(Duration::ZERO, |slot| slot.until.saturating_duration_since(now));
        let wait = left(address).max(left(name));
        if !wait.is_zero() {
            return Err(wait);
        }
        fail(address, LONGEST_BY_ADDRESS, now);
        fail(name, LONGEST_BY_NAME, now);
        Ok(())
    }

    /// The attempt that was begun `then` was none that failed. Its name begins anew; its address does not, for whoever has a name of their
    /// own could guess others' in between.
    pub(super) fn succeeded(&mut self, address: IpAddr, name: &str, then: Instant) {
        let (address, name) = self.slots(address, name, then);
        *name = None;
        if let Some(slot) = address {
            slot.failures = slot.failures.saturating_sub(1);
            slot.until = slot.until.min(then);
        }
    }

    fn slots(&mut self, address: IpAddr, name: &str, now: Instant) -> (&mut Option<Slot>, &mut Option<Slot>) {
        let index = |hash: u64| usize::try_from(hash % SLOTS as u64).unwrap_or_default();
        let address = &mut self.by_address[index(self.hashes.hash_one(network(address)))];
        let name = &mut self.by_name[index(self.hashes.hash_one(name))];
        for slot in [&mut *address, &mut *name] {
            if slot.is_some_and(|slot| now.saturating_duration_since(slot.last) > FORGET) {
                *slot = None;
            }
        }
        (address, name)
    }
}

fn fail(slot: &mut Option<Slot>, longest: Duration, now: Instant) {
    let failures = slot.map_or(0, |slot| slot.failures).saturating_add(1);
    let pause = match failures.checked_sub(FREE) {
        Some(over) => FIRST_PAUSE.saturating_mul(1 << over.min(16)).min(longest),
        None => Duration::ZERO,
    };
    *slot = Some(Slot { failures, last: now, until: now + pause });
}

/// Who has an address of version 6 has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    use super::{Attempts, FORGET, FREE};

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn seconds(wait: Result<(), Duration>) -> Option<u64> {
        wait.err().map(|wait| wait.as_secs())
    }

    /// Fails as often as it may, waiting for each pause; gives the pauses.
    fn pauses(attempts: &mut Attempts, from: IpAddr, names: &[&str], tries: usize, now: &mut Instant) -> Vec<u64> {
        let mut pauses = Vec::new();
        for at in 0..tries {
            while let Err(wait) = attempts.begin(from, names[at % names.len()], *now) {
                pauses.push(wait.as_secs());
                *now += wait;
            }
        }
        pauses
    }

    #[test]
    fn pauses_grow_with_each_failure_up_to_a_limit() {
        let (mut attempts, mut now) = (Attempts::new(), Instant::now());
        let grown = pauses(&mut attempts, address("10.0.0.1"), &["ada"], 20, &mut now);
        assert_eq!(grown[..8], [1, 2, 4, 8, 16, 32, 64, 128]);
        assert_eq!(grown[14], 15 * 60);
        // Others of that name wait a minute at most, and other names at other addresses not at all.
        assert!(seconds(attempts.begin(address("10.0.0.2"), "ada", now)).is_some_and(|wait| wait <= 60));
        assert_eq!(seconds(attempts.begin(address("10.0.0.2"), "bob", now)), None);
    }

    #[test]
    fn an_address_cannot_try_name_after_name() {
        let (mut attempts, mut now) = (Attempts::new(), Instant::now());
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
        let grown = pauses(&mut attempts, address("2001:db8::1"), &names, 8, &mut now);
        assert_eq!(grown, [1, 2, 4]);
        assert!(attempts.begin(address("2001:db8::ffff:1:2"), "m", now).is_err(), "one network, one counter");
        assert_eq!(seconds(attempts.begin(address("2001:db8:0:1::1"), "m", now)), None);
        assert_eq!(seconds(attempts.begin(address("::ffff:10.0.0.1"), "m", now)), None);
    }

    #[test]
    fn many_at_one_moment_are_no_way_around() {
        let (mut attempts, now) = (Attempts::new(), Instant::now());
        let passed = (0..100).filter(|_| attempts.begin(address("10.0.0.1"), "ada", now).is_ok()).count();
        assert_eq!(passed, FREE as usize);
    }

    #[test]
    fn a_success_frees_the_name_but_takes_no_failure_from_the_address() {
        let (mut attempts, mut now) = (Attempts::new(), Instant::now());
        let from = address("10.0.0.1");
        for _ in 1..FREE {
            attempts.begin(from, "ada", now).unwrap();
        }
        attempts.begin(from, "ada", now).unwrap();
        attempts.succeeded(from, "ada", now);
        assert_eq!(seconds(attempts.begin(address("10.0.0.2"), "ada", now)), None);
        // The guesses of who logs in with a name of their own in between are counted on.
        attempts.begin(from, "bob", now).unwrap();
        assert_eq!(seconds(attempts.begin(from, "mallory", now)), Some(1));
        now += Duration::from_secs(1);
        attempts.begin(from, "mallory", now).unwrap();
        attempts.succeeded(from, "mallory", now);
        attempts.begin(from, "bob", now).unwrap();
        assert_eq!(seconds(attempts.begin(from, "bob", now)), Some(2));
    }

    #[test]
    fn failures_are_forgotten() {
        let (mut attempts, mut now) = (Attempts::new(), Instant::now());
        pauses(&mut attempts, address("10.0.0.1"), &["ada"], 12, &mut now);
        now += FORGET + Duration::from_secs(1);
        assert!(pauses(&mut attempts, address("10.0.0.1"), &["ada"], 5, &mut now).is_empty());
    }
}
