//! The data of members that move, from the agent's side: between the helper that touches the storage
//! and the stream that the data goes over. What is not taken holds the helper back.

use std::{process::Stdio, time::Duration};

use berth_core::{
    volume::{
        transfer::Weight,
        work::{VolumeTask, VolumeWork},
    },
    waiting::Reason,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Child,
    sync::mpsc,
    time::timeout,
};

use super::{
    LinuxHost,
    helpers::{self, About},
    step_failed, volumes, work,
};
use crate::host::{
    VolumePart,
    storage::{
        helper::{HelperLine, HelperRequest},
        work::WorkRequest,
    },
};

/// How long it may take to weigh a volume, or to write out and verify one: all of it is read. A day is
/// a volume that a day of standing still is too long for anyway.
const WEIGH: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a helper may take for a piece of an archive: storage that stands still so long hangs.
const STALL: Duration = Duration::from_secs(10 * 60);
/// How long a helper that has said all may take to be gone.
const ENDING: Duration = Duration::from_secs(30);
/// How much goes at once.
const PIECE: u64 = 256 << 10;
/// How much of what a helper complains of is told.
const COMPLAINT: u64 = 4096;

/// Where a transfer ends on this host.
struct End<'a> {
    host: &'a LinuxHost,
    about: [About; 1],
    request: Box<WorkRequest>,
}

impl<'a> End<'a> {
    async fn new(host: &'a LinuxHost, work: VolumeWork) -> Result<Self, Reason> {
        let about = About {
            volume: work.volume.name.to_string(),
            source: work.source.describe(),
            step: work::step(work.task),
        };
        let this = host.clone();
        let sends = matches!(work.task, VolumeTask::Send { .. });
        let request = host.blocking(move |inner| {
            if sends {
                work::check_unused(&this, &work, &work.source)?;
            }
            // Where it comes from is the other host's business.
            let place = volumes::place(inner, &work.source, 0)?;
            Ok(WorkRequest { work, place })
        });
        Ok(Self {
            host,
            about: [about],
            request: Box::new(request.await?),
        })
    }

    fn begin(&self, request: &HelperRequest, errors: Stdio) -> Result<(Child, Vec<u8>), Reason> {
        let inner = &self.host.inner;
        let program = &inner.config.keeper_program;
        helpers::begin(program, &inner.stuck, &self.about, request, errors)
    }

    async fn weigh(&self) -> Result<Weight, Reason> {
        let VolumeTask::Send { epoch } = self.request.work.task else {
            return Err(self.gone("nothing is to be sent"));
        };
        let request = HelperRequest::Weigh {
            request: self.request.clone(),
            epoch,
        };
        let (child, text) = self.begin(&request, Stdio::inherit())?;
        let stuck = &self.host.inner.stuck;
        let lines = helpers::finish(child, stuck, &self.about, (&text, WEIGH)).await?;
        let mut weights = lines.into_iter().filter_map(|line| match line {
            HelperLine::Weight(weight) => Some(weight),
            HelperLine::At { .. }
            | HelperLine::Prepared(_)
            | HelperLine::Pool(_)
            | HelperLine::Fact(_)
            | HelperLine::Health(_)
            | HelperLine::Failed(_)
            | HelperLine::Done => None,
        });
        weights
            .next()
            .ok_or_else(|| self.gone("nothing was weighed"))
    }

    fn gone(&self, error: impl ToString) -> Reason {
        step_failed(self.request.work.task.describe(), error.to_string())
    }

    /// Waits for a helper, and gives it up when it takes too long.
    async fn soon<T>(&self, doing: impl Future<Output = std::io::Result<T>>) -> Result<T, Reason> {
        let done = timeout(STALL, doing).await;
        let done = done.map_err(|_| self.gone("its storage stands still"))?;
        done.map_err(|e| self.gone(e))
    }
}

/// Sends the data of a volume, after what it holds.
pub(super) async fn send(
    host: &LinuxHost,
    work: VolumeWork,
    out: &mpsc::Sender<VolumePart>,
) -> Result<(), Reason> {
    let end = End::new(host, work).await?;
    let unheard = || end.gone("nobody listens any more");
    let weight = end.weigh().await?;
    let anything = weight.owned.is_some();
    let told = out.send(VolumePart::Weight(weight)).await;
    told.map_err(|_| unheard())?;
    if !anything {
        return Ok(());
    }
    let request = HelperRequest::Send(end.request.clone());
    let (mut child, text) = end.begin(&request, Stdio::piped())?;
    let (Some(mut input), Some(mut output), Some(errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(end.gone("a helper has no pipes"));
    };
    end.soon(input.write_all(&text)).await?;
    drop(input);
    loop {
        let mut piece = Vec::new();
        let mut read = (&mut output).take(PIECE);
        end.soon(read.read_to_end(&mut piece)).await?;
        if piece.is_empty() {
            break;
        }
        let taken = out.send(VolumePart::Data(piece)).await;
        taken.map_err(|_| unheard())?;
    }
    let mut complaint = String::new();
    let mut errors = errors.take(COMPLAINT);
    end.soon(errors.read_to_string(&mut complaint)).await?;
    let ended = timeout(ENDING, child.wait()).await;
    let ended = ended.map_err(|_| end.gone("its helper does not end"))?;
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(end.gone(format!("{status}: {}", complaint.trim()))),
        Err(error) => Err(end.gone(error)),
    }
}

/// Makes a volume of what comes.
pub(super) async fn receive(
    host: &LinuxHost,
    work: VolumeWork,
    mut parts: mpsc::Receiver<VolumePart>,
) -> Result<(), Reason> {
    let end = End::new(host, work).await?;
    let VolumeTask::Receive { epoch, bytes } = end.request.work.task else {
        return Err(end.gone("nothing is to be received"));
    };
    let cut_off = || end.gone("the other host stopped to send");
    let weight = match parts.recv().await {
        Some(VolumePart::Weight(weight)) => weight,
        Some(VolumePart::Failed(error)) => return Err(end.gone(error)),
        Some(VolumePart::Data(_) | VolumePart::End) | None => return Err(cut_off()),
    };
    let request = HelperRequest::Receive {
        request: end.request.clone(),
        weight,
        epoch,
        bytes,
    };
    let (mut child, text) = end.begin(&request, Stdio::inherit())?;
    let Some(mut input) = child.stdin.take() else {
        return Err(end.gone("a helper has no pipes"));
    };
    end.soon(input.write_all(&text)).await?;
    loop {
        let piece = match parts.recv().await {
            Some(VolumePart::Data(piece)) => piece,
            Some(VolumePart::End) => break,
            Some(VolumePart::Failed(error)) => return Err(end.gone(error)),
            Some(VolumePart::Weight(_)) | None => return Err(cut_off()),
        };
        let written = timeout(STALL, input.write_all(&piece)).await;
        let written = written.map_err(|_| end.gone("its storage stands still"))?;
        if written.is_err() {
            // It has ended early, and says why.
            break;
        }
    }
    drop(input);
    let stuck = &host.inner.stuck;
    helpers::finish(child, stuck, &end.about, (&[], WEIGH)).await?;
    Ok(())
}
