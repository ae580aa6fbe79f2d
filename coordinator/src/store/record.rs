//! The form of a record's value: JSON with the version of its form, so that a later release can
//! tell an old one and read it.

use std::sync::Arc;

use berth_core::{ids::IdError, store::Value};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

/// The version that this release writes.
const VERSION: u32 = 1;

/// Why a value is not a record.
#[derive(Debug, Error)]
pub enum RecordError {
    /// Written by a newer release.
    #[error(
        "the record has version {found}, this release reads up to {VERSION}; install the newer"
    )]
    Version {
        /// The version found.
        found: u32,
    },
    /// Its key does not name a thing of its kind.
    #[error("the record's key does not name a thing of its kind; restore a backup")]
    Key(#[from] IdError),
    /// Not in the form of its type.
    #[error("the record does not have the form of its kind; restore a backup")]
    Form(#[from] serde_json::Error),
}

#[derive(Serialize)]
struct Writing<'a, T> {
    v: u32,
    record: &'a T,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[derive(Deserialize)]
struct Reading<T> {
    v: u32,
    record: T,
}

/// A record as a value of the store.
///
/// # Errors
/// If the type cannot be written as JSON, which none of Berth's types meets.
pub fn encode<T: Serialize>(record: &T) -> Result<Value, RecordError> {
    let bytes = serde_json::to_vec(&Writing { v: VERSION, record })?;
    Ok(Arc::from(bytes))
}

/// A value of the store as a record.
///
/// # Errors
/// If it was written by a newer release, or is damaged.
pub fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, RecordError> {
    // A start reads all records there are: each is looked at once.
    let read = serde_json::from_slice::<Reading<T>>(value);
    if let Ok(Reading { v, record }) = read
        && v <= VERSION
    {
        return Ok(record);
    }
    // A newer one may have another form.
    let found = serde_json::from_slice::<Version>(value)?.v;
    if found > VERSION {
        return Err(RecordError::Version { found });
    }
    Ok(serde_json::from_slice::<Reading<T>>(value)?.record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_and_a_newer_one_is_refused_as_newer() {
        let value = encode(&vec![1, 2]).unwrap();
        assert_eq!(&*value, br#"{"v":1,"record":[1,2]}"#);
        assert_eq!(decode::<Vec<u8>>(&value).unwrap(), [1, 2]);
        let newer = decode::<Vec<u8>>(br#"{"v":2,"record":{"unknown":1}}"#);
        assert!(matches!(newer, Err(RecordError::Version { found: 2 })));
        assert!(matches!(
            decode::<Vec<u8>>(b"{}"),
            Err(RecordError::Form(_))
        ));
    }
}
