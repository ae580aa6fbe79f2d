//! The order: what one agent is to have. Logically complete, with a generation and a hash; on the
//! wire and in the ledger it travels as the change against an earlier generation.
//!
//! An order leaves the agent no choice: every volume, address and value is in it. Rendering happens
//! on the agent before each start, from [`RenderValues`] alone.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    ids::{
        ClaimKey, ContentHash, Epoch, Generation, HistoryId, HostName, MemberId, Ordinal, SetKey,
        TemplateHash, Term, Uid,
    },
    lease::LeaseTerms,
    spec::{MemberSpec, Sealed},
    volume::{Ownership, VolumeSource},
};

pub(crate) mod group;

pub use group::{OrderGroup, grouped, ungrouped};

/// Names one order: nothing about it may differ under the same head.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderHead {
    /// The history of the store that it comes from.
    pub history: HistoryId,
    /// The coordinator's term.
    pub term: Term,
    /// Grows with every change for this host.
    pub generation: Generation,
    /// Hash over the complete order ([`order_hash`]).
    pub hash: ContentHash,
}

impl OrderHead {
    /// Whether it names an order. An agent that was welcomed and sent none follows a history and has no
    /// order of it.
    pub fn has_order(&self) -> bool {
        self.generation != Generation::default()
    }
}

/// A change of the order for one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderDelta {
    /// What the order is after the change.
    pub head: OrderHead,
    /// The generation that it changes; `None` if `upserts` is the complete order.
    pub base: Option<Generation>,
    /// Members that are new or changed.
    #[serde(with = "group::list")]
    pub upserts: Vec<MemberOrder>,
    /// Members that the host is to forget, once they are gone.
    pub removals: Vec<MemberId>,
}

impl OrderDelta {
    /// The order that this change makes of an earlier one: nothing is kept of it if the change is
    /// the complete order.
    pub fn apply_to(
        &self,
        earlier: &BTreeMap<MemberId, MemberOrder>,
    ) -> BTreeMap<MemberId, MemberOrder> {
        let mut members = if self.base.is_some() {
            earlier.clone()
        } else {
            BTreeMap::new()
        };
        for member in &self.removals {
            members.remove(member);
        }
        for order in &self.upserts {
            members.insert(order.member.clone(), order.clone());
        }
        members
    }
}

/// Hash over a complete order: SHA-256, in hexadecimal, of its members in the order of their ids, by
/// groups that have the same list of peers ([`grouped`]), each as one line of JSON. Both ends compute it
/// from their own copy, so that a lost or doubled change cannot go unnoticed.
pub fn order_hash(members: &BTreeMap<MemberId, MemberOrder>) -> ContentHash {
    let mut hasher = Sha256::new();
    for group in grouped(members.values()) {
        // Maps have text keys and there are no floats in an order, so this cannot fail; if it ever
        // did, both ends would hash the same empty line and the content check would still hold for
        // every other group.
        hasher.update(serde_json::to_vec(&group).unwrap_or_default());
        hasher.update(b"\n");
    }
    ContentHash(hex(&hasher.finalize()))
}

/// Bytes as lower-case hexadecimal text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// What the host is to do about one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberOrder {
    /// Which member.
    pub member: MemberId,
    /// Under which grant.
    pub epoch: Epoch,
    /// Run or stop.
    pub desired: Desired,
    /// The revision of the template.
    pub revision: TemplateHash,
    /// The lease that it rests on, if it may be started elsewhere when that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseTerms>,
    /// The sets that its own one needs: on a host that goes down their members stop after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<SetKey>,
    /// The unrendered template.
    pub template: Arc<MemberSpec>,
    /// What it is rendered with.
    pub values: RenderValues,
    /// The member's volumes, in the order of the claim templates.
    pub volumes: Vec<VolumeOrder>,
    /// The config objects that the template uses.
    pub config: ConfigData,
}

