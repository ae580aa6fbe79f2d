//! The templates of claims: the labels that a member's claim asks of its volume, what it begins with,
//! and the name of a claim's directory. They know less than a member's own templates: a claim is made before the
//! member has a host, and what it asks for may never change later.

use std::collections::BTreeMap;

use minijinja::Value;

use super::{
    RenderError,
    engine::{Engine, is_template},
};
use crate::{
    ids::{ClaimKey, IdError, MemberId, Ordinal, SetKey, check_label},
    spec::{
        ClaimTemplate, PersistentVolumeClaimSpec, StatefulSet, check_dir_name,
        validate::{MAX_REPLICAS, label_value},
    },
};

/// A claim's directory when its class does not say. No other claim has it: names and namespaces
/// contain no `_`.
const DEFAULT_DIR: &str = "{{ namespace }}_{{ claim }}";

/// The set whose members templates are tried out with when no other is known.
const SAMPLE: &str = "default/sample";

/// The names of the values.
const NAMES: [&str; 5] = ["namespace", "claim", "set", "member", "ordinal"];

/// What the templates of claims may refer to: `namespace`, `claim`, and for the claims of a set
/// `set`, `member` and `ordinal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimValues<'a> {
    /// The claim.
    pub claim: &'a ClaimKey,
    /// The member whose claim it is; `None` for one that no set made.
    pub member: Option<&'a MemberId>,
}

impl ClaimValues<'_> {
    fn context(&self) -> Value {
        let mut values = BTreeMap::from([
            ("namespace", Value::from(self.claim.namespace.as_str())),
            ("claim", Value::from(self.claim.name.as_str())),
        ]);
        if let Some(member) = self.member {
            values.insert("set", Value::from(member.set.name.as_str()));
            values.insert("member", Value::from(member.name()));
            values.insert("ordinal", Value::from(member.ordinal.0));
        }
        Value::from_pairs(values)
    }
}

/// What a member's claim asks for: the template's spec, with the values of its selector and the name
/// of its data source rendered. Nothing else of it is a template.
///
/// # Errors
/// The first value that cannot be rendered, or is no label's or no name; its field is that of the
/// claim.
pub fn claim_spec(
    spec: &PersistentVolumeClaimSpec,
    values: ClaimValues<'_>,
) -> Result<PersistentVolumeClaimSpec, RenderError> {
    let mut rendered = spec.clone();
    match render(&mut rendered, values).into_iter().next() {
        Some(error) => Err(error),
        None => Ok(rendered),
    }
}

/// Renders what is a template in a claim; everything that could not be.
fn render(spec: &mut PersistentVolumeClaimSpec, values: ClaimValues<'_>) -> Vec<RenderError> {
    let engine = Engine::new();
    let context = values.context();
    let rendered =
        |text: &str| unknown_value(&engine, text).and_then(|()| engine.render(text, &context));
    let mut errors = Vec::new();
    // An empty name is told elsewhere.
    if let Some(source) = spec
        .data_source
        .as_mut()
        .filter(|source| !source.name.is_empty())
    {
        let name = rendered(&source.name);
        let checked = |name: String| check_label(&name).map(|()| name).map_err(|e| e.to_string());
        match name.and_then(checked) {
            Ok(name) => source.name = name,
            Err(message) => errors.push(RenderError {
                field: "spec.dataSource.name".to_owned(),
                message,
            }),
        }
    }
    let Some(selector) = &mut spec.selector else {
        return errors;
    };
    let labels = selector.match_labels.iter_mut();
    let labels = labels.map(|(name, text)| (format!("matchLabels.{name}"), text));
    let expressions = selector.match_expressions.iter_mut().enumerate();
    let expressions = expressions.flat_map(|(i, one)| {
        let listed = one.values.iter_mut().enumerate();
        listed.map(move |(j, text)| (format!("matchExpressions[{i}].values[{j}]"), text))
    });
    for (field, text) in labels.chain(expressions) {
        match rendered(text).and_then(|value| label_value(&value).map(|()| value)) {
            Ok(value) => *text = value,
            Err(message) => errors.push(RenderError {
                field: format!("spec.selector.{field}"),
                message,
            }),
        }
    }
    errors
}

/// Looks for names that no claim has a value for, even where the values do not lead.
fn unknown_value(engine: &Engine, text: &str) -> Result<(), String> {
    let names = engine.refers_to(text)?;
    let root = |name: &String| name.split('.').next().unwrap_or_default().to_owned();
    match names
        .iter()
        .map(root)
        .find(|n| !NAMES.contains(&n.as_str()))
    {
        None => Ok(()),
        Some(name) => Err(format!(
            "there is no value '{name}' for a claim; use {}",
            NAMES.join(", ")
        )),
    }
}

/// Everything in a set's claim template that cannot be rendered, for the first
/// member and for the one with the longest name.
pub(crate) fn try_claim(set: &StatefulSet, template: &ClaimTemplate) -> Vec<RenderError> {
    if template.spec.selector.is_none() && template.spec.data_source.is_none() {
        return Vec::new();
    }
    // A name that is none is told elsewhere.
    let key = set.metadata.key().or_else(|_| SAMPLE.parse());
    let Ok(key) = key else { return Vec::new() };
    let mut found: Vec<RenderError> = Vec::new();
    let count = set.spec.replicas().clamp(1, MAX_REPLICAS);
    let mut ordinals = set.spec.ordinals.first(count);
    let (first, last) = (ordinals.next(), ordinals.next_back());
    for ordinal in first.into_iter().chain(last) {
        let member = MemberId {
            set: key.clone(),
            ordinal,
        };
        let Ok(claim) = member.claim(&template.metadata.name) else {
            continue;
        };
        let values = ClaimValues {
            claim: &claim,
            member: Some(&member),
        };
        for error in render(&mut template.spec.clone(), values) {
            if !found.iter().any(|one| one.field == error.field) {
                found.push(error);
            }
        }
    }
    found
}

