//! What cannot be followed is said before anything is sent.

use std::fs;

use crate::{
    provider::{batch, folder, said},
    support::TestResult,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_is_refused_with_line_and_column() -> TestResult {
    let folder = folder(3, &[])?;
    let args = ["--accounts", "accounts.toml"];
    for (text, expected) in [
        ("", "accounts.toml:1:1: the file begins with `version = 1`"),
        (
            "version = 1\n[[accounts]]\nname = \"a\"\nkey = \"sk-secret\"\n",
            "accounts.toml:4:1: unknown field `key`",
        ),
        (
            "version = 1\n[[accounts]]\nname = \"a\"\napi_key = sk-secret\n",
            "accounts.toml:4:11: ",
        ),
        (
            "version = 1\n[[accounts]]\nname = \"a\"\napi_key_env = \"NOT_SET\"\n",
            "accounts.toml:4:15: no key is in the environment variable NOT_SET",
        ),
    ] {
        fs::write(folder.path().join("accounts.toml"), text)?;
        let run = batch(folder.path(), &args, &[]).await?;
        let said = said(&run);
        assert_eq!(run.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains("secret"), "{said}");
        assert!(!folder.path().join("calls.output.jsonl").exists());
    }
    fs::remove_file(folder.path().join("accounts.toml"))?;
    let run = batch(folder.path(), &args, &[]).await?;
    assert_eq!(run.status.code(), Some(2));
    assert!(
        said(&run).contains("--accounts accounts.toml: "),
        "{}",
        said(&run)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_not_there_or_the_same_are_refused() -> TestResult {
    let folder = folder(3, &[])?;
    let keys = [("KEY_A", "sk-secret"), ("KEY_B", "sk-secret")];
    for (args, expected) in [
        (
            &["--api-key-env", "NOT_SET"][..],
            "no key is in the environment variable NOT_SET",
        ),
        (
            &["--api-key-env", "sk-secret"],
            "--api-key-env names an environment variable",
        ),
        (
            &["--api-key-env", "KEY_A", "--api-key-env", "KEY_B"],
            "KEY_B and KEY_A hold the same key",
        ),
        (&["--api-key-env", "KEY_A", "--mock"], "cannot be used with"),
    ] {
        let run = batch(folder.path(), args, &keys).await?;
        assert_eq!(run.status.code(), Some(2), "{}", said(&run));
        assert!(said(&run).contains(expected), "{}", said(&run));
        assert!(!said(&run).contains("secret"), "{}", said(&run));
    }
    Ok(())
}
