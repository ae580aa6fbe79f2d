//! What happens to one set: its object and its members, as one stream of changes.
//!
//! Both are needed. Members tell how a set gets on; only the object tells that the set is gone.

use berth_core::spec::Kind;
use berth_proto::v1;
use tonic::{Status, Streaming};

use crate::client::Coordinator;

/// One change.
#[derive(Debug)]
pub(crate) enum Change {
    /// A member as it is now.
    Member(Box<v1::MemberStatus>),
    /// A member that is gone.
    Gone(String),
    /// All members that existed at the beginning have been sent.
    Synced,
    /// The set's object changed, or is gone.
    Object,
}

/// The two streams.
#[derive(Debug)]
pub(crate) struct SetWatch {
    members: Streaming<v1::MemberEvent>,
    objects: Streaming<v1::WatchEvent>,
    name: String,
}

impl SetWatch {
    /// Begins to watch.
    pub(crate) async fn open(
        coordinator: &Coordinator,
        namespace: &str,
        name: &str,
    ) -> Result<Self, Status> {
        let members = coordinator
            .members()
            .watch(v1::WatchMembersRequest {
                namespace: namespace.to_owned(),
                set: name.to_owned(),
            })
            .await?
            .into_inner();
        let objects = coordinator
            .objects()
            .watch(v1::WatchRequest {
                kind: Kind::StatefulSet.as_str().to_owned(),
                namespace: namespace.to_owned(),
                after_revision: None,
            })
            .await?
            .into_inner();
        Ok(Self {
            members,
            objects,
            name: name.to_owned(),
        })
    }

    /// The next change.
    pub(crate) async fn next(&mut self) -> Result<Change, Status> {
        loop {
            tokio::select! {
                biased;
                event = self.members.message() => {
                    if let Some(change) = member_change(ended(event?)?) {
                        return Ok(change);
                    }
                }
                event = self.objects.message() => {
                    let event = ended(event?)?;
                    if event.r#ref.is_some_and(|reference| reference.name == self.name) {
                        return Ok(Change::Object);
                    }
                }
            }
        }
    }
}

/// A watch has no end of its own: one that ends was cut off.
pub(crate) fn ended<T>(message: Option<T>) -> Result<T, Status> {
    message.ok_or_else(|| Status::unavailable("the coordinator ended the stream"))
}

fn member_change(event: v1::MemberEvent) -> Option<Change> {
    if event.synced {
        return Some(Change::Synced);
    }
    let member = event.member?;
    Some(if event.deleted {
        Change::Gone(member.name)
    } else {
        Change::Member(Box::new(member))
    })
}