impl MemberOrder {
    /// The secrets in it.
    pub fn secrets_mut(&mut self) -> impl Iterator<Item = &mut Sealed> {
        let objects = self.config.secrets.values_mut();
        objects.flat_map(BTreeMap::values_mut)
    }
}

/// What the coordinator wants of a member on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Desired {
    /// Its processes run.
    Run,
    /// Its processes are gone and its volumes unmounted.
    Stop,
}

/// One member as its peers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// `<set>-<ordinal>`
    pub name: String,
    /// Its DNS name, without a final dot.
    pub fqdn: String,
    /// Its address; empty while it has none.
    pub address: String,
    /// Its number.
    pub ordinal: Ordinal,
    /// Labels of its host.
    pub host_labels: BTreeMap<String, String>,
}

/// The values of templates. A change of values alone never restarts a member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenderValues {
    /// The namespace.
    pub namespace: String,
    /// The set's name.
    pub set: String,
    /// `<set>-<ordinal>`
    pub member: String,
    /// The number.
    pub ordinal: u32,
    /// How many members are asked for.
    pub replicas: u32,
    /// The member's DNS name, without a final dot.
    pub fqdn: String,
    /// The member's address.
    pub address: String,
    /// All declared members in ordinal order, this one included. Shared: the members of a set on
    /// one host have the same list, and its length is the set's.
    pub peers: Arc<[Peer]>,
    /// The members that found the cluster, frozen before the first start.
    pub founders: Vec<Peer>,
    /// Whether this member is one of them and the cluster is still to be founded by it.
    pub founding: bool,
    /// Labels of the host.
    pub host_labels: BTreeMap<String, String>,
    /// The host's name.
    #[serde(default)]
    pub host: String,
    /// The host's own address.
    #[serde(default)]
    pub host_address: String,
    /// Labels of the member.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the member.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// The address of the epoch before, if it was another.
    pub previous_address: Option<String>,
}

/// One volume of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeOrder {
    /// The name that `volumeMounts` refer to: of a claim template, or of a shared volume.
    pub name: String,
    /// The claim.
    pub claim: ClaimKey,
    /// The claim's unique id: the owner record holds it.
    pub claim_uid: Uid,
    /// Where the data is.
    pub source: VolumeSource,
    /// How much was asked for, in bytes; 0 if nothing was said.
    #[serde(default)]
    pub capacity: u64,
    /// Whether a member was ever started on it: then an empty or missing volume is a fault.
    pub filled: bool,
    /// Whether data that is there, of whoever, is to become this claim's.
    #[serde(default)]
    pub adopt: bool,
    /// Whether nobody may write to it.
    #[serde(default)]
    pub read_only: bool,
    /// Whether it must be held to its size: its class says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub limited: bool,
    /// Whether other members use the same claim: then the owner record holds no epoch.
    #[serde(default)]
    pub shared: bool,
    /// Who owned its files when it was last started on, for volumes that hold no record themselves.
    #[serde(default)]
    pub owner: Option<Ownership>,
    /// The last move that began to take its data elsewhere and came to nothing, or came back: an owner
    /// record that knows of a later one forbids the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub departed: Option<Epoch>,
}

impl VolumeOrder {
    /// A new volume in a pool of a host, in a directory named after its claim.
    pub fn local(name: &str, claim: ClaimKey, claim_uid: Uid, host: HostName, pool: &str) -> Self {
        let dir = format!("{}_{}", claim.namespace, claim.name);
        Self {
            name: name.to_owned(),
            claim,
            claim_uid,
            source: VolumeSource::Local {
                host,
                pool: pool.to_owned(),
                dir,
            },
            capacity: 0,
            filled: false,
            adopt: false,
            read_only: false,
            limited: false,
            shared: false,
            owner: None,
            departed: None,
        }
    }
}

/// The content of the config objects that a template uses, by object name and key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigData {
    /// ConfigMaps.
    pub config_maps: BTreeMap<String, BTreeMap<String, String>>,
    /// Secrets, decoded.
    pub secrets: BTreeMap<String, BTreeMap<String, Sealed>>,
}
