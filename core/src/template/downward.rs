//! What a process can learn of its own member through its environment, by the paths of Kubernetes:
//! `fieldRef` and `resourceFieldRef`. The value is fixed at the start of the process.

use super::RenderError;
use crate::{
    order::RenderValues,
    quantity::{Quantity, QuantityError},
    spec::{FieldSelector, Process, ResourceFieldSelector},
};

/// A fact about a member.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fact<'a> {
    Name,
    Namespace,
    Host,
    Address,
    HostAddress,
    Label(&'a str),
    Annotation(&'a str),
}

/// Labels that every member has, as every pod of a StatefulSet does.
const INDEX: &str = "apps.kubernetes.io/pod-index";
const NAME: &str = "statefulset.kubernetes.io/pod-name";

const PATHS: &str = "use metadata.name, metadata.namespace, metadata.labels['KEY'], \
                     metadata.annotations['KEY'], spec.nodeName, status.podIP, status.podIPs, \
                     status.hostIP or status.hostIPs";

/// Looks whether there is such a fact.
///
/// # Errors
/// What to write instead.
pub(crate) fn check_field(path: &str) -> Result<(), String> {
    fact(path).map(drop)
}

fn fact(path: &str) -> Result<Fact<'_>, String> {
    let keyed = |list: &str| {
        let rest = path.strip_prefix(list)?.strip_prefix("['")?;
        rest.strip_suffix("']").filter(|key| !key.is_empty())
    };
    match path {
        "metadata.name" => return Ok(Fact::Name),
        "metadata.namespace" => return Ok(Fact::Namespace),
        "spec.nodeName" => return Ok(Fact::Host),
        "status.podIP" | "status.podIPs" => return Ok(Fact::Address),
        "status.hostIP" | "status.hostIPs" => return Ok(Fact::HostAddress),
        "metadata.uid" => {
            return Err("a member has no uid; use metadata.name, which stays the same".to_owned());
        }
        "spec.serviceAccountName" => {
            return Err("members have no account in Berth; remove it".to_owned());
        }
        _ => {}
    }
    if let Some(key) = keyed("metadata.labels") {
        return Ok(Fact::Label(key));
    }
    if let Some(key) = keyed("metadata.annotations") {
        return Ok(Fact::Annotation(key));
    }
    Err(format!("there is no field '{path}' of a member; {PATHS}"))
}

/// The text of a fact. A label that the member does not have is empty, as in Kubernetes.
pub(super) fn field(
    at: &str,
    selector: &FieldSelector,
    values: &RenderValues,
) -> Result<String, RenderError> {
    let at = format!("{at}.fieldPath");
    let fact = fact(&selector.field_path).map_err(|message| RenderError::new(at, message))?;
    Ok(match fact {
        Fact::Name => values.member.clone(),
        Fact::Namespace => values.namespace.clone(),
        Fact::Host => values.host.clone(),
        Fact::Address => values.address.clone(),
        Fact::HostAddress => values.host_address.clone(),
        Fact::Label(INDEX) => values.ordinal.to_string(),
        Fact::Label(NAME) => values.member.clone(),
        Fact::Label(key) => values.labels.get(key).cloned().unwrap_or_default(),
        Fact::Annotation(key) => values.annotations.get(key).cloned().unwrap_or_default(),
    })
}

/// How an amount is counted, so that parts of one are not lost before it is divided.
type Count = fn(&Quantity) -> Result<u64, QuantityError>;

