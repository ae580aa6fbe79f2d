//! Quantities as Kubernetes writes them: `10Gi`, `512Mi`, `10G`, `100m`, `1e9`, `0.5`.
//!
//! A quantity is kept exactly, as digits with a decimal and a binary exponent, and is rounded only
//! where it is used, and then up: who asks for `0.1Ki` gets 103 bytes, never 102.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// More digits than any amount of bytes or thousandths of a CPU needs.
const MAX_DIGITS: usize = 24;

/// Why a text is not a quantity, or not one that can be used here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// The text has another form.
    #[error("'{text}' is not a quantity; write a number with a unit, such as 10Gi, 500M or 100m")]
    Shape {
        /// The refused text.
        text: String,
    },
    /// Below zero.
    #[error("'{text}' is negative; write 0 or more")]
    Negative {
        /// The refused text.
        text: String,
    },
    /// Thousandths or less of what has no parts.
    #[error("'{text}' is no whole number: {unit} stands for {part}; did you mean {meant}?")]
    Part {
        /// The refused text.
        text: String,
        /// Its unit.
        unit: char,
        /// What the unit stands for.
        part: &'static str,
        /// What the writer may have meant.
        meant: String,
    },
    /// Above zero and below one, of what has no parts.
    #[error("'{text}' is less than one; give a whole number")]
    BelowOne {
        /// The refused text.
        text: String,
    },
    /// Does not fit in 64 bits.
    #[error("'{text}' is too large; write less than 16Ei")]
    TooLarge {
        /// The refused text.
        text: String,
    },
}

/// An amount that is zero or more: `digits` × 10^`decimal` × 2^`binary`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    text: String,
    digits: u128,
    decimal: i32,
    binary: u32,
}

impl Quantity {
    /// The amount in whole units (bytes for memory and storage), rounded up.
    ///
    /// # Errors
    /// If it does not fit in 64 bits.
    pub fn units(&self) -> Result<u64, QuantityError> {
        self.scaled(0)
    }

    /// The amount as bytes that somebody writes: [`Quantity::units`], but `64m` is a slip for `64Mi`.
    ///
    /// # Errors
    /// If it is below one byte, has a part of a byte by its unit, or does not fit in 64 bits.
    pub fn bytes(&self) -> Result<u64, QuantityError> {
        self.check_whole("Mi")?;
        self.units()
    }

    /// The amount as a number of things that somebody writes.
    ///
    /// # Errors
    /// As [`Quantity::bytes`].
    pub fn count(&self) -> Result<u64, QuantityError> {
        self.check_whole("")?;
        self.units()
    }

    /// Refuses parts of one, but not what is rounded up from more, such as `0.1Ki`.
    fn check_whole(&self, meant: &str) -> Result<(), QuantityError> {
        if self.is_whole() {
            return Ok(());
        }
        let text = self.text.clone();
        let part = [
            ('m', "thousandths"),
            ('u', "millionths"),
            ('n', "billionths"),
        ];
        let of_text = |(unit, part)| Some((text.strip_suffix(unit)?, unit, part));
        if let Some((number, unit, part)) = part.into_iter().find_map(of_text) {
            return Err(QuantityError::Part {
                meant: format!("{number}{meant}"),
                unit,
                part,
                text: self.text.clone(),
            });
        }
        match self.checked(0) {
            Some(1) => Err(QuantityError::BelowOne { text }),
            Some(_) | None => Ok(()),
        }
    }

    fn is_whole(&self) -> bool {
        let divisor = 10_u128.checked_pow(self.decimal.min(0).unsigned_abs());
        let whole = 1_u128.checked_shl(self.binary);
        let whole = whole.and_then(|power| self.digits.checked_mul(power));
        match (whole, divisor) {
            (Some(whole), Some(divisor)) => whole.is_multiple_of(divisor),
            // Too large, or so small that nothing else is whole.
            (None, _) => true,
            (Some(whole), None) => whole == 0,
        }
    }

    /// The amount in thousandths (of a CPU), rounded up.
    ///
    /// # Errors
    /// If it does not fit in 64 bits.
    pub fn milli(&self) -> Result<u64, QuantityError> {
        self.scaled(3)
    }

    fn scaled(&self, power: i32) -> Result<u64, QuantityError> {
        self.checked(power).ok_or_else(|| QuantityError::TooLarge {
            text: self.text.clone(),
        })
    }

    fn checked(&self, power: i32) -> Option<u64> {
        let whole = self.digits.checked_mul(1_u128.checked_shl(self.binary)?)?;
        let exponent = self.decimal.checked_add(power)?;
        let ten = 10_u128.checked_pow(exponent.unsigned_abs());
        let value = if exponent >= 0 {
            whole.checked_mul(ten?)?
        } else {
            // A divisor that does not fit is larger than any numerator.
            ten.map_or_else(|| u128::from(whole > 0), |ten| whole.div_ceil(ten))
        };
        u64::try_from(value).ok()
    }
}

/// Bytes as a quantity that people read: in the largest unit that they fill, with at most two digits
/// after the point, rounded down.
pub fn of_bytes(count: u64) -> String {
    let units = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let power = 63_u32.saturating_sub(count.max(1).leading_zeros()) / 10;
    let unit = usize::try_from(power).ok().and_then(|at| units.get(at));
    let hundredths = (u128::from(count) * 100) >> (10 * power);
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    let fraction = match rest {
        0 => String::new(),
        rest if rest % 10 == 0 => format!(".{}", rest / 10),
        rest => format!(".{rest:02}"),
    };
    format!("{whole}{fraction}{}", unit.copied().unwrap_or_default())
}

