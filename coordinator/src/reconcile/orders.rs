//! Orders to the agents: recorded first, then sent. An order is the change against what the stream
//! was sent before; the first one of a stream is complete, unless the agent has the newest already.

use std::{collections::BTreeSet, sync::Arc};

use berth_core::{
    ids::{Generation, HostName},
    order::{OrderDelta, OrderHead},
    session::Base,
    state::{
        State,
        orders::{delta, host_order, order_hash, snapshot},
    },
    store::{Batch, RecordKind},
};
use berth_proto::v1::{Order, coordinator_message::Message};

use super::{Links, RoundError};
use crate::{
    context::Context,
    sessions::{Link, SentOrder},
    state::{
        View,
        keys::host_key,
        records::{OrderRecord, put},
    },
    store::RecordError,
};

/// Hosts whose orders are recorded in one commit.
const GROUP: usize = 50;

/// An order that may be sent once it is recorded.
#[derive(Debug)]
pub(super) struct Send {
    host: HostName,
    stream: u64,
    order: SentOrder,
    /// What goes out; nothing if the agent has the order already.
    change: Option<OrderDelta>,
}

/// What one host is to be sent so that it has what follows from a state. `None` if it has it. A
/// new order is put into the batch.
pub(super) fn next(
    view: &View,
    after: &State,
    host: &HostName,
    link: &Link,
    batch: &mut Batch,
) -> Result<Option<Send>, RecordError> {
    let members = host_order(after, host);
    let has_it_by_now = |order: &SentOrder| *order.members == members;
    if !link.behind && link.order.as_ref().is_some_and(has_it_by_now) {
        return Ok(None);
    }
    let none = OrderRecord::default();
    let recorded = view.sent.get(host).unwrap_or(&none);
    let hash = order_hash(&members);
    let never_sent = recorded.orders.is_empty() && members.is_empty();
    // What an agent has of a former history was taken in; who has nothing gets nothing of one.
    let same = hash == recorded.head.hash && recorded.head.history == after.history;
    let head = if same || never_sent {
        recorded.head.clone()
    } else {
        let head = OrderHead {
            history: after.history.clone(),
            term: after.term,
            generation: recorded.head.generation.next(),
            hash,
        };
        let key = host_key(RecordKind::Order, host)?;
        batch.preconditions.insert(key.clone(), view.as_known(&key));
        put(batch, key, &recorded.with(head.clone(), link.acked))?;
        head
    };
    let change = match &link.order {
        Some(sent) => Some(delta(&sent.head, &sent.members, head.clone(), &members)),
        None if has_it(link, &head) => None,
        None => Some(snapshot(head.clone(), &members)),
    };
    let order = SentOrder {
        head,
        members: Arc::new(members),
    };
    Ok(Some(Send {
        host: host.clone(),
        stream: link.stream,
        order,
        change,
    }))
}

/// Whether the agent came with this order in its ledger, or came with none and none was ever sent.
fn has_it(link: &Link, head: &OrderHead) -> bool {
    match link.base {
        Base::Generation(generation) => {
            generation == head.generation && link.hello.hash == head.hash
        }
        Base::Complete => head.generation == Generation::default(),
    }
}

/// Sends orders that are recorded; to an agent that reads slowly later, what it lacks by then.
pub(super) fn send(context: &Context, sends: Vec<Send>) {
    for send in sends {
        let message = send.change.map(Order::try_from).transpose();
        let messages = match message {
            Ok(order) => order.map(Message::Order).into_iter().collect(),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(host = %send.host, error, "an order cannot be written");
                continue;
            }
        };
        let (sessions, order) = (&context.sessions, send.order);
        let sent = sessions.offer(&send.host, send.stream, messages, |link| {
            link.order = Some(order);
            link.behind = false;
        });
        if !sent {
            sessions.update(&send.host, send.stream, Vec::new(), |link| {
                link.behind = true;
            });
        }
    }
}

