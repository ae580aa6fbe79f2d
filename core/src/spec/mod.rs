//! What the operator asks for: the kinds of Berth, with the field names of Kubernetes wherever the
//! concept is the same.
//!
//! These are the only definitions of the schema. A manifest (YAML or JSON), the store and the wire
//! all carry them in this one form. Every field has a default, so that reading a manifest can
//! report every mistake at once: what is missing is the business of [`validate`], not of serde.

use serde::{Deserialize, Serialize};

pub(crate) mod capability;
pub mod config;
pub mod depends;
mod instant;
mod lenient;
pub mod meta;
pub mod network;
pub mod ordinals;
pub mod overrides;
mod path;
pub mod period;
pub mod placement;
pub mod probe;
pub mod process;
pub mod requires;
pub mod resources;
pub mod retention;
pub mod secret;
pub mod set;
pub mod snapshot;
pub mod storage;
pub mod update;
pub mod validate;
pub mod volume;

pub use capability::capability;
pub use config::{ConfigMap, Secret};
pub use depends::{Dependency, DependencyGate};
pub use meta::{Kind, ObjectMeta};
pub use network::{AddressPool, AddressPoolSpec, Service, ServicePort, ServiceSpec};
pub use ordinals::Ordinals;
pub use overrides::Override;
pub use path::{PathError, check_dir_name, check_sub_path};
pub use period::{PeriodError, parse_period};
pub use placement::{HOSTNAME, Placement, TopologySpreadConstraint, WhenUnsatisfiable};
pub use probe::{
    ExecAction, GrpcAction, Handler, HttpGetAction, HttpHeader, NotifyAction, PortRef, Probe,
    TcpSocketAction,
};
pub use process::{
    Capabilities, EnvFromSource, EnvVar, EnvVarSource, FieldSelector, FileSource, FileWhen,
    KeySelector, Lifecycle, LifecycleHandler, LogTargets, OnChange, Port, Process, Protocol,
    ResourceFieldSelector, RestartPolicy, SleepAction, VolumeMount,
};
pub use requires::{PathType, RequiredPath, RequiredPort, RequiredUnit, Requires, UnitState};
pub use resources::{Io, IoLimit, Resources, RlimitBound, RlimitPair, RlimitValue};
pub use retention::{Retention, RetentionPolicy};
pub use secret::Sealed;
pub use set::{
    ConfigDir, ConfigUpdate, FailurePolicy, GatePolicy, LabelExpression, LabelOperator,
    LabelSelector, LeaseClass, MemberSpec, MemberTemplate, Membership, ReadinessGate,
    RestartBackoff, Spread, StatefulSet, StatefulSetSpec,
};
pub use snapshot::{DataSource, DataSourceKind, VolumeSnapshot, VolumeSnapshotSpec};
pub use storage::{
    Adopt, BindingMode, ClaimRef, ClassParameters, DEFAULT_CLASS, LimitPolicy, NfsVolumeSource,
    PersistentVolume, PersistentVolumeSpec, Provisioner, ReclaimPolicy, StorageClass,
};
pub use update::{Amount, DisruptionBudget, RollingUpdate, UpdateKind, UpdateStrategy};
pub use volume::{
    AccessMode, ClaimReference, ClaimResources, ClaimTemplate, MemberVolume, PersistentVolumeClaim,
    PersistentVolumeClaimSpec, VolumeMode,
};

/// One object of any kind, as it is written, stored and sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
#[expect(
    clippy::large_enum_variant,
    reason = "most objects are sets; a box would save little and stand in every match"
)]
pub enum Object {
    /// A set of members with sticky identity.
    StatefulSet(StatefulSet),
    /// A name for the ready members of a set.
    Service(Service),
    /// Plain configuration.
    ConfigMap(ConfigMap),
    /// Configuration that is never shown.
    Secret(Secret),
    /// Addresses that ordinals get one each of.
    AddressPool(AddressPool),
    /// A way to make volumes.
    StorageClass(StorageClass),
    /// A volume that was made by hand.
    PersistentVolume(PersistentVolume),
    /// A claim to a volume; outlives the set that uses it.
    PersistentVolumeClaim(PersistentVolumeClaim),
    /// A copy of a volume as it was at one time.
    VolumeSnapshot(VolumeSnapshot),
}

impl Object {
    /// Which kind this is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::StatefulSet(_) => Kind::StatefulSet,
            Self::Service(_) => Kind::Service,
            Self::ConfigMap(_) => Kind::ConfigMap,
            Self::Secret(_) => Kind::Secret,
            Self::AddressPool(_) => Kind::AddressPool,
            Self::StorageClass(_) => Kind::StorageClass,
            Self::PersistentVolume(_) => Kind::PersistentVolume,
            Self::PersistentVolumeClaim(_) => Kind::PersistentVolumeClaim,
            Self::VolumeSnapshot(_) => Kind::VolumeSnapshot,
        }
    }

    /// The metadata that every kind has.
    pub fn meta(&self) -> &ObjectMeta {
        match self {
            Self::StatefulSet(o) => &o.metadata,
            Self::Service(o) => &o.metadata,
            Self::ConfigMap(o) => &o.metadata,
            Self::Secret(o) => &o.metadata,
            Self::AddressPool(o) => &o.metadata,
            Self::StorageClass(o) => &o.metadata,
            Self::PersistentVolume(o) => &o.metadata,
            Self::PersistentVolumeClaim(o) => &o.metadata,
            Self::VolumeSnapshot(o) => &o.metadata,
        }
    }

    /// The metadata, to be filled in by the coordinator.
    pub fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::StatefulSet(o) => &mut o.metadata,
            Self::Service(o) => &mut o.metadata,
            Self::ConfigMap(o) => &mut o.metadata,
            Self::Secret(o) => &mut o.metadata,
            Self::AddressPool(o) => &mut o.metadata,
            Self::StorageClass(o) => &mut o.metadata,
            Self::PersistentVolume(o) => &mut o.metadata,
            Self::PersistentVolumeClaim(o) => &mut o.metadata,
            Self::VolumeSnapshot(o) => &mut o.metadata,
        }
    }
}
