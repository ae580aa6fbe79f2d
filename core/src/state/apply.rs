//! What a step does to the state: the one place where a plan takes effect.
//!
//! The planner applies its own steps while it plans, the checker applies them while it checks, and
//! the coordinator applies them when they are committed: all three through [`State::apply`], so
//! that they cannot differ. It is total: a step about something that does not exist changes
//! nothing (the checker refuses such a step beforehand).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::{
    ids::{ClaimKey, Epoch, HostName, MemberId, ObjectKey, SetKey, TemplateHash, Uid},
    lease::LeaseTerms,
    order::Peer,
    plan::{Step, step::Proof},
    spec::ReclaimPolicy,
    state::{
        FormerGrant, Founding, GoesWith, Grant, Member, Ordered, OwnHost, State, Volume,
        VolumeState,
    },
    time::Timestamp,
    volume::{Ownership, change::thrown, work::grown_by_word},
};

impl State {
    /// Makes a step take effect.
    pub fn apply(&mut self, step: &Step, now: Timestamp) {
        match step {
            Step::CreateClaim { key, claim } => {
                self.claims.insert(key.clone(), claim.clone());
            }
            Step::AdoptClaim {
                key,
                member,
                template,
            } => self.adopt_claim(key, member, template),
            Step::BindClaim { key, name, volume } => self.bind_claim(key, name, volume),
            Step::PinSnapshot { key, uid, .. } => self.pin_snapshot(key, uid),
            Step::TakeSnapshot { name, snapshot } => {
                self.snapshots.insert(name.clone(), snapshot.clone());
            }
            Step::GrowClaim { key, storage } => self.grow(key, storage),
            Step::FillClaim {
                key,
                owner,
                address,
            } => self.fill(key, owner.as_ref(), *address),
            Step::TieClaim { key, goes_with } => self.tie_claim(key, goes_with.as_ref()),
            Step::DropClaim { key, uid } => self.drop_claim(key, uid),
            Step::PurgeVolume { name } => self.purge(name),
            Step::TakeAddress { member, address } => {
                if let Some(set) = self.sets.get_mut(&member.set) {
                    set.addresses.insert(member.ordinal, *address);
                }
            }
            Step::TakeHost { member, host } => self.take_host(member, host),
            Step::LeaveHost { member } => self.leave_host(member),
            Step::Assign { .. } => self.assign(step, now),
            Step::Found { set, founders } => self.found(set, founders),
            Step::Carry {
                member,
                epoch,
                revision,
            }
            | Step::Reload {
                member,
                epoch,
                revision,
            } => self.carry(member, *epoch, revision),
            Step::Start { member, epoch } => self.order(member, *epoch, Ordered::Run),
            Step::PassGate { member, epoch } => self.pass_gate(member, *epoch),
            Step::Stop { member, epoch } => self.order(member, *epoch, Ordered::Stop),
            Step::Release {
                member,
                epoch,
                proof,
            } => self.release(member, *epoch, proof),
            Step::RemoveSet { set, uid } => self.remove_set(set, uid),
            Step::Refound { set, uid } => self.refound(set, uid),
            Step::DropRevision { set, revision } => {
                if let Some(set) = self.sets.get_mut(set) {
                    set.revisions.remove(revision);
                }
            }
            Step::ForgetFounding { set } => {
                self.foundings.remove(set);
            }
            Step::Rollout { set, turn } => {
                if let Some(set) = self.sets.get_mut(set) {
                    set.rollout.take(turn, now);
                }
            }
            Step::BeginMove { .. } | Step::CompleteMove { .. } | Step::EndMove { .. } => {
                self.apply_move(step);
            }
            Step::PublishZone { zone } => self.zone = zone.clone(),
        }
    }

    fn remove_set(&mut self, set: &SetKey, uid: &Uid) {
        if self.sets.get(set).is_some_and(|have| have.uid == *uid) {
            self.sets.remove(set);
        }
    }

    fn adopt_claim(&mut self, key: &ClaimKey, member: &MemberId, template: &str) {
        if let Some(claim) = self.claims.get_mut(key) {
            claim.member = Some(member.clone());
            template.clone_into(&mut claim.template);
        }
    }

    /// The member that a step is about, if the step's epoch is the one that it has.
    fn granted(&mut self, id: &MemberId, epoch: Epoch) -> Option<&mut Member> {
        let set = self.sets.get_mut(&id.set)?;
        let member = set.members.get_mut(&id.ordinal)?;
        (member.epoch == epoch).then_some(member)
    }

