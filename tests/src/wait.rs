//! Waiting for a level, with a deadline and the last thing seen in the failure.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// How long a test waits for what should happen within a second or two. Generous, because two cores
/// may be busy with something else, and an emulated guest is ten times slower than they are.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The least time between two looks at something that has no event.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long to leave what is looked at alone: looking is not to take its processor away, and in an
/// emulated guest a look takes longer than the pause.
fn pause(look: Duration) -> Duration {
    LOOK_AGAIN.max(look * 5)
}

/// Waits until `look` says `Ok`, and gives that back.
///
/// # Panics
/// After [`PATIENCE`], with `what` and the last thing seen.
pub async fn until<T, E: Debug>(what: &str, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let began = Instant::now();
        match look().await {
            Ok(value) => return value,
            Err(seen) => {
                assert!(
                    Instant::now() < deadline,
                    "waited in vain for {what}; last seen: {seen:?}"
                );
            }
        }
        tokio::time::sleep(pause(began.elapsed())).await;
    }
}

/// The same for what is no task: hosts and servers that are made before the test proper.
///
/// # Panics
/// After [`PATIENCE`], with `what` and the last thing seen.
pub fn until_sync<T, E: Debug>(what: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let began = Instant::now();
        match look() {
            Ok(value) => return value,
            Err(seen) => assert!(
                Instant::now() < deadline,
                "waited in vain for {what}; last seen: {seen:?}"
            ),
        }
        std::thread::park_timeout(pause(began.elapsed()));
    }
}
