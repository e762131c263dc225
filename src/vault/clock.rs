//! The one place that reads the machine's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::time::UnixTime;

/// Something that knows what time it is.
pub trait Clock: Send + Sync {
    /// The present instant. It may step back; who cannot bear that must check.
    fn now(&self) -> UnixTime;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that may")]
    fn now(&self) -> UnixTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixTime::clamped(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}

/// A clock that tests set by hand.
#[derive(Debug)]
pub struct HandClock(std::sync::atomic::AtomicI64);

impl HandClock {
    /// A clock that stands at this instant.
    pub fn at(now: UnixTime) -> Self {
        Self(now.seconds().into())
    }

    /// Sets the clock, forwards or back.
    pub fn set(&self, now: UnixTime) {
        self.0.store(now.seconds(), std::sync::atomic::Ordering::SeqCst);
    }

    /// Moves the clock forward.
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> UnixTime {
        UnixTime::clamped(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}
