//! The vectors of vectors/vm: what each program ends with, to the cell.

use std::path::Path;

use lyceum_vm::{Modulus, RunDomain, RunOptions, run_program};
use serde_json::Value;

#[test]
fn vectors_end_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/vm");
    let mut count = 0;
    for file in ["open.json", "xor.json", "paillier.json"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let vectors: Vec<Value> = serde_json::from_str(&text).unwrap();
        for vector in &vectors {
            let domain = match vector["domain"].as_str().unwrap() {
                "open" => RunDomain::Open,
                "xor" => RunDomain::Xor(vector["key"].as_i64().unwrap()),
                _ => RunDomain::Paillier(
                    Modulus::from_decimal(vector["modulus"].as_str().unwrap()).unwrap(),
                ),
            };
            let steps = vector
                .get("max_steps")
                .map_or(1000, |steps| steps.as_u64().unwrap());
            let options = RunOptions {
                domain: Some(domain),
                steps,
                ..RunOptions::default()
            };
            let output = run_program(&vector["program"].to_string(), &options, None).unwrap();
            let got: Value = serde_json::from_slice(&output.text).unwrap();
            assert_eq!(got, vector["expect"], "{file}: {}", vector["name"]);
            count += 1;
        }
    }
    assert!(count >= 60, "{count} vectors");
}
