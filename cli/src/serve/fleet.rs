//! Connects the node of replication with the API: makes its settings from the configuration, and
//! translates its answers.

use std::sync::Arc;

use serde_json::Value;
use talos_api::error::ApiError;
use talos_api::fleet::{
    self, Acknowledgement, DivergedChanges, Fleet, FleetRefusal, FleetStatus, Later, NotEverywhere,
    PrimaryLink, REACH_WAIT, Reach, RefusalCount, Rejoined, ReplicaState, Role, Writes,
};
use talos_config::{ReplicationRole, Settings};
use talos_engine::Engine;
use talos_model::{Difference, LoggedChange, Mode, Position};
use talos_node::{
    ConfiguredRole, Node, NodeError, NodeFile, NodeRefusal, NodeSettings, NodeStatus,
    RequiredReplicas, WriteRole,
};
use talos_replication::driver::primary::FedReplica;
use talos_replication::driver::tls::{Certified, PrimaryTls, ReplicaTls};
use talos_replication::follow::Stop;
use talos_replication::secret::{Secrets, SharedSecret};

use super::readiness::Readiness;
use super::tls::Watched;
use crate::error::CliError;

/// Everything that a node of replication starts with.
pub(super) struct Plan {
    file: NodeFile,
    settings: NodeSettings,
    primary_url: Arc<str>,
}

impl Plan {
    /// The plan that the settings describe; `None` for a standalone server.
    ///
    /// # Errors
    /// When a secret or a file of `replication` cannot be used.
    pub(super) fn of(settings: &Settings) -> Result<Option<Self>, CliError> {
        let replication = &settings.replication;
        let configured_role = match (replication.role, &replication.primary) {
            (ReplicationRole::None, _) => return Ok(None),
            (ReplicationRole::Primary, _) => ConfiguredRole::Primary,
            (ReplicationRole::Replica, primary) => ConfiguredRole::Replica {
                primary: primary
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            },
        };
        let shared = |secret: &talos_model::Secret| {
            SharedSecret::new(secret.expose().as_bytes())
                .map_err(|error| CliError::Fleet(format!("replication.secret: {error}")))
        };
        let missing = || CliError::Fleet("replication.secret: missing".to_owned());
        let secrets = Secrets {
            current: shared(replication.secret.as_ref().ok_or_else(missing)?)?,
            retired: replication
                .secrets_retired
                .iter()
                .map(shared)
                .collect::<Result<_, _>>()?,
        };
        let tls = &replication.tls;
        let certified = tls.own().map(|(certificates, key)| Certified {
            certificates: certificates.to_owned(),
            key: key.to_owned(),
        });
        let unusable = |error: talos_replication::driver::tls::TlsError| {
            CliError::Fleet(format!("replication.tls: {error}"))
        };
        let primary_tls = certified
            .as_ref()
            .map(|own| PrimaryTls::load(own, tls.ca.as_deref()))
            .transpose()
            .map_err(unusable)?;
        let replica_tls = tls
            .ca
            .as_deref()
            .zip(tls.server_name.as_deref())
            .map(|(ca, name)| ReplicaTls::load(ca, name, certified.as_ref()))
            .transpose()
            .map_err(unusable)?;
        let file = NodeFile::load(&settings.db.directory).map_err(NodeError::File)?;
        Ok(Some(Self {
            file,
            settings: NodeSettings {
                configured_role,
                directory: settings.db.directory.clone(),
                listen: replication.listen,
                allowed: replication.allowed_addresses.clone(),
                secrets,
                max_staleness: replication.max_staleness,
                min_acks: replication.min_acks,
                ack_timeout: replication.ack_timeout,
                copies: replication.snapshots.concurrent,
                copy_bytes_per_s: replication.snapshots.bytes_per_second,
                primary_tls,
                replica_tls,
            },
            primary_url: replication.primary_url.clone().unwrap_or_default().into(),
        }))
    }

    /// The TLS files of the node.
    pub(super) fn tls_files(&self) -> Watched {
        let primary = self.settings.primary_tls.iter().map(PrimaryTls::files);
        let replica = self.settings.replica_tls.iter().map(ReplicaTls::files);
        primary.chain(replica).collect()
    }

    /// The mode in which to open the database.
    pub(super) fn mode(&self) -> Mode {
        self.file.mode(&self.settings.configured_role)
    }

    /// Starts the node.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub(super) fn start(
        self,
        engine: &Arc<Engine>,
        readiness: &Readiness,
    ) -> Result<Member, CliError> {
        let node = Node::start(Arc::clone(engine), self.file, self.settings)?;
        Ok(Member {
            node: Arc::new(node),
            engine: Arc::clone(engine),
            primary_url: self.primary_url,
            readiness: readiness.clone(),
        })
    }
}

/// A server that is a node of a cluster.
pub(super) struct Member {
    node: Arc<Node>,
    engine: Arc<Engine>,
    primary_url: Arc<str>,
    readiness: Readiness,
}

impl Member {
    /// The node of replication.
    pub(super) fn node(&self) -> Arc<Node> {
        Arc::clone(&self.node)
    }
}

impl Fleet for Member {
    fn ready(&self) -> Result<(), ApiError> {
        self.readiness.ready()?;
        if self.node.is_ready() {
            return Ok(());
        }
        match self.node.unready() {
            None => Ok(()),
            Some(reason) => Err(ApiError::service_unavailable(reason.to_string())),
        }
    }

    fn reach(&self, position: Position) -> Reach {
        if self.node.shows(position) {
            return Reach::Now;
        }
        let reaching = self.node.reach(position, REACH_WAIT);
        Reach::Later(Box::pin(async move {
            if reaching.await {
                Ok(())
            } else {
                Err(fleet::beyond(position))
            }
        }))
    }

