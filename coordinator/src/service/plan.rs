//! What applying would do, without doing it: what changes of the objects, the plan that the loop would
//! execute on the state after, and what is foreseen to follow from it.

use berth_core::{
    access::Rights,
    admission::{Change, FieldChange, Options, Outcome, diff},
    ids::SetKey,
    plan::{
        Step,
        forecast::{Forecast, Foreseen, forecast, waiting_of},
    },
    spec::Kind,
};
use berth_proto::v1::{self, AppliedObject, PlanRequest, PlanResponse, PlannedStep};

use super::{
    access,
    apply::{Prepared, Want, applied, parse, prepare},
    status::ServiceError,
};
use crate::{
    context::Context,
    reconcile::{Refusals, line},
    state::View,
    store::RecordError,
};

/// What applying would do.
pub(super) fn plan(
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
    preview(context, |_| {
        Ok(Want {
            objects,
            options,
            told: None,
            resumes: None,
        })
    })
}

/// What storing what is wanted would do.
pub(super) fn preview(
    context: &Context,
    want: impl FnOnce(&View) -> Result<Want, ServiceError>,
) -> Result<PlanResponse, ServiceError> {
    let now = context.clock.now();
    let view = context.view.read();
    let Prepared {
        admission,
        batch,
        disruptions,
    } = prepare(&view, want(&view)?, now)?;
    let changes = &admission.changes;
    let sets = changes.iter().filter(|one| one.kind == Kind::StatefulSet);
    let sets: Vec<SetKey> = sets.map(|change| change.key.clone()).collect();
    let objects = differing(&view, changes);
    let commit = context.store.read().stage().commit(batch);
    let commit = commit.map_err(|error| ServiceError::Store(error.into()))?;
    let mut after = view.clone();
    drop(view);
    after.absorb(&commit);
    let found = forecast(&after.state, now);
    let mut warnings = admission.warnings;
    let told = sets.iter().filter_map(|set| found.first.warnings.get(set));
    warnings.extend(told.flatten().cloned());
    let refused: Refusals = found.refused.iter().cloned().collect();
    warnings.extend(refused.warnings());
    let touched = changes.iter().any(|one| one.outcome != Outcome::Unchanged);
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

/// The objects, each with what changes of it.
fn differing(view: &View, changes: &[Change]) -> Vec<AppliedObject> {
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
