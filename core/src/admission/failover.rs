//! What a set that fails over can have: no volumes in a pool of one host, which cannot be had on
//! another, and no grace that its lease has no room for. Which class makes what is known only beside
//! the other objects, and how long leases are is in the coordinator's configuration.

use super::{Existing, Objects, volume::Classes};
use crate::{
    ids::ObjectKey,
    lease::longest_grace,
    manifest::{ParsedObject, Violation},
    spec::{FailurePolicy, Kind, Object, StatefulSet},
};

/// Checks the new sets.
pub(super) fn check(
    classes: &Classes<'_>,
    after: &Objects,
    new: &[ParsedObject],
    violations: &mut Vec<Violation>,
) {
    for parsed in new {
        let Object::StatefulSet(set) = &parsed.object else {
            continue;
        };
        if set.spec.failure_policy == FailurePolicy::Failover {
            let refused =
                local_templates(classes, set).chain(local_claims(classes, after, &parsed.key, set));
            violations.extend(refused.map(|field| {
                let message = "its volume lies in a pool of one host, so a member cannot fail over \
                               to another; give a class of NFS volumes, or write failurePolicy: Hold";
                parsed.violation(&field, message)
            }));
            let grace = grace(classes.existing(), &parsed.key, set);
            violations.extend(grace.map(|text| parsed.violation("spec.fenceGrace", &text)));
        }
    }
}

/// What is wrong with the grace of a set. One that was right when it was stored stands, although
/// leases are shorter by now: the plan warns of it, and other changes are not held up.
fn grace(existing: Existing<'_>, key: &ObjectKey, set: &StatefulSet) -> Option<String> {
    let lease = existing.leases.too_short_for(&set.spec)?;
    let lengths = |set: &StatefulSet| {
        let spec = &set.spec;
        let grace = spec.fence_grace.clone();
        (spec.failure_policy, spec.lease_class(), grace)
    };
    let before = existing.objects.get(&(Kind::StatefulSet, key.clone()));
    if let Some(Object::StatefulSet(before)) = before
        && lengths(before) == lengths(set)
    {
        return None;
    }
    let given = set.spec.fence_grace.as_deref().unwrap_or_default();
    Some(format!(
        "{given} is half of the lease of {lease:?} or more, so a member would be stopped after one \
         renewal that comes late; give {:?} or less, or a longer leaseClass",
        longest_grace(lease)
    ))
}

fn local_templates(classes: &Classes<'_>, set: &StatefulSet) -> impl Iterator<Item = String> {
    let templates = set.spec.volume_claim_templates.iter().enumerate();
    templates
        .filter(|(_, template)| classes.is_local(&template.spec))
        .map(|(i, _)| format!("spec.volumeClaimTemplates[{i}].spec.storageClassName"))
}

fn local_claims(
    classes: &Classes<'_>,
    after: &Objects,
    key: &ObjectKey,
    set: &StatefulSet,
) -> impl Iterator<Item = String> {
    let volumes = set.spec.template.spec.volumes.iter().enumerate();
    volumes.filter_map(move |(i, volume)| {
        let claim = ObjectKey {
            namespace: key.namespace.clone(),
            name: volume.persistent_volume_claim.claim_name.parse().ok()?,
        };
        let claim = after.get(&(Kind::PersistentVolumeClaim, claim))?;
        let Object::PersistentVolumeClaim(claim) = claim else {
            return None;
        };
        let field = format!("spec.template.spec.volumes[{i}].persistentVolumeClaim.claimName");
        classes.is_local(&claim.spec).then_some(field)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        admission::{Options, tests::World},
        lease::Leases,
    };

    const SET: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  failurePolicy: Failover
  template:
    spec:
      processes:
      - {name: nginx, command: [/bin/nginx], user: www-data}
";

    #[test]
    fn data_of_one_host_cannot_fail_over() {
        let world = World::default();
        let admit = |text: &str| world.try_apply(text, Options::default());
        admit(SET).unwrap();
        let template = "  volumeClaimTemplates:\n  - {metadata: {name: www}, spec: {resources: \
                        {requests: {storage: 1Gi}}}}\n";
        let refused = admit(&format!("{SET}{template}")).unwrap_err().join("\n");
        let expected = "spec.volumeClaimTemplates[0].spec.storageClassName: its volume lies in";
        assert!(refused.contains(expected), "{refused}");
        let nfs = "---\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: nas, \
                   annotations: {storageclass.kubernetes.io/is-default-class: \"true\"}}\n\
                   provisioner: nfs\nparameters: {server: nas, share: /exports}\n";
        admit(&format!("{SET}{template}{nfs}")).unwrap();
    }

    fn graced(class: &str, grace: &str) -> String {
        let fields = format!("  leaseClass: {class}\n  fenceGrace: {grace}\n  template:");
        SET.replacen("  template:", &fields, 1)
    }

    #[test]
    fn a_grace_is_held_against_the_lease_that_is_configured() {
        let configured = Leases {
            default: Duration::from_secs(60),
            fast: Duration::from_secs(1),
            ..Leases::default()
        };
        for (leases, class, grace, told) in [
            (Leases::default(), "Fast", "1400ms", None),
            (
                Leases::default(),
                "Fast",
                "1500ms",
                Some("the lease of 3s or more"),
            ),
            (
                Leases::default(),
                "Default",
                "8s",
                Some("give 7.499s or less"),
            ),
            (Leases::default(), "Default", "0s", None),
            (configured, "Default", "20s", None),
            (
                configured,
                "Default",
                "30s",
                Some("the lease of 60s or more"),
            ),
            (
                configured,
                "Fast",
                "1400ms",
                Some("the lease of 1s or more"),
            ),
            (configured, "Fast", "499ms", None),
        ] {
            let mut world = World::default();
            world.leases = leases;
            let admitted = world.try_apply(&graced(class, grace), Options::default());
            let refused = admitted.err().unwrap_or_default().join("\n");
            let expected = told.map_or_else(String::new, |_| {
                format!("spec.fenceGrace: {grace} is half of the lease of")
            });
            assert!(refused.contains(&expected), "{grace}: {refused}");
            assert!(refused.contains(told.unwrap_or_default()), "{refused}");
            assert_eq!(refused.is_empty(), told.is_none(), "{refused}");
        }
    }

    #[test]
    fn a_stored_grace_stands_when_leases_become_shorter() {
        let mut world = World::default();
        world.apply(&graced("Default", "7s")).unwrap();
        world.leases.default = Duration::from_secs(10);
        let more = graced("Default", "7s").replace("/bin/nginx", "/bin/other");
        world.apply(&more).unwrap();
        let longer = world.try_apply(&graced("Default", "8s"), Options::default());
        assert!(longer.is_err());
    }

    #[test]
    fn a_claim_of_one_host_that_all_members_use_cannot_either() {
        let shared = SET.replace(
            "      processes:",
            "      volumes:\n      - {name: all, persistentVolumeClaim: {claimName: all}}\n      \
             processes:",
        );
        let claim = "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: all}\n\
                     spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 1Gi}}}\n";
        let text = format!("{shared}{claim}");
        let refused = World::default().try_apply(&text, Options::default());
        let refused = refused.unwrap_err().join("\n");
        let expected = "spec.template.spec.volumes[0].persistentVolumeClaim.claimName: its volume";
        assert!(refused.contains(expected), "{refused}");
    }
}
