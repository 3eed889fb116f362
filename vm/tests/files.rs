//! Program files of all kinds: JSON, `.sce`, assembler text; the examples and the fuzz corpus.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::{Path, PathBuf};

use dashu_int::UBig;
use lyceum_vm::{
    AsmCell, Assembly, Modulus, PaillierPrivate, Residue, RunDomain, RunError, RunOptions,
    assemble, disassemble, fuzz_assembler, fuzz_program, run_program,
};
use proptest::prelude::*;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn example(name: &str) -> String {
    std::fs::read_to_string(root("vm/examples").join(name)).unwrap()
}

fn run(text: &str, domain: Option<RunDomain>) -> Result<String, RunError> {
    let options = RunOptions {
        domain,
        ..RunOptions::default()
    };
    run_program(text, &options, None).map(|output| String::from_utf8(output.text).unwrap())
}

fn run_asm(name: &str, domain: RunDomain) -> serde_json::Value {
    let program = assemble(&example(name)).unwrap();
    serde_json::from_str(&run(&program.to_json(), Some(domain)).unwrap()).unwrap()
}

/// The toy key of the examples.
fn key() -> PaillierPrivate {
    PaillierPrivate::new(
        &((UBig::ONE << 89) - UBig::ONE),
        &((UBig::ONE << 107) - UBig::ONE),
    )
    .unwrap()
}

fn decrypt(cell: &str) -> UBig {
    let key = key();
    let n = key.public().modulus().n().clone();
    let (t, s) = cell.split_once('.').unwrap();
    let [t, s] = [t, s].map(|part| UBig::from_str_radix(part, 10).unwrap());
    key.decrypt(&Residue::new(t * n + s + UBig::ONE)).unwrap()
}

#[test]
fn hello_says_so() {
    let output = run_asm("hello.asm", RunDomain::Open);
    let bytes: Vec<u8> = output["output"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| u8::try_from(c.as_u64().unwrap()).unwrap())
        .collect();
    assert_eq!(bytes, b"Hello, Cryptoleq!\n");
    assert_eq!(output["halt"], "halt");
}

#[test]
fn factorial_of_ten() {
    assert_eq!(
        run_asm("factorial.asm", RunDomain::Open)["output"],
        serde_json::json!([3_628_800])
    );
    let modulus = Modulus::from_decimal("1000003").unwrap();
    // 10! wraps: 3 628 800 − 3 · 1 000 003.
    assert_eq!(
        run_asm("factorial.asm", RunDomain::Paillier(modulus))["output"],
        serde_json::json!(["628791"])
    );
}

#[test]
fn sort_sorts() {
    let output = run_asm("sort.asm", RunDomain::Open);
    let memory: Vec<i64> = output["memory"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| cell.as_i64().unwrap())
        .collect();
    assert_eq!(
        memory[memory.len() - 12..],
        [-65, -4, -3, 15, 23, 31, 35, 62, 79, 84, 89, 92]
    );
}

#[test]
fn encrypted_sum_decrypts() {
    let modulus = key().public().modulus().clone();
    let output = run_asm("encrypted_sum.asm", RunDomain::Paillier(modulus));
    assert_eq!(
        decrypt(output["output"][0].as_str().unwrap()),
        UBig::from(189_u8)
    );
    // The same program in the compiler's notation puts out the same cell.
    let sce = run(&example("encrypted_sum.sce"), None).unwrap();
    assert_eq!(sce.trim_end(), output["output"][0].as_str().unwrap());
}

#[test]
fn fibonacci_of_ciphertexts() {
    let key = key();
    let mut program = assemble(&example("fibonacci.asm")).unwrap();
    let cells = program.cells.len();
    for (at, message, r) in [(cells - 2, 1_u8, 77_u8), (cells - 1, 0, 101)] {
        let residue = key
            .public()
            .encrypt(&UBig::from(message), &UBig::from(r))
            .unwrap();
        let (x, n) = (residue.get() - UBig::ONE, key.public().modulus().n());
        program.cells[at] = AsmCell::Token(format!("\"{}.{}\"", &x / n, &x % n));
    }
    let text = run(
        &program.to_json(),
        Some(RunDomain::Paillier(key.public().modulus().clone())),
    )
    .unwrap();
    let output: serde_json::Value = serde_json::from_str(&text).unwrap();
    let memory = output["memory"].as_array().unwrap();
    assert_eq!(
        decrypt(memory[cells - 2].as_str().unwrap()),
        UBig::from(1_346_269_u32)
    );
    assert_eq!(
        decrypt(memory[cells - 1].as_str().unwrap()),
        UBig::from(832_040_u32)
    );
}

