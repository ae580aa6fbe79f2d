//! Times as people read them: how long ago, in the largest unit that says enough.

use std::time::{Duration, SystemTime};

use berth_core::time::Timestamp;

/// The time now. Ages are shown, never decided on, so the wall clock will do.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::default().plus(since)
}

/// The instant of a wire field in milliseconds, where 0 says that there is none.
pub(crate) fn instant(ms: i64) -> Option<Timestamp> {
    u64::try_from(ms).ok().filter(|ms| *ms > 0).map(Timestamp)
}

/// How long ago a wire field's instant was, or `-`.
pub(crate) fn since(ms: i64, now: Timestamp) -> String {
    instant(ms).map_or_else(|| "-".to_owned(), |then| short(now.since(then)))
}

/// A duration in one unit: `45s`, `12m`, `30h`, `9d`.
pub(crate) fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (7_199, "119m"),
            (7_200, "2h"),
            (172_799, "47h"),
            (172_800, "2d"),
        ] {
            assert_eq!(short(Duration::from_secs(seconds)), text);
        }
        assert_eq!(since(0, Timestamp(5)), "-");
        assert_eq!(since(1_000, Timestamp(61_000)), "60s");
    }
}
