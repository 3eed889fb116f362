//! Starting and stopping.

use std::io;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::metrics::Metrics;
use libp2p::{Multiaddr, PeerId, Swarm, TransportError};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::behaviour::{Behaviour, swarm, swarm_over};
use super::metrics::Counters;
use super::rendezvous::{FOUND_QUEUE_LEN, Rendezvous};
use super::task::{Inputs, Task};
use super::{
    NETWORK_COMMANDS_LEN, NETWORK_EVENTS_LEN, NetworkCommand, NetworkConfig, NetworkEvent,
    NetworkView,
};

/// Why a network does not start.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// It can't listen there.
    #[error("can't listen on {address}: {error}")]
    Listen {
        /// Where.
        address: Multiaddr,
        /// Why.
        error: TransportError<io::Error>,
    },
    /// The system's DNS configuration can't be read.
    #[error("can't read the system's DNS configuration: {0}")]
    Dns(io::Error),
    /// Multicast DNS can't be had.
    #[error("multicast DNS: {0}")]
    Mdns(io::Error),
    /// Gossip can't be set up.
    #[error("gossip: {0}")]
    Gossip(String),
    /// The transports can't be set up.
    #[error("transport: {0}")]
    Transport(String),
}

/// Sends commands to the network.
#[derive(Debug, Clone)]
pub struct NetworkSender {
    commands: mpsc::Sender<NetworkCommand>,
    dropped: Counter,
}

impl NetworkSender {
    /// Sends a command, and waits where too many wait already. False where the network has stopped.
    pub async fn send(&self, command: NetworkCommand) -> bool {
        self.commands.send(command).await.is_ok()
    }

    /// Sends a command if there is room. Never waits; what is dropped is counted. False where it was dropped, or the network has
    /// stopped.
    pub fn try_send(&self, command: NetworkCommand) -> bool {
        let sent = self.commands.try_send(command);
        if let Err(mpsc::error::TrySendError::Full(_)) = sent {
            self.dropped.inc();
        }
        sent.is_ok()
    }
}

/// A running network.
#[derive(Debug)]
pub struct Network {
    /// Who we are.
    pub peer_id: PeerId,
    /// Tells it what to do.
    pub commands: NetworkSender,
    /// Tells what happens. Somebody must listen: gossip and requests are dropped where too many wait.
    pub events: mpsc::Receiver<NetworkEvent>,
    /// The network as it stands.
    pub view: watch::Receiver<NetworkView>,
    /// Stops it.
    pub stop: CancellationToken,
    /// Ends once it has stopped, and the bans are written.
    pub task: JoinHandle<()>,
}

impl Network {
    /// Stops, and waits until it has stopped.
    pub async fn shutdown(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

/// Starts a network on the current tokio runtime. Its metrics go into `registry`: libp2p's own under `libp2p_`, ours under
/// `lyceum_network_`.
///
/// # Errors
/// [`NetworkError`], among others where an address to listen on is taken.
pub fn start(config: NetworkConfig, registry: &mut Registry) -> Result<Network, NetworkError> {
    let swarm = swarm(&config, registry)?;
    start_swarm(swarm, config, registry)
}

/// Starts a network over a transport of the caller's instead of TCP, QUIC and relays: a simulator's. Names are not resolved.
///
/// # Errors
/// [`NetworkError`], among others where the transport does not listen at an address.
pub fn start_over(
    transport: Boxed<(PeerId, StreamMuxerBox)>,
    config: NetworkConfig,
    registry: &mut Registry,
) -> Result<Network, NetworkError> {
    let swarm = swarm_over(transport, &config, registry)?;
    start_swarm(swarm, config, registry)
}

fn start_swarm(
    mut swarm: Swarm<Behaviour>,
    config: NetworkConfig,
    registry: &mut Registry,
) -> Result<Network, NetworkError> {
    for address in &config.listen {
        let listening = swarm.listen_on(address.clone());
        listening.map_err(|error| NetworkError::Listen {
            address: address.clone(),
            error,
        })?;
    }
    for address in &config.external {
        swarm.add_external_address(address.clone());
    }
    let counters = Counters::new(registry);
    let (commands, commands_receiver) = mpsc::channel(NETWORK_COMMANDS_LEN);
    let (events_sender, events) = mpsc::channel(NETWORK_EVENTS_LEN);
    let (view_sender, view) = watch::channel(NetworkView::default());
    let (found_sender, found) = mpsc::channel(FOUND_QUEUE_LEN);
    let stop = CancellationToken::new();
    if let Some(mainline) = config.discovery.mainline.clone() {
        let rendezvous = Rendezvous::new(&config, view.clone(), found_sender);
        tokio::spawn(rendezvous.run(mainline, stop.clone()));
    }
    let peer_id = *swarm.local_peer_id();
    let commands = NetworkSender {
        commands,
        dropped: counters.commands_dropped.clone(),
    };
    let inputs = Inputs {
        commands: commands_receiver,
        found,
        stop: stop.clone(),
    };
    let counted = (counters, Metrics::new(registry));
    let task = Task::new(swarm, config, events_sender, view_sender, counted);
    let task = tokio::spawn(task.run(inputs));
    Ok(Network {
        peer_id,
        commands,
        events,
        view,
        stop,
        task,
    })
}
