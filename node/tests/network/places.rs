//! Nodes at different addresses: each in a network namespace of its own. Without the right to make those, these tests skip, and say so.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use lyceum_node::network::BANS_FILE;
use lyceum_protocol::Timestamp;
use serde_json::Value;

use crate::child::{NodeProcess, eventually, folder_of};
use crate::space::Spaces;
use crate::spec::spec;

const ANYWHERE: [&str; 2] = ["--listen", "/ip4/0.0.0.0/tcp/4001"];

#[test]
fn nodes_on_one_local_network_meet_by_mdns_alone() {
    let Some(spaces) = Spaces::new(1) else {
        return;
    };
    let spec = spec(|_| {});
    let folders = [folder_of(&spec), folder_of(&spec)];
    let flags = [&ANYWHERE[..], &["--mdns"]].concat();
    let nodes =
        [0, 1].map(|i| NodeProcess::start_in(Some(spaces.name(i)), folders[i].path(), &flags));
    for node in &nodes {
        node.wait_for_peers(1);
    }
}

/// A server of these tests', a script of Python, in a namespace.
struct Server {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Server {
    fn start(space: &str, script: &str, arguments: &[&str]) -> Self {
        let script = format!("{}/tests/network/{script}", env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new("ip")
            .args(["netns", "exec", space, "python3", &script])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self { child, says };
        assert_eq!(server.line(), "ready");
        server
    }

    /// The next line that it prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_bootnode_is_found_by_its_name() {
    let Some(spaces) = Spaces::new(0) else {
        return;
    };
    spaces.resolve_locally(0);
    let spec = spec(|_| {});
    let folders = [folder_of(&spec), folder_of(&spec)];
    let space = Some(spaces.name(0));
    let boot = NodeProcess::start_in(space, folders[0].path(), &ANYWHERE);
    let id = boot.status()["peer_id"].as_str().unwrap().to_owned();
    let text = format!("dnsaddr=/ip4/127.0.0.1/tcp/4001/p2p/{id}");
    let _names = Server::start(spaces.name(0), "names.py", &["_dnsaddr.boot.test", &text]);
    let by_name = ["--bootnode", "/dnsaddr/boot.test"];
    let node = NodeProcess::start_in(space, folders[1].path(), &by_name);
    node.wait_for_peers(1);
    boot.wait_for_peers(1);
}

#[test]
fn a_router_is_asked_to_map_the_port() {
    let Some(spaces) = Spaces::new(1) else {
        return;
    };
    spaces.route_by_hub(1);
    let mut router = Server::start(spaces.name(0), "router.py", &[&Spaces::hub_address(1)]);
    let folder = folder_of(&spec(|_| {}));
    let flags = [&ANYWHERE[..], &["--upnp"]].concat();
    let node = NodeProcess::open_in(Some(spaces.name(1)), folder.path(), &flags);
    let here = format!("{}:4001", Spaces::address(1));
    assert_eq!(router.line(), format!("AddPortMapping TCP 4001 {here}"));
    let mapped = node.wait_for("UPnP");
    assert!(
        mapped["event"]
            .as_str()
            .unwrap()
            .contains("/ip4/8.8.8.8/tcp/4001"),
        "{mapped}"
    );
}

/// The addresses that a node has banned, as its file says.
fn banned_addresses(folder: &Path) -> Vec<String> {
    let Ok(text) = std::fs::read(folder.join("data").join(BANS_FILE)) else {
        return Vec::new(); // it is written with the first ban
    };
    let file: Value = serde_json::from_slice(&text).unwrap();
    file["addresses"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

#[test]
fn an_address_is_banned_with_its_liar_and_no_other() {
    let Some(spaces) = Spaces::new(2) else {
        return;
    };
    let ours = spec(|_| {});
    // The same name, another genesis: whoever says that it is on our chain then lies.
    let theirs = spec(|fields| {
        fields.genesis_time = Timestamp::new(ours.genesis_time.get() - 1_000).unwrap();
    });
    let folders = [&ours, &ours, &ours].map(folder_of);
    let victim = || NodeProcess::start_in(Some(spaces.name(0)), folders[0].path(), &ANYWHERE);
    let guest = |folder: &Path, space: usize| {
        let bootnode = format!("/ip4/{}/tcp/4001", Spaces::hub_address(space));
        let level = "info,lyceum_node=debug";
        let flags = ["--bootnode", &bootnode, "--log-level", level];
        NodeProcess::start_in(Some(spaces.name(space)), folder, &flags)
    };
    let first = victim();
    eventually("the liar's address is banned", || {
        let folder = folder_of(&theirs);
        let liar = guest(folder.path(), 1);
        // To the liar we are the liars. Where it is the quicker one, it hangs up before it is heard: another takes its place.
        let heard = eventually("one bans the other", || {
            let banned = banned_addresses(folders[0].path());
            let is_over = !banned.is_empty() || !banned_addresses(folder.path()).is_empty();
            is_over.then_some(banned)
        });
        drop(liar);
        (heard == [Spaces::address(1)]).then_some(())
    });
    // Somebody honest at that address is not let in, somebody elsewhere is.
    let neighbour = guest(folders[1].path(), 1);
    let honest = guest(folders[2].path(), 2);
    honest.wait_for_peers(1);
    first.wait_for_peers(1);
    neighbour.wait_for("dial failed");
    neighbour.wait_for("dial failed");
    assert_eq!(neighbour.status()["peers"], 0);
    // The ban outlives a restart.
    assert_eq!(first.end("INT").code(), Some(0));
    let again = victim();
    again.wait_for_peers(1);
    neighbour.wait_for("dial failed");
    assert_eq!(
        (&neighbour.status()["peers"], &honest.status()["peers"]),
        (&0.into(), &1.into())
    );
    assert_eq!(banned_addresses(folders[0].path()), [Spaces::address(1)]);
}