#[test]
fn sce_puts_out_as_its_pragma_says() {
    assert_eq!(run(&example("hello.sce"), None).unwrap(), "Hi\n");
    assert_eq!(
        run("#pragma N=0\n6 -1 3 7 -1 -1 5 -8\n", None).unwrap(),
        "5 -8\n"
    );
    assert_eq!(
        run("#pragma N=15 io=ts\n6 -1 3 7 -1 -1 5 -8\n", None).unwrap(),
        "5 7\n"
    );
    // x = 1 + 5·15 and 1 + 7·15 + 6.
    assert_eq!(
        run("#pragma N=15 io=x junk=1 u\n6 -1 3 7 -1 -1 5 7.6", None).unwrap(),
        "76\n112\n"
    );
    assert_eq!(
        run("#pragma N=15 cqtype=x\n91 31 46 1 1 211 76", None).unwrap(),
        ""
    );
    assert_eq!(
        run("#pragma N=15 cqtype=x\n46 211 211 76", None).unwrap(),
        "5\n"
    );
    // −x modulo N² is another unit: −76 = 149 = 1 + 9·15 + 13.
    assert_eq!(
        run("#pragma N=15 cqtype=x\n46 211 211 -76", None).unwrap(),
        "9.13\n"
    );
    assert_eq!(
        run("#pragma N=0 entry=9\n0:5 9: 0 -1 -1", None).unwrap(),
        "5\n"
    );
    assert_eq!(run("#pragma N=15\n3 -1 -1 -5.1", None).unwrap(), "10.1\n");
}

#[test]
fn sce_errors_name_line_and_column() {
    let error = |text: &str| run(text, None).unwrap_err().to_string();
    assert_eq!(error("#pragma io=ts\n1"), "1:1: no N=… in the #pragma line");
    assert_eq!(
        error("#pragma N=14\n1"),
        "1:1: N: the modulus must be odd and at least 3"
    );
    assert_eq!(error("#pragma N=15 io=q\n1"), "1:1: io=q: unknown");
    assert_eq!(
        error("#pragma N=15\n1 2\n 4 0.2"),
        "3:4: the residue shares a factor with N"
    );
    assert_eq!(
        error("#pragma N=15\n1 2\n 4 x"),
        "3:4: got x, want an integer, \"T\" or \"T.S\" with T and S below N"
    );
    assert!(error("#pragma N=15\n99999999999999999999:1").starts_with("2:1: got 9999"));
    assert!(error("#pragma N=15\n1048576:1").starts_with("2:1: "));
    assert!(error("#pragma N=0\n1.5").starts_with("2:1: got 1.5"));
    let options = RunOptions {
        domain: Some(RunDomain::Xor(1)),
        ..RunOptions::default()
    };
    assert_eq!(
        run_program("#pragma N=0\n1", &options, None),
        Err(RunError::Domain)
    );
}

