//! The instants of an object's metadata as Kubernetes writes them: RFC 3339 in UTC, whole seconds.
//!
//! Records of earlier releases hold milliseconds since the epoch as a number; both are read.

use std::fmt;

use serde::{Deserialize as _, Deserializer, Serializer, de};

use crate::time::Timestamp;

/// Writes an instant, cut to the second.
///
/// # Errors
/// Those of the form that is written.
pub(super) fn serialize<S: Serializer>(
    instant: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match instant {
        Some(Timestamp(ms)) => serializer.collect_str(&Timestamp(ms - ms % 1_000)),
        None => serializer.serialize_none(),
    }
}

/// Reads an instant in either form.
///
/// # Errors
/// If it has neither.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<Either>::deserialize(deserializer)?.map(|either| either.0))
}

struct Either(Timestamp);

impl<'de> de::Deserialize<'de> for Either {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor).map(Self)
    }
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time such as 2026-11-21T22:24:54Z")
    }

    fn visit_u64<E: de::Error>(self, ms: u64) -> Result<Timestamp, E> {
        Ok(Timestamp(ms))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        let wrong = |_| E::invalid_value(de::Unexpected::Str(text), &self);
        text.parse().map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use crate::{spec::ObjectMeta, time::Timestamp};

    fn read(json: &str) -> Result<Option<Timestamp>, serde_json::Error> {
        let meta: ObjectMeta =
            serde_json::from_str(&format!(r#"{{"creationTimestamp": {json}}}"#))?;
        Ok(meta.creation_timestamp)
    }

    #[test]
    fn instants_are_written_as_kubernetes_does() {
        let meta = ObjectMeta {
            creation_timestamp: Some(Timestamp(1_795_299_894_321)),
            deletion_timestamp: Some(Timestamp(0)),
            ..ObjectMeta::default()
        };
        let json = serde_json::to_value(meta).unwrap();
        assert_eq!(json["creationTimestamp"], "2026-11-21T22:24:54Z");
        assert_eq!(json["deletionTimestamp"], "1970-01-01T00:00:00Z");
    }

    #[test]
    fn both_forms_are_read_and_nothing_else() {
        let instant = Some(Timestamp(1_795_299_894_000));
        assert_eq!(read(r#""2026-11-21T22:24:54Z""#).unwrap(), instant);
        assert_eq!(read("1795299894321").unwrap().unwrap().0, 1_795_299_894_321);
        assert_eq!(read("null").unwrap(), None);
        for wrong in [r#""yesterday""#, "-1", "true", r#""1960-01-01T00:00:00Z""#] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("a time such as"), "{wrong}: {error}");
        }
    }
}
