//! Templates: values into commands, environment, files and probes.
//!
//! A member's texts are Jinja templates over the values of its order. They are rendered by the
//! agent before each start ([`render_member`]); the revision of a set is the hash of the texts
//! *before* that ([`revision_hash`]), so that values which change on their own restart nobody.
//! An undefined value is an error, never an empty text.

use thiserror::Error;

use crate::{ids::IdError, quantity::QuantityError, spec::MemberTemplate};

mod claim;
mod config;
mod downward;
pub(crate) mod engine;
mod env;
mod expand;
mod limits;
mod member;
mod process;
mod revision;
mod texts;
mod trial;
pub(crate) mod values;

pub use claim::{ClaimValues, claim_spec, sub_dir};
pub(crate) use claim::{try_claim, try_sub_dir};
pub use config::{ConfigSource, MissingConfig, missing_config, used_config};
pub(crate) use downward::{check_field, resource};
pub(crate) use expand::references;
pub(crate) use limits::required_controllers;
pub use member::render_member;
pub(crate) use process::{parse_mode, port_number, signal};
pub use revision::{ConfigRef, config_refs, revision_hash, same_but_for_files, set_revision};
pub use texts::{TemplateText, texts};
pub use trial::try_out;
pub use values::NAMES;

/// Where the member's spec lies in a manifest; fields of errors begin with it.
pub(crate) const ROOT: &str = "spec.template.spec";

/// Why a member cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {message}")]
pub struct RenderError {
    /// The field, such as `spec.template.spec.processes[0].args[1]`.
    pub field: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl RenderError {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: format!("{ROOT}.{}", field.into()),
            message: message.into(),
        }
    }

    fn id(field: impl Into<String>) -> impl FnOnce(IdError) -> Self {
        |e| Self::new(field, e.to_string())
    }

    fn quantity(field: impl Into<String>) -> impl FnOnce(QuantityError) -> Self {
        |e| Self::new(field, e.to_string())
    }
}

/// Whether any template of the member refers to `founding` or `founders`. Texts in config objects
/// are not looked at: a set that founds only there says `membership: Static` itself.
pub fn uses_founding(template: &MemberTemplate) -> bool {
    // Most sets never mention it, and this is asked for often.
    let mentions = |text: &TemplateText<'_>| text.text.contains("found");
    let candidates: Vec<TemplateText<'_>> =
        texts(&template.spec).into_iter().filter(mentions).collect();
    if candidates.is_empty() {
        return false;
    }
    let engine = engine::Engine::new();
    candidates.iter().any(|text| {
        engine
            .refers_to(text.text)
            .is_ok_and(|names| names.iter().any(|name| is_founding(name)))
    })
}

fn is_founding(name: &str) -> bool {
    let root = name.split('.').next().unwrap_or(name);
    root == "founding" || root == "founders"
}

#[cfg(test)]
mod member_tests;
