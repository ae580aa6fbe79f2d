//! The class that exists without an object, shown among those that operators wrote.

use berth_core::{spec::Object, volume::class::shown_built_in};
use berth_proto::{
    convert::object::{manifest, to_wire},
    v1,
};
use serde_json::json;

use super::status::ServiceError;
use crate::state::View;

/// The built-in class as an object that nobody stored; `None` if one of its name is stored.
pub(super) fn built_in(view: &View) -> Result<Option<v1::Object>, ServiceError> {
    let Some(class) = shown_built_in(&view.state.storage_classes) else {
        return Ok(None);
    };
    let mut json = manifest(&Object::StorageClass(class))?;
    if let Some(fields) = json.as_object_mut() {
        fields.insert("status".to_owned(), json!({"builtIn": true}));
    }
    Ok(Some(v1::Object {
        manifest: Some(to_wire(json)?),
        revision: 0,
    }))
}