    fn writes(&self) -> Result<Writes, ApiError> {
        match self.node.write_role() {
            WriteRole::Accepts => Ok(Writes::Here),
            WriteRole::Forwards => Ok(Writes::At(Arc::clone(&self.primary_url))),
            WriteRole::Replaced(epoch) => Err(ApiError::service_unavailable(format!(
                "another node is the primary since epoch {}, so this node no longer accepts changes; ask the new primary",
                epoch.0
            ))),
            WriteRole::Changing => Err(ApiError::service_unavailable(
                "this node is changing its role; try again",
            )),
        }
    }

    fn expects_acks(&self) -> Later<Result<(), ApiError>> {
        let expected = self.node.expects_acks();
        Box::pin(async move {
            expected.await.map_err(|error| {
                ApiError::service_unavailable(format!(
                    "{error} (replication.min_acks); nothing was changed, try again"
                ))
            })
        })
    }

    fn acknowledge(
        &self,
        position: Position,
        whom: Acknowledgement,
    ) -> Later<Result<(), NotEverywhere>> {
        let required = match whom {
            Acknowledgement::EveryReplica => RequiredReplicas::AllFresh,
            Acknowledgement::Configured => RequiredReplicas::Configured,
        };
        let acknowledged = self.node.acknowledge(position, required);
        let node = Arc::clone(&self.node);
        Box::pin(async move {
            let Err(error) = acknowledged.await else {
                return Ok(());
            };
            let missing = node.missing(position);
            Err(NotEverywhere {
                message: error.to_string(),
                missing: missing.iter().map(ToString::to_string).collect(),
            })
        })
    }

    fn status(&self) -> FleetStatus {
        let reason = self.readiness.reason();
        let mut shown = FleetStatus {
            role: Role::None,
            node_id: self.node.name().to_string(),
            epoch: self.engine.standing().epochs.newest().0,
            position: self.engine.committed().to_string(),
            ready: self.node.is_ready() && reason.is_none(),
            reason: reason.or_else(|| self.node.unready().map(|reason| reason.to_string())),
            replicas: None,
            refusals: None,
            primary: None,
        };
        match self.node.status() {
            NodeStatus::Primary {
                status, refusals, ..
            } => {
                shown.role = Role::Primary;
                shown.replicas = Some(status.replicas.iter().map(replica).collect());
                let refusals = refusals.into_iter().filter(|(_, count)| *count > 0);
                let count = |(reason, count): (&str, u64)| RefusalCount {
                    reason: reason.to_owned(),
                    count,
                };
                shown.refusals = Some(refusals.map(count).collect());
            }
            NodeStatus::Replica { status, primary } => {
                shown.role = Role::Replica;
                shown.primary = Some(PrimaryLink {
                    address: primary,
                    node_id: status.primary.map(|node| node.to_string()),
                    state: status.stage.label().to_owned(),
                    lag_changes: status.behind_changes,
                    lag_ms: status.staleness_ms(),
                    clock_offset_ms: status.clock_offset_ms,
                    diverged: matches!(status.stop, Some(Stop::Diverged { .. })),
                    differences: texts(&status.differences),
                    last_error: status.last_end,
                });
            }
            NodeStatus::Changing => {}
        }
        shown
    }

    fn promote(&self) -> Later<Result<FleetStatus, FleetRefusal>> {
        let promoted = self.node.promote();
        let member = Self {
            node: Arc::clone(&self.node),
            engine: Arc::clone(&self.engine),
            primary_url: Arc::clone(&self.primary_url),
            readiness: self.readiness.clone(),
        };
        Box::pin(async move {
            promoted.await.map_err(refusal)?;
            Ok(member.status())
        })
    }

    fn diverged(&self, limit: usize) -> Later<Result<DivergedChanges, FleetRefusal>> {
        let diverged = self.node.diverged_changes(limit);
        Box::pin(async move {
            let diverged = diverged.await.map_err(refusal)?;
            let changes = diverged.changes.iter().map(change);
            Ok(DivergedChanges {
                fork: diverged.fork.to_string(),
                changes: changes.collect::<Result<_, _>>()?,
                total: diverged.total,
            })
        })
    }

    fn rejoin(&self) -> Later<Result<Rejoined, FleetRefusal>> {
        let rejoined = self.node.rejoin();
        Box::pin(async move {
            let kept = rejoined.await.map_err(refusal)?;
            Ok(Rejoined {
                kept: kept.display().to_string(),
            })
        })
    }
}

fn replica(replica: &FedReplica) -> ReplicaState {
    ReplicaState {
        node_id: replica.node.to_string(),
        address: replica.address.to_string(),
        state: replica.state.label().to_owned(),
        position: replica.durable.map(|position| position.to_string()),
        lag_changes: replica.behind_changes,
        lag_ms: replica.behind_ms,
        differences: texts(&replica.differences),
    }
}

fn texts(differences: &[Difference]) -> Vec<String> {
    differences.iter().map(ToString::to_string).collect()
}

fn change(change: &LoggedChange) -> Result<Value, FleetRefusal> {
    let unreadable = |error: String| FleetRefusal::Failed(format!("{}: {error}", change.position));
    let read =
        talos_engine::decode_change(change).map_err(|error| unreadable(error.to_string()))?;
    let data = talos_api::change::render_data(&read);
    serde_json::from_slice(&data).map_err(|error| unreadable(error.to_string()))
}

fn refusal(refusal: NodeRefusal) -> FleetRefusal {
    match refusal {
        NodeRefusal::Precondition(text) => FleetRefusal::Precondition(text.to_owned()),
        NodeRefusal::Failed(text) => FleetRefusal::Failed(text),
    }
}
