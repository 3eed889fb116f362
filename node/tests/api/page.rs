//! The page in a browser: Debian's Chromium, driven by playwright (PyPI).

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::ci::ci;
use crate::forge;
use crate::world::World;

#[test]
fn people_register_and_vote_by_the_page() {
    ci("apt", &["chromium"]);
    let python = ci("python", &["requirements-api.txt"]);
    let world = World::new();
    // What other people did before, some of it hostile: it is shown as text.
    let actions = [
        r#"{"action":"add_course","course":{"id":"C1","name":"Logic","department":"Philosophy","teacher":"Hypatia","capacity":30}}"#,
        r#"{"action":"add_course","course":{"id":"C2","name":"<img src=x onerror=document.title='broken'>","department":"Mischief"}}"#,
        r#"{"action":"enroll","student":"S1-0","course":"C1"}"#,
        r#"{"action":"grade","student":"S1-0","course":"C1","grade":93}"#,
        r#"{"action":"generate_nft","nft":{"id":"N1","student":"S1-0","course":"C1","name":"Logic, passed"}}"#,
        r#"{"action":"propose","proposal":{"id":"P1","title":"A library","description":"Buy books for everyone"}}"#,
    ];
    let call = forge::call(&world.spec, 1, 10, 5, &actions.join(","));
    assert_eq!(
        world
            .post("/api/v1/txs", "application/jwt", call.token().as_bytes())
            .status,
        202
    );
    world.mine();
    let folder = tempfile::tempdir().unwrap();
    let pictures = std::env::var_os("LYCEUM_PICTURES").unwrap_or(folder.path().into());
    let script = format!("{}/tests/api/page.py", env!("CARGO_MANIFEST_DIR"));
    let mut child = Command::new(python)
        .arg(script)
        .arg(world.url("/"))
        .arg(pictures)
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let has_pending = world.core.lock().unwrap().mempool.stats().transactions > 0;
        if has_pending {
            world.mine();
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(status.success());
    // What the page signed has gone through the node's rules and contracts.
    let student = world.json("/api/v1/state/learning/student/S77");
    assert_eq!(student["record"]["name"], "Émilie du Châtelet");
    let proposal = world.json("/api/v1/state/dao/proposal/P1");
    assert_eq!(proposal["record"]["yes"], 1);
    assert_eq!(
        world.json("/api/v1/mempool")["items"],
        Value::Array(Vec::new())
    );
}
