//! What operators bring along from Kubernetes about users, privileges and resources, and what they are
//! told: all of it in one round.

use super::*;

#[test]
fn a_hardened_pod_is_told_in_one_round_where_each_part_goes() {
    let source = Source {
        file: "s.yaml".to_owned(),
        text: include_str!("../../../tests/manifests/kubernetes_security.yaml").to_owned(),
    };
    let violations = parse(&[source], "default").unwrap_err();
    let told: Vec<String> = violations
        .iter()
        .map(|one| {
            let field = one.field.strip_prefix("spec.template.spec.").unwrap();
            let advice = one.message.split_once("; ").unwrap();
            format!("{} {field}: {}", one.line.unwrap(), advice.1)
        })
        .collect();
    let moved = "write user, group, supplementalGroups and capabilities at each process, and \
                 readOnlyRootFilesystem in spec.template.spec";
    let owned = "remove it: a new volume belongs to the user of its process";
    let devices = "remove it and choose hosts that have it, with nodeSelector or requires";
    let expected = [
        format!("16 securityContext: {moved}"),
        "17 securityContext.runAsNonRoot: remove it: no process is root unless the policy of its \
         host allows it"
            .to_owned(),
        "18 securityContext.runAsUser: write user at the process".to_owned(),
        "19 securityContext.runAsGroup: write group at the process".to_owned(),
        format!("20 securityContext.fsGroup: {owned}"),
        format!("21 securityContext.fsGroupChangePolicy: {owned}"),
        "22 securityContext.supplementalGroups: write it at each process".to_owned(),
        "23 securityContext.seccompProfile: remove it: Berth does not have it".to_owned(),
        "25 securityContext.sysctls: set them on the hosts, and write requires in \
         spec.template.spec: agents look for them"
            .to_owned(),
        format!("32 processes[0].securityContext: {moved}"),
        "33 processes[0].securityContext.allowPrivilegeEscalation: remove it: no process ever gains \
         privileges (no_new_privs)"
            .to_owned(),
        "34 processes[0].securityContext.readOnlyRootFilesystem: write it in spec.template.spec: the \
         processes of a member see the same files"
            .to_owned(),
        "35 processes[0].securityContext.capabilities: write it at each process, with keep: all are \
         dropped but those that it names"
            .to_owned(),
        "39 processes[0].resources.claims: remove it: processes use the devices of the host"
            .to_owned(),
        "43 processes[0].resources.requests.memory: did you mean 64Mi?".to_owned(),
        "44 processes[0].resources.requests.ephemeral-storage: give a claim of \
         volumeClaimTemplates its size"
            .to_owned(),
        format!("46 processes[0].resources.limits.nvidia.com/gpu: {devices}"),
        format!("47 processes[0].resources.limits.hugepages-2Mi: {devices}"),
        "52 processes[1].capabilities.add: write keep: every capability is dropped but those that \
         it names"
            .to_owned(),
        "53 processes[1].capabilities.drop: remove it: every capability is dropped but those of keep"
            .to_owned(),
    ];
    assert_eq!(told, expected);
}
