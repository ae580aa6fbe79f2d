//! The name of a value's variant: what coverage counts by.

use std::fmt::{self, Debug, Write};

/// The name with which a value's `Debug` begins.
pub(crate) fn name(what: &impl Debug) -> String {
    struct Head(String);
    impl Write for Head {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for c in text.chars() {
                if !c.is_alphanumeric() {
                    // The rest is not even written.
                    return Err(fmt::Error);
                }
                self.0.push(c);
            }
            Ok(())
        }
    }
    let mut head = Head(String::new());
    write!(head, "{what:?}").ok();
    head.0
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_variant_is_known_by_its_name() {
        assert_eq!(name(&Some("x")), "Some");
        assert_eq!(name(&Option::<u8>::None), "None");
    }
}
