//! The metrics of both daemons as a scraper gets them, held against the page that lists them, both ways.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
};

use berth_proto::metrics::lint;
use berth_tests::{dev::Dev, machine::checkout, wait};

/// Where the daemons of `berth dev` serve them.
const COORDINATOR: &str = "127.0.0.1:7401";
const AGENT: &str = "127.77.0.1:7402";

/// A member, so that what is shown of one is there, too.
const MANIFEST: &str = "\
apiVersion: berth/v1
kind: StatefulSet
metadata: {name: idle}
spec:
  replicas: 1
  serviceName: idle
  template:
    spec:
      processes:
      - name: main
        command: [/bin/sleep, infinity]
        user: nobody
";

/// Names and kinds of what is served at an address.
async fn scraped(address: &str) -> BTreeMap<String, String> {
    let text = wait::until("metrics", async || {
        let get = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(address)?;
            write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        get().map_err(|error| error.to_string())
    })
    .await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("application/openmetrics-text"), "{head}");
    let shown = lint(body).unwrap();
    shown
        .into_iter()
        .map(|(name, one)| (name, one.kind))
        .collect()
}

/// Names and kinds that sections of the page list.
fn listed(sections: [&str; 2]) -> BTreeMap<String, String> {
    let page = fs::read_to_string(checkout().join("docs/metrics.md")).unwrap();
    let mut within = false;
    let mut rows = BTreeMap::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            within = sections.contains(&heading);
        } else if let Some(row) = line.strip_prefix("| `").filter(|_| within) {
            let (name, rest) = row.split_once('`').unwrap();
            let kind = rest.split('|').nth(1).unwrap().trim();
            rows.insert(name.to_owned(), kind.to_owned());
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_scraped_is_what_the_page_lists() {
    let dev = Dev::start(1);
    dev.cluster().apply(MANIFEST);
    dev.cluster().ready("idle", 1).await;
    for (address, section) in [(COORDINATOR, "The coordinator"), (AGENT, "The agent")] {
        let listed = listed(["Both daemons", section]);
        assert!(listed.len() > 10, "{listed:?}");
        assert_eq!(scraped(address).await, listed, "{address}");
    }
    dev.stop();
}
