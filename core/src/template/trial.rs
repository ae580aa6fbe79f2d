//! Trying templates out before anything is stored: with sample values, as the first member that
//! founds and as the last that does not. What cannot be rendered then is refused at apply, not
//! found on a host at night.

use super::{
    RenderError,
    engine::Engine,
    texts,
    values::{NAMES, sample},
};
use crate::spec::MemberSpec;

/// Every template text of a member that cannot be rendered, and why.
pub fn try_out(spec: &MemberSpec, namespace: &str, set: &str, replicas: u32) -> Vec<RenderError> {
    let engine = Engine::new();
    let samples = [
        sample(namespace, set, 0, true),
        sample(namespace, set, replicas.clamp(1, 3) - 1, false),
    ];
    texts(spec)
        .into_iter()
        .filter_map(|text| {
            let outcome = unknown_name(&engine, text.text).and_then(|()| {
                samples
                    .iter()
                    .try_for_each(|values| engine.render(text.text, values).map(|_| ()))
            });
            outcome
                .err()
                .map(|message| RenderError::new(text.field, message))
        })
        .collect()
}

/// Looks for unknown names even where the sample values do not lead.
fn unknown_name(engine: &Engine, text: &str) -> Result<(), String> {
    let names = engine.refers_to(text)?;
    let unknown = names.iter().find(|name| {
        let root = name.split('.').next().unwrap_or(name);
        !NAMES.contains(&root)
    });
    unknown.map_or(Ok(()), |name| {
        let known: Vec<&str> = NAMES
            .into_iter()
            .filter(|name| !["previousAddress", "config_dir", "host"].contains(name))
            .collect();
        Err(format!(
            "there is no value '{name}'; use {} or host.labels.<name>",
            known.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Process;

    fn errors(args: &[&str]) -> Vec<String> {
        let spec = MemberSpec {
            processes: vec![Process {
                args: args.iter().map(ToString::to_string).collect(),
                ..Process::default()
            }],
            ..MemberSpec::default()
        };
        try_out(&spec, "default", "db", 3)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn every_documented_value_can_be_used() {
        let none: [String; 0] = [];
        assert_eq!(
            errors(&[
                "{{ namespace }}/{{ set }}/{{ member }}/{{ ordinal + 1 }}/{{ replicas }}",
                "{{ fqdn }} {{ address }} {{ configDir }} {{ config_dir }}",
                "{{ host.labels.rack }} {{ host.labels['topology/zone'] }}",
                "{% for p in peers %}{{ p.name }}{{ p.fqdn }}{{ p.address }}{{ p.ordinal }}\
                 {{ p.host.labels.rack }}{{ loop.index }}{% endfor %}",
                "{{ 'new' if founding else 'existing' }} {{ founders | map(attribute='fqdn') | \
                 join(',') }}",
                "{% if previous_address %}{{ previous_address }}{% endif %}",
            ]),
            none
        );
    }

    #[test]
    fn all_texts_that_fail_are_named() {
        assert_eq!(
            errors(&[
                "ok",
                "{{ nmae }}",
                "{% if not founding %}{{ host.name }}{% endif %}",
                "{% if false %}{{ peer }}{% endif %}",
                "{{ previous_address }}",
                "{{ founders[9].fqdn }}",
            ]),
            [
                "spec.template.spec.processes[0].args[1]: there is no value 'nmae'; use namespace, \
                 set, member, ordinal, replicas, fqdn, address, peers, founders, founding, \
                 previous_address, configDir or host.labels.<name>",
                "spec.template.spec.processes[0].args[2]: `host.name` is undefined",
                "spec.template.spec.processes[0].args[3]: there is no value 'peer'; use namespace, \
                 set, member, ordinal, replicas, fqdn, address, peers, founders, founding, \
                 previous_address, configDir or host.labels.<name>",
                "spec.template.spec.processes[0].args[4]: the value is none; test it with 'if' \
                 before it is printed",
                "spec.template.spec.processes[0].args[5]: `founders[9]` is undefined",
            ]
        );
    }
}
