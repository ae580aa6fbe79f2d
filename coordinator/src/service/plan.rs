//! What applying would do, without doing it: what changes of the objects, the plan that the loop would
//! execute on the state after, and what is foreseen to follow from it.

use berth_core::{
    access::{Rights, Role},
    admission::{self, FieldChange, Options, Outcome, diff},
    ids::HostName,
    plan::{
        Step,
        forecast::{Forecast, Foreseen, waiting_of},
    },
    prerequisite::Prerequisite,
    spec::Kind,
    time::Timestamp,
};
use berth_proto::v1::{self, AppliedObject, PlanRequest, PlanResponse, PlannedStep};

use super::{
    access,
    apply::{Prepared, Want, applied, parse, prepare},
    foresee::{Change, foresee},
    status::ServiceError,
};
use crate::{
    context::Context,
    reconcile::{Refusals, line},
    state::View,
    store::RecordError,
};

/// What applying would do.
pub(super) async fn plan(
    context: &Context,
    rights: &Rights,
    request: PlanRequest,
) -> Result<PlanResponse, ServiceError> {
    let options = Options {
        take_replicas: request.take_replicas,
        take_paused: request.take_paused,
        by_verb: false,
    };
    let objects = parse(request.sources, request.objects, &request.default_namespace)?;
    access::about_objects(rights, &objects)?;
    // What hosts have is for those to ask who may have members there.
    let asks = access::Needs::In(Role::Operator).met_by(rights);
    let want = |_: &View| {
        Ok(Want {
            objects,
            options,
            told: None,
            resumes: None,
        })
    };
    preview(context, asks, want).await
}

/// What storing what is wanted would do. `asks` is whether hosts may be asked what they have.
pub(super) async fn preview(
    context: &Context,
    asks: bool,
    want: impl FnOnce(&View) -> Result<Want, ServiceError>,
) -> Result<PlanResponse, ServiceError> {
    let now = context.clock.now();
    let Prospect {
        change,
        disruptions,
        mut warnings,
        objects,
        touched,
    } = prospect(context, asks, want, now)?;
    let sets = change.sets.clone();
    let found = foresee(context, change, now).await?;
    let told = sets.iter().filter_map(|set| found.first.warnings.get(set));
    warnings.extend(told.flatten().cloned());
    let refused: Refusals = found.refused.iter().cloned().collect();
    warnings.extend(refused.warnings());
    warnings.extend(found.assumed.iter().map(assumed));
    let waiting = waiting_of(&found.waiting, &sets);
    let waiting = waiting.map(|(id, reason)| format!("{id} waits: {reason} ({})", reason.rule()));
    let mut rounds = steps(&found)?;
    let forecast = rounds.split_off(found.at_once().count());
    Ok(PlanResponse {
        objects,
        changes: touched || !rounds.is_empty(),
        steps: rounds,
        warnings,
        disruptions,
        forecast,
        waiting: waiting.collect(),
        forecast_cut: found.cut,
    })
}

/// What is wanted, admitted and not stored.
struct Prospect {
    change: Change,
    disruptions: Vec<String>,
    warnings: Vec<String>,
    objects: Vec<AppliedObject>,
    /// Whether an object changes.
    touched: bool,
}

fn prospect(
    context: &Context,
    asks: bool,
    want: impl FnOnce(&View) -> Result<Want, ServiceError>,
    now: Timestamp,
) -> Result<Prospect, ServiceError> {
    let view = context.view.read();
    let Prepared {
        admission,
        batch,
        disruptions,
    } = prepare(&view, want(&view)?, now)?;
    let changes = &admission.changes;
    let sets = changes.iter().filter(|one| one.kind == Kind::StatefulSet);
    let sets = sets.map(|change| change.key.clone()).collect();
    let objects = differing(&view, changes);
    let touched = changes.iter().any(|one| one.outcome != Outcome::Unchanged);
    let commit = context.store.read().stage().commit(batch);
    let commit = commit.map_err(|error| ServiceError::Store(error.into()))?;
    let mut after = view.clone();
    after.absorb(&commit);
    Ok(Prospect {
        change: Change {
            before: view.state.clone(),
            after: after.state,
            sets,
            asks,
        },
        disruptions,
        warnings: admission.warnings,
        objects,
        touched,
    })
}

/// What a plan rests on that nobody knows.
fn assumed((host, required): (&HostName, &Vec<Prerequisite>)) -> String {
    let required: Vec<String> = required.iter().map(ToString::to_string).collect();
    let required = required.join(", ");
    format!("{host} has not said yet whether it has {required}: the forecast takes it that it has")
}

/// The objects, each with what changes of it.
fn differing(view: &View, changes: &[admission::Change]) -> Vec<AppliedObject> {
    let mut objects = applied(changes);
    for (object, change) in objects.iter_mut().zip(changes) {
        let before = view.objects.get(&(change.kind, change.key.clone()));
        if let Some(before) = before {
            let fields = diff(before, &change.object);
            object.fields = fields.into_iter().map(field).collect();
        }
    }
    objects
}

fn field(change: FieldChange) -> v1::FieldChange {
    v1::FieldChange {
        path: change.path,
        old: change.old,
        new: change.new,
        secret: change.secret,
    }
}

fn steps(forecast: &Forecast) -> Result<Vec<PlannedStep>, ServiceError> {
    let rounds = (0..).zip(&forecast.rounds);
    let all = rounds.flat_map(|(round, steps)| steps.iter().map(move |one| (round, one)));
    all.map(|(round, one)| planned(round, one)).collect()
}

fn planned(round: u32, foreseen: &Foreseen) -> Result<PlannedStep, ServiceError> {
    let line = line(&foreseen.step);
    Ok(PlannedStep {
        step: line.step.to_owned(),
        subject: line.subject,
        text: line.text,
        why: foreseen.why.clone(),
        json: json(&foreseen.step)?,
        round,
    })
}

fn json(step: &Step) -> Result<String, ServiceError> {
    let text = serde_json::to_string(step);
    text.map_err(|error| ServiceError::Record(RecordError::from(error)))
}