#[test]
fn json_errors_name_the_path() {
    let open = |text: &str| run(text, None).unwrap_err().to_string();
    let paillier = |text: &str| {
        run(
            text,
            Some(RunDomain::Paillier(Modulus::from_decimal("15").unwrap())),
        )
        .unwrap_err()
        .to_string()
    };
    assert_eq!(open("{}"), "memory: missing");
    assert_eq!(open(r#"{"memory":[],"memory":[]}"#), "memory: stands twice");
    assert_eq!(
        open(r#"{"memory":[],"x":1}"#),
        "x: no such member; a program has memory, entry and input"
    );
    assert_eq!(
        open(r#"{"memory":[0,1.0]}"#),
        "memory[1]: got 1.0, want an integer of 64 bits"
    );
    assert_eq!(
        open(r#"{"memory":[1e3]}"#),
        "memory[0]: got 1e3, want an integer of 64 bits"
    );
    assert_eq!(
        open(r#"{"memory":["5"]}"#),
        "memory[0]: got \"5\", want an integer of 64 bits"
    );
    assert_eq!(
        open(r#"{"memory":[9223372036854775808]}"#),
        "memory[0]: got 9223372036854775808, want an integer of 64 bits"
    );
    assert_eq!(open(r#"{"memory":{}}"#), "memory: want an array of cells");
    assert_eq!(
        open(r#"{"memory":[],"entry":-1}"#),
        "entry: got -1, want an address of 0 or more"
    );
    assert_eq!(
        open(r#"{"memory":[],"input":[null]}"#),
        "input[0]: got null, want an integer of 64 bits"
    );
    assert!(open("[]").starts_with("$: "));
    assert!(open("{\"memory\":[]} x").starts_with("$: "));
    assert!(open("").starts_with("$: "));
    for cell in [
        "\"\"",
        "\"1.\"",
        "\".1\"",
        "\"-1\"",
        "\"01\"",
        "\"1.2.3\"",
        "\"15\"",
        "\"1.15\"",
        "true",
        "[1]",
        "\"\\u0031\"",
    ] {
        let error = paillier(&format!("{{\"memory\":[0,{cell}]}}"));
        assert!(error.starts_with("memory[1]: got "), "{error}");
    }
    assert!(open(&format!("{{\"memory\":[{}]}}", "[".repeat(500))).starts_with("$: "));
    let many = format!("{{\"memory\":[{}0]}}", "0,".repeat(1 << 20));
    assert_eq!(
        open(&many),
        "the program has 1048577 cells, and the machine 1048576 at most"
    );
}

#[test]
fn integers_of_paillier_are_taken_modulo_n() {
    let domain = Some(RunDomain::Paillier(Modulus::from_decimal("15").unwrap()));
    let text = run(
        r#"{"memory":[7,-8,1000000000000000000000000000001],"entry":5}"#,
        domain,
    )
    .unwrap();
    assert_eq!(
        text,
        "{\"halt\":\"end\",\"pc\":5,\"steps\":0,\"memory\":[\"7\",\"7\",\"11\"],\"output\":[]}\n"
    );
}

#[test]
fn assembler_forms() {
    let words = |text: &str| assemble(text).unwrap().words().unwrap();
    assert_eq!(words("1 2 3"), [1, 2, 3]);
    assert_eq!(words("1 2 ; comment\n5 # another"), [1, 2, 3, 5, 5, 6]);
    assert_eq!(words("a: b, a, ?\nb: a b -1"), [3, 0, 3, 0, 3, -1]);
    assert_eq!(
        words("x: y: .data x y+2 -y-1 ?+1 'A' '\\n' 3-5"),
        [0, 2, -1, 5, 65, 10, -2]
    );
    assert_eq!(
        words(".text \"a#b \\\"c\\u00e9\""),
        [97, 35, 98, 32, 34, 99, 233]
    );
    assert_eq!(words(".data ';' '#' '\\''"), [59, 35, 39]);
    assert_eq!(
        words(".data -9223372036854775808 9223372036854775807"),
        [i64::MIN, i64::MAX]
    );
    let program = assemble(".entry go\n.data \"5.6\" 99999999999999999999\ngo: 0").unwrap();
    assert_eq!(
        program.to_json(),
        r#"{"memory":["5.6",99999999999999999999,0,0,5],"entry":2}"#
    );
    assert_eq!(program.words(), None);
}

#[test]
fn assembler_errors_name_line_and_column() {
    let error = |text: &str| assemble(text).unwrap_err().to_string();
    assert_eq!(error("1 2 3\n  a b"), "2:3: label \"a\" is not defined");
    assert_eq!(error("a: 1\nb: a: 2"), "2:4: label \"a\" is defined twice");
    assert_eq!(error("1 2 3 4"), "1:1: got 4 operands, want 1 to 3");
    assert_eq!(
        error(" .date 5"),
        "1:2: \".date\" is no directive; there are .data, .text and .entry"
    );
    assert_eq!(error("5: 1"), "1:1: \"5\" is no name for a label");
    assert_eq!(error(".data"), "1:1: got 0 operands, want 1 or more");
    assert_eq!(
        error("1 2 3+"),
        "1:5: got \"3+\", want an integer, a 'character', a label or ?, joined by + and -"
    );
    assert_eq!(
        error(".data 9223372036854775807+1"),
        "1:7: the value does not fit 64 bits"
    );
    assert_eq!(error(".entry -1\n0"), "1:8: the entry is negative");
    assert_eq!(
        error(".data \"1.x\""),
        "1:7: got \"1.x\", want a string in double quotes; in .data one of the form \"T\" or \"T.S\""
    );
    for text in [
        "é 1",
        "1 -",
        "'",
        "''",
        "'ab'",
        ".text x",
        ".text \"a",
        "a+1: 0",
        "--1",
        "1 99999999999999999999999",
    ] {
        assert!(assemble(text).is_err(), "{text}");
    }
}

#[test]
fn corpus_breaks_nothing() {
    let mut count = 0;
    for (folder, entry) in [
        ("fuzz/corpus/vm_program", fuzz_program as fn(&[u8])),
        ("fuzz/corpus/vm_assembler", fuzz_assembler),
    ] {
        for file in std::fs::read_dir(root(folder)).unwrap() {
            entry(&std::fs::read(file.unwrap().path()).unwrap());
            count += 1;
        }
    }
    assert!(count > 10);
}

fn asm_cell() -> impl Strategy<Value = AsmCell> {
    prop_oneof![
        12 => (-1..24_i64).prop_map(AsmCell::Word),
        1 => any::<i64>().prop_map(AsmCell::Word),
        1 => (0..99_u32, 0..99_u32).prop_map(|(t, s)| AsmCell::Token(format!("\"{t}.{s}\""))),
        1 => Just(AsmCell::Token("-170141183460469231731687303715884105728".to_owned())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn disassembly_assembles_back(cells in prop::collection::vec(asm_cell(), 0..40), entry in prop_oneof![Just(0_i64), 0..30_i64]) {
        let program = Assembly { cells, entry };
        let text = disassemble(&program.to_json()).unwrap();
        prop_assert_eq!(assemble(&text).unwrap(), program, "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-a-c0-9.:,?'\"#\\\\+ \n]{0,60}") {
        fuzz_assembler(text.as_bytes());
    }

    #[test]
    fn any_json_is_run_or_refused(text in "\\{\"memory\":\\[(-?[0-9]{1,2},){0,20}[0-9\".]{1,3}\\](,\"input\":\\[[0-9,]{0,4}\\])?\\}") {
        fuzz_program(text.as_bytes());
    }
}