/// Records and sends what is not what it should be: for all hosts if objects or hosts changed, else
/// for streams that are new and hosts of the sets that were touched. Whether any order was recorded:
/// a host that has one to answer is another host to who plans.
pub(super) async fn bring_up_to_date(context: &Context) -> Result<bool, RoundError> {
    let hosts: Vec<HostName> = {
        let mut view = context.view.write();
        let all = std::mem::take(&mut view.orders_stale);
        let touched = std::mem::take(&mut view.touched);
        let links = context.sessions.links();
        let wanted = touched_hosts(&view.state, &touched);
        let due = |(host, link): &(&HostName, &Link)| {
            all || link.order.is_none() || link.behind || wanted.contains(*host)
        };
        links
            .iter()
            .filter(due)
            .map(|(host, _)| host.clone())
            .collect()
    };
    let mut recorded = false;
    for group in hosts.chunks(GROUP) {
        let (batch, sends) = {
            let view = context.view.read();
            prepare(&view, &context.sessions.links(), group)?
        };
        if !batch.is_empty() {
            // Only this loop writes orders, so there is no conflict to expect; whatever fails here
            // is tried again with everything else.
            if let Err(error) = context.store.commit(batch).await {
                context.view.write().orders_stale = true;
                return Err(error.into());
            }
            recorded = true;
        }
        send(context, sends);
    }
    Ok(recorded)
}

fn prepare(
    view: &View,
    links: &Links,
    hosts: &[HostName],
) -> Result<(Batch, Vec<Send>), RecordError> {
    let mut batch = Batch::default();
    let mut sends = Vec::new();
    for host in hosts {
        if let Some(link) = links.get(host) {
            sends.extend(next(view, &view.state, host, link, &mut batch)?);
        }
    }
    Ok((batch, sends))
}

fn touched_hosts(state: &State, touched: &BTreeSet<berth_core::ids::SetKey>) -> BTreeSet<HostName> {
    let sets = touched.iter().filter_map(|key| state.sets.get(key));
    sets.flat_map(|set| set.members.values().map(|member| member.host.clone()))
        .collect()
}

/// The hosts that have a synced stream.
pub(super) fn synced(links: &Links) -> impl Iterator<Item = (&HostName, &Link)> {
    links.iter().filter(|(_, link)| link.order.is_some())
}

#[cfg(test)]
impl Send {
    pub(super) fn host(&self) -> &HostName {
        &self.host
    }

    pub(super) fn change(&self) -> Option<&OrderDelta> {
        self.change.as_ref()
    }

    pub(super) fn order(&self) -> &SentOrder {
        &self.order
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use berth_core::{
        ids::{HistoryId, Term},
        store::{Keep, Model},
    };

    use super::*;

    #[test]
    fn who_joins_anew_gets_no_order_of_a_former_history() {
        let keep = Keep {
            commits: 1,
            events: 1,
        };
        let history = HistoryId("new".to_owned());
        let mut view = View::load(&Model::new(keep), &history, Term(2), "berth.internal");
        let host: HostName = "host-1".parse().unwrap();
        let former = OrderHead {
            history: HistoryId("former".to_owned()),
            term: Term(1),
            generation: Generation(3),
            hash: order_hash(&BTreeMap::new()),
        };
        let none = Generation::default();
        let record = OrderRecord::default().with(former, none);
        view.sent.insert(host.clone(), record);
        let link = Link {
            stream: 1,
            base: Base::Complete,
            hello: OrderHead::default(),
            order: None,
            acked: none,
            zone: None,
            work: BTreeMap::new(),
            behind: false,
        };
        let mut batch = Batch::default();
        let send = next(&view, &view.state, &host, &link, &mut batch);
        let sent = send.unwrap().unwrap();
        let head = &sent.order.head;
        assert_eq!((&head.history, head.generation), (&history, Generation(4)));
        assert!(sent.change.is_some_and(|order| order.head == *head));
        assert_eq!(batch.puts.len(), 1, "it is recorded before it is sent");
    }
}
