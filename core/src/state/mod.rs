//! What the coordinator knows: what it decided (durable) and what agents reported (not durable).
//!
//! [`State`] is the whole input of [`crate::plan::plan`]. What the store keeps is written at each
//! type; the rest is rebuilt from the agents' reports after a start.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    history::Past,
    ids::{
        ClaimKey, ContentHash, Epoch, HistoryId, HostName, MemberId, ObjectKey, Ordinal, SetKey,
        TemplateHash, Term, Uid, ZoneSerial,
    },
    keeper::cgroup::Controller,
    lease::{LeaseTerms, Leases},
    map::Map,
    memo::Memo,
    order::{Desired, Peer},
    report::{MemberReport, Phase},
    spec::{
        AccessMode, AddressPool, ConfigMap, ConfigUpdate, OnChange, PersistentVolume,
        PersistentVolumeClaimSpec, ReclaimPolicy, Secret, Service, StatefulSetSpec, StorageClass,
        VolumeSnapshot,
    },
    time::Timestamp,
    volume::{Ownership, PoolInfo, VolumeSource},
    zone::Tally,
};

pub mod apply;
mod contact;
mod copies;
mod directives;
mod fencing;
mod gates;
mod grants;
mod index;
mod known;
pub mod leaving;
pub mod lost;
pub mod moving;
pub mod names;
pub mod orders;
mod revision;
pub mod rollout;

pub use contact::Contact;
pub use directives::{ConfirmedDead, Draining, HostDirectives, Offline, OwnHost};
pub use fencing::{Enforcement, Fenced, Fences};
pub use gates::MemberCondition;
pub use grants::{FormerGrant, Grant};
pub(crate) use index::first_label;
#[cfg(test)]
pub(crate) use index::tests::assert_current;
pub use index::{Index, OwnClaims, Socket};
pub use known::Knowledge;
pub use moving::{Copying, Move, MovedIn, MovedOut};
pub use revision::{CHANGE_CAUSES, Revision};
pub use rollout::{Rollout, RolloutPhase, Turn};

pub use copies::{Origin, Snapshot, SnapshotState};

/// Everything that a plan reads.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// The history of the store. A restored backup is given a new one.
    pub history: HistoryId,
    /// The coordinator's term.
    pub term: Term,
    /// The DNS zone, such as `berth.internal`.
    pub zone_name: String,
    /// The zone as last published. Durable.
    pub zone: ZoneHead,
    /// What stands against the store's history: while anything does, nothing is assigned, started
    /// or replaced. Durable.
    pub past: Past,
    /// Hosts that ever joined, and what is known of them now.
    pub hosts: Map<HostName, Host>,
    /// Sets with their members.
    pub sets: Map<SetKey, Set>,
    /// Claims; they outlive their sets. Durable.
    pub claims: Map<ClaimKey, Claim>,
    /// Who founds each set; outlives the set with its claims. Durable.
    pub foundings: Map<SetKey, Founding>,
    /// Services. Durable.
    pub services: Map<ObjectKey, Service>,
    /// ConfigMaps. Durable.
    pub config_maps: Map<ObjectKey, ConfigMap>,
    /// Secrets. Durable.
    pub secrets: Map<ObjectKey, Secret>,
    /// Address pools. Durable.
    pub address_pools: Map<ObjectKey, AddressPool>,
    /// Storage classes. Durable.
    pub storage_classes: Map<ObjectKey, StorageClass>,
    /// Volumes that operators made. Durable.
    pub persistent_volumes: Map<ObjectKey, PersistentVolume>,
    /// Volumes that are, or were, bound. Durable.
    pub volumes: Map<ObjectKey, Volume>,
    /// How long data stays in the trash; for ever if it is not said. From the configuration.
    pub trash_keep: Option<Duration>,
    /// Nothing is removed for good before this: the clock of a machine that just booted may be wrong, and
    /// what it would remove is gone when it is set right. Not durable.
    pub trash_from: Timestamp,
    /// How long leases are. From the configuration.
    pub leases: Leases,
    /// When this term began: an earlier coordinator may have acknowledged renewals until then. Not
    /// durable.
    pub term_began: Timestamp,
    /// What can be done about hosts that are out of contact. From the configuration.
    pub fences: BTreeMap<HostName, Fences>,
    /// Snapshots that operators asked for. Durable.
    pub volume_snapshots: Map<ObjectKey, VolumeSnapshot>,
    /// Snapshots that were or are being taken, by their own names. Durable.
    pub snapshots: Map<ObjectKey, Snapshot>,
    /// What was found out of the rest; no part of it.
    pub memo: Memo<Index>,
    /// What was counted of its zone; no part of it.
    pub zone_memo: Memo<Tally>,
}

