//! A request that is taken back before it was fulfilled: upstream's recovery of a failed expansion. A
//! volume never becomes smaller; only what was asked for beyond what it holds is given up.

use crate::{
    ids::{ClaimKey, SetKey},
    spec::{ClaimTemplate, StatefulSetSpec},
    state::{Claim, State},
};

/// The claims of a set whose request goes down with that of their template: those that asked for what
/// the template asked for, and whose volumes do not hold it yet. Who gave a claim another size than its
/// template meant that claim, and so it stays.
pub fn lowered(
    state: &State,
    set: &SetKey,
    before: &StatefulSetSpec,
    after: &StatefulSetSpec,
) -> Vec<(ClaimKey, Claim)> {
    let templates = before.volume_claim_templates.iter();
    let pairs = templates.zip(&after.volume_claim_templates);
    let less = pairs.filter(|(old, new)| new.spec.storage() < old.spec.storage());
    less.flat_map(|pair| of_template(state, set, pair))
        .collect()
}

fn of_template(
    state: &State,
    set: &SetKey,
    (old, new): (&ClaimTemplate, &ClaimTemplate),
) -> Vec<(ClaimKey, Claim)> {
    let name = &old.metadata.name;
    let own = state.claims_of(set);
    let own = own.filter(|(_, claim)| claim.template == *name);
    let open = own.filter(|(_, claim)| {
        let held = state.volume_of(claim).map(|volume| volume.capacity);
        let asked = claim.spec.storage();
        asked == old.spec.storage() && held.is_some_and(|held| held < asked)
    });
    let lowered = open.map(|(key, claim)| {
        let mut claim = claim.clone();
        claim.spec.resources.clone_from(&new.spec.resources);
        (key.clone(), claim)
    });
    lowered.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{assign, key, member, put_set, quantity, spec, state};

    #[test]
    fn what_no_volume_holds_yet_is_asked_for_no_more() {
        let mut state = state(3);
        let sized = |bytes| {
            let mut wanted = spec(3, true);
            wanted.volume_claim_templates[0].spec.resources.requests = quantity(bytes);
            wanted
        };
        put_set(&mut state, "db", sized(8));
        for ordinal in 0..3 {
            assign(&mut state, &member("db", ordinal));
        }
        // The first has all of it, the second a word of its own.
        for (name, held, asked) in [
            ("data-db-0", 8, 8),
            ("data-db-1", 4, 9),
            ("data-db-2", 4, 8),
        ] {
            let claim = state.claims.get_mut(&key(name)).unwrap();
            claim.spec.resources.requests = quantity(asked);
            let volume = claim.volume.clone().unwrap();
            state.volumes.get_mut(&volume).unwrap().capacity = held;
        }
        let lower = |bytes| lowered(&state, &key("db"), &sized(8), &sized(bytes));
        let found = lower(5);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, key("data-db-2"));
        assert_eq!(found[0].1.spec.storage(), 5);
        assert_eq!(lower(8), []);
        assert_eq!(lower(9), []);
    }
}
