//! Wire to core and back, one file per message family. Both daemons and the command use these, so
//! that no two of them can understand a message differently. Generated types stop here and in the
//! services.

pub mod hello;
pub mod host;
pub mod object;
pub mod order;
pub mod report;
pub mod status;
pub mod structs;
pub mod work;
pub mod zone;

use berth_core::ids::IdError;
use thiserror::Error;

/// Why a message is not what its sender meant.
#[derive(Debug, Error)]
pub enum ConvertError {
    /// A field that must be there is not.
    #[error("{field} is missing; the peers' releases may differ, install the same on both")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field is not an id of its kind.
    #[error("{field} cannot be read")]
    Id {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: IdError,
    },
    /// A field is not an address.
    #[error("{field} is '{text}', which is not an address; give an IPv4 or IPv6 address")]
    Address {
        /// The field.
        field: &'static str,
        /// Its text.
        text: String,
    },
    /// JSON inside the envelope does not have the form of its type.
    #[error("{field} does not have the expected form; install the same release on both ends")]
    Json {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Chunks of a zone do not follow one another.
    #[error("chunk {got} of zone {serial} arrived where {expected} was expected; connect again")]
    Chunk {
        /// The zone.
        serial: u64,
        /// The chunk that arrived.
        got: u32,
        /// The chunk that was expected.
        expected: u32,
    },
    /// A zone's records do not have the stated hash.
    #[error("zone {serial} states hash {stated}, its records have {found}; connect again")]
    ZoneHash {
        /// The zone.
        serial: u64,
        /// What it states.
        stated: String,
        /// What its records have.
        found: String,
    },
}

fn id<T: std::str::FromStr<Err = IdError>>(
    field: &'static str,
    text: &str,
) -> Result<T, ConvertError> {
    let parsed = text.parse();
    parsed.map_err(|source| ConvertError::Id { field, source })
}

fn to_json<T: serde::Serialize>(field: &'static str, value: &T) -> Result<Vec<u8>, ConvertError> {
    serde_json::to_vec(value).map_err(|source| ConvertError::Json { field, source })
}

fn from_json<T: serde::de::DeserializeOwned>(
    field: &'static str,
    bytes: &[u8],
) -> Result<T, ConvertError> {
    serde_json::from_slice(bytes).map_err(|source| ConvertError::Json { field, source })
}