/// Which zone was last published.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ZoneHead {
    /// Grows with every change of any record.
    pub serial: ZoneSerial,
    /// Hash of its records.
    pub hash: ContentHash,
}

/// A host.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// What its agent said when it joined. Durable.
    pub record: HostRecord,
    /// What is known of it now. Not durable: after a start every host is out of contact.
    pub contact: Contact,
}

/// What an agent says of its host, and what operators decided of it. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostRecord {
    /// Its name.
    pub name: HostName,
    /// The address that members without a pool address have.
    pub advertise_address: IpAddr,
    /// Labels for placement: the agent's, with what operators changed.
    pub labels: BTreeMap<String, String>,
    /// Its local pools.
    pub pools: BTreeMap<String, PoolInfo>,
    /// Whether new members may be placed there.
    pub unschedulable: bool,
    /// `/etc/machine-id`, to tell a cloned host.
    pub machine_id: String,
    /// The machine's uuid as its firmware has it, to tell a copy of the disk; empty if it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub product_uuid: String,
    /// What it can hold processes to.
    #[serde(default)]
    pub controllers: BTreeSet<Controller>,
    /// Labels as the agent's configuration has them.
    #[serde(default)]
    pub agent_labels: BTreeMap<String, String>,
    /// Whether it reboots itself when it cannot empty a member whose lease is over.
    #[serde(default)]
    pub self_fences: bool,
    /// Whether it does so by a watchdog: also when its kernel cannot any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub watchdog: bool,
    /// What operators decided of it.
    #[serde(default)]
    pub directives: HostDirectives,
}

/// A report and when it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// What the agent said.
    pub report: MemberReport,
    /// Since when the member is ready, on the coordinator's clock.
    pub ready_since: Option<Timestamp>,
    /// When the agent's reason last changed, on the coordinator's clock.
    pub waiting_since: Timestamp,
}

/// A set and its members.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Set {
    /// The set's unique id. Durable.
    pub uid: Uid,
    /// What is wanted. Durable.
    pub spec: Arc<StatefulSetSpec>,
    /// Labels of the set. Durable.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the set. Durable.
    pub annotations: BTreeMap<String, String>,
    /// The revision that new members get. Durable.
    pub revision: TemplateHash,
    /// The newest revision, those that members carry, and as many of the older ones as are kept.
    /// Durable, each in a record of its own.
    pub revisions: BTreeMap<TemplateHash, Revision>,
    /// When its deletion was asked for. Durable.
    pub deleting: Option<Timestamp>,
    /// Whether it is founded anew when its deletion is done, instead of being removed. Durable.
    pub refounding: bool,
    /// Since when its members run on without it: the set was deleted, they were not. Nothing is
    /// decided of them until a set of the name is applied again. Durable.
    pub orphaned: Option<Timestamp>,
    /// Members that are assigned to a host. Durable.
    pub members: Map<Ordinal, Member>,
    /// The last grant of every ordinal that ever was: no epoch is granted twice, and an ordinal
    /// goes back to its host where it can. Durable.
    pub last_grants: Map<Ordinal, Grant>,
    /// The addresses that ordinals own from a pool, for as long as the set exists. Durable.
    pub addresses: Map<Ordinal, IpAddr>,
    /// Members that operators took offline. Durable.
    pub offline: Map<Ordinal, Offline>,
    /// Members that operators want on other hosts. Durable.
    pub moves: Map<Ordinal, Move>,
    /// The host of each ordinal that ever was, under `placement: PerHost`. Durable.
    pub own_hosts: Map<Ordinal, OwnHost>,
    /// Where it is between two revisions. Durable.
    pub rollout: Rollout,
}

