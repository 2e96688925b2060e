//! Answers as a Parquet file.

use crate::{
    program::Place,
    support::{TestResult, chat},
};

#[cfg(not(feature = "parquet"))]
#[tokio::test]
async fn a_build_without_parquet_says_so() -> TestResult {
    let place = Place::new().await?;
    place.write("calls.jsonl", chat("a", "One?"))?;
    let args = ["--input", "calls.jsonl", "--output", "out.parquet"];
    let said = place.wrong(&args, b"").await?;
    assert!(said.contains("build it with --features parquet"), "{said}");
    Ok(())
}

#[cfg(feature = "parquet")]
mod written {
    use std::{collections::BTreeMap, fs::File, path::Path};

    use parquet::{
        file::reader::{FileReader, SerializedFileReader},
        record::RowAccessor,
    };

    use super::*;

    type Columns = (Option<i32>, Option<String>);

    /// Status and error by id.
    fn rows(path: &Path) -> TestResult<BTreeMap<String, Columns>> {
        let reader = SerializedFileReader::new(File::open(path)?)?;
        let mut rows = BTreeMap::new();
        for row in reader.get_row_iter(None)? {
            let row = row?;
            let columns = (row.get_int(1).ok(), row.get_string(5).ok().cloned());
            assert!(rows.insert(row.get_string(0)?.clone(), columns).is_none());
        }
        Ok(rows)
    }

    #[tokio::test]
    async fn it_holds_every_answer_and_a_run_goes_on_from_the_lines_beside_it() -> TestResult {
        let place = Place::new().await?;
        place.write("calls.jsonl", chat("a", "One?") + &chat("b", "Two?"))?;
        let args = ["--input", "calls.jsonl", "--output", "out.parquet"];
        let sample = [&args[..], &["--sample", "1"]].concat();
        place.twice(&sample, "out.parquet.jsonl").await?;
        assert_eq!(rows(&place.path("out.parquet"))?.len(), 1);
        place.twice(&args, "out.parquet.jsonl").await?;
        assert_eq!(place.bodies().len(), 2, "none was made twice");
        let rows = rows(&place.path("out.parquet"))?;
        assert_eq!(rows.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert!(rows.values().all(|row| *row == (Some(200), None)));
        Ok(())
    }

    #[tokio::test]
    async fn a_table_of_somebody_else_is_left_alone() -> TestResult {
        let place = Place::new().await?;
        place.write("calls.jsonl", chat("a", "One?"))?;
        place.write("out.parquet", "of somebody else")?;
        let args = ["--input", "calls.jsonl", "--output", "out.parquet"];
        let said = place.wrong(&args, b"").await?;
        assert!(
            said.contains("out.parquet is there, and no lines beside it"),
            "{said}"
        );
        assert_eq!(
            std::fs::read_to_string(place.path("out.parquet"))?,
            "of somebody else"
        );
        Ok(())
    }
}
