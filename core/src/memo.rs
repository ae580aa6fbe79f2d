//! Something that was found out about a value and is kept beside it: no part of the value, so copies
//! share it, and values that differ in nothing else are equal.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What was found out, if anybody asked.
pub struct Memo<T>(Mutex<Option<Arc<T>>>);

impl<T> Memo<T> {
    /// To read and to bring up to date. Whoever holds it must not ask the value it is kept beside for
    /// the same thing, nor copy it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Arc<T>>> {
        // What a panic left behind is compared with the value before it is used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has what was found out about a copy, which may have been made of an older value.
    pub(crate) fn recall(&self, copy: &Self) {
        let found = copy.lock().clone();
        *self.lock() = found;
    }
}

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Clone for Memo<T> {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.lock().clone()))
    }
}

impl<T> PartialEq for Memo<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> fmt::Debug for Memo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memo")
    }
}