/// One member that is assigned to a host. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The grant.
    pub epoch: Epoch,
    /// To which host.
    pub host: HostName,
    /// The address that its name has.
    pub address: IpAddr,
    /// The revision that it runs.
    pub revision: TemplateHash,
    /// What was ordered.
    pub ordered: Ordered,
    /// When it was assigned.
    pub assigned_at: Timestamp,
    /// The zone that first had this assignment: the start barrier waits for it.
    pub named_in: ZoneSerial,
    /// Whether it passed its gate in this epoch.
    pub passed_gate: bool,
    /// The address of the epoch before, if it was another.
    pub previous_address: Option<IpAddr>,
    /// When an operator asked for a restart: it is stopped when the budget allows, released, and
    /// assigned anew. It ends with the grant.
    #[serde(default)]
    pub restart_asked: Option<Timestamp>,
    /// When an operator answered for it that it does not run, although nothing is known of it. It ends
    /// with the grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<Timestamp>,
    /// The lease that it rests on, if it may be started elsewhere when that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseTerms>,
    /// Conditions that were set in this epoch, by type.
    #[serde(default)]
    pub conditions: BTreeMap<String, MemberCondition>,
}

impl Set {
    /// Whether the processes of a member that runs do not have the files of its revision yet. Only
    /// a set that reloads asks: with the others a revision comes with a start.
    pub fn lacks_files(&self, member: &Member, report: &MemberReport) -> bool {
        let reloads = self.spec.config_update == ConfigUpdate::Reload;
        reloads
            && report.phase == Phase::Running
            && report.revision.as_ref() != Some(&member.revision)
    }

    /// Whether a delivery of config starts a process of a member anew.
    pub fn restarts_on_delivery(&self, revision: &TemplateHash) -> bool {
        let template = self.template_of(revision);
        let processes = template.into_iter().flat_map(|t| t.spec.lasting());
        let mut files = processes.flat_map(|process| &process.files);
        files.any(|file| {
            let delivered = file.config_map.is_some() || file.secret.is_some();
            delivered && file.on_change == OnChange::Restart
        })
    }
}

/// What was ordered of an assigned member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Ordered {
    /// Nothing yet: it is named, and waits for its gate.
    Nothing,
    /// To run.
    Run,
    /// To stop; it is released when it is proven gone.
    Stop,
}

impl Ordered {
    /// What its host's order says, if it is in it at all.
    pub fn desired(self) -> Option<Desired> {
        match self {
            Self::Nothing => None,
            Self::Run => Some(Desired::Run),
            Self::Stop => Some(Desired::Stop),
        }
    }
}

/// A claim to a volume. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Its unique id; the owner record of its volume holds it.
    pub uid: Uid,
    /// The member that uses it: the one that it was made for, or that found it under the name of
    /// its own. None for a claim that was made by hand and that no member has taken.
    pub member: Option<MemberId>,
    /// The claim template's name; empty without a member.
    pub template: String,
    /// What it asks for, with its class named and its templates rendered.
    pub spec: PersistentVolumeClaimSpec,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The volume that it is bound to. Once set it never changes, unless a move brought the data to
    /// another one.
    pub volume: Option<ObjectKey>,
    /// Whether a member was ever started on it.
    pub filled: bool,
    /// Who owned its files then.
    pub owner: Option<Ownership>,
    /// When it was made.
    pub created_at: Timestamp,
    /// With what it goes; it stays whatever goes when this is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_with: Option<GoesWith>,
}

/// With what a claim goes: what the owner references of a claim are to a StatefulSet. Durable, so
/// that what was decided with the end of a member in mind holds when the end comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum GoesWith {
    /// With its set (`whenDeleted: Delete`): when that is deleted and its members are gone.
    Set {
        /// Which of the sets that ever had the name.
        uid: Uid,
    },
    /// With its member, which is on its way out (`whenScaled: Delete`): when that epoch is gone. A
    /// later one of the ordinal gets a fresh claim.
    Member {
        /// The last epoch that uses it.
        epoch: Epoch,
    },
    /// As soon as no member runs on it, because an operator asked for exactly that. Its data goes to
    /// the trash whatever the reclaim policy of its volume, if Berth made that.
    Asked,
}

impl Claim {
    /// One that was made by hand, and that no member has taken.
    pub fn by_hand(uid: Uid, spec: PersistentVolumeClaimSpec, created_at: Timestamp) -> Self {
        Self {
            uid,
            member: None,
            template: String::new(),
            spec,
            labels: BTreeMap::new(),
            volume: None,
            filled: false,
            owner: None,
            created_at,
            goes_with: None,
        }
    }

    /// Whether it is this member's.
    pub fn is_for(&self, member: &MemberId) -> bool {
        self.member.as_ref() == Some(member)
    }
}

