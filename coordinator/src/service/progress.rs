//! How far a rollout is, in kubectl's words. Beyond what kubectl looks at it waits for members to be
//! available, and for those to be gone that are not wanted any more.

use berth_core::{
    ids::Ordinal,
    spec::UpdateKind,
    state::{Ordered, Set},
};
use berth_proto::v1;

/// How far the members of a set are. A change is seen in it as soon as it is acknowledged: the
/// newest revision is committed with the object.
pub(super) fn progress(set: &Set, members: &[v1::MemberStatus]) -> v1::RolloutStatus {
    let newest = set.revision.to_string();
    let wanted = |member: &&v1::MemberStatus| set.is_declared(Ordinal(member.ordinal));
    let leftover: Vec<&str> = members
        .iter()
        .filter(|member| !wanted(member))
        .map(|member| member.name.as_str())
        .collect();
    let lacks = |holds: &dyn Fn(&v1::MemberStatus) -> bool| {
        let lacking = members.iter().filter(wanted);
        lacking.filter(|member| !holds(member)).count()
    };
    let size = members.iter().filter(wanted).count();
    // One that is to stop is as good as gone.
    let stops = |member: &v1::MemberStatus| {
        let own = set.members.get(&Ordinal(member.ordinal));
        own.is_some_and(|own| own.ordered == Ordered::Stop)
    };
    let unready = lacks(&|member| member.ready && !stops(member));
    let old = lacks(&|member| member.revision == newest || !set.updates(Ordinal(member.ordinal)));
    let unavailable = lacks(&|member| member.available);
    let message = if set.deleting.is_some() {
        "the set is being deleted".to_owned()
    } else if set.orphaned.is_some() {
        "nothing is rolled out: the set was deleted without its members, and they run on as they are; \
         apply a set of the name to take them back"
            .to_owned()
    } else if unready > 0 {
        format!("waiting for {unready} members to be ready")
    } else if old > 0 && set.spec.is_paused() {
        let updated = size - old;
        format!(
            "the rollout is paused: {updated} of {size} members have been updated; 'berth rollout \
             resume' lets it go on"
        )
    } else if old > 0 {
        let updated = size - old;
        format!("waiting for the rollout to finish: {updated} of {size} members have been updated")
    } else if unavailable > 0 {
        format!("waiting for {unavailable} members to be available")
    } else if !leftover.is_empty() {
        format!("waiting for {} to be gone", leftover.join(", "))
    } else {
        let updated = size - lacks(&|member| member.revision == newest);
        let message = if updated == size {
            format!("rollout complete: {size} members at revision {newest}")
        } else if set.spec.update_kind() == UpdateKind::OnDelete {
            format!(
                "nothing to wait for: the strategy is OnDelete, {updated} of {size} members have \
                 revision {newest}, and each of the others gets it with 'berth member restart'"
            )
        } else {
            format!(
                "rollout complete: {updated} of {size} members at revision {newest}, the others \
                 keep theirs"
            )
        };
        return v1::RolloutStatus {
            done: true,
            message,
        };
    };
    v1::RolloutStatus {
        done: false,
        message,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use berth_core::{
        ids::{TemplateHash, ZoneSerial},
        spec::{StatefulSetSpec, UpdateStrategy},
        state::Member,
        time::Timestamp,
    };

    use super::*;

    fn set(replicas: i64) -> Set {
        let spec = StatefulSetSpec {
            replicas: Some(replicas),
            ..StatefulSetSpec::default()
        };
        Set {
            spec: Arc::new(spec),
            revision: TemplateHash("new".to_owned()),
            ..Set::default()
        }
    }

    fn member(ordinal: u32, revision: &str, ready: bool, available: bool) -> v1::MemberStatus {
        v1::MemberStatus {
            ordinal,
            name: format!("db-{ordinal}"),
            revision: revision.to_owned(),
            ready,
            available,
            ..v1::MemberStatus::default()
        }
    }

    #[test]
    fn what_a_rollout_waits_for_is_said_in_order() {
        let two = |first: v1::MemberStatus| [first, member(1, "new", true, true)];
        for (members, message) in [
            (
                two(member(0, "old", false, false)),
                "waiting for 1 members to be ready",
            ),
            (
                two(member(0, "old", true, true)),
                "waiting for the rollout to finish: 1 of 2 members have been updated",
            ),
            (
                two(member(0, "new", true, false)),
                "waiting for 1 members to be available",
            ),
        ] {
            let status = progress(&set(2), &members);
            assert_eq!((status.done, status.message.as_str()), (false, message));
        }
        let mut set_of_two = set(2);
        let stops = Member {
            epoch: "1.1".parse().unwrap(),
            host: "host-1".parse().unwrap(),
            address: "10.0.0.1".parse().unwrap(),
            revision: set_of_two.revision.clone(),
            ordered: Ordered::Stop,
            assigned_at: Timestamp(0),
            named_in: ZoneSerial(0),
            passed_gate: true,
            previous_address: None,
            restart_asked: None,
            forced: None,
            lease: None,
            conditions: BTreeMap::new(),
        };
        set_of_two.members.insert(Ordinal(1), stops);
        let status = progress(&set_of_two, &two(member(0, "new", true, true)));
        assert_eq!(status.message, "waiting for 1 members to be ready");
        let done = two(member(0, "new", true, true));
        let status = progress(&set(2), &done);
        assert!(status.done);
        assert_eq!(
            status.message,
            "rollout complete: 2 members at revision new"
        );
        let mut on_delete = set(2);
        let strategy = UpdateStrategy {
            kind: UpdateKind::OnDelete,
            rolling_update: None,
        };
        Arc::make_mut(&mut on_delete.spec).update_strategy = Some(strategy);
        let status = progress(&on_delete, &two(member(0, "old", true, true)));
        assert!(status.done);
        assert!(
            status.message.contains("OnDelete, 1 of 2 members"),
            "{}",
            status.message
        );
        let status = progress(&set(1), &done);
        assert_eq!(
            (status.done, status.message.as_str()),
            (false, "waiting for db-1 to be gone")
        );
    }

    #[test]
    fn what_holds_a_rollout_is_said() {
        let done = [member(0, "new", true, true), member(1, "new", true, true)];
        let mut paused = set(2);
        Arc::make_mut(&mut paused.spec).paused = Some(true);
        assert!(progress(&paused, &done).done);
        let status = progress(
            &paused,
            &[member(0, "old", true, true), member(1, "new", true, true)],
        );
        assert!(!status.done);
        assert!(
            status.message.starts_with("the rollout is paused: 1 of 2"),
            "{}",
            status.message
        );
        let mut orphaned = set(2);
        orphaned.orphaned = Some(Timestamp(0));
        let status = progress(&orphaned, &done);
        assert!(!status.done);
        assert!(
            status.message.starts_with("nothing is rolled out"),
            "{}",
            status.message
        );
    }
}
