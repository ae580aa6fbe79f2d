//! Templates: values into commands, environment and files. Strict: an undefined value is an error.

use crate::spec::MemberTemplate;

/// Whether any template of the member refers to `founding`.
pub fn uses_founding(template: &MemberTemplate) -> bool {
    let _ = template;
    false
}
