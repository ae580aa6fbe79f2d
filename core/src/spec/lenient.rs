//! Fields that Kubernetes lets be written as a number or as a text: `cpu: 2`, `user: 1000`,
//! `port: http`. Reading them here, by hand, keeps the messages of wrong types readable; a derived
//! "untagged" reader says only that nothing matched.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{
    probe::PortRef,
    resources::{RlimitBound, RlimitPair, RlimitValue},
    update::Amount,
};

/// A text, or a number that is taken as one.
#[derive(Debug)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TextVisitor).map(Self)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

/// Reads texts by name, each of which may be written as a number.
pub(super) fn texts<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let texts = BTreeMap::<String, Text>::deserialize(from)?;
    Ok(texts
        .into_iter()
        .map(|(name, text)| (name, text.0))
        .collect())
}

/// Reads a text that may be written as a number.
pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Option::<Text>::deserialize(from).map(|text| text.map(|t| t.0))
}

/// Reads a list of texts, each of which may be written as a number.
pub(super) fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let texts = Vec::<Text>::deserialize(from)?;
    Ok(texts.into_iter().map(|text| text.0).collect())
}

/// Reads a number, or a word.
struct NumberOrWord(&'static str);

enum Either {
    Number(u64),
    Word(String),
}

impl Visitor<'_> for NumberOrWord {
    type Value = Either;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Either, E> {
        Ok(Either::Word(text.to_owned()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Either, E> {
        Ok(Either::Number(number))
    }
}

impl<'de> Deserialize<'de> for PortRef {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let visitor = NumberOrWord("the number of a port, or its name");
        Ok(match from.deserialize_any(visitor)? {
            // What does not fit is no port either; validation says so.
            Either::Number(n) => Self::Number(u32::try_from(n).unwrap_or(u32::MAX)),
            Either::Word(name) => Self::Name(name),
        })
    }
}

impl<'de> Deserialize<'de> for RlimitBound {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let visitor = NumberOrWord("a number of 0 or more, or unlimited");
        Ok(match from.deserialize_any(visitor)? {
            Either::Number(n) => Self::Number(n),
            Either::Word(word) => Self::Word(word),
        })
    }
}

/// Reads a bound, or a pair of them.
struct RlimitVisitor;

impl<'de> Visitor<'de> for RlimitVisitor {
    type Value = RlimitValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of 0 or more, unlimited, or {soft, hard}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RlimitValue, E> {
        Ok(RlimitValue::Both(RlimitBound::Word(text.to_owned())))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<RlimitValue, E> {
        Ok(RlimitValue::Both(RlimitBound::Number(number)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RlimitValue, A::Error> {
        let pair = RlimitPair::deserialize(MapAccessDeserializer::new(map))?;
        Ok(RlimitValue::Each(pair))
    }
}

impl<'de> Deserialize<'de> for RlimitValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(RlimitVisitor)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let visitor =
            NumberOrWord("a number of 0 or more, a percentage such as \"30%\", or quorum");
        Ok(match from.deserialize_any(visitor)? {
            Either::Number(n) => Self::Number(u32::try_from(n).unwrap_or(u32::MAX)),
            Either::Word(word) => Self::of_text(&word),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::spec::{PortRef, Process, RlimitBound, RlimitValue};

    #[test]
    fn numbers_and_texts_are_both_taken() {
        let process: Process = serde_json::from_value(json!({
            "user": 1000,
            "supplementalGroups": ["disk", 7],
            "resources": { "limits": { "cpu": 2, "memory": "1Gi" }, "requests": { "cpu": 0.5 } },
            "rlimits": { "nofile": 7, "memlock": "unlimited" },
            "readinessProbe": { "tcpSocket": { "port": "web" } },
            "livenessProbe": { "tcpSocket": { "port": 80 } },
        }))
        .unwrap();
        assert_eq!(process.user.as_deref(), Some("1000"));
        assert_eq!(process.resources.limits["cpu"], "2");
        assert_eq!(process.resources.requests["cpu"], "0.5");
        let seven = RlimitValue::Both(RlimitBound::Number(7));
        assert_eq!(process.rlimits["nofile"], seven);
        assert_eq!(process.supplemental_groups, ["disk", "7"]);
        let port = |probe: Option<crate::spec::Probe>| probe.unwrap().tcp_socket.unwrap().port;
        assert_eq!(
            port(process.readiness_probe),
            PortRef::Name("web".to_owned())
        );
        assert_eq!(port(process.liveness_probe), PortRef::Number(80));
    }

    #[test]
    fn other_types_are_refused_in_words() {
        let error = |value| {
            serde_json::from_value::<Process>(value)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error(json!({ "rlimits": { "nofile": -1 } })),
            "invalid type: integer `-1`, expected a number of 0 or more, unlimited, or {soft, hard}"
        );
        assert_eq!(
            error(json!({ "user": true })),
            "invalid type: boolean `true`, expected a text or a number"
        );
    }
}
