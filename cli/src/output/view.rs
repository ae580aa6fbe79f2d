//! How members, sets, hosts and events look in JSON and YAML. This is a promise to scripts: fields
//! are added, never renamed or removed.

use std::collections::BTreeMap;

use berth_proto::v1;
use serde::Serialize;
use serde_json::Value;

use super::age::instant;

fn time(ms: i64) -> Option<String> {
    instant(ms).map(|time| time.to_string())
}

/// A set and its members.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SetView {
    namespace: String,
    name: String,
    replicas: u32,
    current_replicas: u32,
    ready_replicas: u32,
    available_replicas: u32,
    updated_replicas: u32,
    gate: String,
    founded: bool,
    deleting: bool,
    at_most_one: String,
    current_revision: String,
    update_revision: String,
    rolled_out: bool,
    conditions: Vec<ConditionView>,
    warnings: Vec<String>,
    members: Vec<MemberView>,
}

impl From<v1::SetStatus> for SetView {
    fn from(set: v1::SetStatus) -> Self {
        Self {
            namespace: set.namespace,
            name: set.name,
            replicas: set.replicas,
            current_replicas: set.current_replicas,
            ready_replicas: set.ready_replicas,
            available_replicas: set.available_replicas,
            updated_replicas: set.updated_replicas,
            gate: set.gate,
            founded: set.founded,
            deleting: set.deleting,
            at_most_one: set.at_most_one,
            current_revision: set.current_revision,
            update_revision: set.update_revision,
            rolled_out: set.rolled_out,
            conditions: set.conditions.into_iter().map(Into::into).collect(),
            warnings: set.warnings,
            members: set.members.into_iter().map(Into::into).collect(),
        }
    }
}

/// What holds of a set as a whole.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConditionView {
    r#type: String,
    status: String,
    reason: String,
    message: String,
    last_transition_time: Option<String>,
}

impl From<v1::Condition> for ConditionView {
    fn from(condition: v1::Condition) -> Self {
        Self {
            r#type: condition.r#type,
            status: condition.status,
            reason: condition.reason,
            message: condition.message,
            last_transition_time: time(condition.since_ms),
        }
    }
}

/// A member.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberView {
    namespace: String,
    set: String,
    ordinal: u32,
    name: String,
    fqdn: String,
    address: String,
    host: String,
    epoch: String,
    revision: String,
    phase: String,
    started: bool,
    ready: bool,
    available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready_since: Option<String>,
    restarts: u32,
    founder: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<WaitingView>,
    conditions: Vec<MemberConditionView>,
    processes: Vec<ProcessView>,
    volumes: Vec<VolumeView>,
}

/// Why something does not happen.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WaitingView {
    rule: String,
    message: String,
    frees: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

/// A process of a member.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProcessView {
    name: String,
    pid: u32,
    restarts: u32,
    last_exit: String,
    status: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unenforced: Vec<String>,
}

/// A condition of a member.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberConditionView {
    r#type: String,
    /// `True`, `False`, or `Unknown` if it was not set in this epoch.
    status: &'static str,
    message: String,
    last_transition_time: Option<String>,
    gate: bool,
}

impl From<v1::MemberCondition> for MemberConditionView {
    fn from(condition: v1::MemberCondition) -> Self {
        Self {
            r#type: condition.r#type,
            status: match (condition.known, condition.status) {
                (false, _) => "Unknown",
                (true, true) => "True",
                (true, false) => "False",
            },
            message: condition.message,
            last_transition_time: time(condition.since_ms),
            gate: condition.gate,
        }
    }
}

/// A volume of a member.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VolumeView {
    name: String,
    claim: String,
    pool: String,
    host: String,
    filled: bool,
    volume: String,
    source: String,
    capacity_bytes: u64,
    available_bytes: u64,
}

