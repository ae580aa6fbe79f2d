//! What the figures of members are measured on: a real coordinator and real agents on this machine,
//! as `berth dev` starts them, and sets of the smallest payload.

use std::time::Duration;

use anyhow::Context as _;
use berth_proto::v1::{
    ApplyRequest, DeleteRequest, ObjectRef, Source, object_service_client::ObjectServiceClient,
};
use tonic::transport::Channel;

use super::marks::{Mark, Marks, now};
use crate::{dev::Dev, wait};

/// The hosts that `berth dev` has when nobody says otherwise.
const HOSTS: u32 = 3;

/// A running cluster with the payload in reach.
#[derive(Debug)]
pub struct Bed {
    /// The processes.
    pub dev: Dev,
    /// The payload's starts.
    pub marks: Marks,
    objects: ObjectServiceClient<Channel>,
}

impl Bed {
    /// Starts it.
    ///
    /// # Errors
    /// If the payload cannot be placed.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with_hosts(HOSTS).await
    }

    /// Starts one with so many hosts.
    ///
    /// # Errors
    /// If the payload cannot be placed.
    pub async fn with_hosts(hosts: u32) -> anyhow::Result<Self> {
        let marks = Marks::new().context("the payload's folder in /var/lib")?;
        let dev = Dev::start(hosts);
        let objects = ObjectServiceClient::new(dev.cluster().channel().await);
        Ok(Self {
            dev,
            marks,
            objects,
        })
    }

    /// Applies a text, and gives the time that the call took.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn apply(&mut self, text: String) -> anyhow::Result<Duration> {
        let source = Source {
            file: "bench.yaml".into(),
            text,
        };
        let request = ApplyRequest {
            sources: vec![source],
            confirmed: true,
            ..ApplyRequest::default()
        };
        let start = now()?;
        self.objects.apply(request).await?;
        Ok(now()? - start)
    }

    /// Applies a set, and waits until each of its members' `main` began. The times count from the
    /// call of Apply, in the order in which the members started.
    ///
    /// # Errors
    /// If it is refused, or a member does not start.
    pub async fn start_set(
        &mut self,
        name: &str,
        replicas: u32,
        policy: &str,
    ) -> anyhow::Result<Vec<Mark>> {
        let text = self.manifest(name, replicas, policy);
        self.start_text(text, replicas).await
    }

    /// The same with a local volume for each member.
    ///
    /// # Errors
    /// If it is refused, or a member does not start.
    pub async fn start_set_on_volumes(
        &mut self,
        name: &str,
        replicas: u32,
        policy: &str,
    ) -> anyhow::Result<Vec<Mark>> {
        let text = format!(
            "{}\
             \x20         volumeMounts: [{{ name: data, mountPath: /srv }}]\n\
             \x20 volumeClaimTemplates:\n\
             \x20   - metadata: {{ name: data }}\n\
             \x20     spec: {{ resources: {{ requests: {{ storage: 1Mi }} }} }}\n",
            self.manifest(name, replicas, policy)
        );
        self.start_text(text, replicas).await
    }

    async fn start_text(&mut self, text: String, replicas: u32) -> anyhow::Result<Vec<Mark>> {
        let start = now()?;
        self.apply(text).await?;
        let mut marks = (0..replicas)
            .map(|_| self.marks.wait())
            .collect::<Result<Vec<_>, _>>()?;
        for mark in &mut marks {
            mark.at -= start;
        }
        marks.sort_by_key(|mark| mark.at);
        Ok(marks)
    }

    /// Deletes a set, and waits until its members are gone.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn remove_set(&mut self, name: &str) -> anyhow::Result<()> {
        let reference = ObjectRef {
            kind: "StatefulSet".into(),
            namespace: "default".into(),
            name: name.into(),
        };
        let request = DeleteRequest {
            r#ref: Some(reference),
            typed_name: name.into(),
            orphan: false,
            ..DeleteRequest::default()
        };
        self.objects.delete(request).await?;
        wait::until("the set's members to be gone", async || {
            let members = self.dev.cluster().members(name).await;
            match members {
                Ok(members) if members.is_empty() => Ok(()),
                Ok(members) => Err(format!("{} members", members.len())),
                Err(status) if status.code() == tonic::Code::NotFound => Ok(()),
                Err(status) => Err(status.to_string()),
            }
        })
        .await;
        Ok(())
    }

    fn manifest(&self, name: &str, replicas: u32, policy: &str) -> String {
        let payload = self.marks.payload();
        let fifo = self.marks.fifo();
        format!(
            "apiVersion: berth/v1\n\
             kind: StatefulSet\n\
             metadata: {{ name: {name} }}\n\
             spec:\n\
             \x20 replicas: {replicas}\n\
             \x20 podManagementPolicy: {policy}\n\
             \x20 spread: Prefer\n\
             \x20 template:\n\
             \x20   spec:\n\
             \x20     terminationGracePeriodSeconds: 2\n\
             \x20     processes:\n\
             \x20       - name: payload\n\
             \x20         user: nobody\n\
             \x20         command: [{}, mark, {}, '{{{{ member }}}}']\n",
            payload.display(),
            fifo.display(),
        )
    }
}
