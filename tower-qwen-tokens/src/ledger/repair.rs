use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
};

/// How lines begin.
const BEGINS: [&[u8]; 2] = [br#"{"at":""#, br#"{"model":""#];
/// No line is longer. Unit: bytes.
// A line has some hundred bytes. The bound keeps a foreign file from being read whole.
const LONGEST: u64 = 1024 * 1024;

/// What the bytes behind the last line break are.
#[derive(Debug, PartialEq, Eq)]
enum Tail {
    /// There are none.
    Empty,
    /// A whole line without its end.
    Whole,
    /// A part of a line.
    Torn,
    /// Something that this ledger did not write.
    Foreign,
}

/// Ends or cuts off the last line of a file; the number of bytes that were cut off.
pub(super) fn repair(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let tail = last_line(file, length)?;
    match classify(&tail) {
        Tail::Empty => Ok(0),
        // Not counted as repaired: nothing is lost.
        Tail::Whole => file.write_all(b"\n").map(|()| 0),
        Tail::Torn => {
            let cut = tail.len() as u64;
            file.set_len(length.saturating_sub(cut))?;
            Ok(cut)
        }
        Tail::Foreign => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file's last line is none of a ledger",
        )),
    }
}

/// The bytes behind the last line break, at most one more than a line may have.
fn last_line(file: &mut File, length: u64) -> io::Result<Vec<u8>> {
    let from = length.saturating_sub(LONGEST.saturating_add(1));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(length - from).read_to_end(&mut bytes)?;
    if let Some(end) = bytes.iter().rposition(|&byte| byte == b'\n') {
        bytes.drain(..=end);
    }
    Ok(bytes)
}

fn classify(tail: &[u8]) -> Tail {
    // A file system may have grown the file before the bytes came.
    let zeros = tail.iter().rev().take_while(|&&byte| byte == 0).count();
    let written = &tail[..tail.len() - zeros];
    if tail.is_empty() {
        Tail::Empty
    } else if tail.len() as u64 > LONGEST || !is_ours(written) {
        Tail::Foreign
    } else if zeros == 0 && serde_json::from_slice::<serde::de::IgnoredAny>(tail).is_ok() {
        Tail::Whole
    } else {
        Tail::Torn
    }
}

fn is_ours(written: &[u8]) -> bool {
    BEGINS.iter().any(|begin| {
        let length = written.len().min(begin.len());
        written[..length] == begin[..length]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tail_is_recognised() {
        for (tail, expected) in [
            (&b""[..], Tail::Empty),
            (br#"{"model":"m"}"#, Tail::Whole),
            (br#"{"model":"m""#, Tail::Torn),
            (b"{", Tail::Torn),
            (b"\0\0\0", Tail::Torn),
            (b"{\"model\":\0\0", Tail::Torn),
            (b"{\"model\":\"m\"}\0", Tail::Torn),
            (b"hello", Tail::Foreign),
            (b"[]", Tail::Foreign),
            (b"{}", Tail::Foreign),
            (br#"{"time":"#, Tail::Foreign),
            (br#"{"model":7}"#, Tail::Foreign),
            (b"\0x", Tail::Foreign),
        ] {
            assert_eq!(classify(tail), expected, "{tail:?}");
        }
        let long = [BEGINS[0], &vec![b'x'; 1024 * 1024]].concat();
        assert_eq!(classify(&long), Tail::Foreign);
        assert_eq!(classify(&long[..long.len() - BEGINS[0].len()]), Tail::Torn);
    }
}