    fn assign(&mut self, step: &Step, now: Timestamp) {
        let Step::Assign {
            member: id,
            epoch,
            host,
            address,
            revision,
        } = step
        else {
            return;
        };
        let named_in = self.zone.serial.next();
        let Some(set) = self.sets.get_mut(&id.set) else {
            return;
        };
        let before = set.last_grants.get(&id.ordinal);
        let after = before.and_then(|grant| {
            Some(FormerGrant {
                epoch: grant.epoch,
                host: grant.host.clone(),
                proof: grant.gone.clone()?,
            })
        });
        let grant = Grant {
            epoch: *epoch,
            host: host.clone(),
            address: *address,
            gone: None,
            after,
        };
        let on = self.hosts.get(host);
        let self_fences = on.is_some_and(|host| host.record.self_fences);
        let lease = self.leases.terms(&set.spec).map(|terms| LeaseTerms {
            self_fences,
            ..terms
        });
        let earlier = set.last_grants.insert(id.ordinal, grant);
        let previous_address = earlier
            .map(|grant| grant.address)
            .filter(|previous| previous != address);
        let member = Member {
            epoch: *epoch,
            host: host.clone(),
            address: *address,
            revision: revision.clone(),
            ordered: Ordered::Nothing,
            assigned_at: now,
            named_in,
            passed_gate: false,
            previous_address,
            restart_asked: None,
            forced: None,
            lease,
            conditions: BTreeMap::new(),
        };
        set.members.insert(id.ordinal, member);
        self.has_moved(id, host);
    }

    fn found(&mut self, set: &SetKey, founders: &[Peer]) {
        let founding = Founding {
            founders: founders.to_vec(),
            open: founders.iter().map(|peer| peer.ordinal).collect(),
            filled: BTreeMap::new(),
            untold: BTreeSet::new(),
        };
        self.foundings.insert(set.clone(), founding);
    }

    fn bind_claim(&mut self, key: &ClaimKey, name: &ObjectKey, volume: &Volume) {
        let Some(claim) = self.claims.get_mut(key) else {
            return;
        };
        claim.volume = Some(name.clone());
        let class = &mut claim.spec.storage_class_name;
        // From now on it has the one that it was bound with, whatever becomes default.
        class.get_or_insert_with(|| volume.class.clone());
        let uid = claim.uid.clone();
        self.bind(name, volume, uid);
    }

    fn take_host(&mut self, id: &MemberId, host: &HostName) {
        if let Some(set) = self.sets.get_mut(&id.set) {
            let own = OwnHost {
                host: host.clone(),
                selected: true,
            };
            set.own_hosts.insert(id.ordinal, own);
        }
    }

    fn leave_host(&mut self, id: &MemberId) {
        let set = self.sets.get_mut(&id.set);
        if let Some(own) = set.and_then(|set| set.own_hosts.get_mut(&id.ordinal)) {
            own.selected = false;
        }
    }

    /// A member takes another revision in place. It is in the order, whatever else of it changes.
    fn carry(&mut self, id: &MemberId, epoch: Epoch, revision: &TemplateHash) {
        let Some(member) = self.granted(id, epoch) else {
            return;
        };
        member.revision.clone_from(revision);
        let (host, ordered) = (member.host.clone(), member.ordered);
        if ordered != Ordered::Nothing {
            self.unsettle(&host);
        }
    }

    fn order(&mut self, id: &MemberId, epoch: Epoch, ordered: Ordered) {
        if let Some(member) = self.granted(id, epoch) {
            member.ordered = ordered;
            let host = member.host.clone();
            self.unsettle(&host);
        }
    }

    fn release(&mut self, id: &MemberId, epoch: Epoch, proof: &Proof) {
        let Some(member) = self.granted(id, epoch) else {
            return;
        };
        let (host, ordered) = (member.host.clone(), member.ordered);
        if let Some(set) = self.sets.get_mut(&id.set) {
            set.members.remove(&id.ordinal);
            let grant = set.last_grants.get_mut(&id.ordinal);
            if let Some(grant) = grant.filter(|grant| grant.epoch == epoch) {
                grant.gone = Some(proof.clone());
            }
        }
        if let Some(founding) = self.foundings.get_mut(&id.set)
            && founding.open.contains(&id.ordinal)
            && !proof.tells_if_it_served()
        {
            founding.untold.insert(id.ordinal);
        }
        if let Some(host) = self.hosts.get_mut(&host) {
            host.contact.forget_ports();
        }
        if ordered != Ordered::Nothing {
            self.unsettle(&host);
        }
    }

