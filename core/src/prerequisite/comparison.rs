//! What a sysctl is compared with: a value, or a sign and a value.

use thiserror::Error;

/// What a sysctl is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    operator: Operator,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    AtLeast,
    AtMost,
    More,
    Less,
}

/// Why a text is no comparison.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ComparisonError {
    /// Nothing is compared with.
    #[error("the value is missing; give one, or a comparison such as '>=262144'")]
    Empty,
    /// It begins like a comparison and is none.
    #[error("'{text}' is no comparison; write {meant}")]
    Sign {
        /// The text.
        text: String,
        /// What the writer may have meant, or what there is.
        meant: String,
    },
    /// Only numbers are more or less than others.
    #[error("'{0}' is not a whole number, and only numbers are more or less; give one, or '='")]
    NoNumber(String),
}

impl Comparison {
    /// Reads `262144`, `>=262144`, `!=2` and the like.
    ///
    /// # Errors
    /// What is missing.
    pub fn parse(text: &str) -> Result<Self, ComparisonError> {
        const SIGNS: [(&str, Operator); 7] = [
            (">=", Operator::AtLeast),
            ("<=", Operator::AtMost),
            ("!=", Operator::NotEqual),
            ("==", Operator::Equal),
            (">", Operator::More),
            ("<", Operator::Less),
            ("=", Operator::Equal),
        ];
        let text = text.trim();
        let mut signs = SIGNS.into_iter();
        let signed = signs.find_map(|(sign, operator)| Some((operator, text.strip_prefix(sign)?)));
        let (operator, value) = signed.unwrap_or((Operator::Equal, text));
        let value = normal(value);
        if value.is_empty() {
            return Err(ComparisonError::Empty);
        }
        // Taken for a value it would never hold: no sysctl begins so.
        if value.starts_with(['<', '>', '=', '!', '~']) {
            return Err(ComparisonError::Sign {
                text: text.to_owned(),
                meant: meant(text),
            });
        }
        let compares_text = matches!(operator, Operator::Equal | Operator::NotEqual);
        if !compares_text && value.parse::<i128>().is_err() {
            return Err(ComparisonError::NoNumber(value));
        }
        Ok(Self { operator, value })
    }

    /// What it must be equal to, if it is such a comparison.
    pub(super) fn equal_to(&self) -> Option<&str> {
        (self.operator == Operator::Equal).then_some(self.value.as_str())
    }

    /// Whether it holds for what was found.
    pub(super) fn holds(&self, found: &str) -> bool {
        let found = normal(found);
        let order = match (found.parse::<i128>(), self.value.parse::<i128>()) {
            (Ok(found), Ok(wanted)) => Some(found.cmp(&wanted)),
            (Ok(_) | Err(_), Ok(_) | Err(_)) => None,
        };
        let equal = order.map_or(found == self.value, std::cmp::Ordering::is_eq);
        match self.operator {
            Operator::Equal => equal,
            Operator::NotEqual => !equal,
            Operator::AtLeast => order.is_some_and(std::cmp::Ordering::is_ge),
            Operator::AtMost => order.is_some_and(std::cmp::Ordering::is_le),
            Operator::More => order.is_some_and(std::cmp::Ordering::is_gt),
            Operator::Less => order.is_some_and(std::cmp::Ordering::is_lt),
        }
    }
}

/// The comparison that a text with a wrong sign may stand for, or all that there are.
fn meant(text: &str) -> String {
    let slips = [
        ("=>", ">="),
        ("=<", "<="),
        ("=!", "!="),
        ("<>", "!="),
        ("===", "="),
    ];
    let slip = slips.iter().find_map(|(slip, sign)| {
        let value = text.strip_prefix(slip)?.trim();
        Some(format!("'{sign}{value}'"))
    });
    slip.unwrap_or_else(|| "one of >=, <=, >, <, = and != before the value".to_owned())
}

/// The kernel puts tabs between the numbers of a list.
fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
