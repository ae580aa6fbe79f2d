//! The agent's clock: milliseconds since it was started. Only differences mean anything, and it
//! never goes back. And the clock of leases, with a timer on it: tokio's stand still in a suspend.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use berth_core::time::Timestamp;
use rustix::{
    event::{PollFd, PollFlags, poll},
    time::{
        ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
        clock_gettime, timerfd_create, timerfd_settime,
    },
};
use tokio::{io::Interest, time::Instant};

use crate::host::watch::registered;

/// Milliseconds since the boot, on the clock that counts through suspends: that of leases. Keepers
/// and agents of one boot agree on it.
pub(crate) fn boottime() -> Timestamp {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let millis = u64::try_from(now.tv_nsec / 1_000_000).unwrap_or(0);
    Timestamp(seconds.saturating_mul(1000).saturating_add(millis))
}

/// A timer on the clock of leases: it comes due at once when a suspend outlasted it. Readable from
/// then on.
#[derive(Debug)]
pub(crate) struct Alarm(OwnedFd);

impl Alarm {
    /// One that is off.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self(timerfd_create(TimerfdClockId::Boottime, flags)?))
    }

    /// Sets it to a time, or off.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn set(&self, at: Option<Timestamp>) -> io::Result<()> {
        // A time of all zeros is off.
        let at = at.map_or(0, |at| at.0.max(1));
        let when = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: i64::try_from(at / 1000).unwrap_or(i64::MAX),
                tv_nsec: i64::try_from(at % 1000 * 1_000_000).unwrap_or(0),
            },
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &when)?;
        Ok(())
    }

    /// Waits in this thread until it is due; a signal may end that early. Allocates nothing.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn wait(&self) -> io::Result<()> {
        let mut ready = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut ready, None)?;
        Ok(())
    }

    /// Waits until it is due.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) async fn due(self) -> io::Result<()> {
        let timer = registered(self.0, Interest::READABLE)?;
        timer.readable().await.map(drop)
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A clock that began when it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(0).plus(self.origin.elapsed())
    }

    /// When a time has surely come.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        self.origin + Duration::from_millis(at.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_alarm_comes_at_its_time_and_at_once_after_it() {
        let at = boottime().plus(Duration::from_millis(50));
        for _ in 0..2 {
            let alarm = Alarm::new().unwrap();
            alarm.set(Some(at)).unwrap();
            alarm.due().await.unwrap();
            assert!(boottime() >= at);
        }
    }
}