/// The amount that a selector asks for, divided and rounded up.
///
/// # Errors
/// The field of the selector that is wrong, and what to do.
pub(crate) fn resource(
    selector: &ResourceFieldSelector,
    process: &Process,
) -> Result<u64, (&'static str, String)> {
    let name = selector.resource.as_str();
    let resources = &process.resources;
    let unknown = || {
        let message = format!(
            "there is no '{name}'; use limits.cpu, limits.memory, requests.cpu or requests.memory"
        );
        ("resource", message)
    };
    let (list, what) = name.split_once('.').ok_or_else(unknown)?;
    let amounts = match list {
        "limits" => &resources.limits,
        "requests" => &resources.requests,
        _ => return Err(unknown()),
    };
    let count: Count = match what {
        "cpu" => Quantity::milli,
        "memory" => Quantity::units,
        _ => return Err(unknown()),
    };
    let read = |field, text: &str| {
        let amount = text.parse().and_then(|quantity| count(&quantity));
        amount.map_err(|e: QuantityError| (field, e.to_string()))
    };
    let Some(text) = amounts.get(what) else {
        let message = format!("the process has no {name}; set resources.{name}");
        return Err(("resource", message));
    };
    let amount = read("resource", text)?;
    let divisor = match selector.divisor.as_deref() {
        // As `kubectl get -o yaml` prints one that was left out.
        None | Some("0") => read("divisor", "1")?,
        Some(text) => read("divisor", text)?,
    };
    if divisor == 0 {
        return Err(("divisor", "it is zero; give 1 or more".to_owned()));
    }
    Ok(amount.div_ceil(divisor))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_member_knows_itself_by_the_paths_of_kubernetes() {
        let values = RenderValues {
            namespace: "prod".to_owned(),
            member: "db-2".to_owned(),
            ordinal: 2,
            address: "192.0.2.7".to_owned(),
            host: "h1".to_owned(),
            host_address: "192.0.2.1".to_owned(),
            labels: BTreeMap::from([("app".to_owned(), "db".to_owned())]),
            annotations: BTreeMap::from([("a/b".to_owned(), "x".to_owned())]),
            ..RenderValues::default()
        };
        for (path, expected) in [
            ("metadata.name", "db-2"),
            ("metadata.namespace", "prod"),
            ("metadata.labels['app']", "db"),
            ("metadata.labels['none']", ""),
            ("metadata.labels['apps.kubernetes.io/pod-index']", "2"),
            (
                "metadata.labels['statefulset.kubernetes.io/pod-name']",
                "db-2",
            ),
            ("metadata.annotations['a/b']", "x"),
            ("spec.nodeName", "h1"),
            ("status.podIPs", "192.0.2.7"),
            ("status.hostIP", "192.0.2.1"),
        ] {
            let selector = FieldSelector {
                field_path: path.to_owned(),
                ..FieldSelector::default()
            };
            assert_eq!(field("f", &selector, &values).unwrap(), expected, "{path}");
        }
        for path in [
            "",
            "metadata.labels",
            "metadata.labels['']",
            "metadata.uid",
            "status.phase",
        ] {
            assert!(check_field(path).is_err(), "{path}");
        }
    }

    #[test]
    fn amounts_are_divided_and_rounded_up() {
        let mut process = Process::default();
        let limits = &mut process.resources.limits;
        limits.insert("cpu".to_owned(), "1500m".to_owned());
        limits.insert("memory".to_owned(), "1Gi".to_owned());
        let ask = |resource: &str, divisor: Option<&str>| {
            let selector = ResourceFieldSelector {
                resource: resource.to_owned(),
                divisor: divisor.map(str::to_owned),
            };
            super::resource(&selector, &process).map_err(|(field, _)| field)
        };
        assert_eq!(ask("limits.cpu", None), Ok(2));
        assert_eq!(ask("limits.cpu", Some("1m")), Ok(1500));
        assert_eq!(ask("limits.memory", Some("0")), Ok(1 << 30));
        assert_eq!(ask("limits.memory", Some("1Mi")), Ok(1024));
        assert_eq!(ask("limits.memory", Some("1G")), Ok(2));
        assert_eq!(ask("requests.cpu", None), Err("resource"));
        assert_eq!(ask("limits.disk", None), Err("resource"));
        assert_eq!(ask("limits.cpu", Some("0m")), Err("divisor"));
        assert_eq!(ask("limits.cpu", Some("x")), Err("divisor"));
    }
}
