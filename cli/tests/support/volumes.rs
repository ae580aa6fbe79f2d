//! Canned volumes: one bound, one made by hand, one released, one in the trash.

use berth_proto::v1::{self, volume_service_server as volume};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::data::hours_ago;

type Answer<T> = Result<Response<T>, Status>;

/// The service of volumes.
pub(crate) struct Volumes;

fn made(number: u32) -> v1::Volume {
    v1::Volume {
        name: format!("pvc-{number}"),
        phase: "Bound".into(),
        state: "Live".into(),
        source: format!("local:default/default_data-etcd-{number}"),
        host: format!("host-{}", number + 1),
        pool: "default".into(),
        provisioned: true,
        class: "local".into(),
        reclaim_policy: "Retain".into(),
        access_modes: vec!["RWO".into()],
        capacity_bytes: 10 << 30,
        claim_namespace: "default".into(),
        claim: format!("data-etcd-{number}"),
        claim_uid: format!("uid-{number}"),
        member: format!("etcd-{number}"),
        filled: true,
        owner: "etcd (105:110)".into(),
        usage_capacity_bytes: 10 << 30,
        usage_available_bytes: 7 << 30,
        created_ms: hours_ago(6),
        ..v1::Volume::default()
    }
}

fn by_hand() -> v1::Volume {
    v1::Volume {
        name: "pv-0".into(),
        phase: "Available".into(),
        state: "Live".into(),
        source: "nfs:nas:/exports/web-0".into(),
        reclaim_policy: "Retain".into(),
        access_modes: vec!["ROX".into(), "RWX".into()],
        capacity_bytes: 1 << 30,
        created_ms: hours_ago(6),
        ..v1::Volume::default()
    }
}

fn released() -> v1::Volume {
    v1::Volume {
        phase: "Released".into(),
        member: String::new(),
        can_undelete: true,
        usage_capacity_bytes: 0,
        usage_available_bytes: 0,
        ..made(1)
    }
}

fn trashed() -> v1::Volume {
    v1::Volume {
        state: "Trashed".into(),
        trashed_since_ms: hours_ago(2),
        expires_ms: hours_ago(-100),
        ..v1::Volume {
            name: "pvc-2".into(),
            source: "local:default/default_data-etcd-2".into(),
            host: "host-3".into(),
            claim: "data-etcd-2".into(),
            ..released()
        }
    }
}

fn find(name: &str) -> Result<v1::Volume, Status> {
    let all = [made(0), by_hand(), released(), trashed()];
    let found = all.into_iter().find(|volume| volume.name == name);
    let missing = || Status::not_found(format!("PersistentVolume {name} does not exist"));
    found.ok_or_else(missing)
}

#[tonic::async_trait]
impl volume::VolumeService for Volumes {
    async fn list(
        &self,
        request: Request<v1::ListVolumesRequest>,
    ) -> Answer<v1::ListVolumesResponse> {
        let volumes = if request.into_inner().trash {
            vec![trashed()]
        } else {
            vec![by_hand(), made(0), released()]
        };
        Ok(Response::new(v1::ListVolumesResponse { volumes }))
    }

    async fn get(&self, request: Request<v1::VolumeRequest>) -> Answer<v1::Volume> {
        find(&request.into_inner().name).map(Response::new)
    }

    async fn adopt(&self, request: Request<v1::VolumeRequest>) -> Answer<v1::Volume> {
        let adopt = true;
        let volume = find(&request.into_inner().name)?;
        Ok(Response::new(v1::Volume { adopt, ..volume }))
    }

    async fn release(&self, request: Request<v1::VolumeRequest>) -> Answer<v1::Volume> {
        let volume = find(&request.into_inner().name)?;
        if volume.phase == "Bound" {
            return Err(Status::failed_precondition(
                "volume pvc-0 is bound to claim default/data-etcd-0, which exists; delete the \
                 claim first",
            ));
        }
        Ok(Response::new(v1::Volume {
            phase: "Available".into(),
            claim: String::new(),
            ..volume
        }))
    }

    async fn delete(&self, request: Request<v1::DeleteVolumeRequest>) -> Answer<v1::Volume> {
        let request = request.into_inner();
        let volume = find(&request.name)?;
        if !volume.provisioned {
            return Err(Status::failed_precondition(
                "volume pv-0 was made by an operator: its data is not Berth's to delete",
            ));
        }
        if request.typed_name != volume.name {
            let text = "deleting volume pvc-1 needs its name typed; give 'pvc-1'";
            let details = ErrorDetails::with_precondition_failure_violation(
                "CONFIRMATION",
                "PersistentVolume/pvc-1",
                text,
            );
            return Err(Status::with_error_details(
                Code::FailedPrecondition,
                text,
                details,
            ));
        }
        Ok(Response::new(volume))
    }

    async fn undelete(&self, request: Request<v1::VolumeRequest>) -> Answer<v1::Volume> {
        find(&request.into_inner().name).map(Response::new)
    }
}
