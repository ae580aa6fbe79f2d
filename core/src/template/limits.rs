//! What a process may: amounts, resource limits, capabilities and umask, as numbers.

use std::collections::{BTreeMap, BTreeSet};

use super::{RenderError, process::parse_mode};
use crate::{
    keeper::cgroup::{Controller, needed},
    quantity::{Quantity, QuantityError},
    rendered::{DEFAULT_UMASK, Limits, RenderedIoLimit, Rlimit},
    spec::{IoLimit, MemberSpec, Process, Resources, capability},
};

/// The capabilities that a process keeps, as the kernel's list has them, without `CAP_`.
pub(super) fn capabilities(process: &Process) -> Vec<String> {
    let names = process.capabilities.keep.iter();
    names.map(|name| capability::plain(name)).collect()
}

pub(super) fn rlimits(process: &Process) -> BTreeMap<String, Rlimit> {
    let limits = process.rlimits.iter().map(|(name, value)| {
        let (soft, hard) = value.bounds();
        let limit = Rlimit {
            soft: soft.number(),
            hard: hard.number(),
        };
        (name.to_ascii_lowercase(), limit)
    });
    limits.collect()
}

pub(super) fn umask(at: &str, process: &Process) -> Result<u32, RenderError> {
    let Some(text) = &process.umask else {
        return Ok(DEFAULT_UMASK);
    };
    parse_mode(text).ok_or_else(|| {
        RenderError::new(
            format!("{at}.umask"),
            format!("'{text}' is not a umask; write four octal digits, such as '0027'"),
        )
    })
}

type Count = fn(&Quantity) -> Result<u64, QuantityError>;

fn count(field: String, text: Option<&String>, count: Count) -> Result<Option<u64>, RenderError> {
    let counted = text.map(|text| text.parse().and_then(|quantity| count(&quantity)));
    counted.transpose().map_err(RenderError::quantity(field))
}

/// What a process may use, counted.
pub(super) fn limits(at: &str, resources: &Resources) -> Result<Limits, RenderError> {
    let at = format!("{at}.resources");
    let most = |name: &str, unit| {
        let field = format!("{at}.limits.{name}");
        count(field, resources.limits.get(name), unit)
    };
    let promised = |name: &str, unit| {
        let field = format!("{at}.requests.{name}");
        count(field, resources.requests.get(name), unit)
    };
    let io = resources.io.limits.iter().enumerate();
    let io = io.map(|(i, limit)| io_limit(&format!("{at}.io.limits[{i}]"), limit));
    Ok(Limits {
        memory: most("memory", Quantity::units)?,
        memory_request: promised("memory", Quantity::units)?,
        cpu_milli: most("cpu", Quantity::milli)?,
        cpu_request_milli: promised("cpu", Quantity::milli)?,
        pids: most("pids", Quantity::units)?,
        io_weight: resources.io.weight,
        io: io.collect::<Result<_, _>>()?,
        require: resources.require,
    })
}

/// The controllers that a host must have for a member to start there.
pub(crate) fn required_controllers(member: &MemberSpec) -> BTreeSet<Controller> {
    let all = member.init_processes.iter().chain(&member.processes);
    let strict = all.map(|p| &p.resources).filter(|r| r.require);
    // An amount that cannot be read was refused when it was written.
    let limits = strict.filter_map(|resources| limits("", resources).ok());
    limits.flat_map(|limits| needed(&limits)).collect()
}

fn io_limit(at: &str, limit: &IoLimit) -> Result<RenderedIoLimit, RenderError> {
    let bytes = |name: &str, text: &Option<String>| {
        count(format!("{at}.{name}"), text.as_ref(), Quantity::units)
    };
    Ok(RenderedIoLimit {
        device: limit.device.clone(),
        read_bps: bytes("readBps", &limit.read_bps)?,
        write_bps: bytes("writeBps", &limit.write_bps)?,
        read_iops: limit.read_iops,
        write_iops: limit.write_iops,
    })
}
