//! Objects in the shape of their manifest.

use berth_core::{
    ids::{Namespace, ObjectKey},
    spec::{Kind, Object},
};
use prost_types::Struct;
use serde_json::Value;

use super::{ConvertError, id, structs};
use crate::v1;

/// What stands at the head of every manifest that is sent.
pub const API_VERSION: &str = "berth/v1";

/// An object as the JSON of its manifest.
///
/// # Errors
/// If it cannot be written as JSON, which no object meets.
pub fn manifest(object: &Object) -> Result<Value, ConvertError> {
    let json = serde_json::to_value(object);
    let mut json = json.map_err(|source| ConvertError::Json {
        field: "manifest",
        source,
    })?;
    if let Some(fields) = json.as_object_mut() {
        fields.insert("apiVersion".to_owned(), API_VERSION.into());
    }
    Ok(json)
}

/// A manifest as it travels.
///
/// # Errors
/// If it is no JSON object.
pub fn to_wire(manifest: Value) -> Result<Struct, ConvertError> {
    structs::from_value(manifest).ok_or(ConvertError::Missing { field: "manifest" })
}

/// The kind and the key that a reference names; an empty namespace is `default`.
///
/// # Errors
/// If the kind is unknown, or namespace or name is no label.
pub fn reference(reference: &v1::ObjectRef) -> Result<(Kind, ObjectKey), ConvertError> {
    let kind: Kind = id("kind", &reference.kind)?;
    let namespace = if kind.is_cluster_scoped() {
        Namespace::default()
    } else {
        namespace(&reference.namespace)?
    };
    let name = id("name", &reference.name)?;
    Ok((kind, ObjectKey { namespace, name }))
}

/// A namespace; `default` if it is empty.
///
/// # Errors
/// If it is no label.
pub fn namespace(text: &str) -> Result<Namespace, ConvertError> {
    if text.is_empty() {
        return Ok(Namespace::default());
    }
    id("namespace", text)
}

/// A reference to an object.
pub fn to_reference(kind: Kind, key: &ObjectKey) -> v1::ObjectRef {
    v1::ObjectRef {
        kind: kind.as_str().to_owned(),
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use berth_core::spec::ConfigMap;

    use super::*;

    #[test]
    fn an_object_travels_in_the_shape_of_its_manifest() {
        let mut map = ConfigMap::default();
        map.metadata.name = "conf".to_owned();
        map.data.insert("a".to_owned(), "1".to_owned());
        let json = manifest(&Object::ConfigMap(map)).unwrap();
        assert_eq!(json["apiVersion"], "berth/v1");
        assert_eq!(json["kind"], "ConfigMap");
        assert_eq!(json["metadata"]["name"], "conf");
        assert_eq!(structs::to_value(to_wire(json.clone()).unwrap()), json);
    }

    #[test]
    fn references_name_kind_and_key() {
        let wire = |kind: &str, namespace: &str| v1::ObjectRef {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: "etcd".to_owned(),
        };
        let (kind, key) = reference(&wire("sts", "")).unwrap();
        assert_eq!(
            (kind, key.to_string().as_str()),
            (Kind::StatefulSet, "default/etcd")
        );
        assert_eq!(to_reference(kind, &key), wire("StatefulSet", "default"));
        assert!(reference(&wire("pod", "")).is_err());
        assert!(reference(&wire("sts", "Not a label")).is_err());
    }
}
