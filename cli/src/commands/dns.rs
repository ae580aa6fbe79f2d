//! `berth host dns`: the host's own programs resolve the names of members, through systemd-resolved and a
//! drop-in of ours that takes nothing else over. The agent of this host says what it serves, and where.

use std::{fs, io, path::PathBuf, process::Command};

use berth_proto::v1::{LocalNamesRequest, LocalNamesResponse};

use crate::{
    args::{DnsArgs, DnsCommand},
    client,
    error::CliError,
    output, refusal,
};

/// Ours alone: to remove it undoes everything.
const DROP_IN: &str = "/etc/systemd/resolved.conf.d/berth.conf";
const UNIT: &str = "systemd-resolved.service";

/// Enables, disables, or shows.
pub(crate) async fn run(args: &DnsArgs) -> Result<(), CliError> {
    match args.command {
        DnsCommand::Enable => enable(&names(args).await?),
        DnsCommand::Disable => disable(),
        DnsCommand::Status => status(&names(args).await?),
    }
}

async fn names(args: &DnsArgs) -> Result<LocalNamesResponse, CliError> {
    let mut agent = client::agent(&args.agent.socket).await?;
    let answer = agent.names(LocalNamesRequest {}).await;
    let names = answer.map_err(|status| refusal::from_status("ask for the zone", &status))?;
    Ok(names.into_inner())
}

fn drop_in(names: &LocalNamesResponse) -> String {
    // `~`: these names and no others are asked there first. Ours are not signed.
    format!(
        "# Written by `berth host dns enable`; `berth host dns disable` removes it.\n\
         [Resolve]\nDNS={}\nDomains=~{}\nDNSSEC=no\n",
        names.servers.join(" "),
        names.zone
    )
}

fn enable(names: &LocalNamesResponse) -> Result<(), CliError> {
    if !systemctl(&["is-active", "--quiet", UNIT])? {
        return Err(CliError::Missing {
            message: format!("{UNIT} does not run on this host"),
            hint: format!(
                "install and start it, or have your own resolver ask {} for {}",
                names.servers.join(" "),
                names.zone
            ),
        });
    }
    let wanted = drop_in(names);
    if fs::read_to_string(DROP_IN).is_ok_and(|text| text == wanted) {
        return output::data("enabled already");
    }
    let path = PathBuf::from(DROP_IN);
    let write = || {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&path, wanted)
    };
    write().map_err(|source| failed("write", source))?;
    again()?;
    output::data(&format!("this host resolves {}", names.zone))
}

fn disable() -> Result<(), CliError> {
    match fs::remove_file(DROP_IN) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return output::data("disabled already");
        }
        Err(source) => return Err(failed("remove", source)),
    }
    again()?;
    output::data("this host resolves names of members no more")
}

fn status(names: &LocalNamesResponse) -> Result<(), CliError> {
    let (zone, servers) = (&names.zone, names.servers.join(" "));
    output::data(&match fs::read_to_string(DROP_IN) {
        Ok(text) if text == drop_in(names) => format!("enabled: {zone} is asked of {servers}"),
        Ok(_) => format!("outdated: {DROP_IN} is not for {zone} at {servers}; enable it again"),
        Err(_) => format!("disabled; {servers} serves {zone}"),
    })
}

/// Has systemd-resolved read its configuration, if it runs.
fn again() -> Result<(), CliError> {
    if systemctl(&["try-restart", UNIT])? {
        return Ok(());
    }
    Err(CliError::Missing {
        message: format!("{UNIT} does not start again"),
        hint: format!("see `systemctl status {UNIT}`"),
    })
}

fn systemctl(args: &[&str]) -> Result<bool, CliError> {
    let status = Command::new("systemctl").args(args).status();
    let status = status.map_err(|error| CliError::Missing {
        message: format!("systemctl cannot be run: {error}"),
        hint: "use it on a host with systemd".to_owned(),
    })?;
    Ok(status.success())
}

fn failed(doing: &'static str, source: io::Error) -> CliError {
    CliError::File {
        doing,
        path: DROP_IN.into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_zone_is_taken_over() {
        let text = drop_in(&LocalNamesResponse {
            zone: "berth.internal".to_owned(),
            servers: vec!["127.0.0.153".to_owned(), "10.0.0.1:5353".to_owned()],
        });
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "[Resolve]",
                "DNS=127.0.0.153 10.0.0.1:5353",
                "Domains=~berth.internal",
                "DNSSEC=no"
            ]
        );
    }
}
