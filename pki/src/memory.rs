//! Programs that have secrets in memory, and keep them there.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::PkiError;

/// Whatever befalls this process from now on, no image of its memory is written to a disk, and nobody
/// but root may look into it. Programs that it executes decide for themselves.
///
/// # Errors
/// If the system refuses, which it has no reason to.
pub fn keep_to_itself() -> Result<(), PkiError> {
    let kept = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    kept.map_err(|error| PkiError::Memory(error.into()))
}
