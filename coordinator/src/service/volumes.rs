//! VolumeService: volumes as the things that hold data, and what operators say becomes of them.

use std::collections::BTreeSet;

use berth_core::{
    ids::{HostName, ObjectKey},
    spec::{AccessMode, PersistentVolume, ReclaimPolicy},
    state::{BoundClaim, State, Volume, VolumeState},
    time::Timestamp,
    volume::{
        Ownership,
        change::{self, Change, Found, Refusal, find},
        phase::{self, VolumePhase},
    },
};
use berth_proto::{
    convert::{ConvertError, status::millis},
    v1::{
        self, DeleteVolumeRequest, ListVolumesRequest, ListVolumesResponse, VolumeRequest,
        volume_service_server::VolumeService,
    },
};
use tonic::{Request, Response, Status};

use super::{persistent, status::ServiceError, usage, volume_changes};
use crate::{context::Context, state::View};

/// The service.
#[derive(Debug)]
pub(super) struct Volumes(pub(super) Context);

fn key(name: &str) -> Result<ObjectKey, ServiceError> {
    let field = "name";
    ObjectKey::of_cluster(name).map_err(|source| ConvertError::Id { field, source }.into())
}

impl Volumes {
    /// Commits what was decided on the volume as it is, and gives it back as it is then.
    async fn change(
        &self,
        name: &str,
        decide: impl Fn(&View, &ObjectKey) -> Result<Option<Change>, Refusal> + Send + Sync,
    ) -> Result<Response<v1::Volume>, Status> {
        let key = key(name)?;
        let decide =
            |view: &View| volume_changes::batch(view, &key, decide(view, &key), self.0.clock.now());
        self.0.settle(decide).await?;
        self.one(&key)
    }

    fn one(&self, key: &ObjectKey) -> Result<Response<v1::Volume>, Status> {
        let view = self.0.view.read();
        let found = find(&view.state, key).map_err(ServiceError::from)?;
        Ok(Response::new(shown(&view, key, found)))
    }
}

/// A volume on the wire.
fn shown(view: &View, name: &ObjectKey, found: Found<'_>) -> v1::Volume {
    let state = &view.state;
    let mut volume = match (found.record, found.object) {
        (Some(record), _) => of_record(record),
        (None, Some(object)) => of_object(object),
        (None, None) => v1::Volume::default(),
    };
    name.name.as_str().clone_into(&mut volume.name);
    volume.phase = phase::of_volume(state, name)
        .map_or("", VolumePhase::as_str)
        .to_owned();
    persistent::state_text(found.record).clone_into(&mut volume.state);
    volume.source = persistent::source_text(found.object, found.record);
    volume.can_undelete = undelete(view, name).is_ok_and(|change| change.is_some());
    volume.expires_ms = millis(found.record.and_then(|record| expires(state, record)));
    let bound = found.record.and_then(|record| record.claim.as_ref());
    if let Some(bound) = bound {
        claimed(&mut volume, view, name, bound);
    }
    volume
}

/// When its time in the trash is over.
fn expires(state: &State, record: &Volume) -> Option<Timestamp> {
    match record.state {
        VolumeState::Trashed { since } => {
            let over = state.trash_keep.map(|keep| since.plus(keep));
            over.map(|over| over.max(state.trash_from))
        }
        VolumeState::Live
        | VolumeState::Trashing
        | VolumeState::Restoring
        | VolumeState::Purging => None,
    }
}

fn of_record(record: &Volume) -> v1::Volume {
    let since = match record.state {
        VolumeState::Trashed { since } => Some(since),
        VolumeState::Live
        | VolumeState::Trashing
        | VolumeState::Restoring
        | VolumeState::Purging => None,
    };
    let host = record.source.host().map(HostName::to_string);
    v1::Volume {
        trashed_since_ms: millis(since),
        host: host.unwrap_or_default(),
        pool: record.source.pool().unwrap_or_default().to_owned(),
        provisioned: record.provisioned,
        class: record.class.clone(),
        reclaim_policy: policy(record.reclaim).to_owned(),
        access_modes: modes(&record.access_modes),
        capacity_bytes: record.capacity,
        adopt: record.adopt,
        created_ms: millis(Some(record.created_at)),
        ..v1::Volume::default()
    }
}