/// Bytes as a quantity, in the largest unit that says them exactly.
pub fn exact(bytes: u64) -> String {
    let units = [
        (60, "Ei"),
        (50, "Pi"),
        (40, "Ti"),
        (30, "Gi"),
        (20, "Mi"),
        (10, "Ki"),
    ];
    let exact = units
        .iter()
        .find(|(power, _)| bytes > 0 && bytes.is_multiple_of(1 << power));
    match exact {
        Some((power, unit)) => format!("{}{unit}", bytes >> power),
        None => bytes.to_string(),
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let shape = || QuantityError::Shape {
            text: text.to_owned(),
        };
        if let Some(rest) = text.strip_prefix('-') {
            let positive: Self = rest.parse().map_err(|_| shape())?;
            return if positive.digits == 0 {
                Ok(positive)
            } else {
                Err(QuantityError::Negative {
                    text: text.to_owned(),
                })
            };
        }
        let body = text.strip_prefix('+').unwrap_or(text);
        let end = body
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(body.len());
        let (number, unit) = body.split_at(end);
        let (digits, fraction) = parse_number(number).ok_or_else(shape)?;
        let (decimal, binary) = parse_unit(unit).ok_or_else(shape)?;
        Ok(Self {
            text: text.to_owned(),
            digits,
            decimal: decimal - fraction,
            binary,
        })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The digits of a decimal number, and how many of them stand after the point.
fn parse_number(text: &str) -> Option<(u128, i32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || all.len() > MAX_DIGITS {
        return None;
    }
    Some((all.parse().ok()?, i32::try_from(fraction.len()).ok()?))
}

/// The decimal and the binary exponent of a unit.
fn parse_unit(unit: &str) -> Option<(i32, u32)> {
    let exponents = match unit {
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "" => (0, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        other => {
            let exponent: i32 = other.strip_prefix(['e', 'E'])?.parse().ok()?;
            if exponent.abs() > 30 {
                return None;
            }
            (exponent, 0)
        }
    };
    Some(exponents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> u64 {
        text.parse::<Quantity>().unwrap().units().unwrap()
    }

    #[test]
    fn parts_of_a_byte_are_slips_and_parts_of_more_are_rounded_up() {
        let bytes = |text: &str| text.parse::<Quantity>().unwrap().bytes();
        for (text, whole) in [
            ("0", 0),
            ("0m", 0),
            ("1000m", 1),
            ("64000m", 64),
            ("0.1Ki", 103),
            ("1.5Gi", 3 << 29),
            ("1.5", 2),
        ] {
            assert_eq!(bytes(text), Ok(whole), "{text}");
        }
        for (text, told) in [
            (
                "64m",
                "'64m' is no whole number: m stands for thousandths; did you mean 64Mi?",
            ),
            (
                "1500m",
                "'1500m' is no whole number: m stands for thousandths; did you mean 1500Mi?",
            ),
            (
                "3u",
                "'3u' is no whole number: u stands for millionths; did you mean 3Mi?",
            ),
            ("0.5", "'0.5' is less than one; give a whole number"),
            ("1e-30", "'1e-30' is less than one; give a whole number"),
        ] {
            assert_eq!(bytes(text).unwrap_err().to_string(), told);
        }
        let pids = "100m".parse::<Quantity>().unwrap().count().unwrap_err();
        assert!(pids.to_string().ends_with("did you mean 100?"), "{pids}");
    }

    #[test]
    fn bytes_are_written_in_the_largest_unit_that_is_exact() {
        for (bytes, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1Ki"),
            (1536, "1536"),
            (10 << 30, "10Gi"),
            (u64::MAX, "18446744073709551615"),
        ] {
            assert_eq!(exact(bytes), text);
            assert_eq!(units(text), bytes);
        }
    }

    #[test]
    fn units_mean_what_kubernetes_says() {
        for (text, bytes) in [
            ("0", 0),
            ("10Gi", 10 << 30),
            ("512Mi", 512 << 20),
            ("10G", 10_000_000_000),
            ("1e9", 1_000_000_000),
            ("1E9", 1_000_000_000),
            ("1E", 1_000_000_000_000_000_000),
            ("12e-1", 2),
            ("1.5Ki", 1536),
            ("0.1Ki", 103),
            (".5Ki", 512),
            ("5.", 5),
            ("+3k", 3000),
            ("100m", 1),
            ("-0", 0),
        ] {
            assert_eq!(units(text), bytes, "{text}");
        }
    }

    #[test]
    fn thousandths_are_exact() {
        for (text, milli) in [("100m", 100), ("0.1", 100), ("2", 2000), ("1n", 1)] {
            let quantity: Quantity = text.parse().unwrap();
            assert_eq!(quantity.milli().unwrap(), milli, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "", ".", "Gi", "10 Gi", "10gi", "10GB", "1e", "1e99", "ten", "1.2.3", "--1", "1e+-3",
            "１",
        ] {
            let refused = text.parse::<Quantity>().unwrap_err();
            assert!(matches!(refused, QuantityError::Shape { .. }), "{text}");
        }
        assert!(matches!(
            "-1Gi".parse::<Quantity>(),
            Err(QuantityError::Negative { .. })
        ));
        assert!(matches!(
            "99Ei".parse::<Quantity>().unwrap().units(),
            Err(QuantityError::TooLarge { .. })
        ));
    }

    #[test]
    fn bytes_are_told_in_the_largest_unit_that_they_fill() {
        for (count, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1Ki"),
            (10 << 30, "10Gi"),
            (1536 << 20, "1.5Gi"),
            ((1 << 30) + (11 << 20), "1.01Gi"),
            ((1 << 40) - 1, "1023.99Gi"),
            (u64::MAX, "15.99Ei"),
        ] {
            assert_eq!(of_bytes(count), text);
            let read: Quantity = text.parse().unwrap();
            assert!(read.units().unwrap() <= count, "never more than there is");
        }
    }
}
