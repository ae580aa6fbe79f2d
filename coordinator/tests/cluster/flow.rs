//! Streams that are not read: what waits for an agent is bounded, and one that reads again gets what it
//! lacks, not all that happened meanwhile.

use std::sync::Arc;

use crate::{agent::Agent, common::Coordinator};

/// Sets with so much config each come to far more than what the sockets on the way hold.
const SETS: usize = 60;
const CONFIG: usize = 100 << 10;

/// A set of one member with much config of its own.
fn heavy(number: usize) -> String {
    let filling = "x".repeat(CONFIG);
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: c{number} }}\ndata: {{ filling: {filling} }}\n\
         ---\napiVersion: berth/v1\nkind: StatefulSet\nmetadata: {{ name: s{number} }}\nspec:\n  \
         replicas: 1\n  template:\n    spec:\n      processes:\n      - name: main\n        \
         command: [/bin/true]\n        user: nobody\n        envFrom: [{{ configMapRef: {{ name: \
         c{number} }} }}]\n"
    )
}

#[tokio::test]
async fn an_agent_that_reads_nothing_for_a_while_gets_what_it_lacks_in_one_order() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&heavy(0)).await;
    coordinator.ready("s0", 1).await;
    let (before, reading) = {
        let ledger = agent.ledger.lock().unwrap();
        (ledger.orders, Arc::clone(&ledger.reading))
    };
    let pause = reading.lock().await;
    for number in 1..SETS {
        coordinator.apply(&heavy(number)).await;
    }
    drop(pause);
    for number in 1..SETS {
        coordinator.ready(&format!("s{number}"), 1).await;
    }
    let (orders, complete) = {
        let ledger = agent.ledger.lock().unwrap();
        (ledger.orders - before, ledger.complete_orders)
    };
    // As many as the sockets on the way hold, and one.
    let sets = u32::try_from(SETS).unwrap();
    assert!(orders < sets * 3 / 4, "{orders} orders for {SETS} changes");
    assert_eq!(complete, 1, "it lost no stream");
    coordinator.stop().await;
}