fn of_object(object: &PersistentVolume) -> v1::Volume {
    let spec = &object.spec;
    v1::Volume {
        class: spec.storage_class_name.clone(),
        reclaim_policy: policy(spec.persistent_volume_reclaim_policy).to_owned(),
        access_modes: modes(&spec.access_modes),
        capacity_bytes: spec.storage(),
        adopt: spec.adopt.is_some(),
        created_ms: millis(object.metadata.creation_timestamp),
        ..v1::Volume::default()
    }
}

/// Whose it is: of a claim that is gone, what was known last.
fn claimed(volume: &mut v1::Volume, view: &View, name: &ObjectKey, bound: &BoundClaim) {
    let state = &view.state;
    volume.claim_namespace = bound.key.namespace.to_string();
    volume.claim = bound.key.name.to_string();
    volume.claim_uid = bound.uid.to_string();
    let there = state.claims.get(&bound.key);
    let there = there.filter(|claim| claim.uid == bound.uid);
    let Some(claim) = there.or_else(|| view.former_claims.get(name)) else {
        return;
    };
    volume.filled = claim.filled || volume.filled;
    volume.owner = claim.owner.as_ref().map(owner).unwrap_or_default();
    if there.is_some() {
        volume.member = users(state, bound);
    }
    if let Some(usage) = there.and_then(|_| usage::usage(state, &bound.key)) {
        volume.usage_capacity_bytes = usage.capacity;
        volume.usage_available_bytes = usage.available;
    }
}

fn users(state: &State, bound: &BoundClaim) -> String {
    let users = usage::users(state, &bound.key).into_iter();
    let names: Vec<String> = users.map(|user| user.member.name()).collect();
    names.join(",")
}

fn owner(owner: &Ownership) -> String {
    format!("{} ({}:{})", owner.user, owner.uid, owner.gid)
}

fn policy(policy: ReclaimPolicy) -> &'static str {
    match policy {
        ReclaimPolicy::Retain => "Retain",
        ReclaimPolicy::Delete => "Delete",
    }
}

fn modes(modes: &[AccessMode]) -> Vec<String> {
    let modes = modes.iter();
    modes.map(|mode| mode.short().to_owned()).collect()
}

fn undelete(view: &View, name: &ObjectKey) -> Result<Option<Change>, Refusal> {
    change::undelete(&view.state, name, view.former_claims.get(name))
}

fn is_in_trash(record: Option<&Volume>) -> bool {
    record.is_some_and(|record| record.state != VolumeState::Live)
}

#[tonic::async_trait]
impl VolumeService for Volumes {
    async fn list(
        &self,
        request: Request<ListVolumesRequest>,
    ) -> Result<Response<ListVolumesResponse>, Status> {
        let trash = request.into_inner().trash;
        let view = self.0.view.read();
        let state = &view.state;
        let names: BTreeSet<&ObjectKey> = state
            .persistent_volumes
            .keys()
            .chain(state.volumes.keys())
            .collect();
        let volumes = names.into_iter().map(|name| {
            let found = Found {
                object: state.persistent_volumes.get(name),
                record: state.volumes.get(name),
            };
            (name, found)
        });
        let wanted = volumes.filter(|(_, found)| is_in_trash(found.record) == trash);
        let volumes = wanted.map(|(name, found)| shown(&view, name, found));
        Ok(Response::new(ListVolumesResponse {
            volumes: volumes.collect(),
        }))
    }

    async fn get(&self, request: Request<VolumeRequest>) -> Result<Response<v1::Volume>, Status> {
        self.one(&key(&request.into_inner().name)?)
    }

    async fn adopt(&self, request: Request<VolumeRequest>) -> Result<Response<v1::Volume>, Status> {
        let name = request.into_inner().name;
        let decide = |view: &View, key: &ObjectKey| change::adopt(&view.state, key);
        self.change(&name, decide).await
    }

    async fn release(
        &self,
        request: Request<VolumeRequest>,
    ) -> Result<Response<v1::Volume>, Status> {
        let name = request.into_inner().name;
        let decide = |view: &View, key: &ObjectKey| change::release(&view.state, key);
        self.change(&name, decide).await
    }

    async fn delete(
        &self,
        request: Request<DeleteVolumeRequest>,
    ) -> Result<Response<v1::Volume>, Status> {
        let DeleteVolumeRequest { name, typed_name } = request.into_inner();
        let decide = |view: &View, key: &ObjectKey| change::delete(&view.state, key, &typed_name);
        self.change(&name, decide).await
    }

    async fn undelete(
        &self,
        request: Request<VolumeRequest>,
    ) -> Result<Response<v1::Volume>, Status> {
        let name = request.into_inner().name;
        self.change(&name, undelete).await
    }
}
