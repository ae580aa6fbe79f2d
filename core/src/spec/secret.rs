//! The one type that carries a secret value, so that no value can slip into a log or an error.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A secret text. `Debug` and `Display` do not show it; serialization does, so it may only go to
/// the store, the ledger and the wire, never to an operator.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

impl Sealed {
    /// Seals a text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text; every call is a place to review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<sealed>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_is_shown_by_no_formatter() {
        let sealed = Sealed::new("hunter2".to_owned());
        assert!(!format!("{sealed} {sealed:?} {sealed:#?}").contains("hunter2"));
    }
}