    /// The host's order changes: what its agent does not mention proves nothing until it answers.
    fn unsettle(&mut self, host: &HostName) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.contact.settled = false;
        }
    }

    fn pass_gate(&mut self, id: &MemberId, epoch: Epoch) {
        let Some(member) = self.granted(id, epoch) else {
            return;
        };
        member.passed_gate = true;
        self.founds_no_more(id);
    }

    /// A member is no founder any more: it served, or comes back as one that joins.
    pub(crate) fn founds_no_more(&mut self, id: &MemberId) {
        if let Some(founding) = self.foundings.get_mut(&id.set) {
            founding.open.retain(|open| *open != id.ordinal);
            founding.untold.remove(&id.ordinal);
        }
    }

    fn pin_snapshot(&mut self, key: &ObjectKey, uid: &Uid) {
        if let Some(object) = self.volume_snapshots.get_mut(key) {
            let source = &mut object.spec.source;
            source.persistent_volume_claim_uid = uid.to_string();
        }
    }

    /// What nothing limits is as large as it is said to be; the rest is for its agent.
    fn grow(&mut self, key: &ClaimKey, storage: &str) {
        let Some(claim) = self.claims.get_mut(key) else {
            return;
        };
        let requests = &mut claim.spec.resources.requests;
        requests.insert("storage".to_owned(), storage.to_owned());
        let claim = self.claims.get(key);
        if let Some((name, volume)) = claim.and_then(|claim| grown_by_word(self, claim)) {
            self.volumes.insert(name, volume);
        }
    }

    /// What a volume went through stays with it, whoever has it.
    fn bind(&mut self, name: &ObjectKey, volume: &Volume, uid: Uid) {
        let mut volume = volume.clone();
        if let Some(before) = self.volumes.get(name) {
            volume.owners.clone_from(&before.owners);
            volume.filled = before.filled;
        }
        if !volume.owners.contains(&uid) {
            volume.owners.push(uid);
        }
        self.volumes.insert(name.clone(), volume);
    }

    fn tie_claim(&mut self, key: &ClaimKey, goes_with: Option<&GoesWith>) {
        if let Some(claim) = self.claims.get_mut(key) {
            claim.goes_with = goes_with.cloned();
        }
    }

    fn purge(&mut self, name: &ObjectKey) {
        if let Some(volume) = self.volumes.get_mut(name) {
            volume.state = VolumeState::Purging;
        }
    }

    fn refound(&mut self, set: &SetKey, uid: &Uid) {
        let set = self.sets.get_mut(set);
        if let Some(set) = set.filter(|have| have.uid == *uid) {
            set.deleting = None;
            set.refounding = false;
        }
    }

    /// A member that leaves with its data is no founder when it comes back.
    fn drop_claim(&mut self, key: &ClaimKey, uid: &Uid) {
        let Some(claim) = self.claims.get(key).filter(|claim| claim.uid == *uid) else {
            return;
        };
        let claim = claim.clone();
        self.claims.remove(key);
        let volume = claim.volume.as_ref();
        if let Some(volume) = volume.and_then(|name| self.volumes.get_mut(name)) {
            let own = volume.claim.as_ref().is_some_and(|bound| bound.uid == *uid);
            let asked = claim.goes_with == Some(GoesWith::Asked);
            let goes = volume.provisioned && (asked || volume.reclaim == ReclaimPolicy::Delete);
            if own && goes && volume.state == VolumeState::Live {
                *volume = thrown(volume);
            }
        }
        if let Some(member) = claim.member {
            self.founds_no_more(&member);
            if let Some(founding) = self.foundings.get_mut(&member.set) {
                founding.filled.remove(key);
            }
        }
    }

    fn fill(&mut self, key: &ClaimKey, owner: Option<&Ownership>, address: Option<IpAddr>) {
        let Some(claim) = self.claims.get_mut(key) else {
            return;
        };
        claim.filled = true;
        claim.owner = owner.cloned().or_else(|| claim.owner.take());
        // The data that was there is the claim's own by now; a later claim is another matter.
        let volume = claim.volume.as_ref();
        if let Some(volume) = volume.and_then(|name| self.volumes.get_mut(name)) {
            volume.adopt = false;
            volume.filled = true;
            volume.address = address.or(volume.address);
            if let Some(moved_in) = &mut volume.moved_in {
                moved_in.started = true;
            }
        }
        let Some(member) = &claim.member else {
            return;
        };
        let founding = self.foundings.get_mut(&member.set);
        if let Some(founding) = founding
            && founding.open.contains(&member.ordinal)
        {
            founding.filled.insert(key.clone(), claim.uid.clone());
        }
    }
}

mod moves;
#[cfg(test)]
mod tests;