/// A volume that is, or was, bound to a claim. Volumes that operators made are objects until their
/// first claim; from then on this record says what was decided of them. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Where its data lies.
    pub source: VolumeSource,
    /// Whether a class made it, and not an operator.
    pub provisioned: bool,
    /// Its size in bytes; 0 if nobody said.
    pub capacity: u64,
    /// Who may use it at the same time.
    pub access_modes: Vec<AccessMode>,
    /// Its class; empty without one.
    pub class: String,
    /// What becomes of it when its claim is deleted.
    pub reclaim: ReclaimPolicy,
    /// The claim that has it, or had it last: it is `Released` if that claim is gone.
    pub claim: Option<BoundClaim>,
    /// All claims that it was ever bound to: one of them is in the owner record beside its data.
    #[serde(default)]
    pub owners: Vec<Uid>,
    /// Whether a member was ever started on it.
    #[serde(default)]
    pub filled: bool,
    /// The address of its server when a member was first started on it.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// Whether data that is on it is to become its next claim's.
    pub adopt: bool,
    /// What its data began with, if not with nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The move that brought its data, or brings it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_in: Option<MovedIn>,
    /// The last move that began to take its data elsewhere, whether it came to that or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_out: Option<MovedOut>,
    /// What is to become of it, if it is not just there.
    pub state: VolumeState,
    /// How often its data was sent to the trash: each time it has another name there, so that what
    /// is left over of an earlier time cannot take it there again.
    #[serde(default)]
    pub deletions: u64,
    /// When it was first bound.
    pub created_at: Timestamp,
}

impl Volume {
    /// Whether its data lies in the trash, so that another volume may have its place.
    pub fn is_moved_away(&self) -> bool {
        match self.state {
            VolumeState::Trashed { .. } | VolumeState::Purging => true,
            VolumeState::Live | VolumeState::Trashing | VolumeState::Restoring => false,
        }
    }
}

/// The claim's side of a binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BoundClaim {
    /// Its name.
    pub key: ClaimKey,
    /// Its unique id: another claim of the name has no part in the volume.
    pub uid: Uid,
}

/// What becomes of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum VolumeState {
    /// It is there.
    #[default]
    Live,
    /// An agent is to move its data to the trash.
    Trashing,
    /// Its data is in the trash since then.
    Trashed {
        /// Since when.
        since: Timestamp,
    },
    /// An agent is to move its data back.
    Restoring,
    /// Its time in the trash is over: an agent is to remove its data for good.
    Purging,
}

/// Who founds a set. Frozen before the first start. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Founding {
    /// The founders, in ordinal order.
    pub founders: Vec<Peer>,
    /// Those that have not passed their gate once.
    pub open: Vec<Ordinal>,
    /// The claims that founders were started on while they were open, with their unique ids: one
    /// that is gone or has another id by now was lost during the founding.
    pub filled: BTreeMap<ClaimKey, Uid>,
    /// Open founders that were given up on a host which never told whether they served. They may have
    /// founded the cluster, so they found nothing more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub untold: BTreeSet<Ordinal>,
}

impl State {
    /// The volume that a claim is bound to.
    pub fn volume_of(&self, claim: &Claim) -> Option<&Volume> {
        self.volumes.get(claim.volume.as_ref()?)
    }

    /// The host that a claim's data is on, if it is bound and on one.
    pub fn host_of(&self, claim: &Claim) -> Option<&HostName> {
        self.volume_of(claim)?.source.host()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{key, put_set, run_all, spec, state};

    #[test]
    fn a_member_of_an_older_record_rests_on_no_lease() {
        let mut state = state(1);
        put_set(&mut state, "db", spec(1, false));
        run_all(&mut state, "db");
        let member = state.sets[&key("db")].members[&Ordinal(0)].clone();
        let record = serde_json::to_value(&member).unwrap();
        assert!(record.get("lease").is_none(), "{record}");
        assert_eq!(
            serde_json::from_value::<Member>(record).unwrap().lease,
            None
        );
    }

    #[test]
    fn a_member_of_an_older_record_has_no_restart_asked_for() {
        let mut state = state(1);
        put_set(&mut state, "db", spec(1, false));
        run_all(&mut state, "db");
        let member = state.sets[&key("db")].members[&Ordinal(0)].clone();
        let mut record = serde_json::to_value(&member).unwrap();
        record.as_object_mut().unwrap().remove("restartAsked");
        assert_eq!(serde_json::from_value::<Member>(record).unwrap(), member);
    }
}
