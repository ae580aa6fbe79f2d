//! Rules about the sets that a set depends on, as far as one manifest tells. Cycles are the business
//! of admission, which sees all sets.

use super::Problems;
use crate::{ids::Namespace, spec::StatefulSet};

pub(super) fn check(problems: &mut Problems, set: &StatefulSet) {
    let namespace: Namespace = set.metadata.namespace.parse().unwrap_or_default();
    let mut seen = Vec::new();
    for (i, one) in set.spec.depends_on.iter().enumerate() {
        let field = format!("spec.dependsOn[{i}].set");
        let Some(key) = one.key(&namespace) else {
            let message = format!(
                "'{}' is no set; give NAME, or NAMESPACE/NAME for one of another namespace",
                one.set
            );
            problems.add(field, message);
            continue;
        };
        if seen.contains(&key) {
            problems.add(field, format!("{key} is there twice; keep one of them"));
        }
        seen.push(key);
    }
}
