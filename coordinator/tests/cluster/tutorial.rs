//! The usual tutorial of volumes made by hand: two volumes, two claims, and the set that uses them.

use crate::{
    agent::Agent,
    common::{Coordinator, set},
    verbs,
    volumes::{get, unchanged},
};

/// The volumes, the claims and the set, which has that name.
fn tutorial(name: &str) -> [String; 5] {
    let volume = |n: u32| {
        format!(
            "
kind: PersistentVolume
apiVersion: v1
metadata: {{name: {name}-pv-{n}, labels: {{app: {name}, ordinal: '{n}'}}}}
spec:
  capacity: {{storage: 10Gi}}
  accessModes: [ReadWriteOnce]
  storageClassName: manual
  nfs: {{server: nas, path: /exports/{name}/{n}}}
"
        )
    };
    let claim = |n: &str| {
        format!(
            "storageClassName: manual, accessModes: [ReadWriteOnce], \
             selector: {{matchLabels: {{app: {name}, ordinal: '{n}'}}}}, resources: {{requests: {{storage: 1Gi}}}}"
        )
    };
    let by_hand = |n: u32| {
        let claim = claim(&n.to_string());
        format!(
            "
kind: PersistentVolumeClaim
apiVersion: v1
metadata: {{name: data-{name}-{n}}}
spec: {{{claim}}}
"
        )
    };
    let set = set(name, 2, "").replace(
        "resources: {requests: {storage: 1Gi}}",
        &claim("{{ ordinal }}"),
    );
    [volume(1), volume(0), by_hand(1), by_hand(0), set]
}

#[tokio::test]
async fn claims_and_volumes_made_by_hand_are_bound_and_a_member_moves_with_its_share() {
    let coordinator = Coordinator::start().await;
    let _one = Agent::connect(&coordinator.endpoint(), "host-1").await;
    let whole = tutorial("web").join("---");
    coordinator.apply(&whole).await;
    let members = coordinator.ready("web", 2).await;
    for (n, member) in members.iter().enumerate() {
        let volume = &member.volumes[0];
        assert_eq!(volume.volume, format!("web-pv-{n}"));
        assert_eq!(volume.source, format!("nfs:nas:/exports/web/{n}"));
    }
    unchanged(&coordinator, &whole).await;
    let object = get(&coordinator, "pv", "web-pv-0").await.unwrap();
    assert_eq!(object["status"]["phase"], "Bound");
    assert_eq!(object["status"]["usedBy"][0], "default/web-0");
    assert_eq!(object["spec"]["claimRef"]["name"], "data-web-0");
    let _two = Agent::connect(&coordinator.endpoint(), "host-2").await;
    verbs::cordon(&coordinator, "host-1", true).await.unwrap();
    verbs::restart(&coordinator, "web-0", true).await.unwrap();
    let moved = verbs::again(&coordinator, &members[0]).await;
    assert_eq!(moved.host, "host-2");
    assert_eq!(moved.volumes[0].source, "nfs:nas:/exports/web/0");
    coordinator.stop().await;
}

/// All orders of a few things.
fn orders(of: &[usize]) -> Vec<Vec<usize>> {
    let Some((first, rest)) = of.split_first() else {
        return vec![Vec::new()];
    };
    let shorter = orders(rest).into_iter();
    let longer = shorter.flat_map(|order| {
        (0..=order.len()).map(move |at| {
            let mut order = order.clone();
            order.insert(at, *first);
            order
        })
    });
    longer.collect()
}

/// The n-th step of every order is applied at once, so that what a set lacks comes while it waits.
#[tokio::test]
async fn in_whatever_order_they_are_made_each_member_has_its_own_path() {
    let coordinator = Coordinator::start().await;
    let _agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    let orders = orders(&[0, 1, 2, 3, 4]);
    assert_eq!(orders.len(), 120);
    let sets: Vec<String> = (0..orders.len()).map(|n| format!("web{n}")).collect();
    for step in 0..5 {
        let next = sets.iter().zip(&orders);
        let next: Vec<String> = next
            .map(|(set, order)| tutorial(set)[order[step]].clone())
            .collect();
        // As many as one request may bring.
        for some in next.chunks(30) {
            coordinator.apply(&some.join("---")).await;
        }
    }
    for set in &sets {
        let members = coordinator.ready(set, 2).await;
        for (n, member) in members.iter().enumerate() {
            assert_eq!(
                member.volumes[0].source,
                format!("nfs:nas:/exports/{set}/{n}")
            );
        }
    }
    coordinator.stop().await;
}
