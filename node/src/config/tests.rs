//! Which layer has the last word, what a file may not say, and that what is printed is a file.

use std::io::Write as _;

use super::*;

fn matches(arguments: &[&str]) -> ArgMatches {
    let bare = command().mut_args(|argument| argument.env(None::<&str>));
    bare.no_binary_name(true)
        .try_get_matches_from(arguments)
        .unwrap()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn merge(text: &str, arguments: &[&str]) -> Result<Settings, ConfigError> {
    Settings::merge(&matches(arguments), Some(file(text).path()))
}

#[test]
fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
    let text =
        "mine = true\nmine_threads = 3\nmempool_mib = 7\nlisten = [\"/ip4/127.0.0.1/tcp/1\"]\n";
    let merged = merge(
        text,
        &[
            "--mine=false",
            "--mine-threads",
            "1",
            "--bootnode",
            "/ip4/127.0.0.1/tcp/2,/ip4/127.0.0.1/tcp/3",
        ],
    )
    .unwrap();
    let want = Settings {
        // A flag that says what the default says is still a flag.
        mine: false,
        mine_threads: NonZeroUsize::new(1).unwrap(),
        mempool_mib: NonZeroUsize::new(7).unwrap(),
        listen: vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()],
        bootnode: ["/ip4/127.0.0.1/tcp/2", "/ip4/127.0.0.1/tcp/3"]
            .map(|address| address.parse().unwrap())
            .to_vec(),
        ..Settings::default()
    };
    assert_eq!(merged, want);
}

#[test]
fn without_a_file_the_flags_stand_over_the_defaults() {
    let merged = Settings::merge(&matches(&["--mine", "--http", "[::1]:80"]), None).unwrap();
    let http = "[::1]:80".parse().unwrap();
    let mine = true;
    let rest = Settings::default();
    assert_eq!(merged, Settings { mine, http, ..rest });
}

#[test]
fn unknown_keys_and_wrong_values_are_refused_with_name_and_line() {
    for (text, says) in [
        (
            "mine = true\n\nmine_thread = 2\n",
            vec!["line 3", "mine_thread"],
        ),
        ("mine_threads = 0\n", vec!["line 1", "mine_threads"]),
        ("mine = \"yes\"\n", vec!["line 1", "mine", "boolean"]),
        ("\nlisten = [\"127.0.0.1:1\"]\n", vec!["line 2", "listen"]),
        ("log_format = \"xml\"\n", vec!["line 1", "xml"]),
        (
            "torrent_upload_rate = 100\n",
            vec!["torrent_upload_rate", "16384"],
        ),
        ("mine = true\nmine = false\n", vec!["line 2", "mine"]),
        ("mine\n", vec!["line 1"]),
    ] {
        let error = merge(text, &[]).unwrap_err().to_string();
        for part in says {
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.toml");
    let error = Settings::merge(&matches(&[]), Some(&missing)).unwrap_err();
    assert!(error.to_string().contains("none.toml"), "{error}");
}

#[test]
fn what_is_printed_says_the_same_as_a_file() {
    let full = "chain = \"dev\"\ndata_dir = \"/a \\\"b\\\"\"\nmine = true\nwallet = \"alice\"\nmine_rate = 9\nrendezvous = false\n\
        cors = [\"http://a\", \"http://b\"]\ntorrent_upload_rate = 16384\nlisten = []\nhttp = \"[::1]:1\"\nlog_format = \"json\"\n";
    for text in ["", full] {
        let settings = merge(text, &[]).unwrap();
        let printed = settings.to_string();
        assert_eq!(merge(&printed, &[]).unwrap(), settings, "{printed}");
        for argument in command().get_arguments() {
            let key = argument.get_id().as_str();
            let line = |line: &str| {
                line.trim_start_matches('#')
                    .starts_with(&format!("{key} = "))
            };
            assert_eq!(printed.lines().filter(|at| line(at)).count(), 1, "{key}");
        }
    }
}

#[test]
fn every_option_has_a_variable_and_a_description() {
    for argument in command().get_arguments() {
        let key = argument.get_id().as_str();
        let want = format!("LYCEUM_{}", key.to_uppercase());
        let variable = argument.get_env().map(|name| name.to_string_lossy());
        assert_eq!(variable.unwrap(), want);
        assert!(argument.get_help().is_some(), "{key}");
        assert_eq!(argument.get_long().unwrap(), key.replace('_', "-"));
    }
}
