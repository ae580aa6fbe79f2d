//! What a set that fails over can have for volumes: data in a pool of one host cannot be had on
//! another. Which class makes what is known only beside the other objects.

use super::{Objects, volume::Classes};
use crate::{
    ids::ObjectKey,
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
        }
    }
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
    use crate::admission::{Options, tests::World};

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
