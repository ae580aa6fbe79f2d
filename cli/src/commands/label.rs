//! `berth host label`.

use std::collections::HashMap;

use berth_proto::v1;

use super::{Context, confirm, host::listed};
use crate::{args::LabelArgs, error::CliError, output, output::tables};

/// Sets labels of a host, or takes them away.
pub(crate) async fn run(context: &Context, args: LabelArgs) -> Result<(), CliError> {
    let (set, remove) = parse(&args.labels)?;
    let send = async |confirmed| {
        let request = v1::LabelHostRequest {
            host: args.host.clone(),
            set: set.clone(),
            remove: remove.clone(),
            confirmed,
        };
        context.coordinator.hosts().label(request).await
    };
    let doing = format!("label host/{}", args.host);
    let answer = confirm::or_ask(context, &doing, "this stops members", args.yes, send).await;
    let answer = answer.map_err(listed)?;
    let already = if answer.changed { "" } else { " already" };
    output::data(&format!(
        "host/{} labelled{already}: {}",
        args.host,
        tables::labels(&answer.labels)
    ))
}

/// `KEY=VALUE` and `KEY-`, told apart.
fn parse(labels: &[String]) -> Result<(HashMap<String, String>, Vec<String>), CliError> {
    let mut set = HashMap::new();
    let mut remove = Vec::new();
    for text in labels {
        if let Some((key, value)) = text.split_once('=') {
            set.insert(key.to_owned(), value.to_owned());
        } else if let Some(key) = text.strip_suffix('-') {
            remove.push(key.to_owned());
        } else {
            return Err(CliError::Usage {
                message: format!("'{text}' is no change of a label"),
                hint: "write KEY=VALUE to set a label, KEY- to take it away".to_owned(),
            });
        }
    }
    Ok((set, remove))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_set_and_taken_away() {
        let texts = ["rack=a", "disk-", "note=a-"].map(str::to_owned);
        let (set, remove) = parse(&texts).unwrap();
        assert_eq!((set["rack"].as_str(), set["note"].as_str()), ("a", "a-"));
        assert_eq!(remove, ["disk"]);
        assert!(parse(&["rack".to_owned()]).is_err());
    }
}
