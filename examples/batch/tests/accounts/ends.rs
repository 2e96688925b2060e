//! Accounts that are left out, and runs that end since none is left.

use std::fs;

use crate::{
    provider::{Fate, Provider, batch, everything, folder, said, summary},
    support::{TestResult, lines},
};

const FILE: [&str; 2] = ["--accounts", "accounts.toml"];

/// The sentences of a run that say that an account is left out.
fn left_out(said: &str) -> Vec<&str> {
    let lines = said.lines();
    lines
        .filter(|line| line.contains("is left out from now on"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_dies_leaves_its_account_out_and_the_run_goes_on() -> TestResult {
    let (dies, lives) = (
        Provider::with(6_000, Some((100, Fate::BadKey))).await?,
        Provider::granting(6_000).await?,
    );
    let limits = "requests_per_minute = 6000\ntokens_per_minute = 100000000";
    let folder = folder(
        1_000,
        &[
            ("dies", "sk-dies-secret", &dies.base, limits),
            ("lives", "sk-lives-secret", &lives.base, limits),
        ],
    )?;
    // So that calls choose their account while the run goes on, and not all at its beginning.
    let few = [&FILE[..], &["--concurrency", "40"]].concat();
    let run = batch(folder.path(), &few, &[]).await?;
    let said = said(&run);
    assert_eq!(run.status.code(), Some(0), "{said}");
    let output = lines(&folder.path().join("calls.output.jsonl"))?;
    assert_eq!(output.len(), 1_000);
    assert!(output.values().all(|line| line["error"].is_null()));
    let told = left_out(&said);
    assert_eq!(told.len(), 1, "{said}");
    assert!(
        told[0].starts_with("Account dies is left out from now on: its key is not valid at 127.")
    );
    // What was under way when it died, and no more.
    assert!(dies.calls() < 100 + 80, "{} calls", dies.calls());
    assert!(!everything(folder.path(), &run)?.contains("secret"));
    assert_eq!(summary(folder.path())?["accounts"][0]["left_out"], "key");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_from_the_beginning_costs_one_call() -> TestResult {
    for (fate, why) in [
        (Fate::BadKey, "its key is not valid"),
        (Fate::UsedUp, "a window of its plan is used up"),
        (
            Fate::WebPage,
            "does not answer as a provider of models does",
        ),
    ] {
        let (bad, good) = (
            Provider::with(60_000, Some((1, fate))).await?,
            Provider::granting(60_000).await?,
        );
        for order in [
            [("bad", &bad), ("good", &good)],
            [("good", &good), ("bad", &bad)],
        ] {
            let before = bad.calls();
            let of = |at: usize| (order[at].0, "sk-1", order[at].1.base.as_str(), "");
            let folder = folder(60, &[of(0), of(1)])?;
            let run = batch(folder.path(), &FILE, &[]).await?;
            let said = said(&run);
            assert_eq!(run.status.code(), Some(0), "{said}");
            let output = lines(&folder.path().join("calls.output.jsonl"))?;
            assert!(output.values().all(|line| line["error"].is_null()));
            assert_eq!(output.len(), 60);
            let told = left_out(&said);
            assert_eq!(told.len(), 1, "{said}");
            assert!(told[0].contains(why), "{said}");
            assert_eq!(bad.calls() - before, 1, "{fate:?} {said}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_one_account_lacks_goes_to_the_other() -> TestResult {
    let (lacks, has) = (
        Provider::with(60_000, Some((1, Fate::NoModel))).await?,
        Provider::granting(60_000).await?,
    );
    let folder = folder(
        60,
        &[
            ("lacks", "sk-1", &lacks.base, ""),
            ("has", "sk-2", &has.base, ""),
        ],
    )?;
    let run = batch(folder.path(), &FILE, &[]).await?;
    let said = said(&run);
    assert_eq!(run.status.code(), Some(0), "{said}");
    assert_eq!((lacks.calls(), has.calls()), (1, 60));
    assert!(
        said.contains("Account lacks gets no calls of \"qwen-plus\""),
        "{said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_account_the_run_ends_and_says_why() -> TestResult {
    for from in [1, 40] {
        let fate = Some((from, Fate::BadKey));
        let (one, two) = (
            Provider::with(6_000, fate).await?,
            Provider::with(6_000, fate).await?,
        );
        let limits = "requests_per_minute = 6000\ntokens_per_minute = 100000000";
        let folder = folder(
            2_000,
            &[
                ("one", "sk-1-secret", &one.base, limits),
                ("two", "sk-2-secret", &two.base, limits),
            ],
        )?;
        let run = batch(folder.path(), &FILE, &[]).await?;
        let said = said(&run);
        assert_eq!(run.status.code(), Some(3), "{said}");
        let last = said.lines().last().unwrap_or_default();
        let (begin, end) = (
            "No account is left: account one: its key is not valid at 127.0.0.1:",
            "Correct the accounts, then run again.",
        );
        assert!(last.starts_with(begin) && last.ends_with(end), "{said}");
        assert!(
            last.contains("; account two: its key is not valid at"),
            "{said}"
        );
        assert!(!everything(folder.path(), &run)?.contains("secret"));
        let output = lines(&folder.path().join("calls.output.jsonl"))?;
        let answered = output
            .values()
            .filter(|line| line["error"].is_null())
            .count();
        let expected = usize::try_from(2 * (from - 1))?;
        assert_eq!(answered, expected, "{said}");
        // Calls that were under way at both.
        let failed = summary(folder.path())?["calls"]["failed_by"].to_string();
        assert!(output.len() - answered <= 64, "{failed}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_pool_goes_on_and_another_one_does_not() -> TestResult {
    let (one, two) = (
        Provider::granting(60_000).await?,
        Provider::granting(60_000).await?,
    );
    let folder = folder(
        60,
        &[
            ("one", "sk-1", &one.base, ""),
            ("two", "sk-2", &two.base, ""),
        ],
    )?;
    let sample = [&FILE[..], &["--sample", "20"]].concat();
    let run = batch(folder.path(), &sample, &[]).await?;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let run = batch(folder.path(), &FILE, &[]).await?;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert_eq!(one.calls() + two.calls(), 60);
    let summary = summary(folder.path())?;
    assert_eq!(summary["calls"]["answered_before"], 20);
    let before = fs::read(folder.path().join("calls.output.jsonl"))?;
    let alone = ["--base-url", two.base.as_str()];
    let run = batch(folder.path(), &alone, &[]).await?;
    assert_eq!(run.status.code(), Some(2));
    assert!(
        said(&run).contains("and the calls go to http://127."),
        "{}",
        said(&run)
    );
    assert_eq!(fs::read(folder.path().join("calls.output.jsonl"))?, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cap_holds_for_all_accounts_together() -> TestResult {
    let (one, two) = (
        Provider::granting(6_000).await?,
        Provider::granting(6_000).await?,
    );
    let limits = "requests_per_minute = 6000\ntokens_per_minute = 100000000";
    let folder = folder(
        400,
        &[
            ("one", "sk-1", &one.base, limits),
            ("two", "sk-2", &two.base, limits),
        ],
    )?;
    let capped = [&FILE[..], &["--max-cost", "0.01USD"]].concat();
    let run = batch(folder.path(), &capped, &[]).await?;
    assert_eq!(run.status.code(), Some(4), "{}", said(&run));
    let summary = summary(folder.path())?;
    let cost = summary["cost"][0]["amount"].as_str().ok_or("a cost")?;
    let cost: f64 = cost.parse()?;
    // What is reserved for a call is more than it uses, so nearly all of the cap is spent and no more.
    assert!((0.005..=0.0101).contains(&cost), "{cost}");
    assert!(
        one.calls() > 10 && two.calls() > 10,
        "{} and {}",
        one.calls(),
        two.calls()
    );
    Ok(())
}