/// Whether a class can name the directories of claims so: one plain name each, and not the same
/// for two members.
///
/// # Errors
/// What is wrong, for the operator.
pub(crate) fn try_sub_dir(text: &str) -> Result<(), String> {
    unknown_value(&Engine::new(), text)?;
    let set: SetKey = SAMPLE.parse().map_err(|e: IdError| e.to_string())?;
    let of = |ordinal: u32| {
        let member = MemberId {
            set: set.clone(),
            ordinal: Ordinal(ordinal),
        };
        let claim = member.claim("data").map_err(|e| e.to_string())?;
        let values = ClaimValues {
            claim: &claim,
            member: Some(&member),
        };
        sub_dir(text, values).map_err(|e| e.message)
    };
    let (first, second) = (of(0)?, of(1)?);
    if first == second {
        return Err(format!(
            "every claim would have directory '{first}'; use {{{{ claim }}}} or {{{{ member }}}}"
        ));
    }
    Ok(())
}

/// The name of a claim's directory. `text` is the `subDir` of its class; an empty one is the
/// default.
///
/// # Errors
/// If it cannot be rendered, or the result is not one plain name.
pub fn sub_dir(text: &str, values: ClaimValues<'_>) -> Result<String, RenderError> {
    let text = if text.is_empty() { DEFAULT_DIR } else { text };
    let name = if is_template(text) {
        Engine::new().render(text, &values.context())
    } else {
        Ok(text.to_owned())
    };
    name.and_then(|name| {
        check_dir_name(&name).map_err(|e| e.to_string())?;
        Ok(name)
    })
    .map_err(|message| RenderError {
        field: "parameters.subDir".to_owned(),
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{LabelExpression, LabelOperator, LabelSelector};

    fn of_member(n: u32) -> (ClaimKey, MemberId) {
        let member: MemberId = format!("prod/web-{n}").parse().unwrap();
        (member.claim("www").unwrap(), member)
    }

    fn selector(label: &str, listed: &str) -> PersistentVolumeClaimSpec {
        PersistentVolumeClaimSpec {
            storage_class_name: Some("{{ not a template }}".to_owned()),
            selector: Some(LabelSelector {
                match_labels: BTreeMap::from([("slot".to_owned(), label.to_owned())]),
                match_expressions: vec![LabelExpression {
                    key: "disk".to_owned(),
                    operator: LabelOperator::In,
                    values: vec!["ssd".to_owned(), listed.to_owned()],
                }],
            }),
            ..PersistentVolumeClaimSpec::default()
        }
    }

    #[test]
    fn the_values_of_a_selector_are_rendered_and_nothing_else() {
        let (claim, member) = of_member(7);
        let values = ClaimValues {
            claim: &claim,
            member: Some(&member),
        };
        let text = "{{ namespace }}-{{ set }}-{{ ordinal + 1 }}";
        let spec = claim_spec(&selector(text, "{{ claim }}.{{ member }}"), values).unwrap();
        assert_eq!(spec, selector("prod-web-8", "www-web-7.web-7"));
        assert_eq!(claim_spec(&spec, values).unwrap(), spec);
    }

    #[test]
    fn what_is_no_label_value_is_refused_with_its_field() {
        let (claim, member) = of_member(0);
        let values = ClaimValues {
            claim: &claim,
            member: Some(&member),
        };
        let error = |label, listed| {
            let refused = claim_spec(&selector(label, listed), values).unwrap_err();
            (refused.field, refused.message)
        };
        let (field, message) = error("{{ peers }}", "");
        assert_eq!(field, "spec.selector.matchLabels.slot");
        let known = "namespace, claim, set, member, ordinal";
        let expected = format!("there is no value 'peers' for a claim; use {known}");
        assert_eq!(message, expected);
        let (field, message) = error("x", "{{ 'a b' }}");
        assert_eq!(field, "spec.selector.matchExpressions[0].values[1]");
        assert!(
            message.starts_with("'a b' is not a label value"),
            "{message}"
        );
    }

    #[test]
    fn a_claim_has_a_directory_of_its_own() {
        let (claim, member) = of_member(2);
        let values = ClaimValues {
            claim: &claim,
            member: Some(&member),
        };
        assert_eq!(sub_dir("", values).unwrap(), "prod_www-web-2");
        let own = sub_dir("{{ set }}.{{ ordinal }}", values).unwrap();
        assert_eq!(own, "web.2");
        for text in [
            "{{ '..' }}",
            "a/{{ claim }}",
            "{{ '' }}",
            "{{ claim }}\n",
            "{{ x }}",
        ] {
            let error = sub_dir(text, values).unwrap_err();
            assert_eq!(error.field, "parameters.subDir", "{text}");
        }
        let by_hand = ClaimValues {
            claim: &claim,
            member: None,
        };
        assert_eq!(sub_dir("", by_hand).unwrap(), "prod_www-web-2");
        let error = sub_dir("{{ set }}-x", by_hand).unwrap_err();
        assert_eq!(error.message, "`set` is undefined");
    }
}
