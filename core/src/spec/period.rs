//! Lengths of time as operators write them: `10s`, `1m30s`, `500ms`, the form of Kubernetes.

use std::time::Duration;

use thiserror::Error;

/// A text is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{text}' is not a length of time; write numbers with h, m, s or ms, such as 10s or 1m30s")]
pub struct PeriodError {
    /// The text.
    pub text: String,
}

/// Units, the longer name of two that begin alike first, in milliseconds.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];

/// Reads a length of time.
///
/// # Errors
/// If it is none, or one that no clock counts.
pub fn parse_period(text: &str) -> Result<Duration, PeriodError> {
    let wrong = || PeriodError {
        text: text.to_owned(),
    };
    let (mut rest, mut total) = (text, 0_u64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let mut units = UNITS.into_iter();
        let unit = units.find_map(|(name, millis)| Some((behind.strip_prefix(name)?, millis)));
        let (behind, millis) = unit.ok_or_else(wrong)?;
        let part = number.checked_mul(millis);
        total = part
            .and_then(|part| total.checked_add(part))
            .ok_or_else(wrong)?;
        rest = behind;
    }
    if text.is_empty() {
        return Err(wrong());
    }
    Ok(Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_as_in_kubernetes() {
        for (text, millis) in [
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("2h", 7_200_000),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_period(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "1d",
            "10 s",
            "99999999999999999999s",
        ] {
            assert!(parse_period(text).is_err(), "{text}");
        }
    }
}