impl From<v1::MemberStatus> for MemberView {
    fn from(member: v1::MemberStatus) -> Self {
        Self {
            namespace: member.namespace,
            set: member.set,
            ordinal: member.ordinal,
            name: member.name,
            fqdn: member.fqdn,
            address: member.address,
            host: member.host,
            epoch: member.epoch,
            revision: member.revision,
            phase: member.phase,
            started: member.started,
            ready: member.ready,
            available: member.available,
            ready_since: time(member.ready_since_ms),
            restarts: member.restarts,
            founder: member.founder,
            waiting: member.waiting.map(Into::into),
            conditions: member.conditions.into_iter().map(Into::into).collect(),
            processes: member.processes.into_iter().map(Into::into).collect(),
            volumes: member.volumes.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<v1::Waiting> for WaitingView {
    fn from(waiting: v1::Waiting) -> Self {
        Self {
            rule: waiting.rule,
            message: waiting.message,
            frees: waiting.frees,
            since: time(waiting.since_ms),
        }
    }
}

impl From<v1::ProcessStatus> for ProcessView {
    fn from(process: v1::ProcessStatus) -> Self {
        Self {
            name: process.name,
            pid: process.pid,
            restarts: process.restarts,
            last_exit: process.last_exit,
            status: process.status,
            unenforced: process.unenforced,
        }
    }
}

impl From<v1::VolumeStatus> for VolumeView {
    fn from(volume: v1::VolumeStatus) -> Self {
        Self {
            name: volume.name,
            claim: volume.claim,
            pool: volume.pool,
            host: volume.host,
            filled: volume.filled,
            volume: volume.volume,
            source: volume.source,
            capacity_bytes: volume.capacity_bytes,
            available_bytes: volume.available_bytes,
        }
    }
}

/// A host.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HostView {
    name: String,
    address: String,
    connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    unschedulable: bool,
    draining: bool,
    stop_pinned: bool,
    confirmed_dead: bool,
    labels: BTreeMap<String, String>,
    pools: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    controllers: Vec<String>,
    pool_statuses: Vec<PoolView>,
    members: Vec<String>,
    generation_sent: u64,
    generation_acked: u64,
    zone_acked: u64,
    agent_version: String,
    mismatch: String,
}

impl From<v1::HostStatus> for HostView {
    fn from(host: v1::HostStatus) -> Self {
        Self {
            name: host.name,
            address: host.address,
            connected: host.connected,
            since: time(host.since_ms),
            unschedulable: host.unschedulable,
            draining: host.draining,
            stop_pinned: host.stop_pinned,
            confirmed_dead: host.dead,
            labels: host.labels.into_iter().collect(),
            pools: host.pools,
            controllers: host.controllers,
            pool_statuses: host.pool_statuses.into_iter().map(Into::into).collect(),
            members: host.members,
            generation_sent: host.generation_sent,
            generation_acked: host.generation_acked,
            zone_acked: host.zone_acked,
            agent_version: host.agent_version,
            mismatch: host.mismatch,
        }
    }
}

/// A pool of a host.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PoolView {
    name: String,
    kind: String,
    path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    trouble: String,
    limits: bool,
    capacity_bytes: u64,
    free_bytes: u64,
    claims: Vec<String>,
}

impl From<v1::PoolStatus> for PoolView {
    fn from(pool: v1::PoolStatus) -> Self {
        Self {
            name: pool.name,
            kind: pool.kind,
            path: pool.path,
            trouble: pool.trouble,
            limits: pool.limits,
            capacity_bytes: pool.capacity_bytes,
            free_bytes: pool.free_bytes,
            claims: pool.claims,
        }
    }
}

/// Something that happened.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventView {
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    namespace: String,
    subject: String,
    r#type: String,
    reason: String,
    message: String,
}

impl From<v1::Event> for EventView {
    fn from(event: v1::Event) -> Self {
        Self {
            sequence: event.sequence,
            time: time(event.time_ms),
            namespace: event.namespace,
            subject: event.subject,
            r#type: event.r#type,
            reason: event.reason,
            message: event.message,
        }
    }
}

/// What `apply` would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanView {
    objects: Vec<ChangeView>,
    changes: bool,
    /// The plan as it would be executed at once.
    steps: Vec<StepView>,
    /// What is foreseen to follow.
    forecast: Vec<StepView>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    forecast_cut: bool,
    waiting: Vec<String>,
    disruptions: Vec<String>,
    warnings: Vec<String>,
}

/// What becomes of one object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangeView {
    kind: String,
    namespace: String,
    name: String,
    change: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldView>,
}

/// What changes of one field; of a secret only that it does.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FieldView {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<Value>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    secret: bool,
}

impl From<v1::FieldChange> for FieldView {
    fn from(field: v1::FieldChange) -> Self {
        Self {
            path: field.path,
            old: field.old.as_deref().map(json),
            new: field.new.as_deref().map(json),
            secret: field.secret,
        }
    }
}

/// A text of JSON as a value; as a text if it is none.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// One step.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StepView {
    step: String,
    subject: String,
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
    /// Steps of one round are decided together.
    round: u32,
    /// The step itself, as it is executed.
    #[serde(skip_serializing_if = "Value::is_null")]
    value: Value,
}

impl From<v1::PlannedStep> for StepView {
    fn from(step: v1::PlannedStep) -> Self {
        Self {
            step: step.step,
            subject: step.subject,
            text: step.text,
            why: step.why,
            round: step.round,
            value: serde_json::from_str(&step.json).unwrap_or_default(),
        }
    }
}

impl From<v1::PlanResponse> for PlanView {
    fn from(plan: v1::PlanResponse) -> Self {
        Self {
            objects: plan.objects.into_iter().map(Into::into).collect(),
            changes: plan.changes,
            steps: plan.steps.into_iter().map(Into::into).collect(),
            forecast: plan.forecast.into_iter().map(Into::into).collect(),
            forecast_cut: plan.forecast_cut,
            waiting: plan.waiting,
            disruptions: plan.disruptions,
            warnings: plan.warnings,
        }
    }
}

impl From<v1::AppliedObject> for ChangeView {
    fn from(object: v1::AppliedObject) -> Self {
        let change = change(&object);
        let fields = object.fields.into_iter().map(Into::into).collect();
        let reference = object.r#ref.unwrap_or_default();
        Self {
            fields,
            kind: reference.kind,
            namespace: reference.namespace,
            name: reference.name,
            change,
        }
    }
}

/// What became of an object, in one word.
pub(crate) fn change(object: &v1::AppliedObject) -> &'static str {
    use v1::applied_object::Change;
    match object.change() {
        Change::Created => "created",
        Change::Configured => "configured",
        Change::Unchanged => "unchanged",
        Change::Unspecified => "applied",
    }
}
