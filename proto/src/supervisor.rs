//! What a daemon tells systemd (`sd_notify`): that it is ready, that it stops, and that it is alive.
//!
//! Alive is a daemon whose own loop turns: the watchdog is fed with each answer of that loop, so that
//! one that hangs is killed and started anew, however well timers and the runtime go on.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

/// Everything is open.
pub fn ready() {
    say(NotifyState::Ready);
}

/// It is about to end.
pub fn stopping() {
    say(NotifyState::Stopping);
}

/// Feeds the watchdog, where systemd has one on this daemon, twice as often as it asks. `turn` waits
/// for the next turn of the daemon's loop; false ends this.
pub async fn watchdog<F: Future<Output = bool>>(turn: impl FnMut() -> F) {
    if let Some(limit) = sd_notify::watchdog_enabled() {
        feed(limit, turn, || say(NotifyState::Watchdog)).await;
    }
}

async fn feed<F: Future<Output = bool>>(
    limit: Duration,
    mut turn: impl FnMut() -> F,
    say: impl Fn(),
) {
    let mut ticks = interval((limit / 2).max(Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !turn().await {
            return;
        }
        say();
    }
}

/// Without systemd there is nobody to tell.
fn say(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot tell systemd");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_turns_feeds_it_twice_in_its_time() {
        let fed = Cell::new(0);
        let turns = feed(
            LIMIT,
            || std::future::ready(true),
            || fed.set(fed.get() + 1),
        );
        tokio::time::timeout(LIMIT * 10, turns).await.unwrap_err();
        assert!((19..=21).contains(&fed.get()), "{}", fed.get());
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_hangs_starves_it() {
        let (fed, turns) = (Cell::new(0), Cell::new(0));
        let turn = || {
            turns.set(turns.get() + 1);
            let hangs = turns.get() == 3;
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                true
            }
        };
        let feeding = feed(LIMIT, turn, || fed.set(fed.get() + 1));
        tokio::time::timeout(LIMIT * 10, feeding).await.unwrap_err();
        assert_eq!(fed.get(), 2);
    }
}
