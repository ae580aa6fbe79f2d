//! `berth events`: what happened, and, with `--watch`, what happens.

use berth_proto::v1;
use tonic::Code;

use super::{Context, patience::Link};
use crate::{
    args::{EventsArgs, Format},
    error::CliError,
    output::{self, age, format, tables, view::EventView},
    refusal,
    target::{self, TargetKind},
    watch,
};

/// Shows events.
pub(crate) async fn run(context: &Context, args: EventsArgs) -> Result<(), CliError> {
    let (subject, everywhere) = match &args.subject {
        None => (String::new(), args.all.all_namespaces),
        Some(text) => {
            let (kind, name) = target::parse_named(text, None)?;
            // Hosts belong to no namespace.
            let everywhere = args.all.all_namespaces || kind == TargetKind::Host;
            (format!("{kind}/{name}"), everywhere)
        }
    };
    let namespace = context.scope(everywhere);
    let output = args.format.output;
    let past = list(context, &namespace, &subject, args.limit).await?;
    if args.watch {
        return follow(context, &namespace, &subject, past, output).await;
    }
    let views = || {
        past.iter()
            .cloned()
            .map(EventView::from)
            .collect::<Vec<_>>()
    };
    if let Some(text) = format::structured(output, &views())? {
        return output::data(&text);
    }
    if past.is_empty() {
        output::note("no events");
        return Ok(());
    }
    output::data(&tables::events(&past, everywhere, age::now()))
}

/// The last events, oldest first. A limit of 0 leaves it to the coordinator.
pub(crate) async fn list(
    context: &Context,
    namespace: &str,
    subject: &str,
    limit: u32,
) -> Result<Vec<v1::Event>, CliError> {
    let request = v1::ListEventsRequest {
        namespace: namespace.to_owned(),
        subject: subject.to_owned(),
        limit,
    };
    let answer = context.coordinator.events().list(request).await;
    answer
        .map(|response| response.into_inner().events)
        .map_err(|status| refusal::from_status("list events", &status))
}

/// Shows what was, then each new event. A coordinator that goes away and comes back is waited for;
/// the sequence number says where to go on.
async fn follow(
    context: &Context,
    namespace: &str,
    subject: &str,
    past: Vec<v1::Event>,
    output: Format,
) -> Result<(), CliError> {
    let mut last = Some(past.last().map_or(0, |event| event.sequence));
    for event in past {
        show(event, output)?;
    }
    let mut link = Link::default();
    loop {
        let request = v1::WatchEventsRequest {
            namespace: namespace.to_owned(),
            subject: subject.to_owned(),
            after_sequence: last,
        };
        let status = match context.coordinator.events().watch(request).await {
            Err(status) => status,
            Ok(stream) => {
                link.is_up();
                let mut stream = stream.into_inner();
                loop {
                    match stream.message().await.and_then(watch::ended) {
                        Ok(event) => {
                            last = Some(event.sequence);
                            show(event, output)?;
                        }
                        Err(status) => break status,
                    }
                }
            }
        };
        if status.code() == Code::OutOfRange && last.is_some() {
            output::note("older events are not kept any more; going on with the new ones");
            last = None;
            continue;
        }
        link.again("watch events", &status).await?;
    }
}

/// One event per line, in every format: a stream has no end that could close a list.
fn show(event: v1::Event, output: Format) -> Result<(), CliError> {
    match output {
        Format::Table | Format::Wide => output::data(&tables::event_line(&event)),
        Format::Json => output::data(&format::json_line(&EventView::from(event))?),
        Format::Yaml => {
            let text = format::yaml(&EventView::from(event))?;
            output::data(&format!("---\n{text}"))
        }
    }
}
